"""Claude Code, which speaks Anthropic's dialect alone, against upstreams of every dialect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import session
from tests.programs.install import Programs
from tests.programs.run import claude_code
from tests.programs.system import MODELS, System
from tests.programs.upstream.script import Call, Script

BASH = Call("call_Claude0Scripted", "Bash", {"command": session.COMMAND, "description": "Write the file"})
# What it sends depends on the name it was given, which says nothing here: no older model may be
# behind it where Anthropic's dialect is passed on as it is.
SERVED = [name for name in MODELS if name != "by-sonnet"]
# One of the tools that it describes only on demand.
SEARCH = Call("call_Claude1Scripted", "ToolSearch", {"query": "select:WebFetch", "max_results": 1})


@pytest.mark.parametrize("model", SERVED)
def test_claude_code_runs_a_shell_command_and_finishes(
    programs: Programs, system: System, model: str, tmp_path: Path
) -> None:
    script = Script(BASH, session.FINAL)
    system.upstream_of(model).play(script)
    ran = claude_code(programs, system.target(model), tmp_path, session.TASK)
    session.check_ran(ran, system, model)
    session.check_session(system, model, script)
    session.check_thought(system, model)


@pytest.mark.parametrize("model", SERVED)
def test_claude_code_loads_a_tool_on_demand(
    programs: Programs, system: System, model: str, tmp_path: Path
) -> None:
    """The result of its search is a reference without text, and the tool is declared from then on."""
    script = Script(SEARCH, session.FINAL)
    upstream = system.upstream_of(model)
    upstream.play(script)
    ran = claude_code(programs, system.target(model), tmp_path, "Which tools fetch pages?")
    assert upstream.refusals == [], ran.log[-3000:]
    assert (ran.exit_code, ran.answer) == (0, session.FINAL), ran.log[-3000:]
    offered = [upstream.dialect.tools(received.document) for received in upstream.received]
    assert "WebFetch" in offered[-1]
    assert "ToolSearch" in offered[0]
    session.check_usage(system, model, script)
