"""F18: SIGTERM under load. What has begun is finished, the spool is flushed, and the end comes in time."""

from __future__ import annotations

import pytest

from tests.faults.scale import FULL, points, times
from tests.faults.system import OwnProxy, System
from tests.support.ledgers import read_spool
from tests.support.provider.behaviour import Behaviour

EXIT_SECONDS = 35.0


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_streams_finish_and_flushes_the_spool(system: System, workers: int) -> None:
    random = points(f"drain {workers}")
    # About two seconds a stream: those that have begun outlast the signal.
    system.provider.always("slow", Behaviour(tokens_per_second=times(8, 1)))
    try:
        with OwnProxy(system, f"drained-{workers}", workers=workers) as proxy:
            with system.load(times(60, 100), proxy.base_url) as load:
                load.wait_begun(40 + random.randrange(40))
                code, seconds = proxy.terminate()
            left = read_spool(proxy.state)
        assert code == 0
        assert load.seen
        began_before = [call for call in load.seen if call.request_id is not None]
        assert [call for call in began_before if not call.complete] == [], "a call that had begun was cut"
        assert any(call.stream for call in began_before)
        assert not left.finals, "the control plane was there: nothing is left behind"
        assert not left.intents
        if FULL:
            assert seconds <= EXIT_SECONDS
        system.check(proxy.state)
    finally:
        system.provider_as_usual()
