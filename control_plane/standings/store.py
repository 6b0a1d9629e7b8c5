"""Reads and writes the table of standings, as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from control_plane.standings.model import ProxyStandingRow, Reported
from headgate.v1 import config_pb2


def write(session: Session, reports: Sequence[Reported]) -> None:
    statement = insert(ProxyStandingRow)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["proxy"],
        set_={name: new[name] for name in ("region", "reported_at", "standings")},
        where=col(ProxyStandingRow.reported_at) < new.reported_at,
    )
    # In the order of names: two replicas that write the same proxies must not wait for each other.
    rows = [
        {
            "proxy": report.proxy,
            "region": report.region,
            "reported_at": report.reported_at,
            "standings": report.standings.SerializeToString(),
        }
        for report in sorted(reports, key=lambda report: report.proxy)
    ]
    session.execute(statement, rows)


def since(session: Session, moment: datetime) -> list[Reported]:
    statement = select(ProxyStandingRow).where(col(ProxyStandingRow.reported_at) > moment)
    return [
        Reported(row.proxy, row.region, row.reported_at, config_pb2.Standings.FromString(row.standings))
        for row in session.exec(statement)
    ]


def forget_before(session: Session, moment: datetime) -> None:
    session.execute(delete(ProxyStandingRow).where(col(ProxyStandingRow.reported_at) < moment))
