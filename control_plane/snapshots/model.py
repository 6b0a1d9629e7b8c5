"""A snapshot is a map from names to entries. An entry that did not change is the same object in the next
snapshot, so that a delta is found by comparing identities.

An entitlement class is the set of providers that proxies of a region are not sent: one view of a
snapshot is built per class, however many proxies share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from control_plane.revisions.model import Version
from control_plane.rollouts.model import Group
from control_plane.snapshots.errors import Inconsistent
from headgate.v1 import config_pb2


class Name(NamedTuple):
    """As proxies know it: a tenant has no tenant."""

    kind: str
    tenant: str
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Compared by identity. The message is not changed once it is in here."""

    message: config_pb2.ConfigEntry
    # Providers: regions that are sent it; empty: all.
    serve_regions: frozenset[str] = frozenset()
    # (kind, tenant, name) that must be there too.
    needs: tuple[tuple[str, str, str], ...] = ()


Class = frozenset[Name]
EVERYTHING: Class = frozenset()


@dataclass(frozen=True, slots=True)
class View:
    """What proxies of one entitlement class are sent of a snapshot."""

    version: Version
    excluded: Class
    entries: Mapping[Name, Entry]


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: Version
    entries: Mapping[Name, Entry]
    # Providers that only some regions are sent.
    regional: Mapping[Name, frozenset[str]]
    # What the proxies of a rollout's group are sent instead; None: no rollout is under way.
    canary: CanarySnapshot | None = None
    _views: dict[Class, View] = field(default_factory=dict, repr=False)

    def for_proxy(self, name: str, labels: Mapping[str, str], region: str) -> View:
        """What this proxy is sent."""
        if self.canary is not None and self.canary.group.has(name, labels):
            return self.canary.view(region)
        return self.view(region)

    def excluded(self, region: str) -> Class:
        return frozenset(name for name, regions in self.regional.items() if region not in regions)

    def view(self, region: str) -> View:
        excluded = self.excluded(region)
        view = self._views.get(excluded)
        if view is None:
            kept = self.entries
            if excluded:
                kept = {name: entry for name, entry in kept.items() if name not in excluded}
            view = self._views[excluded] = View(self.version, excluded, kept)
        return view

    def check(self) -> None:
        """Raises Inconsistent if anything refers to what is not there."""
        problems = [
            f"{name.kind}/{name.tenant}/{name.name} needs {kind}/{tenant}/{needed}"
            for name, entry in self.entries.items()
            for kind, tenant, needed in entry.needs
            if not _resolves(self.entries, kind, tenant, needed)
        ]
        if problems:
            raise Inconsistent(problems)


@dataclass(frozen=True, slots=True)
class CanarySnapshot:
    """The same version with a rollout's overlay. Its views are a class of their own: a proxy that comes
    into the group, or leaves it, is sent the difference."""

    group: Group
    marker: Name
    snapshot: Snapshot

    def view(self, region: str) -> View:
        found = self.snapshot.view(region)
        return View(found.version, found.excluded | {self.marker}, found.entries)


def _resolves(entries: Mapping[Name, Entry], kind: str, tenant: str, name: str) -> bool:
    return Name(kind, tenant, name) in entries or Name(kind, "*", name) in entries


def make_snapshot(
    version: Version, entries: Mapping[Name, Entry], canary: CanarySnapshot | None = None
) -> Snapshot:
    regional = {name: entry.serve_regions for name, entry in entries.items() if entry.serve_regions}
    return Snapshot(version, entries, regional, canary)


@dataclass(frozen=True, slots=True)
class Delta:
    upserts: tuple[Entry, ...]
    removals: tuple[Name, ...]


def delta_between(old: Mapping[Name, Entry], new: Mapping[Name, Entry]) -> Delta:
    return Delta(
        tuple(entry for name, entry in new.items() if old.get(name) is not entry),
        tuple(name for name in old if name not in new),
    )
