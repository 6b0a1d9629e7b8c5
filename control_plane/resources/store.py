"""Reads and writes resources and their disabled state, as it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import Text
from sqlmodel import Session, col, select

from control_plane.resources.model import Ref, ResourceRow, ResourceStateRow
from headgate.rules.names import KINDS

_JOIN = "JOIN unnest(:tenants, :kinds, :names) AS wanted(tenant, kind, name) USING (tenant, kind, name)"
_ORDER = text('array_position(:kind_order, kind), tenant COLLATE "C", name COLLATE "C"').bindparams(
    bindparam("kind_order", list(KINDS), type_=ARRAY(Text))
)
_AFTER = text(
    '(array_position(:kind_order, kind), tenant COLLATE "C", name COLLATE "C") > '
    "(:at_kind, :at_tenant, :at_name)"
).bindparams(bindparam("kind_order", list(KINDS), type_=ARRAY(Text)))


class ResourceStore:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, ref: Ref) -> ResourceRow | None:
        return self._session.get(ResourceRow, (ref.tenant, ref.kind, ref.name))

    def get_many(self, refs: Sequence[Ref]) -> dict[Ref, ResourceRow]:
        if not refs:
            return {}
        statement = select(ResourceRow).from_statement(
            text(f"SELECT resource.* FROM resource {_JOIN}").bindparams(*_arrays(refs))  # noqa: S608 - a constant
        )
        rows = self._session.execute(statement).scalars()
        return {Ref(row.kind, row.tenant, row.name): row for row in rows}

    def of_source(self, source: str, tenant: str | None) -> dict[Ref, ResourceRow]:
        statement = select(ResourceRow).where(ResourceRow.source == source)
        if tenant is not None:
            statement = statement.where(ResourceRow.tenant == tenant)
        return {Ref(row.kind, row.tenant, row.name): row for row in self._session.exec(statement)}

    def of_kinds(self, kinds: Iterable[str]) -> list[ResourceRow]:
        statement = select(ResourceRow).where(col(ResourceRow.kind).in_(list(kinds)))
        # What was read before a write of this transaction must not answer for what was written.
        return list(self._session.exec(statement.execution_options(populate_existing=True)))

    def names_of_kinds(self, kinds: Iterable[str]) -> set[Ref]:
        statement = select(ResourceRow.kind, ResourceRow.tenant, ResourceRow.name)
        statement = statement.where(col(ResourceRow.kind).in_(list(kinds)))
        return {Ref(*row) for row in self._session.exec(statement)}

    def names_of_tenants(self, tenants: Iterable[str]) -> list[Ref]:
        statement = select(ResourceRow.kind, ResourceRow.tenant, ResourceRow.name)
        statement = statement.where(col(ResourceRow.tenant).in_(list(tenants)), ResourceRow.kind != "tenant")
        return [Ref(*row) for row in self._session.exec(statement.limit(100))]

    def tenant_exists(self, tenant: str) -> bool:
        return self.get(Ref("tenant", tenant, tenant)) is not None

    def list_page(
        self, kind: str, tenant: str | None, after: tuple[int, str, str] | None, limit: int
    ) -> list[ResourceRow]:
        """In the order in which they can be applied, then by tenant and name. `after`: the last shown."""
        statement = select(ResourceRow)
        if kind:
            statement = statement.where(ResourceRow.kind == kind)
        if tenant is not None:
            statement = statement.where(ResourceRow.tenant == tenant)
        if after is not None:
            place = dict(zip(("at_kind", "at_tenant", "at_name"), after, strict=True))
            statement = statement.where(_AFTER.bindparams(**place))
        return list(self._session.exec(statement.order_by(_ORDER).limit(limit)))

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """New specs, and new versions of specs; `created_at` of an old one stays."""
        if not rows:
            return
        statement = insert(ResourceRow)
        new = statement.excluded
        kept = ("spec", "source", "revision", "updated_at")
        statement = statement.on_conflict_do_update(
            index_elements=["tenant", "kind", "name"], set_={name: new[name] for name in kept}
        )
        self._session.connection().execute(statement, rows)

    def delete(self, refs: Sequence[Ref]) -> None:
        if refs:
            statement = text(
                f"DELETE FROM resource USING (SELECT * FROM resource {_JOIN}) AS gone "  # noqa: S608 - a constant
                "WHERE resource.tenant = gone.tenant AND resource.kind = gone.kind "
                "AND resource.name = gone.name"
            )
            self._session.execute(statement.bindparams(*_arrays(refs)))

    def get_states(self, refs: Sequence[Ref]) -> dict[Ref, ResourceStateRow]:
        if not refs:
            return {}
        statement = select(ResourceStateRow).from_statement(
            text(f"SELECT resource_state.* FROM resource_state {_JOIN}").bindparams(*_arrays(refs))  # noqa: S608
        )
        rows = self._session.execute(statement).scalars()
        return {Ref(row.kind, row.tenant, row.name): row for row in rows}

    def set_disabled(self, ref: Ref, disabled: bool, reason: str, actor: str, now: datetime) -> None:
        self._write_state(ref, actor, now, disabled=disabled, reason=reason)

    def set_detail(self, ref: Ref, detail: dict[str, Any], actor: str, now: datetime) -> None:
        self._write_state(ref, actor, now, detail=detail)

    def _write_state(self, ref: Ref, actor: str, now: datetime, **changed: Any) -> None:
        """What is not among `changed` stays."""
        row = {"tenant": ref.tenant, "kind": ref.kind, "name": ref.name, "disabled": False, "reason": ""}
        row |= {"detail": {}, "actor": actor, "updated_at": now, **changed}
        changed |= {"actor": actor, "updated_at": now}
        statement = insert(ResourceStateRow).values(row)
        statement = statement.on_conflict_do_update(index_elements=["tenant", "kind", "name"], set_=changed)
        self._session.execute(statement)
        self._session.expire_all()

    def forget_state(self, ref: Ref) -> None:
        here = (
            ResourceStateRow.tenant == ref.tenant,
            ResourceStateRow.kind == ref.kind,
            ResourceStateRow.name == ref.name,
        )
        self._session.execute(delete(ResourceStateRow).where(*here))  # type: ignore[arg-type]


def _arrays(refs: Sequence[Ref]) -> list[BindParameter[Any]]:
    values = {
        "tenants": [ref.tenant for ref in refs],
        "kinds": [ref.kind for ref in refs],
        "names": [ref.name for ref in refs],
    }
    return [bindparam(name, value, type_=ARRAY(Text)) for name, value in values.items()]
