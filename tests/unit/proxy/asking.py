"""Facts of a request for tests of policies: no snapshot, no clock that moves by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from headgate.policy.estimates import Estimates
from headgate.policy.facts import Facts, RequestFacts
from proxy.dialects.asked import Asked, parse_request


class Clock:
    """Seconds, as a test says."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def no_chance() -> float:
    raise AssertionError("nothing here depends on chance")


def chat(text: str = "hi", **fields: Any) -> Asked:
    document = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return parse_request("chat.completions", json.dumps(document).encode())


def facts(
    asked: Asked | None = None,
    *,
    random: Callable[[], float] = no_chance,
    estimates: Estimates | None = None,
    task: str = "",
    route: str = "r",
    **who: Any,
) -> Facts:
    return RequestFacts(
        asked or chat(),
        route=route,
        random=random,
        estimates=estimates or Estimates(Clock()),
        task=task,
        now=1_760_000_000.0,
        **who,
    )
