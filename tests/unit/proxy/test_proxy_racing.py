"""What a held stream must say to win a race, and what a race without a winner comes to."""

from __future__ import annotations

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from headgate.policy.nodes import Heat
from proxy.errors import CallError, spool_is_full
from proxy.racing import MAX_JUDGED_BYTES, is_good, race


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


async def raced(call: Any, failures: list[str], said: dict[str, str | CallError]) -> str | None:
    """A race of runners that answer nothing: each notes a failure, or refuses the request. The code."""

    async def run(name: Any) -> None:
        of_its_own = said[name]
        if isinstance(of_its_own, CallError):
            raise of_its_own
        failures.append(of_its_own)

    heat: Any = Heat(tuple(said))
    nobody: Any = None
    try:
        assert await race(call, heat, run, nobody, nobody, failures) is None
    except CallError as error:
        return error.code
    return None


class Call:
    attempts: tuple[()] = ()


def test_what_refuses_the_request_is_said_where_nobody_failed_otherwise() -> None:
    said: dict[str, Any] = {"a": spool_is_full(), "b": CallError(400, "other", "b")}
    assert asyncio.run(raced(Call(), ["of a step before"], said)) == "unavailable"


def test_who_failed_counts_before_who_refused_the_request() -> None:
    failures: list[str] = []
    said: dict[str, Any] = {"a": spool_is_full(), "b": "overloaded"}
    assert asyncio.run(raced(Call(), failures, said)) is None
    assert failures == ["overloaded"]


def test_a_refused_race_does_not_keep_its_call() -> None:
    """The collector of cycles hardly ever runs in a proxy."""
    gc.disable()
    try:
        call = Call()
        kept = weakref.ref(call)
        assert asyncio.run(raced(call, [], {"a": spool_is_full(), "b": spool_is_full()}))
        del call
        assert kept() is None
    finally:
        gc.enable()
