"""F16: clients of streams leave at any point. Nothing of them stays, and what they had is recorded."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

import pytest

from tests.faults.counted import held
from tests.faults.leaving import Leaver, Left, all_leave
from tests.faults.scale import FULL, points, times
from tests.faults.system import OwnProxy, System, call, metric, wait_until
from tests.support.ledgers import INPUT_PICOUSD, OUTPUT_PICOUSD, Row
from tests.support.provider.behaviour import Behaviour
from tests.support.provider.ledger import Attempt

WAVES, CLIENTS = times(1, 10), times(60, 100)
# Of each wave, before they have heard anything.
HASTY = times(6, 10)
TOKENS_PER_SECOND = 20.0
# The last client leaves after about two seconds: an endless stream would go on for long after that.
SHORT, ENDLESS = 40, 1_200
# The role, the tokens, the finish, the usage and [DONE]; nobody waits for the last.
SHORT_EVENTS = SHORT + 4
FREE_SECONDS = STOPPED_SECONDS = 1.0
# Much less than an endless stream has left.
SOON_SECONDS = 15.0


@pytest.fixture
def streams(system: System) -> System:
    """Half of the streams of `slow` are about to end when their clients leave, half are not."""
    pace = {"tokens_per_second": TOKENS_PER_SECOND, "headers_delay_seconds": 0.05}
    kinds = [Behaviour(text="word " * tokens, **pace) for tokens in (SHORT, ENDLESS)]  # type: ignore[arg-type]
    system.provider.always("slow", *kinds)
    return system


def test_clients_that_leave_free_their_slots_stop_their_providers_and_are_billed(
    streams: System, tmp_path: Path
) -> None:
    system, random = streams, points("clients leave")
    counts = tmp_path / "held.json"
    left: list[Left] = []
    hasty = 0
    try:
        with OwnProxy(system, "left", through=("tests.faults.counted", str(counts))) as proxy:
            assert call(proxy.base_url, system.api_key, "quick", stream=True)[0] == 200
            system.check(proxy.state)  # then its first usage is reported, and it is at rest
            known = {attempt.client_request_id for attempt in system.provider.recorded()}
            before = held(proxy.process.pid, counts, system.provider_port)
            for wave in range(WAVES):
                first = wave * CLIENTS
                leavers = [
                    Leaver(first + n, random.randrange(SHORT_EVENTS), by_reset=random.random() < 0.5)
                    for n in range(CLIENTS)
                ]
                leavers += [Leaver(-1, None, random.uniform(0, 0.1)) for _ in range(HASTY)]
                hasty += HASTY
                gone = all_leave(proxy.base_url, system.api_key, "slow", leavers)
                last = max(one.at for one in gone)
                wait_until(lambda: metric(proxy.ops, "headgate_inflight") == 0, SOON_SECONDS)
                free = time.monotonic() - last
                print(f"wave {wave}: all slots free {free:.2f} s after the last client left")
                left += [one for one in gone if one.who.number >= 0]
                if FULL:
                    assert free <= FREE_SECONDS

            def asked() -> list[Attempt]:
                return [one for one in system.provider.recorded() if one.client_request_id not in known]

            wait_until(lambda: all(one.finished_at_seconds is not None for one in asked()), SOON_SECONDS)
            attempts = asked()
            assert not any(one.served.completion_tokens > 2 * SHORT for one in attempts if one.complete)
            check_stops(left, attempts)
            wait_until(lambda: held(proxy.process.pid, counts, system.provider_port) == before, SOON_SECONDS)
            ledgers = system.check(proxy.state)
        ours = {row.id: row for row in ledgers.rows if row.proxy == "left"}
        check_rows(left, attempts, ours)
        # Whoever was too hasty has a row if the provider was asked for it, and else none.
        assert len(left) == WAVES * CLIENTS <= len(attempts) <= WAVES * CLIENTS + hasty
    finally:
        system.provider_as_usual()


def number_of(attempt: Attempt) -> int:
    return int(attempt.document()["messages"][0]["content"].removeprefix("client "))


def check_stops(left: list[Left], attempts: list[Attempt]) -> None:
    """The provider of each was stopped, or heard to its end, soon after."""
    of_client = {number_of(one): one for one in attempts}
    longest = max((of_client[one.who.number].finished_at_seconds or 0.0) - one.at for one in left)
    ended = sum(of_client[one.who.number].complete for one in left)
    print(f"{len(left)} left, {ended} were heard to the end; the last was stopped after {longest:.2f} s")
    assert 0 < ended < len(left)
    if FULL:
        assert longest <= STOPPED_SECONDS


def check_rows(left: list[Left], attempts: list[Attempt], rows: dict[UUID, Row]) -> None:
    """One for each attempt, with tokens (those that its client saw, none that were not made) and cost."""
    of_client = {number_of(one): one for one in attempts}
    seen = {UUID(of_client[one.who.number].client_request_id): one for one in left}
    for attempt in attempts:
        identity = UUID(attempt.client_request_id)
        row, one = rows[identity], seen.get(identity)
        assert row.input_tokens, row
        assert row.cost_picousd == row.input_tokens * INPUT_PICOUSD + row.output_tokens * OUTPUT_PICOUSD
        assert row.final
        if one is not None:
            assert one.contents - 1 <= row.output_tokens <= attempt.events_sent, (one, row, attempt)
            assert row.request_id == one.request_id
            assert row.output_tokens
