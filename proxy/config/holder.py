"""The current snapshot of a process, and the entries it was compiled from.

An update is applied all or nothing: it is assembled from its messages, compiled, and swapped in by one
assignment. What is refused leaves everything as it was (P2). A version never goes backwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from headgate.v1 import config_pb2
from proxy.config.compile import Compiler, ConfigRefused, EntryName, entry_name
from proxy.config.model import Snapshot, Version

# Messages of one update that may wait for their last one: 1 GiB at a MiB each is no config.
MAX_MESSAGES = 1_024


class UpdateMisplaced(ConfigRefused):
    """Refused for how it was sent, not for what is in it: another stream may bring it well."""


class ConfigHolder:
    def __init__(self, secrets_dir: Path | None = None) -> None:
        self.snapshot: Snapshot | None = None
        self.entries: dict[EntryName, config_pb2.ConfigEntry] = {}
        self.listeners: list[Callable[[Snapshot], None]] = []
        self._compiler = Compiler(secrets_dir)
        # The messages of the update that was applied last, for handing it on.
        self.last_update: list[config_pb2.ConfigUpdate] = []
        self._waiting: list[config_pb2.ConfigUpdate] = []
        # The nonce of an update that was refused before its end came.
        self._given_up: str | None = None
        # Since when (monotonic seconds) the control plane has not been heard; None: it is heard.
        self.lost_at: float | None = time.monotonic()

    @property
    def staleness_seconds(self) -> float:
        """How old the config may be."""
        return 0.0 if self.lost_at is None else max(0.0, time.monotonic() - self.lost_at)

    @property
    def version(self) -> Version | None:
        return self.snapshot.version if self.snapshot is not None else None

    def current(self) -> Snapshot | None:
        return self.snapshot

    def forget_partial(self) -> None:
        """The stream broke: what had come of an update is void."""
        self._waiting.clear()
        self._given_up = None

    def receive(self, update: config_pb2.ConfigUpdate) -> bool:
        """Takes one message; True when its update is complete and applied. Raises ConfigRefused."""
        if update.nonce == self._given_up:
            return False  # its end by itself would be taken for all of it
        self._given_up = None
        if self._waiting and self._waiting[0].nonce != update.nonce:
            self._waiting.clear()
        self._waiting.append(update)
        if len(self._waiting) > MAX_MESSAGES:
            self._waiting.clear()
            self._given_up = update.nonce
            raise UpdateMisplaced("", f"an update of more than {MAX_MESSAGES} messages")
        if not update.last:
            return False
        messages, self._waiting = self._waiting, []
        self._apply(messages)
        return True

    def _apply(self, messages: list[config_pb2.ConfigUpdate]) -> None:
        last = messages[-1]
        version = Version(last.version.epoch, last.version.revision)
        known = self.version
        if known is not None and version < known:
            raise UpdateMisplaced("", f"version {version} is older than {known}, which is served")
        if last.HasField("base"):
            if known is None or known != Version(last.base.epoch, last.base.revision):
                raise UpdateMisplaced("", f"a delta against a version that is not served ({known})")
            entries = dict(self.entries)
        else:
            entries = {}
        upserted: set[EntryName] = set()
        for message in messages:
            for entry in message.upserts:
                name = entry_name(entry)
                if name in upserted:
                    raise ConfigRefused("/".join(name), "stands twice in one update")
                upserted.add(name)
                entries[name] = entry
            for removal in message.removals:
                entries.pop((removal.kind, removal.tenant, removal.name), None)
        snapshot = self._compiler.compile(version, entries)
        self.entries = entries
        self.last_update = messages
        self._serve(snapshot)

    @property
    def problems(self) -> list[str]:
        """Why some providers cannot be called from here."""
        return self._compiler.problems

    def look_at_files(self) -> bool:
        """Serves the same version anew if a file that it names has changed; True: it had. Blocks shortly."""
        if self.snapshot is None or not self._compiler.files_changed:
            return False
        self._serve(self._compiler.compile(self.snapshot.version, self.entries))
        return True

    def _serve(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for listener in self.listeners:
            listener(snapshot)

    def serialized(self) -> Iterator[bytes]:
        """Pieces that concatenate to one serialised snapshot update of what is served now, whatever comes
        while they are taken: entry by entry, because a second copy of 10,000 keys in one message would stay
        in the process as fragmented memory."""
        if self.snapshot is None:
            return iter(())
        return _pieces(self.snapshot.version, list(self.entries.values()))

    def whole(self) -> list[config_pb2.ConfigUpdate]:
        """What is served, as the messages of a snapshot update (for the disk, and for new workers)."""
        if self.snapshot is None:
            return []
        version = config_pb2.Version(
            epoch=self.snapshot.version.epoch, revision=self.snapshot.version.revision
        )
        return [
            config_pb2.ConfigUpdate(
                version=version, nonce="whole", upserts=list(self.entries.values()), last=True
            )
        ]


def _pieces(version: Version, entries: list[config_pb2.ConfigEntry]) -> Iterator[bytes]:
    said = config_pb2.Version(epoch=version.epoch, revision=version.revision)
    yield config_pb2.ConfigUpdate(version=said, nonce="whole", last=True).SerializeToString()
    for entry in entries:
        yield config_pb2.ConfigUpdate(upserts=[entry]).SerializeToString()
