"""What a held stream must say to win a race."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from proxy.racing import MAX_JUDGED_BYTES, is_good


def event(**delta: Any) -> bytes:
    return b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n"


def good(held: bytes, *, wants_json: bool = False) -> bool:
    call = SimpleNamespace(
        route=SimpleNamespace(hold_whole=True),
        asked=SimpleNamespace(operation="chat.completions"),
        wants_json=wants_json,
    )
    attempt = SimpleNamespace(exchange=SimpleNamespace(streaming=True, held=held), whole=None)
    return is_good(call, attempt)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "wants_json", "wins"),
    [
        (event(role="assistant") + event(content="Hi"), False, True),
        (event(role="assistant", content=""), False, False),
        (event(content="  ") + event(content="\n"), False, False),
        (event(content="I am afraid") + event(refusal="No."), False, False),
        (event(tool_calls=[{"index": 0}]), False, True),
        (event(content='{"a"') + event(content=": 1}"), True, True),
        (event(content="not JSON"), True, False),
    ],
)
def test_it_must_be_an_answer(held: bytes, wants_json: bool, wins: bool) -> None:
    assert good(held, wants_json=wants_json) is wins


def test_a_very_long_one_is_not_read_to_its_end() -> None:
    held = event(content="word " * (MAX_JUDGED_BYTES // 5)) + event(refusal="No.")
    assert good(held)
