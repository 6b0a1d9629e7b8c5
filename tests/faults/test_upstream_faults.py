"""F15, small: whatever the provider does, the client gets one clear answer and the ledgers agree.

The integration tests have each fault by itself; here they come together, from another process, under load.
"""

from __future__ import annotations

import json

import pytest

from tests.faults.system import System, call
from tests.support.ledgers import OK
from tests.support.provider import presets
from tests.support.provider.behaviour import Behaviour, Cut, Cuts

# Faults before the first real event: the spare answers instead.
EARLY = {
    "silent": presets.silence(),
    "stalls after the role": presets.stall_after_events(1),
    "resets": presets.cut_before_headers("reset"),
    "closes": presets.cut_before_headers("close"),
    "garbage": presets.garbage(),
    "429": presets.rate_limited("0"),
    "503": presets.server_error(503),
    "malformed chunks": Behaviour(framing="malformed-chunked"),
}
# Faults after it: the client hears of them inside the stream.
LATE = {
    "resets": presets.cut_after_events(4, "reset"),
    "ends": presets.cut_after_events(4, "close"),
    "stalls": presets.stall_after_events(4),
    "half an event": presets.cut_mid_event(4, "close"),
    "an error": presets.error_in_stream("openai", after_events=4),
}


def script(system: System, behaviour: Behaviour) -> None:
    """For every try at the broken model."""
    system.provider.always("broken", behaviour)


@pytest.mark.parametrize("name", EARLY)
def test_a_fault_before_the_first_event_falls_back(system: System, name: str) -> None:
    script(system, EARLY[name])
    with system.load(20) as load:
        status, body = call(system.headgate.base_url, system.headgate.api_key, "chain", stream=True)
    assert status == 200
    assert b"data: [DONE]" in body
    assert b'"error"' not in body
    assert all(seen.complete for seen in load.seen)


@pytest.mark.parametrize("name", LATE)
def test_a_fault_after_the_first_event_is_an_error_event(system: System, name: str) -> None:
    script(system, LATE[name])
    status, body = call(system.headgate.base_url, system.headgate.api_key, "hurried", stream=True)
    assert status == 200
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    assert "error" in events[-1]
    assert not body.rstrip().endswith(b"data: [DONE]") or name == "an error"


def test_half_a_character_per_chunk_arrives_whole(system: System) -> None:
    script(system, Behaviour(text="naïve ☕ 🐟 " * 4, cuts=Cuts((1,), repeat=True)))
    status, body = call(system.headgate.base_url, system.headgate.api_key, "hurried", stream=True)
    assert status == 200
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    text = "".join(
        choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ())
    )
    assert text == "naïve ☕ 🐟 " * 4


def test_every_attempt_of_a_broken_provider_has_one_row(system: System) -> None:
    """After all of the above, and with partial usage kept."""
    script(system, Behaviour(cut=Cut("events", 6, "reset")))
    for _ in range(5):
        call(system.headgate.base_url, system.headgate.api_key, "hurried", stream=True)
    ledgers = system.check(system.headgate.state)
    served = {
        attempt.client_request_id.replace("-", "")
        for attempt in system.provider.recorded()
        if attempt.model == "broken"
    }
    broken = [row for row in ledgers.rows if row.id.hex in served and row.outcome != OK]
    assert len(broken) >= 5
    assert any(row.output_tokens and row.estimated for row in broken), "what was streamed is worth something"
