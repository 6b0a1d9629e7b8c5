"""The official JavaScript SDKs, by their stream helpers, against upstreams of every dialect.

The helpers are strict readers: an event that is missing, out of place or of the wrong shape makes them
throw.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.programs import session
from tests.programs.install import Programs
from tests.programs.run import node_script
from tests.programs.system import MODELS, System
from tests.programs.upstream.script import Call, Script

SCRIPTS = Path(__file__).parent / "sdk"
RESULT = "Rain, 4 degrees."
WEATHER = Call("call_Node0Scripted", "weather", {"city": "Oslo", "note": "«Ø», 4 °C"})
FINISHES = {
    "chat": ["tool_calls", "stop"],
    "responses": ["completed", "completed"],
    "messages": ["tool_use", "end_turn"],
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sdk", FINISHES)
def test_the_sdk_streams_a_tool_call_and_a_text(
    programs: Programs, system: System, sdk: str, model: str, tmp_path: Path
) -> None:
    script = Script(WEATHER, session.FINAL)
    upstream = system.upstream_of(model)
    upstream.play(script)
    ran = node_script(programs, SCRIPTS / f"{sdk}.cjs", system.target(model), tmp_path)
    assert upstream.refusals == [], ran.log[-3000:]
    assert ran.exit_code == 0, ran.log[-3000:]
    seen = json.loads(ran.answer)
    assert seen["finishes"] == FINISHES[sdk]
    assert seen["texts"] == [script.before, session.FINAL]
    # As it came, not gathered first.
    assert min(seen["pieces"]) >= 3
    assert (seen["call"]["name"], seen["call"]["arguments"]) == (WEATHER.name, WEATHER.arguments)
    assert seen["tokens"] == [[usage.input, usage.output] for usage in script.usages]
    session.check_session(system, model, script, RESULT)
