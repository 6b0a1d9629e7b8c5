"""Begins, ends and promotes rollouts.

Until it is promoted, a rollout is an overlay: what is declared does not change, the proxies of the group
are sent the config with the overlay, all others without. Halting takes the overlay away, which is a
rollback that cannot fail; promoting applies it as any manifest. State (disable, revoke, set-key) reaches
all at once meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.resources.apply import Applier, Request
from control_plane.resources.declare import declare_all
from control_plane.resources.model import Applied, ChangeType, Declared, Ref
from control_plane.resources.rollback import resource_of
from control_plane.revisions.service import Revisions
from control_plane.revisions.store import declared_since
from control_plane.rollouts import store
from control_plane.rollouts.errors import (
    AnotherRollout,
    ChangedMeanwhile,
    NoRollout,
    NothingToRollOut,
    RolloutUnderWay,
)
from control_plane.rollouts.model import (
    CANARY,
    HALTED,
    KINDS,
    PROMOTED,
    Group,
    NewRollout,
    RolloutRow,
    share_of,
)
from control_plane.tokens.model import EDITOR, Principal
from headgate.v1 import resources_pb2

MAX_BAKE_SECONDS = 7 * 86_400
MAX_REASON_CHARACTERS = 500


class Rollouts:
    def __init__(self, revisions: Revisions, applier: Applier) -> None:
        self._revisions = revisions
        self._applier = applier

    def start(
        self,
        session: Session,
        caller: Principal,
        resources: Sequence[resources_pb2.Resource],
        new: NewRollout,
        now: datetime,
    ) -> tuple[RolloutRow, Applied]:
        """The rollout, and what it would change. Raises as an apply; RolloutUnderWay, NothingToRollOut."""
        declared = declare_all(resources, caller)
        _check(declared, new)
        self._revisions.lock(session)
        if (other := store.under_way(session)) is not None:
            raise RolloutUnderWay(other.revision)
        with session.begin_nested() as trial:  # all checks of an apply, and nothing of it stays
            request = Request(declared, new.source, dry_run=True)
            applied = self._applier.apply(session, caller, request, now)
            trial.rollback()
        session.expire_all()
        if all(change.type is ChangeType.UNCHANGED for change in applied.changes):
            raise NothingToRollOut
        change = self._revisions.begin(session, caller.name, new.source, now)
        row = RolloutRow(
            revision=change.number,
            source=new.source,
            resources=[
                {"kind": one.ref.kind, "tenant": one.ref.tenant, "name": one.ref.name, "spec": one.rendered}
                for one in declared
            ],
            group_of=_group_of(new),
            bake_seconds=int(new.bake.total_seconds()),
            actor=caller.name,
            started_at=now,
            state=CANARY,
        )
        store.write(session, row)
        what = {"group": row.group_of, "resources": sorted(str(one.ref) for one in declared)}
        change.record("rollout", "", str(row.revision), "started", None, what)
        change.finish()
        return row, applied

    def halt(self, session: Session, expected: int, actor: str, reason: str, now: datetime) -> int:
        """The revision with which its proxies are back. `expected`: which rollout is meant; 0: whichever is
        under way. Raises NoRollout, AnotherRollout."""
        row = self._ended(session, expected, HALTED, reason[:MAX_REASON_CHARACTERS], now)
        change = self._revisions.begin(session, actor, "rollout", now)
        change.record("rollout", "", str(row.revision), HALTED, None, {"reason": row.reason})
        return change.finish()

    def promote(
        self, session: Session, expected: int, actor: str, reason: str, now: datetime
    ) -> tuple[RolloutRow, Applied]:
        """For all proxies. `expected`: as `halt` has it. Raises as that and as an apply; ChangedMeanwhile."""
        row = self._ended(session, expected, PROMOTED, reason, now)
        if (changed := self.changed_meanwhile(session, row)) is not None:
            raise ChangedMeanwhile(changed)
        caller = Principal(actor, EDITOR, None, b"")
        change = self._revisions.begin(session, actor, row.source, now)
        change.record("rollout", "", str(row.revision), PROMOTED, None, {"reason": reason})
        change.finish()
        declared = declare_all([resource_of(ref, spec) for ref, spec in row.specs.items()], caller)
        applied = self._applier.apply(session, caller, Request(declared, row.source), now)
        return row, applied

    def changed_meanwhile(self, session: Session, row: RolloutRow) -> Ref | None:
        """A resource of the rollout that somebody has declared otherwise, or deleted, since it began."""
        wanted = [(ref.kind, ref.tenant, ref.name) for ref in row.specs]
        found = declared_since(session, row.revision, wanted)
        return Ref(*found) if found is not None else None

    def _ended(self, session: Session, expected: int, state: str, reason: str, now: datetime) -> RolloutRow:
        self._revisions.lock(session)
        row = store.under_way(session)
        if row is None:
            raise NoRollout
        if expected and row.revision != expected:
            raise AnotherRollout(expected, row.revision)
        row.state, row.reason, row.ended_at = state, reason, now
        store.write(session, row)
        return row


def _check(declared: Sequence[Declared], new: NewRollout) -> None:
    for one in declared:
        if one.ref.kind not in KINDS:
            raise InvalidField(
                f"resources[{one.index}]",
                f"{one.ref}: only {', '.join(KINDS)} go to some proxies first; declare others at once",
            )
        if any(value is not None for value in one.provider_keys.values()):
            raise InvalidField(
                f"resources[{one.index}].keys",
                f"{one.ref}: provider keys are for all at once; set them with `provider set-key` before",
            )
    if bool(new.labels) == bool(new.percent):
        raise InvalidField("canary", "needs either labels or a percentage of the proxies")
    if new.percent and not 0 < new.percent < 100:
        raise InvalidField("percent", "must be more than 0 and less than 100")
    if not 0 < new.bake.total_seconds() <= MAX_BAKE_SECONDS:
        raise InvalidField("bake", "must be from 1s to 7d")


def _group_of(new: NewRollout) -> dict[str, Any]:
    if new.labels:
        return {"labels": dict(new.labels)}
    group: Group = share_of(os.urandom(8).hex(), new.percent, new.connected)
    return {"salt": group.salt, "below": group.below, "percent": new.percent}
