"""What a config machine is made of: committed configs, replicas that publish them, proxies that take them.

No sockets and no time. The control plane's side is its own `ConfigStreams` (how a stream begins),
`WatchSession`, `Snapshot` and `Updates`; the proxy's is `ConfigHolder` and `LastGood`. `World.expected` says
what a proxy must serve of a version, from what was committed and not from any view.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from control_plane.fleet.model import Proxy
from control_plane.revisions.model import Version
from control_plane.rollouts.model import Group
from control_plane.snapshots.model import CanarySnapshot, Entry, Name, Snapshot, make_snapshot
from control_plane.streams.config import ConfigStreams
from control_plane.streams.session import WatchSession
from headgate.rules.credentials import Secret
from headgate.v1 import config_pb2
from proxy.config.compile import ConfigRefused, entry_name
from proxy.config.holder import ConfigHolder
from proxy.config.last_good import LastGood

CANARY_LABELS = {"pool": "canary"}
KEPT_SNAPSHOTS = 3
TOKEN = Secret("of this test")

Declared = Mapping[Name, tuple[config_pb2.ConfigEntry, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Committed:
    version: Version
    declared: Declared
    # A rollout's specs over it, and what marks its class; None: none is under way.
    overlay: Declared | None = None
    marker: Name | None = None

    def with_overlay(self, in_group: bool) -> Declared:
        return {**self.declared, **self.overlay} if in_group and self.overlay is not None else self.declared


class World:
    def __init__(self) -> None:
        self.newest = Committed(Version(1, 1), {})
        self.history = {self.newest.version: self.newest}

    def commit(
        self, declared: Declared, overlay: Declared | None, marker: Name | None, *, epoch: bool = False
    ) -> None:
        """The next revision; with `epoch` as after a restore: a new epoch, and a revision that was before."""
        before = self.newest.version
        version = Version(before.epoch, before.revision + 1)
        if epoch:
            version = Version(before.epoch + 1, max(1, before.revision - 3))
        self.newest = self.history[version] = Committed(version, declared, overlay, marker)

    def expected(self, version: Version, region: str, in_group: bool) -> dict[tuple[str, str, str], bytes]:
        entries = self.history[version].with_overlay(in_group)
        return {
            (name.kind, name.tenant, name.name): serialized(message)
            for name, (message, regions) in entries.items()
            if not regions or region in regions
        }


def serialized(message: config_pb2.ConfigEntry) -> bytes:
    return message.SerializeToString(deterministic=True)


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Of a coroutine that waits for nothing: all that it would wait for is played here."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("it waits for something")


class Replica:
    """Plays the publisher and the fleet of a control plane for its real `ConfigStreams`."""

    def __init__(self, world: World, known: dict[str, Proxy]) -> None:
        self._world = world
        self._known = known
        self._kept: OrderedDict[Version, Snapshot] = OrderedDict()
        self.current: Snapshot | None = None
        self.refresh()
        nobody = cast(Any, None)
        self.streams = ConfigStreams(cast(Any, self), cast(Any, self), nobody, nobody, nobody)

    def refresh(self) -> None:
        """Publishes what is newest, as the builder does: what did not change keeps its entry."""
        committed = self._world.newest
        if self.current is not None and self.current.version == committed.version:
            return
        last = self.current.entries if self.current is not None else {}
        entries = {}
        for name, (message, regions) in committed.declared.items():
            known = last.get(name)
            same = known is not None and known.message is message and known.serve_regions == regions
            entries[name] = known if known is not None and same else Entry(message, regions)
        canary = None
        if committed.overlay is not None and committed.marker is not None:
            over = {name: Entry(*what) for name, what in committed.overlay.items()}
            snapshot = make_snapshot(committed.version, {**entries, **over})
            canary = CanarySnapshot(Group(CANARY_LABELS), committed.marker, snapshot)
        self.current = make_snapshot(committed.version, entries, canary)
        self._kept[committed.version] = self.current
        while len(self._kept) > KEPT_SNAPSHOTS:
            self._kept.popitem(last=False)

    def begin(self, proxy: Proxy, served: Version | None) -> WatchSession:
        hello = config_pb2.ProxyHello(name=proxy.name, region=proxy.region)
        if served is not None:
            hello.version.epoch, hello.version.revision = served.epoch, served.revision
        session: WatchSession = finish(self.streams._begin(hello, proxy))
        self._known[proxy.name] = proxy
        return session

    # As its streams see it.

    def require(self) -> Snapshot:
        if self.current is None:
            raise LookupError("nothing is published")
        return self.current

    def kept(self, version: Version) -> Snapshot | None:
        return self._kept.get(version)

    async def follow(self, served: Version) -> None:
        """A proxy has seen newer; this replica may still lag: its database read was a moment before."""

    async def last_known(self, name: str) -> Proxy | None:
        return self._known.get(name)


@dataclass(slots=True)
class Peer:
    """A proxy and its stream: messages on their way to it, answers on their way back, both in order."""

    world: World
    name: str
    labels: dict[str, str]
    region: str
    folder: Path
    holder: ConfigHolder = field(default_factory=ConfigHolder)
    # A second worker process.
    worker: ConfigHolder = field(default_factory=ConfigHolder)
    replica: Replica | None = None
    session: WatchSession | None = None
    proxy: Proxy | None = None
    pipe: deque[bytes] = field(default_factory=deque)
    answers: deque[tuple[str, str]] = field(default_factory=deque)
    # All messages: of the update that came last, of the one under way, of those that breaks cut off.
    last: list[bytes] = field(default_factory=list)
    coming: list[bytes] = field(default_factory=list)
    lost: deque[list[bytes]] = field(default_factory=lambda: deque(maxlen=4))
    # Versions that this stream's session knows to be refused.
    refused: set[Version] = field(default_factory=set)
    # What the disk has, and of which region.
    saved: tuple[Version, str] | None = None
    # Something out of its order was taken: the session knows another base.
    is_out_of_step: bool = False

    @property
    def in_group(self) -> bool:
        return self.labels == CANARY_LABELS

    @property
    def served(self) -> Version | None:
        version = self.holder.version
        return None if version is None else Version(version.epoch, version.revision)

    @property
    def is_between_updates(self) -> bool:
        return not self.coming

    def connect(self, replica: Replica) -> None:
        self.disconnect()
        self.replica = replica
        self.proxy = Proxy(self.name, self.region, self.labels)
        self.session = replica.begin(self.proxy, self.served)
        self.is_out_of_step = False

    def disconnect(self) -> None:
        """What is on its way is lost, in both directions."""
        if self.pipe:
            self.lost.append([*self.coming, *self.pipe])
        self.pipe.clear()
        self.answers.clear()
        self.coming, self.last = [], []
        self.refused = set()
        self.holder.forget_partial()
        self.session = self.replica = None

    def send(self) -> bool:
        """What the control plane would send now; False: nothing."""
        if self.session is None or self.replica is None:
            return False
        view = self.replica.require().for_proxy(self.name, self.labels, self.region)
        update = self.session.next_update(view)
        if update is None:
            return False
        assert update.version not in self.refused, "a refused version is sent again"
        self.pipe.extend(update.messages)
        return True

    def messages_under_way(self) -> list[bytes]:
        self.send()
        return list(self.pipe)

    def receive(self) -> None:
        message = self.pipe.popleft()
        self.coming.append(message)
        self.take(message)
        if config_pb2.WatchResponse.FromString(message).update.last:
            self.last, self.coming = self.coming, []

    def take(self, message: bytes) -> None:
        """As the proxy's config stream does: an ack, a nack, or nothing yet."""
        update = config_pb2.WatchResponse.FromString(message).update
        before = self.served
        try:
            if not self.holder.receive(update):
                return
        except ConfigRefused:
            assert self.served == before, "a refused version is served"
            self.answers.append(("nack", update.nonce))
            return
        assert before is None or before <= Version(update.version.epoch, update.version.revision)
        for one in self.holder.last_update:
            self.worker.receive(one)
        self.answers.append(("ack", update.nonce))

    def answer(self) -> None:
        """The oldest answer reaches the control plane."""
        kind, nonce = self.answers.popleft()
        if self.session is None or self.proxy is None:
            return
        if kind == "ack":
            version = self.session.ack(nonce)
            self.proxy.acked = version or self.proxy.acked
        elif (version := self.session.nack(nonce)) is not None:
            self.refused.add(version)

    def save(self) -> None:
        if self.served is not None:
            LastGood(self.folder, TOKEN, self.region).save(self.holder.serialized())
            self.saved = (self.served, self.region)

    def restart(self, *, with_last_good: bool, region: str) -> None:
        self.disconnect()
        self.lost.clear()  # nothing comes to a process of before
        self.region = region
        self.holder = ConfigHolder()
        if with_last_good:
            LastGood(self.folder, TOKEN, region).load(self.holder)
            if self.saved is not None and self.saved[1] == region:
                assert self.served == self.saved[0], "another config came back than the one saved last"
        self.restart_worker()

    def restart_worker(self) -> None:
        self.worker = ConfigHolder()
        if whole := b"".join(self.holder.serialized()):
            self.worker.receive(config_pb2.ConfigUpdate.FromString(whole))

    def has_entries_of_its_version(self) -> bool:
        """Exactly those of its class, and its workers have the same."""
        version = self.served
        if version is None:
            return not self.holder.entries
        expected = self.world.expected(version, self.region, self.in_group)
        return entries_of(self.holder) == expected == entries_of(self.worker)


def entries_of(holder: ConfigHolder) -> dict[tuple[str, str, str], bytes]:
    for name, entry in holder.entries.items():
        assert name == entry_name(entry)
    return {name: serialized(entry) for name, entry in holder.entries.items()}
