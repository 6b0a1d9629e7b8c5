"""From two views to the messages of an update: a delta, or a whole snapshot, in chunks.

Messages are serialised once and shared by all proxies that need the same step, so that two hundred
that reconnect at once cost one. The nonce names the step, not the proxy.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from control_plane.revisions.model import Version
from control_plane.snapshots.model import Class, Delta, View, delta_between
from headgate.v1 import config_pb2

# A message stays below this, well under gRPC's default limit of 4 MiB at the receiver.
MAX_CHUNK_BYTES = 1024 * 1024
# Tag and length of an embedded message.
_FIELD_OVERHEAD_BYTES = 8
MAX_CACHED_STEPS = 32


@dataclass(frozen=True, slots=True)
class Update:
    version: Version
    nonce: str
    # Serialised WatchResponse messages.
    messages: tuple[bytes, ...]


_Step = tuple[Version | None, Class, Version, Class]


class Updates:
    def __init__(self) -> None:
        self._steps: OrderedDict[_Step, Update] = OrderedDict()
        self._made = 0

    def step(self, base: View | None, target: View) -> Update:
        key = (
            base.version if base else None,
            base.excluded if base else frozenset(),
            target.version,
            target.excluded,
        )
        found = self._steps.get(key)
        if found is None:
            self._made += 1
            nonce = f"{target.version}-{self._made}"
            found = self._steps[key] = Update(target.version, nonce, _messages(base, target, nonce))
            while len(self._steps) > MAX_CACHED_STEPS:
                self._steps.popitem(last=False)
        return found


def _messages(base: View | None, target: View, nonce: str) -> tuple[bytes, ...]:
    delta = delta_between(base.entries if base else {}, target.entries)
    chunks = list(_chunks(delta, base.version if base else None, target.version, nonce))
    chunks[-1].last = True
    return tuple(config_pb2.WatchResponse(update=chunk).SerializeToString() for chunk in chunks)


def _chunks(
    delta: Delta, base: Version | None, version: Version, nonce: str
) -> Iterator[config_pb2.ConfigUpdate]:
    """At least one, so that an update without content still says that this version is reached."""
    chunk, size = _empty(base, version, nonce), 0
    for entry in delta.upserts:
        more = entry.message.ByteSize() + _FIELD_OVERHEAD_BYTES
        if size and size + more > MAX_CHUNK_BYTES:
            yield chunk
            chunk, size = _empty(base, version, nonce), 0
        chunk.upserts.append(entry.message)
        size += more
    for kind, tenant, name in delta.removals:
        more = len(kind) + len(tenant) + len(name) + _FIELD_OVERHEAD_BYTES * 2
        if size + more > MAX_CHUNK_BYTES:
            yield chunk
            chunk, size = _empty(base, version, nonce), 0
        chunk.removals.add(kind=kind, tenant=tenant, name=name)
        size += more
    yield chunk


def _empty(base: Version | None, version: Version, nonce: str) -> config_pb2.ConfigUpdate:
    update = config_pb2.ConfigUpdate(nonce=nonce)
    update.version.epoch, update.version.revision = version.epoch, version.revision
    if base is not None:
        update.base.epoch, update.base.revision = base.epoch, base.revision
    return update
