"""Reads and writes the fleet's table, as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from control_plane.fleet.model import Proxy, ProxyRow
from control_plane.revisions.model import Version


def find(session: Session, name: str) -> Proxy | None:
    row = session.get(ProxyRow, name)
    return _proxy(row) if row else None


def write(session: Session, proxies: Sequence[Proxy]) -> None:
    statement = insert(ProxyRow)
    new = statement.excluded
    columns = [name for name in ProxyRow.model_fields if name != "name"]
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={name: new[name] for name in columns}
    )
    # In the order of names: two replicas that write the same proxies must not wait for each other.
    rows = [_row(proxy).model_dump() for proxy in sorted(proxies, key=lambda p: p.name)]
    session.execute(statement, rows)


def forget_connections(session: Session, replica: str) -> None:
    """This replica was not there before: what it left behind is not connected."""
    session.execute(update(ProxyRow).where(col(ProxyRow.replica) == replica).values(connected=False))


def list_all(session: Session, after: str, limit: int) -> list[Proxy]:
    place = col(ProxyRow.name).collate("C")
    statement = select(ProxyRow).where(place > after).order_by(place).limit(limit)
    return [_proxy(row) for row in session.exec(statement)]


def connected_elsewhere(session: Session, replica: str, seen_after: datetime) -> list[Proxy]:
    statement = select(ProxyRow).where(
        col(ProxyRow.connected).is_(True), ProxyRow.replica != replica, ProxyRow.last_seen > seen_after
    )
    return [_proxy(row) for row in session.exec(statement)]


def _row(proxy: Proxy) -> ProxyRow:
    return ProxyRow(
        name=proxy.name,
        region=proxy.region,
        labels=proxy.labels,
        software_version=proxy.software_version,
        replica=proxy.replica,
        connected=proxy.connected,
        epoch=proxy.acked.epoch,
        revision=proxy.acked.revision,
        stale_since=proxy.stale_since,
        last_nack=proxy.last_nack,
        nack_epoch=proxy.nacked.epoch,
        nack_revision=proxy.nacked.revision,
        spool_bytes=proxy.spool_bytes,
        usage_lag_seconds=proxy.usage_lag_seconds,
        last_seen=proxy.last_seen,
    )


def _proxy(row: ProxyRow) -> Proxy:
    return Proxy(
        name=row.name,
        region=row.region,
        labels=dict(row.labels),
        software_version=row.software_version,
        replica=row.replica,
        connected=row.connected,
        acked=Version(row.epoch, row.revision),
        stale_since=row.stale_since,
        last_nack=row.last_nack,
        nacked=Version(row.nack_epoch, row.nack_revision),
        spool_bytes=row.spool_bytes,
        usage_lag_seconds=row.usage_lag_seconds,
        last_seen=row.last_seen,
    )
