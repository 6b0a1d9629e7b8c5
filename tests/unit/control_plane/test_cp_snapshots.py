"""Views, consistency and chunks of snapshots."""

from __future__ import annotations

import pytest

from control_plane.snapshots.errors import Inconsistent
from control_plane.snapshots.model import Entry, Name
from control_plane.snapshots.updates import MAX_CHUNK_BYTES, Updates
from headgate.v1 import config_pb2, resources_pb2
from tests.unit.control_plane.fake_snapshots import provider_entry, route_entry, snapshot


def test_a_regional_provider_is_sent_to_its_regions_only() -> None:
    both = snapshot(1, provider_entry("everywhere"), provider_entry("eu-only", "eu"))
    assert Name("provider", "default", "eu-only") in both.view("eu").entries
    assert Name("provider", "default", "eu-only") not in both.view("us").entries
    assert Name("provider", "default", "eu-only") not in both.view("").entries


def test_regions_that_are_sent_the_same_share_one_view() -> None:
    both = snapshot(1, provider_entry("everywhere"), provider_entry("eu-only", "eu"))
    assert both.view("us") is both.view("asia")
    assert both.view("eu").entries is both.entries


def test_a_snapshot_in_which_something_refers_to_nothing_is_not_consistent() -> None:
    model = config_pb2.ConfigEntry()
    model.model.spec.CopyFrom(resources_pb2.Model(name="m", tenant="acme", provider="p"))
    entry = Entry(model, needs=(("provider", "acme", "p"),))
    name = Name("model", "acme", "m")
    with pytest.raises(Inconsistent) as caught:
        snapshot(1, (name, entry)).check()
    assert caught.value.problems == ["model/acme/m needs provider/acme/p"]
    shared = (Name("provider", "*", "p"), provider_entry("p")[1])
    snapshot(1, (name, entry), shared).check()


def test_a_large_snapshot_comes_in_chunks_of_one_nonce_and_ends_with_last() -> None:
    large = snapshot(1, *(route_entry(f"r{i}", padding=60_000) for i in range(60)))
    update = Updates().step(None, large.view("us"))
    parts = [config_pb2.WatchResponse.FromString(message).update for message in update.messages]
    assert len(parts) == 4
    assert all(len(message) <= MAX_CHUNK_BYTES + 1_000 for message in update.messages)
    assert {part.nonce for part in parts} == {update.nonce}
    assert [part.last for part in parts] == [False, False, False, True]
    assert sum(len(part.upserts) for part in parts) == 60


def test_an_update_without_content_is_still_sent() -> None:
    entry = route_entry("a")
    one, two = snapshot(1, entry), snapshot(2, entry)
    update = Updates().step(one.view("us"), two.view("us"))
    (part,) = [config_pb2.WatchResponse.FromString(message).update for message in update.messages]
    assert part.last
    assert not part.upserts
    assert part.version.revision == 2
