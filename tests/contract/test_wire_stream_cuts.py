"""However the network cuts a recorded stream, the same comes out of it (the pure reader, no sockets)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects.chat.watch import ChatWatch
from proxy.upstream.failure import AttemptFailed
from tests.contract.replayed import ENDPOINTS, PROVIDERS
from tests.support.wire import Recording, needs_wire, recordings

pytestmark = [needs_wire, pytest.mark.wire]

STREAMS = recordings(PROVIDERS, ENDPOINTS, stream=True)


def outcome(
    pieces: Iterable[bytes], *, hide_usage: bool, hold_end: bool
) -> tuple[bytes, *tuple[object, ...]]:
    """All that the reader gives away: what was forwarded, and what it knows at the end."""
    stream = ChatWatch(hide_usage=hide_usage, hold_end=hold_end)
    forwarded = b""
    raised = None
    try:
        for piece in pieces:
            forwarded += stream.feed(piece)
        forwarded += stream.end()
    except AttemptFailed as failure:
        raised = failure
    return (
        forwarded,
        stream.tail,
        stream.usage,
        stream.service_tier,
        (stream.started, stream.finished, stream.done),
        stream.error and (stream.error.status, stream.error.reason, stream.error.error),
        raised and (raised.status, raised.reason, raised.error),
    )


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def sized(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    return cut_at(data, itertools.accumulate(sizes))


@pytest.mark.parametrize("hold_end", [False, True], ids=["passed on", "end held"])
@pytest.mark.parametrize("hide_usage", [False, True], ids=["usage shown", "usage hidden"])
@pytest.mark.parametrize("recording", [pytest.param(r, id=r.id) for r in STREAMS])
def test_recorded_cuts_and_single_bytes_change_nothing(
    recording: Recording, hide_usage: bool, hold_end: bool
) -> None:
    whole = outcome([recording.body], hide_usage=hide_usage, hold_end=hold_end)
    single = sized(recording.body, [1] * len(recording.body))
    for pieces in (sized(recording.body, recording.cuts), single):
        assert outcome(pieces, hide_usage=hide_usage, hold_end=hold_end) == whole


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_random_cuts_change_nothing(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(STREAMS))
    hide_usage, hold_end = data.draw(st.booleans()), data.draw(st.booleans())
    places = data.draw(st.lists(st.integers(1, len(recording.body)), max_size=30))
    whole = outcome([recording.body], hide_usage=hide_usage, hold_end=hold_end)
    pieces = cut_at(recording.body, places)
    assert outcome(pieces, hide_usage=hide_usage, hold_end=hold_end) == whole


@pytest.mark.parametrize("recording", [pytest.param(r, id=r.id) for r in STREAMS])
def test_windows_line_ends_change_no_meaning(recording: Recording) -> None:
    plain = outcome([recording.body], hide_usage=False, hold_end=False)
    windows = outcome([recording.body.replace(b"\n", b"\r\n")], hide_usage=False, hold_end=False)
    assert windows[0].replace(b"\r\n", b"\n") == plain[0]
    assert windows[1:] == plain[1:]
