"""A provider that says nothing until its clients give up is not well, whatever the route's own deadline."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from headgate.policy.estimates import Estimates
from headgate.rules.money import Tokens
from headgate.v1 import usage_pb2
from proxy.attempts import HANGS_RATIO, HANGS_SECONDS, Attempts
from proxy.config.model import FAILURES_TO_OPEN, Timeouts
from proxy.policy.health import Health
from proxy.upstream.failure import AttemptFailed
from tests.unit.proxy.asking import Clock
from tests.unit.proxy.targets import target

MODEL = target("m")
LEFT = AttemptFailed(usage_pb2.REASON_CLIENT_LEFT, outcome=usage_pb2.OUTCOME_CANCELLED)


def given_up(waited_seconds: float, **changes: Any) -> Any:
    """An attempt whose client left."""
    exchange = {"streaming": False, "stream": object(), "was_sent": True}
    return SimpleNamespace(
        target=MODEL,
        provider_key=None,
        failure=changes.pop("failure", LEFT),
        started_at=time.monotonic() - waited_seconds,
        end_counted=False,
        exchange=SimpleNamespace(**{**exchange, **changes}),
    )


def opens(usual_seconds: float, attempt: Any) -> bool:
    """Whether as many such attempts as open a circuit do so."""
    attempts, health, estimates = Attempts.__new__(Attempts), Health(Clock(), lambda: 1.0), Estimates(Clock())
    if usual_seconds:
        tokens = Tokens(1, output=1)
        estimates.answered("r", MODEL, tokens, first_token_seconds=usual_seconds, seconds=usual_seconds)
    attempts._health, attempts._estimates = health, estimates
    for _ in range(FAILURES_TO_OPEN):
        attempt.end_counted = False
        attempts.ended(attempt)
    return not health.passes(MODEL)


@pytest.mark.parametrize(
    ("usual_seconds", "waited_seconds", "changes", "expected"),
    [
        (0.0, HANGS_SECONDS + 1, {}, True),
        (0.0, HANGS_SECONDS - 1, {}, False),
        (20.0, HANGS_RATIO * 20 - 1, {}, False),
        (20.0, HANGS_RATIO * 20 + 1, {}, True),
        (0.0, 60, {"stream": None}, False),
        (0.0, 60, {"was_sent": False}, False),
        (0.0, 60, {"failure": None}, False),
    ],
    ids=["long", "not long", "usual", "longer than usual", "whole", "never sent", "no failure"],
)
def test_what_a_client_waited_for_in_vain_counts_against_the_model(
    usual_seconds: float, waited_seconds: float, changes: dict[str, Any], expected: bool
) -> None:
    assert opens(usual_seconds, given_up(waited_seconds, **changes)) is expected


@pytest.mark.parametrize("purpose", [usage_pb2.PURPOSE_UNSPECIFIED, usage_pb2.PURPOSE_SHADOW])
def test_only_streams_that_clients_wait_for_make_a_model_look_slow(purpose: usage_pb2.Purpose) -> None:
    attempts, estimates = Attempts.__new__(Attempts), Estimates(Clock())
    attempt = given_up(0.0)
    attempt.id = b"1"
    waiting: list[int] = []

    async def send(*_: object) -> None:
        waiting.append(len(estimates.waiting(MODEL)))
        raise LEFT

    internals: Any = attempts
    internals._begin = lambda *_: attempt
    internals._requests = SimpleNamespace(send=send)
    internals._deadlines = SimpleNamespace(discard=lambda _: None)
    internals._estimates = estimates
    route: Any = SimpleNamespace(timeouts=Timeouts())
    call: Any = SimpleNamespace(
        purpose=purpose, route=route, deadline=time.monotonic() + 1, upstream_seconds=0.0
    )
    bridge: Any = None
    asyncio.run(attempts._attempt(call, MODEL, bridge, None))
    assert waiting == [0 if purpose else 1]
