"""Reads and writes the history, as it is told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, text, tuple_
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from control_plane.revisions.model import (
    Change,
    ChangeRow,
    ConfigHeadRow,
    Filter,
    Revision,
    RevisionRow,
    Version,
)
from headgate.rules.names import KINDS

# What changes a spec; all other verbs change state.
_SPEC_VERBS = "('created', 'changed', 'pruned', 'deleted')"
# Names of resources shown per revision; the rest is counted.
MAX_CHANGES_SHOWN = 100


def lock_head(session: Session) -> Version:
    """The row lock that puts config transactions in order. Always taken first, so it cannot deadlock."""
    row = session.exec(select(ConfigHeadRow).with_for_update()).one()
    return Version(row.epoch, row.revision)


def read_head(session: Session) -> Version:
    row = session.exec(select(ConfigHeadRow)).one()
    return Version(row.epoch, row.revision)


def renew_epoch(session: Session, epoch: int) -> None:
    connection = session.connection()
    connection.execute(text("UPDATE config_head SET epoch = :epoch"), {"epoch": epoch})
    connection.execute(text("SELECT pg_notify('headgate_config', 'epoch')"))


def write(
    session: Session,
    revision: int,
    time: datetime,
    actor: str,
    source: str,
    changes: Sequence[dict[str, Any]],
) -> None:
    connection = session.connection()
    connection.execute(text("UPDATE config_head SET revision = :revision"), {"revision": revision})
    row = {"revision": revision, "time": time, "actor": actor, "source": source}
    connection.execute(insert(RevisionRow), row)
    connection.execute(insert(ChangeRow), changes)
    connection.execute(text("SELECT pg_notify('headgate_config', :revision)"), {"revision": str(revision)})


def changed_since(session: Session, revision: int) -> set[tuple[str, str, str]]:
    """(kind, tenant, name) of everything that later revisions touched."""
    statement = (
        select(ChangeRow.kind, ChangeRow.tenant, ChangeRow.name)
        .where(ChangeRow.revision > revision)
        .distinct()
    )
    return {(kind, tenant, name) for kind, tenant, name in session.exec(statement)}


def list_page(session: Session, tenant: str | None, before: int, limit: int) -> list[Revision]:
    """Newest first, those before the revision `before`; of one tenant where given."""
    statement = select(RevisionRow).where(RevisionRow.revision < before)
    if tenant is not None:
        touched = select(ChangeRow.revision).where(ChangeRow.tenant == tenant)
        statement = statement.where(col(RevisionRow.revision).in_(touched))
    rows = session.exec(statement.order_by(col(RevisionRow.revision).desc()).limit(limit)).all()
    return _with_changes(session, rows, tenant)


def list_changes(
    session: Session, chosen: Filter, before: tuple[int, int] | None, limit: int
) -> list[Change]:
    statement = select(ChangeRow, RevisionRow).join(RevisionRow)
    if chosen.tenant is not None:
        statement = statement.where(ChangeRow.tenant == chosen.tenant)
    if chosen.kind:
        statement = statement.where(ChangeRow.kind == chosen.kind)
    if chosen.name:
        statement = statement.where(ChangeRow.name == chosen.name)
    if chosen.actor:
        statement = statement.where(RevisionRow.actor == chosen.actor)
    if chosen.start is not None:
        statement = statement.where(RevisionRow.time >= chosen.start)
    if chosen.end is not None:
        statement = statement.where(RevisionRow.time < chosen.end)
    if before is not None:
        statement = statement.where(tuple_(col(ChangeRow.revision), col(ChangeRow.seq)) < before)
    order = col(ChangeRow.revision).desc(), col(ChangeRow.seq).desc()
    return [
        Change(
            change.revision,
            change.seq,
            revision.time,
            revision.actor,
            revision.source,
            change.kind,
            change.tenant,
            change.name,
            change.verb,
            change.before,
            change.after,
        )
        for change, revision in session.exec(statement.order_by(*order).limit(limit))
    ]


def declared_since(
    session: Session, revision: int, wanted: Sequence[tuple[str, str, str]]
) -> tuple[str, str, str] | None:
    """The first of these (kind, tenant, name) whose spec later revisions changed or took away."""
    statement = f"""
        SELECT kind, tenant, name
        FROM change JOIN unnest(CAST(:kinds AS text[]), CAST(:tenants AS text[]), CAST(:names AS text[]))
          AS wanted(kind, tenant, name) USING (kind, tenant, name)
        WHERE revision > :revision AND verb IN {_SPEC_VERBS} ORDER BY revision, seq LIMIT 1
    """  # noqa: S608 - constants
    kinds, tenants, names = (list(column) for column in zip(*wanted, strict=True))
    parameters = {"revision": revision, "kinds": kinds, "tenants": tenants, "names": names}
    row = session.connection().execute(text(statement), parameters).first()
    return (row.kind, row.tenant, row.name) if row is not None else None


def specs_before(
    session: Session, revision: int, tenant: str | None
) -> dict[tuple[str, str, str], dict[str, Any] | None]:
    """What was there of everything whose spec later revisions changed, by (kind, tenant, name)."""
    statement = f"""
        SELECT DISTINCT ON (kind, tenant, name) kind, tenant, name, before FROM change
        WHERE revision > :revision AND kind = ANY(:kinds) AND verb IN {_SPEC_VERBS}
          AND (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        ORDER BY kind, tenant, name, revision, seq
    """  # noqa: S608 - constants
    parameters = {"revision": revision, "tenant": tenant, "kinds": list(KINDS)}
    rows = session.connection().execute(text(statement), parameters)
    return {(kind, owner, name): before for kind, owner, name, before in rows}


def sources_at(session: Session, revision: int, but: str) -> dict[tuple[str, str, str], str]:
    """Who declared what, by the last revisions up to one. `but`: how sources begin that declare nothing."""
    statement = f"""
        SELECT DISTINCT ON (kind, tenant, name) kind, tenant, name, source
        FROM change JOIN revision USING (revision)
        WHERE revision <= :revision AND kind = ANY(:kinds) AND verb IN {_SPEC_VERBS} AND source NOT LIKE :but
        ORDER BY kind, tenant, name, revision DESC, seq DESC
    """  # noqa: S608 - constants
    parameters = {"revision": revision, "kinds": list(KINDS), "but": f"{but} %"}
    rows = session.connection().execute(text(statement), parameters)
    return {(kind, owner, name): source for kind, owner, name, source in rows}


def _with_changes(session: Session, rows: Sequence[RevisionRow], tenant: str | None) -> list[Revision]:
    numbers = [row.revision for row in rows]
    wanted = select(ChangeRow).where(col(ChangeRow.revision).in_(numbers))
    if tenant is not None:
        wanted = wanted.where(ChangeRow.tenant == tenant)
    # Without the specs, which may be large.
    wanted = wanted.options(defer(ChangeRow.before), defer(ChangeRow.after))  # type: ignore[arg-type]
    texts: dict[int, list[str]] = defaultdict(list)
    for change in session.exec(wanted.order_by(col(ChangeRow.revision), col(ChangeRow.seq))):
        place = f"{change.kind}/{change.tenant}/{change.name}"
        if change.kind in ("tenant", "token"):
            place = f"{change.kind}/{change.name}"
        texts[change.revision].append(f"{change.verb} {place}")
    return [
        Revision(row.revision, row.time, row.actor, row.source, _shortened(texts[row.revision]))
        for row in rows
    ]


def _shortened(texts: list[str]) -> tuple[str, ...]:
    if len(texts) <= MAX_CHANGES_SHOWN:
        return tuple(texts)
    return (*texts[:MAX_CHANGES_SHOWN], f"and {len(texts) - MAX_CHANGES_SHOWN} more")
