"""Snapshots for tests, without a database."""

from __future__ import annotations

from control_plane.revisions.model import Version
from control_plane.snapshots.model import Entry, Name, Snapshot, make_snapshot
from headgate.v1 import config_pb2, resources_pb2


def route_entry(name: str, padding: int = 0) -> tuple[Name, Entry]:
    route = resources_pb2.Route(name=name, tenant="default", task="x" * padding)
    return Name("route", "default", name), Entry(config_pb2.ConfigEntry(route=route))


def provider_entry(name: str, *regions: str) -> tuple[Name, Entry]:
    message = config_pb2.ConfigEntry()
    message.provider.spec.name, message.provider.spec.tenant = name, "default"
    return Name("provider", "default", name), Entry(message, frozenset(regions))


def snapshot(revision: int, *entries: tuple[Name, Entry], epoch: int = 1) -> Snapshot:
    return make_snapshot(Version(epoch, revision), dict(entries))
