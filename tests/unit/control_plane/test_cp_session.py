"""The config protocol with one proxy: what is sent, and above all what is not."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from control_plane.revisions.model import Version
from control_plane.snapshots.model import Name, View, delta_between
from control_plane.snapshots.updates import Update, Updates
from control_plane.streams.session import WatchSession
from headgate.v1 import config_pb2
from tests.unit.control_plane.fake_snapshots import provider_entry, route_entry, snapshot

A, B, C = route_entry("a"), route_entry("b"), route_entry("c")
ONE, TWO, THREE = snapshot(1, A), snapshot(2, A, B), snapshot(3, B, C)


def parts(update: Update | None) -> list[config_pb2.ConfigUpdate]:
    assert update is not None
    return [config_pb2.WatchResponse.FromString(message).update for message in update.messages]


def names(update: Update | None) -> list[str]:
    return [entry.route.name for part in parts(update) for entry in part.upserts]


def test_a_new_proxy_gets_the_whole_snapshot() -> None:
    update = WatchSession(Updates(), None, None).next_update(TWO.view("us"))
    assert names(update) == ["a", "b"]
    assert not parts(update)[0].HasField("base")


def test_the_next_update_waits_for_the_ack_and_is_one_merged_delta() -> None:
    session = WatchSession(Updates(), None, None)
    first = session.next_update(ONE.view("us"))
    assert first is not None
    assert session.next_update(TWO.view("us")) is None
    assert session.ack(first.nonce) == Version(1, 1)
    update = session.next_update(THREE.view("us"))
    assert names(update) == ["b", "c"]
    assert [removal.name for removal in parts(update)[0].removals] == ["a"]
    assert parts(update)[0].base.revision == 1


def test_a_refused_version_is_not_sent_again_and_the_next_is_against_the_last_good_one() -> None:
    session = WatchSession(Updates(), None, None)
    first = session.next_update(ONE.view("us"))
    assert first is not None
    session.ack(first.nonce)
    second = session.next_update(TWO.view("us"))
    assert second is not None
    assert session.nack(second.nonce) == Version(1, 2)
    assert session.next_update(TWO.view("us")) is None
    assert parts(session.next_update(THREE.view("us")))[0].base.revision == 1


def test_what_a_proxy_refused_on_an_earlier_stream_is_not_sent_again() -> None:
    session = WatchSession(Updates(), ONE.version, ONE.view("us"), refused=TWO.version)
    assert session.next_update(TWO.view("us")) is None
    assert parts(session.next_update(THREE.view("us")))[0].base.revision == 1


def test_a_proxy_that_is_current_gets_nothing() -> None:
    session = WatchSession(Updates(), TWO.version, TWO.view("us"))
    assert session.next_update(TWO.view("us")) is None
    assert names(session.next_update(THREE.view("us"))) == ["c"]


def test_a_current_proxy_whose_region_changed_gets_what_its_region_is_sent() -> None:
    regional = snapshot(2, A, provider_entry("eu-only", "eu"))
    session = WatchSession(Updates(), regional.version, regional.view("eu"))
    update = session.next_update(regional.view("us"))
    assert [removal.name for removal in parts(update)[0].removals] == ["eu-only"]


def test_a_proxy_with_an_unknown_version_gets_a_whole_snapshot() -> None:
    session = WatchSession(Updates(), Version(1, 0), None)
    assert not parts(session.next_update(TWO.view("us")))[0].HasField("base")


def test_a_lagging_replica_does_not_send_a_proxy_backwards() -> None:
    session = WatchSession(Updates(), Version(1, 9), None)
    assert session.next_update(TWO.view("us")) is None


def test_a_restored_database_has_a_new_epoch_and_is_followed() -> None:
    restored = snapshot(1, A, epoch=2)
    session = WatchSession(Updates(), Version(1, 9), None)
    assert session.next_update(restored.view("us")) is not None


def test_an_ack_or_nack_of_something_else_changes_nothing() -> None:
    session = WatchSession(Updates(), None, None)
    first = session.next_update(ONE.view("us"))
    assert first is not None
    assert session.ack("other") is None
    assert session.nack("other") is None
    assert session.is_waiting
    assert session.ack(first.nonce) == Version(1, 1)
    assert session.ack(first.nonce) is None


def test_two_proxies_that_need_the_same_step_share_its_bytes() -> None:
    updates = Updates()
    first = WatchSession(updates, None, None).next_update(TWO.view("us"))
    second = WatchSession(updates, None, None).next_update(TWO.view("us"))
    assert first is second


class Protocol(RuleBasedStateMachine):
    """A proxy that applies what it is sent always ends up with a view that was published, whole."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = 0
        self.newest: View = snapshot(0).view("us")
        self.published = {0: dict(self.newest.entries)}
        self.session = WatchSession(Updates(), None, None)
        self.proxy: dict[Name, bytes] = {}
        self.under_way: Update | None = None
        self.refused: set[int] = set()

    @rule(names=st.sets(st.sampled_from("abcdef")))
    def publish(self, names: set[str]) -> None:
        self.revision += 1
        old = self.published[self.revision - 1]
        kept = {name: entry for name, entry in old.items() if name.name in names}
        made = dict(route_entry(name) for name in names if Name("route", "default", name) not in kept)
        self.newest = snapshot(self.revision, *{**kept, **made}.items()).view("us")
        self.published[self.revision] = dict(self.newest.entries)

    @rule()
    def send(self) -> None:
        update = self.session.next_update(self.newest)
        if update is not None:
            assert self.under_way is None
            assert update.version.revision not in self.refused
            self.under_way = update

    @precondition(lambda self: self.under_way is not None)
    @rule(accept=st.booleans())
    def answer(self, accept: bool) -> None:
        assert self.under_way is not None
        update, self.under_way = self.under_way, None
        if not accept:
            self.session.nack(update.nonce)
            self.refused.add(update.version.revision)
            return
        for part in parts(update):
            if not part.HasField("base"):
                self.proxy.clear()
            for entry in part.upserts:
                self.proxy[Name("route", "default", entry.route.name)] = entry.SerializeToString()
            for gone in part.removals:
                del self.proxy[Name(gone.kind, gone.tenant, gone.name)]
        self.session.ack(update.nonce)
        wanted = self.published[update.version.revision]
        assert self.proxy == {name: e.message.SerializeToString() for name, e in wanted.items()}

    @invariant()
    def served_is_what_was_acknowledged(self) -> None:
        assert self.session.is_waiting == (self.under_way is not None)


Protocol.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestProtocol = Protocol.TestCase


def test_a_delta_compares_identities() -> None:
    delta = delta_between(dict([A, B]), dict([A, C]))
    assert [entry.message.route.name for entry in delta.upserts] == ["c"]
    assert [name.name for name in delta.removals] == ["b"]
