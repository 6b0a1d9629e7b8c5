"""Reads and writes credentials, as it is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Text
from sqlmodel import Session, col, select

from control_plane.keys.model import CredentialRow

# (tenant, key name)
Owner = tuple[str, str]


def rows_of(session: Session, owners: Iterable[Owner]) -> dict[Owner, list[CredentialRow]]:
    """Those that belong to a key that is there; oldest first."""
    wanted = list(set(owners))
    found: dict[Owner, list[CredentialRow]] = defaultdict(list)
    if wanted:
        statement = select(CredentialRow).from_statement(
            text(
                "SELECT credential.* FROM credential "
                "JOIN unnest(:tenants, :names) AS wanted(tenant, key_name) USING (tenant, key_name) "
                "WHERE NOT detached ORDER BY created_at, sha256"
            ).bindparams(
                bindparam("tenants", [tenant for tenant, _ in wanted], type_=ARRAY(Text)),
                bindparam("names", [name for _, name in wanted], type_=ARRAY(Text)),
            )
        )
        _collect(session.execute(statement).scalars(), found)
    return found


def live_rows(session: Session, now: datetime) -> dict[Owner, list[CredentialRow]]:
    found: dict[Owner, list[CredentialRow]] = defaultdict(list)
    statement = select(CredentialRow).where(
        col(CredentialRow.detached).is_(False), col(CredentialRow.revoked_at).is_(None)
    )
    rows = session.exec(statement.order_by(col(CredentialRow.created_at), col(CredentialRow.sha256)))
    _collect((row for row in rows if row.is_live(now)), found)
    return found


def _collect(rows: Iterable[CredentialRow], found: dict[Owner, list[CredentialRow]]) -> None:
    for row in rows:
        found[row.tenant, row.key_name].append(row)


def by_hashes(session: Session, hashes: Sequence[bytes]) -> dict[bytes, CredentialRow]:
    """Whoever they belong to, ended ones included."""
    if not hashes:
        return {}
    statement = select(CredentialRow).where(col(CredentialRow.sha256).in_(hashes))
    return {row.sha256: row for row in session.exec(statement)}


def insert_many(session: Session, rows: Sequence[CredentialRow]) -> None:
    if rows:
        session.execute(insert(CredentialRow), [row.model_dump() for row in rows])


def save(session: Session, rows: Iterable[CredentialRow]) -> None:
    session.add_all(rows)
    session.flush()


def delete_row(session: Session, row: CredentialRow) -> None:
    session.delete(row)
    session.flush()


def detach(session: Session, owner: Owner, now: datetime) -> None:
    """Ends what a deleted key had, for good; a hash that only the spec declared goes with the spec."""
    parameters = {"tenant": owner[0], "name": owner[1], "now": now}
    here = "tenant = :tenant AND key_name = :name AND NOT detached"
    session.execute(
        text(f"DELETE FROM credential WHERE {here} AND origin = 'spec' AND revoked_at IS NULL"),  # noqa: S608
        {"tenant": owner[0], "name": owner[1]},
    )
    session.execute(
        text(
            f"UPDATE credential SET detached = true, revoked_at = coalesce(revoked_at, :now) WHERE {here}"  # noqa: S608
        ),
        parameters,
    )
    session.expire_all()
