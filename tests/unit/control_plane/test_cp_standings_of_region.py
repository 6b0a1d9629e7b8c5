"""The view of a region: put together once for all who ask, however many proxies there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.fleet.model import Proxy
from control_plane.standings import service
from control_plane.standings.service import MERGED_FOR, Standings
from headgate.policy.standing import merged
from headgate.v1 import config_pb2


def proxy(name: str, region: str = "eu") -> Proxy:
    return Proxy(name, region, {}, "1")


def report(model: str) -> config_pb2.Standings:
    message = config_pb2.Standings()
    one = message.standings.add(tenant="t", provider="p", upstream_model=model)
    one.speeds.add(age_seconds=1, first_token_seconds=0.25, measurements=9)
    return message


def test_many_proxies_ask_and_it_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def count(views: Any) -> config_pb2.Standings:
        made.append(True)
        return merged(views)

    monkeypatch.setattr(service, "merged", count)
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    standings = Standings(None, lambda: now[0])  # type: ignore[arg-type]
    for number in range(50):
        standings.reported(proxy(f"x{number}"), report(f"m{number}"))
    standings.reported(proxy("far", "us"), report("m"))
    for _ in range(50):
        assert len(standings.of_region("eu").standings) == 50
    assert len(made) == 1
    now[0] += MERGED_FOR
    standings.reported(proxy("new"), report("new"))
    assert len(standings.of_region("eu").standings) == 51
    now[0] -= timedelta(hours=1)  # a clock that was put back stops nothing
    assert standings.of_region("eu") is not None
    assert len(made) == 3


def test_a_proxy_is_alone_until_another_of_its_region_says_something() -> None:
    standings = Standings(None, lambda: datetime(2026, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    standings.reported(proxy("one"), report("m"))
    standings.reported(proxy("far", "us"), report("m"))
    assert standings.is_alone(proxy("one"))
    assert not standings.is_alone(proxy("two"))
