"""Decides experiments: by their rules every few seconds, or as an operator says. Writes state and evidence.

The spec stays as it was declared. Every decision is a revision of its own, so that it is in the audit
trail, and reaches proxies as any change does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from sqlmodel import Session

from control_plane.db import locks
from control_plane.db.database import Database, allow_seconds
from control_plane.errors import DatabaseAway, InvalidField, QueryTooLong
from control_plane.experiments import store
from control_plane.experiments.decisions import (
    DEFAULT_CONFIDENCE,
    Decision,
    Loss,
    Rule,
    decide,
    losers,
    rate_is_above,
    ratio_is_above,
)
from control_plane.experiments.errors import ExperimentNotFound
from control_plane.experiments.model import PREFERENCE
from control_plane.experiments.service import Experiments, Known, known_of
from control_plane.experiments.state import Decided, is_open
from control_plane.experiments.statistics import MIN_UNITS, Sums
from control_plane.experiments.store import Arm
from control_plane.resources.model import Ref, ResourceRow
from control_plane.resources.store import ResourceStore
from control_plane.revisions.service import Revisions
from control_plane.tokens.model import Principal
from headgate.policy.experiments import STOP_METRICS
from headgate.rules.names import did_you_mean

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
# Who decides by a rule, as the audit trail calls it.
ACTOR = "headgate"
PROMOTE = "promote"
# An experiment whose figures take long is looked at seldom: a twentieth of one connection's time at most.
REST = 20.0
MAX_SECONDS = 120


class Steering:
    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        experiments: Experiments,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._revisions = revisions
        self._experiments = experiments
        self._now = now

    def promote(self, session: Session, caller: Principal, tenant: str, name: str, variant: str) -> int:
        """Gives a variant all traffic; the revision. Raises ExperimentNotFound, InvalidField."""
        known = self._own(session, caller, tenant, name)
        _check_variant(known, variant)
        evidence = f"promoted by {caller.name}"
        return self._write(session, known, known.decided.won_by(variant, evidence, self._now()), caller.name)

    def stop(
        self, session: Session, caller: Principal, tenant: str, name: str, variant: str
    ) -> tuple[int, str]:
        """Takes a variant out; "": ends the experiment, for the first variant that is left, which is told."""
        known = self._own(session, caller, tenant, name)
        evidence, now = f"stopped by {caller.name}", self._now()
        if not variant:
            ended = known.decided.won_by(known.baseline, evidence, now)
            return self._write(session, known, ended, caller.name), ended.winner
        _check_variant(known, variant)
        if not _may_stop(known, variant):
            raise InvalidField(
                "variant", f"{variant!r} is the last one that gets traffic; stop the experiment"
            )
        return self._write(session, known, known.decided.without(variant, evidence, now), caller.name), ""

    def start(self, session: Session, caller: Principal, tenant: str, name: str) -> int:
        """Anew: what was decided is forgotten, and what was counted."""
        known = self._own(session, caller, tenant, name)
        return self._write(session, known, Decided(since=self._now().isoformat()), caller.name)

    def _own(self, session: Session, caller: Principal, tenant: str, name: str) -> Known:
        self._revisions.lock(session)
        known = self._experiments.find(session, tenant, name)
        if not caller.sees(known.ref.tenant):
            raise ExperimentNotFound(name)
        return known

    def _write(self, session: Session, known: Known, decided: Decided, actor: str) -> int:
        now = self._now()
        change = self._revisions.begin(session, actor, "experiment", now)
        if decided != known.decided:
            detail = decided.detail()
            ResourceStore(session).set_detail(known.ref, detail, actor, now)
            before = known.decided.detail()
            verb = "promoted" if decided.winner != known.decided.winner and decided.winner else "decided"
            change.record("experiment", known.ref.tenant, known.ref.name, verb, before, detail)
        return change.finish()

    async def run(self) -> None:
        """Runs until cancelled."""
        due: dict[Ref, float] = {}
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                wanted = await self._database.read(undecided)
            except (DatabaseAway, QueryTooLong):
                continue
            for ref in wanted:
                began = time.monotonic()
                if began >= due.get(ref, 0.0):
                    await self._look(ref)
                    took = time.monotonic() - began
                    due[ref] = began + took + REST * took
            due = {ref: due[ref] for ref in wanted if ref in due}

    async def _look(self, ref: Ref) -> None:
        """Whatever one experiment is like, the others are looked at, too."""
        try:
            await self._database.run(lambda session: self.decide(session, ref))
        except (DatabaseAway, QueryTooLong) as error:
            told = {"experiment": ref.name, "tenant": ref.tenant, "reason": str(error)}
            log.warning("experiment not looked at", extra={"data": told})
        except Exception:
            log.exception(
                "experiment not looked at", extra={"data": {"experiment": ref.name, "tenant": ref.tenant}}
            )

    def decide(self, session: Session, ref: Ref) -> None:
        """By the rules of one experiment, unless another replica is at it."""
        if not locks.taken(session, locks.EXPERIMENTS):
            return
        allow_seconds(session, MAX_SECONDS)
        resources = ResourceStore(session)
        row, state = resources.get(ref), resources.get_states([ref]).get(ref)
        if row is None:
            return
        known = known_of(row, state.detail if state is not None else {})
        decided = self._decided(session, known)
        if decided == known.decided:
            return
        self._revisions.lock(session)
        session.expire_all()
        row, state = resources.get(ref), resources.get_states([ref]).get(ref)
        if row is None or known_of(row, state.detail if state is not None else {}) != known:
            return  # somebody changed it, or decided, meanwhile
        self._write(session, known, decided, ACTOR)
        told = {"experiment": ref.name, "tenant": ref.tenant, **decided.detail()}
        log.info("experiment decided", extra={"data": told})

    def _decided(self, session: Session, known: Known) -> Decided:
        now = self._now()
        question = known.question(known.ref.tenant, known.started_at, now)
        arms = {arm.variant: arm for arm in store.arms(session, question)}
        decided = known.decided
        if known.spec.HasField("guardrails"):
            for variant, evidence in _breaches(known, arms):  # of what was decided before
                if _may_stop(replace(known, decided=decided), variant):
                    decided = decided.without(variant, evidence, now)
        if not known.spec.HasField("stop"):
            return decided
        names, rule, preferences = _left(known, decided), _rule(known), known.decided_by == PREFERENCE
        if len(names) == 1 and decided.stopped:
            return _with(known, decided, names[0], "all others were stopped", now)
        if preferences and known.first not in names:
            # What all comparisons had in common is gone: nothing more is learned.
            units = min((arms[name].units if name in arms else 0 for name in names), default=0)
            if not rule.max_units or units < rule.max_units:
                return decided
            return _with(
                known,
                decided,
                names[0],
                f"{known.first}, beside whom all were put, is out; {names[0]} is next",
                now,
            )
        if preferences:
            found = store.preferences(session, question)
            sums = [found.get(name, Sums()) for name in names]
        else:
            sums = [arms[name].metrics[known.decided_by] if name in arms else Sums() for name in names]
        decision = decide(sums, rule, preferences=preferences)
        if decision is None and known.spec.stop.eliminate:
            for loss in losers(sums, rule, preferences=preferences):
                if _may_lose(known, decided, names[loss.loser]):
                    lost = _lost(known, loss, names, sums, rule)
                    decided = decided.without(names[loss.loser], lost, now)
        if decision is None or (decision.by is None and decided.would_win):
            return decided  # a difference that was found is not lost again by looking on
        evidence = _evidence(known, decision, names, sums, rule)
        return _with(known, decided, names[decision.winner], evidence, now)


def undecided(session: Session) -> list[Ref]:
    """Experiments that have a rule and are not over."""
    resources = ResourceStore(session)
    rows = resources.of_kinds(("experiment",))
    states = resources.get_states([_ref(row) for row in rows])
    found = []
    for row in rows:
        state = states.get(_ref(row))
        if row.spec.get("stop") is None and row.spec.get("guardrails") is None:
            continue
        if state is not None and (state.disabled or _is_over(row, state.detail)):
            continue
        found.append(_ref(row))
    return found


def _is_over(row: ResourceRow, detail: Mapping[str, object]) -> bool:
    try:
        return known_of(row, detail).decided.is_over
    except (ValueError, TypeError):  # of a newer version; whoever looks at it says so
        return False


def _left(known: Known, decided: Decided) -> list[str]:
    """Who may still win, the first one first, wherever a shadow stands in the manifest."""
    stopped = {one.variant for one in decided.stopped}
    variants = [
        one for one in known.spec.variants if one.name not in stopped and (one.shadow or is_open(one))
    ]
    return [one.name for one in sorted(variants, key=lambda one: one.shadow)]


def _with(known: Known, decided: Decided, winner: str, evidence: str, now: datetime) -> Decided:
    if known.spec.stop.then == PROMOTE:
        return decided.won_by(winner, evidence, now)
    if decided.would_win == winner:
        return decided
    return replace(decided, would_win=winner, evidence=evidence)


def _may_lose(known: Known, decided: Decided, variant: str) -> bool:
    """While there are shadows, they alone: a shadow answers a share of all calls, so that its part beside
    the others would change with every one of them that is stopped.
    """
    left = _left(known, decided)
    shadows = [one.name for one in known.spec.variants if one.shadow and one.name in left]
    if shadows:
        return variant in shadows
    return _may_stop(replace(known, decided=decided), variant)


def _rule(known: Known) -> Rule:
    stop = known.spec.stop
    return Rule(
        confidence=stop.confidence if stop.HasField("confidence") else DEFAULT_CONFIDENCE,
        min_units=stop.min_samples or MIN_UNITS,
        max_units=stop.max_samples,
        more_is_better=known.decided_by == PREFERENCE or STOP_METRICS[known.decided_by],
        variants=len(known.spec.variants),
    )


def _evidence(known: Known, decision: Decision, names: list[str], sums: list[Sums], rule: Rule) -> str:
    what, winner = known.decided_by, names[decision.winner]
    units = ", ".join(
        f"{one.units} units of {name}" for name, one in zip(names, sums, strict=True) if one.units
    )
    if decision.by is None:
        return f"no difference in {what} was found ({units}); {winner} stays"
    other, by = names[decision.next_best], decision.by
    return (
        f"{what} of {winner} is better than {other}'s by {by.difference:.3g} ± {by.half_width:.2g} "
        f"({units}; {rule.confidence:.4g} confidence over all looks)"
    )


def _lost(known: Known, loss: Loss, names: list[str], sums: list[Sums], rule: Rule) -> str:
    better, by = names[loss.to], loss.by
    return (
        f"{known.decided_by} of {better} is better by {by.difference:.3g} ± {by.half_width:.2g} "
        f"({sums[loss.loser].units} units; {rule.confidence:.4g} confidence over all looks)"
    )


def _breaches(known: Known, arms: dict[str, Arm]) -> Iterator[tuple[str, str]]:
    """(variant, evidence) of those that are surely beyond a guardrail."""
    rails, baseline = known.spec.guardrails, known.baseline
    first = arms.get(baseline)
    already = {one.variant for one in known.decided.stopped}
    for name, arm in arms.items():
        if name in already:
            continue
        errors = arm.metrics["error_rate"]
        if rails.error_rate and rate_is_above(arm.log_wealths):
            yield (
                name,
                (
                    f"error rate {errors.mean or 0:.3g} is above the guardrail of {rails.error_rate:g} "
                    f"({errors.units} units)"
                ),
            )
            continue
        if first is None or name == baseline:
            continue
        for metric, ratio in (("cost_usd", rails.cost_ratio), ("latency_ms", rails.latency_ratio)):
            before, after = first.metrics[metric], arm.metrics[metric]
            if ratio and ratio_is_above(before, after, ratio):
                times = (after.mean or 0) / before.mean if before.mean else float("inf")
                yield (
                    name,
                    (
                        f"{metric} is {times:.3g} times {baseline}'s, above the guardrail of {ratio:g} "
                        f"({after.units} units)"
                    ),
                )
                break


def _may_stop(known: Known, variant: str) -> bool:
    """Somebody must go on answering."""
    left = [one for one in known.holds.variants if is_open(one) and one.name != variant]
    return bool(left)


def _check_variant(known: Known, variant: str) -> None:
    names = [one.name for one in known.spec.variants]
    if variant not in names:
        raise InvalidField("variant", f"there is no {variant[:64]!r}{did_you_mean(variant, names)}")


def _ref(row: ResourceRow) -> Ref:
    return Ref(row.kind, row.tenant, row.name)
