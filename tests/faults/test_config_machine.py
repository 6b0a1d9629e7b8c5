"""Any order of committing, sending, losing, refusing, restarting: a proxy serves one version, whole.

Two proxies, one of them in the group that rollouts come to first, and two replicas, of which each may lag. A
stream keeps its order and may lose its end; an update may come once more, or late by another stream.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from control_plane.fleet.model import Proxy
from control_plane.snapshots import updates
from control_plane.snapshots.model import Name
from headgate.v1 import config_pb2
from tests.faults.config_world import CANARY_LABELS, Declared, Peer, Replica, World, entries_of, serialized
from tests.faults.scale import FULL
from tests.unit.proxy import entries as made

# Some entries fit in, so that most updates are of several messages.
CHUNK_BYTES = 250
ODD = Name("provider", "default", "odd")
REGIONS = ("eu", "us")
# More than any exchange takes.
ROUNDS = 50

Change = tuple[Name, config_pb2.ConfigEntry | None, frozenset[str]]


def odd_provider() -> config_pb2.ConfigEntry:
    """Which every proxy refuses."""
    entry = made.provider("odd")
    entry.provider.spec.kind = "telepathy"
    return entry


def a_key(number: int, content: int) -> Change:
    name = f"k{number}"
    return Name("key", "default", name), made.key(name, metadata={"content": str(content) * 60}), frozenset()


def a_model(number: int, content: int) -> Change:
    name = f"m{number}"
    entry = made.model(name, f"p{content % 2}", upstream_model=f"of-{content}")
    return Name("model", "default", name), entry, frozenset()


def a_provider(number: int, content: int, regions: frozenset[str]) -> Change:
    name = f"p{number}"
    return Name("provider", "default", name), made.provider(name, region=f"r{content}"), regions


def a_removal(name: Name) -> Change:
    return name, None, frozenset()


NAMES = [Name(kind, "default", f"{kind[0]}{n}") for kind in ("key", "model", "provider") for n in range(3)]
CONTENT = st.integers(0, 9)
SOME_REGIONS = st.sampled_from([frozenset(), frozenset({"eu"}), frozenset({"us"}), frozenset(REGIONS)])
MODELS = st.builds(a_model, st.integers(0, 2), CONTENT)
PROVIDERS = st.builds(a_provider, st.integers(0, 2), CONTENT, SOME_REGIONS)
CHANGES = st.one_of(
    st.builds(a_key, st.integers(0, 2), CONTENT),
    MODELS,
    PROVIDERS,
    st.builds(a_removal, st.sampled_from(NAMES)),
)
PEERS = st.integers(0, 1)
# Which replicas hear of a commit at once; and whether all proxies have it before anything else happens.
HEARD = st.sampled_from([((0, 1), True), ((0, 1), False), ((0,), False), ((1,), False), ((), False)])
Heard = tuple[tuple[int, ...], bool]


class ConfigMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patched = ExitStack()
        self.patched.enter_context(mock.patch.object(updates, "MAX_CHUNK_BYTES", CHUNK_BYTES))
        # No power is cut here.
        self.patched.enter_context(mock.patch.object(os, "fsync"))
        self.folder = Path(tempfile.mkdtemp(prefix="headgate-config-"))
        self.world = World()
        self.rollouts = 0
        known: dict[str, Proxy] = {}
        self.replicas = [Replica(self.world, known) for _ in range(2)]
        self.peers = [
            Peer(self.world, "first", CANARY_LABELS, "eu", self.folder / "first"),
            Peer(self.world, "second", {}, "us", self.folder / "second"),
        ]

    @initialize()
    def start(self) -> None:
        self.a_change_commits([a_key(n, 0) for n in range(3)] + [a_model(0, 0)], ((0, 1), False))
        for peer in self.peers:
            peer.connect(self.replicas[0])

    # What admins do.

    @rule(changes=st.lists(CHANGES, min_size=1, max_size=6), heard=HEARD)
    def a_change_commits(self, changes: list[Change], heard: Heard) -> None:
        self.commit(changes, heard)

    @rule(changes=st.lists(CHANGES, max_size=2), heard=HEARD)
    def a_change_commits_that_no_proxy_takes(self, changes: list[Change], heard: Heard) -> None:
        self.commit([*changes, (ODD, odd_provider(), frozenset())], heard)

    @precondition(lambda self: ODD in self.world.newest.declared)
    @rule(heard=HEARD)
    def the_mistake_is_mended(self, heard: Heard) -> None:
        self.commit([a_removal(ODD)], heard)

    @rule(changes=st.lists(CHANGES, max_size=2), heard=HEARD)
    def a_new_epoch_begins(self, changes: list[Change], heard: Heard) -> None:
        self.commit(changes, heard, epoch=True)

    def commit(self, changes: list[Change], heard: Heard, *, epoch: bool = False) -> None:
        newest = self.world.newest
        self.world.commit(with_changes(newest.declared, changes), newest.overlay, newest.marker, epoch=epoch)
        self.hear(heard)

    def hear(self, heard: Heard) -> None:
        replicas, all_comes = heard
        for number in replicas:
            self.replicas[number].refresh()
        for peer in self.peers if all_comes else ():
            self.settle(peer)

    @precondition(lambda self: self.world.newest.overlay is None)
    @rule(changes=st.lists(st.one_of(MODELS, PROVIDERS), min_size=1, max_size=3), heard=HEARD)
    def a_rollout_starts(self, changes: list[Change], heard: Heard) -> None:
        self.rollouts += 1
        marker = Name("rollout", "", str(self.rollouts))
        self.world.commit(self.world.newest.declared, with_changes({}, changes), marker)
        self.hear(heard)

    @precondition(lambda self: self.world.newest.overlay is not None)
    @rule(promoted=st.booleans(), heard=HEARD, away=st.booleans())
    def the_rollout_ends(self, promoted: bool, heard: Heard, away: bool) -> None:
        """Maybe while the group's proxy is away."""
        one, replica = self.peers[0], self.peers[0].replica
        if away:
            one.disconnect()
        self.world.commit(self.world.newest.with_overlay(promoted), None, None)
        self.hear(heard)
        if away and replica is not None:
            one.connect(replica)
            self.settle(one)

    @rule(replica=st.integers(0, 1))
    def a_replica_hears(self, replica: int) -> None:
        self.replicas[replica].refresh()

    # The stream.

    @rule(peer=PEERS, messages=st.integers(1, 6))
    def messages_come(self, peer: int, messages: int) -> None:
        self.peers[peer].send()
        for _ in range(min(messages, len(self.peers[peer].pipe))):
            self.peers[peer].receive()

    @rule(peer=PEERS)
    def answers_come(self, peer: int) -> None:
        while self.peers[peer].answers:
            self.peers[peer].answer()

    @rule(peer=PEERS)
    def all_comes(self, peer: int) -> None:
        self.settle(self.peers[peer])

    @rule(peer=PEERS)
    def the_last_update_comes_again(self, peer: int) -> None:
        one = self.peers[peer]
        if one.is_between_updates:
            for message in one.last:
                one.take(message)

    @rule(peer=PEERS, data=st.data())
    def a_lost_update_comes_late(self, peer: int, data: st.DataObject) -> None:
        one = self.peers[peer]
        if one.is_between_updates and one.session is not None and one.lost:
            before = one.served
            for message in data.draw(st.sampled_from(one.lost)):
                one.take(message)
            one.is_out_of_step |= one.served != before

    @rule(peer=PEERS, changes=st.lists(CHANGES, min_size=1, max_size=2), cold=st.booleans())
    def an_update_is_overtaken(self, peer: int, changes: list[Change], cold: bool) -> None:
        """Its stream breaks, the next one brings a newer version, and then it comes after all."""
        one, replica = self.peers[peer], self.replicas[0]
        if cold:
            one.restart(with_last_good=False, region=one.region)
        one.connect(replica)
        overtaken = one.messages_under_way()
        one.connect(replica)
        self.commit(changes, ((0,), False))
        self.settle(one)
        for message in overtaken:
            one.take(message)

    @rule(peer=PEERS, replica=st.none() | st.integers(0, 1))
    def the_stream_breaks(self, peer: int, replica: int | None) -> None:
        """The proxy may come back, also to another replica, which may have heard less."""
        self.peers[peer].disconnect()
        if replica is not None:
            self.peers[peer].connect(self.replicas[replica])

    # The proxy.

    @rule(peer=PEERS)
    def the_disk_has_it(self, peer: int) -> None:
        self.peers[peer].save()

    @rule(peer=PEERS, disk=st.sampled_from(["lost", "as it was", "newest"]), comes=st.booleans())
    def a_proxy_restarts(self, peer: int, disk: str, comes: bool) -> None:
        self.restart(self.peers[peer], disk, self.peers[peer].region, comes)

    @rule(peer=PEERS, disk=st.sampled_from(["as it was", "newest"]), region=st.sampled_from(REGIONS))
    def a_proxy_restarts_in_a_region(self, peer: int, disk: str, region: str) -> None:
        self.restart(self.peers[peer], disk, region, comes=True)

    def restart(self, one: Peer, disk: str, region: str, comes: bool) -> None:
        replica = one.replica or self.replicas[0]
        if disk == "newest":
            one.save()
        one.restart(with_last_good=disk != "lost", region=region)
        if comes:
            one.connect(replica)

    @rule(peer=PEERS)
    def a_worker_restarts(self, peer: int) -> None:
        self.peers[peer].restart_worker()

    # What always holds.

    @invariant()
    def every_proxy_serves_one_version_whole(self) -> None:
        for peer in self.peers:
            assert peer.has_entries_of_its_version(), f"{peer.name} serves a mix at {peer.served}"

    def settle(self, peer: Peer) -> None:
        """Everything on the way arrives; then it serves what its replica has, if that is good and newer."""
        if peer.session is None or peer.replica is None:
            return
        for _ in range(ROUNDS):
            while peer.pipe:
                peer.receive()
            while peer.answers:
                peer.answer()
            if not peer.send():
                break
        else:
            raise AssertionError("the exchange does not end")
        newest = peer.replica.require().version
        if peer.is_out_of_step or (peer.served is not None and peer.served > newest):
            return
        expected = self.world.expected(newest, peer.region, peer.in_group)
        if ODD in expected:
            assert newest in peer.refused
            return
        assert peer.served == newest, "it does not serve the newest version"
        assert entries_of(peer.holder) == expected

    def teardown(self) -> None:
        """All is heard and comes, by a new stream: the newest, unless it is the mistake."""
        try:
            for replica in self.replicas:
                replica.refresh()
            for peer in self.peers:
                peer.connect(self.replicas[1])
                self.settle(peer)
        finally:
            self.patched.close()
            shutil.rmtree(self.folder)


def with_changes(declared: Declared, changes: list[Change]) -> Declared:
    """What says nothing new stays the same object, as what a change does not touch."""
    after = dict(declared)
    for name, message, regions in changes:
        known = after.get(name)
        if message is None:
            after.pop(name, None)
        elif known is None or (serialized(known[0]), known[1]) != (serialized(message), regions):
            after[name] = (message, regions)
    return after


TestConfigMachine = ConfigMachine.TestCase
TestConfigMachine.settings = settings(
    max_examples=1_000 if FULL else 120,
    stateful_step_count=60 if FULL else 40,
    deadline=None,
    derandomize=not FULL,
    phases=list(Phase) if FULL else [Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
