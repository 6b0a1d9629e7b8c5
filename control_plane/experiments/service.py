"""`experiment show`: each variant beside the first one, with intervals that hold at every look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from control_plane.experiments import spending, store
from control_plane.experiments.decisions import DEFAULT_CONFIDENCE
from control_plane.experiments.errors import ExperimentNotFound
from control_plane.experiments.model import CHECK, PREFERENCE, Metric, Results, VariantResult
from control_plane.experiments.state import Decided, effective, is_open
from control_plane.experiments.statistics import (
    Interval,
    Sums,
    difference,
    of_zero,
    rate_bets,
    share_p_value,
    units_to_decide,
)
from control_plane.experiments.store import Arm, Question
from control_plane.resources.model import Ref, ResourceRow
from control_plane.resources.store import ResourceStore
from headgate.policy.experiments import DEFAULT_UNIT
from headgate.rules.names import SHARED_TENANT
from headgate.rules.spec import parse
from headgate.v1 import resources_pb2

# Further back no query ends in time.
MAX_WINDOW = timedelta(days=90)
DEFAULT_SUCCESS = 0.7
PAIRWISE = "pairwise"


@dataclass(frozen=True, slots=True)
class Known:
    """An experiment as it is stored: what was declared, what was decided, what holds."""

    ref: Ref
    spec: resources_pb2.Experiment
    decided: Decided
    updated_at: datetime

    @property
    def holds(self) -> resources_pb2.Experiment:
        return effective(self.spec, self.decided)

    @property
    def pairwise(self) -> bool:
        return self.spec.judge.mode == PAIRWISE

    @property
    def started_at(self) -> datetime:
        """Of what is counted: figures of before a change are of another experiment."""
        since = self.decided.since
        return max(self.updated_at, datetime.fromisoformat(since)) if since else self.updated_at

    @property
    def decided_by(self) -> str:
        """The figure that a winner is better by."""
        by = self.spec.stop.by or ("quality" if self.spec.HasField("judge") else "cost_usd")
        return PREFERENCE if by == "quality" and self.pairwise else by

    @property
    def first(self) -> str:
        return next(variant.name for variant in self.spec.variants if not variant.shadow)

    @property
    def baseline(self) -> str:
        """Beside whom figures are put: the first one that was not stopped, whose figures still grow."""
        stopped = {one.variant for one in self.decided.stopped}
        left = (one.name for one in self.spec.variants if not one.shadow and one.name not in stopped)
        return next(left, self.first)

    def question(self, tenant: str, start: datetime, end: datetime) -> Question:
        spec, judge = self.spec, self.spec.judge
        limit = spec.guardrails.error_rate
        return Question(
            tenant=tenant,
            experiment=spec.name,
            unit=spec.unit or DEFAULT_UNIT,
            start=max(start, end - MAX_WINDOW),
            end=end,
            shadows=[variant.name for variant in spec.variants if variant.shadow],
            first=self.first,
            by_models=bool(judge.model or judge.models) and not self.pairwise,
            judged=spec.HasField("judge") and not (self.pairwise and not judge.checks),
            success=judge.success if judge.HasField("success") else DEFAULT_SUCCESS,
            bets=rate_bets(limit) if limit else (),
            limit=limit,
        )


def known_of(row: ResourceRow, detail: Mapping[str, object]) -> Known:
    ref = Ref(row.kind, row.tenant, row.name)
    spec = parse(resources_pb2.Experiment, row.spec)
    return Known(ref, spec, Decided.of(spec, detail), row.updated_at)


class Experiments:
    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now

    def find(self, session: Session, tenant: str, name: str) -> Known:
        """The tenant's own, else the shared one. Raises ExperimentNotFound."""
        resources = ResourceStore(session)
        refs = [Ref("experiment", owner, name) for owner in (tenant, SHARED_TENANT)]
        rows, states = resources.get_many(refs), resources.get_states(refs)
        for ref in refs:
            if (row := rows.get(ref)) is not None:
                state = states.get(ref)
                return known_of(row, state.detail if state is not None else {})
        raise ExperimentNotFound(name)

    def results(self, session: Session, tenant: str, name: str, since: datetime | None) -> Results:
        """`since` None: since the experiment was last changed. Raises ExperimentNotFound."""
        known = self.find(session, tenant, name)
        question = known.question(tenant, since or known.started_at, self.now())
        return _Report(known, session, question).results()

    def exported(
        self, session: Session, tenant: str, name: str, since: datetime | None, after: UUID | None, limit: int
    ) -> list[dict[str, object]]:
        """Call by call. Raises ExperimentNotFound."""
        known = self.find(session, tenant, name)
        question = known.question(tenant, since or known.started_at, self.now())
        return store.exported(session, question, after, limit)


class _Report:
    """What is read of one experiment, put together."""

    def __init__(self, known: Known, session: Session, question: Question) -> None:
        self._known = known
        self._session = session
        self._question = question
        self._arms = {arm.variant: arm for arm in store.arms(session, question)}
        self._preferences = store.preferences(session, question) if known.pairwise else {}
        self._checks = store.checks(session, question) if known.spec.judge.checks else {}
        self._remarks = store.remarks(session, question) if known.spec.HasField("judge") else {}
        # Of one metric, all variants and all looks together are wrong once in twenty.
        self._alpha = (1 - DEFAULT_CONFIDENCE) / max(1, len(known.spec.variants) - 1)

    def results(self) -> Results:
        known, question = self._known, self._question
        shown = [variant for variant in known.holds.variants if not variant.shadow]
        weights = {v.name: v.weight if v.HasField("weight") else 1.0 for v in shown}
        total = sum(weights.values())
        stopped = {one.variant: one.evidence for one in known.decided.stopped}
        variants = [
            self._variant(
                spec.name,
                weights.get(spec.name, 0.0) / total,
                is_shadow=spec.shadow,
                stopped=stopped.get(spec.name, ""),
            )
            for spec in known.spec.variants
        ]
        several = len({*known.spec.judge.models, known.spec.judge.model} - {""}) > 1
        # A proxy that learns late of a weight of 0 still gives it units.
        split = [v for v in known.spec.variants if is_open(v)]
        units = [self._arms[v.name].units if v.name in self._arms else 0 for v in split]
        declared = [v.weight if v.HasField("weight") else 1.0 for v in split]
        # What was decided meanwhile changes the shares, and is no alarm; so do other weights before.
        as_declared = (
            not any(v.name in stopped for v in split)
            and not known.decided.is_over
            and question.start >= known.started_at
        )
        return Results(
            experiment=known.spec.name,
            unit=question.unit,
            start=question.start,
            end=question.end,
            confidence=DEFAULT_CONFIDENCE,
            variants=variants,
            share_p_value=share_p_value(units, declared) if as_declared else 1.0,
            decided=known.decided,
            agreement=store.agreement(self._session, question) if several else None,
            spent=tuple(spending.of_experiment(self._session, question)),
            by=known.decided_by,
        )

    def _variant(self, name: str, share: float, *, is_shadow: bool, stopped: str) -> VariantResult:
        # Without calls of its own it may still have been asked, to be compared with the first.
        arm = self._arms.get(name) or Arm(name, 0, 0, 0, 0, 0, 0, {})
        baseline = self._known.baseline
        is_first = name == baseline
        first = self._arms.get(baseline)
        metrics = [
            self._metric(metric, sums, _of(first, metric), is_first=is_first)
            for metric, sums in arm.metrics.items()
            if sums.units or metric in ("error_rate", "cost_usd", "latency_ms", "first_token_ms")
        ]
        liked = self._preferences.get(name)
        if liked is not None:
            versus = of_zero(liked, self._alpha)
            metrics.insert(0, Metric(PREFERENCE, liked.mean, versus, self._needed(versus)))
        for check, by_variant in self._checks.items():
            sums = by_variant.get(name, Sums())
            base = by_variant.get(baseline, Sums())
            metrics.append(self._metric(f"{CHECK}{check}", sums, base, is_first=is_first))
        return VariantResult(
            name,
            share,
            is_shadow,
            stopped,
            arm.units,
            arm.calls,
            arm.unpriced,
            arm.outside,
            arm.judged,
            arm.unscored,
            metrics,
            self._remarks.get(name, []),
        )

    def _metric(self, name: str, sums: Sums, first: Sums, *, is_first: bool) -> Metric:
        versus = None if is_first else difference(first, sums, self._alpha)
        return Metric(name, sums.mean, versus, self._needed(versus))

    def _needed(self, versus: Interval | None) -> int | None:
        """Units of all variants, of which those that a figure is made of are a share that stays."""
        units = sum(arm.units for arm in self._arms.values())
        return units_to_decide(versus, units) if versus is not None else None


def _of(arm: Arm | None, metric: str) -> Sums:
    return arm.metrics[metric] if arm is not None else Sums()
