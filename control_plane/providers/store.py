"""Reads and writes provider keys, as it is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import delete
from sqlmodel import Session, col, select

from control_plane.providers.model import ProviderKeyRow

# (tenant, provider)
Owner = tuple[str, str]


def rows_of(session: Session, owners: Iterable[Owner]) -> dict[Owner, list[ProviderKeyRow]]:
    wanted = set(owners)
    found: dict[Owner, list[ProviderKeyRow]] = defaultdict(list)
    if not wanted:
        return found
    statement = select(ProviderKeyRow).where(
        col(ProviderKeyRow.tenant).in_({tenant for tenant, _ in wanted}),
        col(ProviderKeyRow.provider).in_({provider for _, provider in wanted}),
    )
    for row in session.exec(statement.order_by(ProviderKeyRow.name, ProviderKeyRow.origin)):
        if (row.tenant, row.provider) in wanted:
            found[row.tenant, row.provider].append(row)
    return found


def all_rows(session: Session) -> dict[Owner, list[ProviderKeyRow]]:
    found: dict[Owner, list[ProviderKeyRow]] = defaultdict(list)
    for row in session.exec(select(ProviderKeyRow).order_by(ProviderKeyRow.name, ProviderKeyRow.origin)):
        found[row.tenant, row.provider].append(row)
    return found


def write(session: Session, row: ProviderKeyRow) -> None:
    session.merge(row)
    session.flush()


def remove(session: Session, tenant: str, provider: str, name: str | None, origin: str | None) -> None:
    """All that match; None matches any."""
    here = [ProviderKeyRow.tenant == tenant, ProviderKeyRow.provider == provider]
    if name is not None:
        here.append(ProviderKeyRow.name == name)
    if origin is not None:
        here.append(ProviderKeyRow.origin == origin)
    session.execute(delete(ProviderKeyRow).where(*here))  # type: ignore[arg-type]
    session.expire_all()


def effective(rows: Iterable[ProviderKeyRow]) -> dict[str, ProviderKeyRow]:
    """By key name the row that counts: the state's where there is one."""
    chosen: dict[str, ProviderKeyRow] = {}
    for row in rows:
        if row.origin == "state" or row.name not in chosen:
            chosen[row.name] = row
    return chosen
