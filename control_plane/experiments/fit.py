"""How good each model is at each task, by what was judged: with bounds, and old evidence fading.

Quality is absolute: of answers judged by themselves, against a named rubric, and of checks. Comparisons
of two answers rank them and say nothing here, nor do answers to a request that a variant had changed.
Under several rubrics the one counts by which the model is worst. Found anew every minute; what changed
goes to proxies as state of the model, so that it survives what config survives.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from control_plane.db import locks
from control_plane.db.database import Database, allow_seconds
from control_plane.errors import DatabaseAway, QueryTooLong
from control_plane.experiments.statistics import width
from control_plane.resources.model import Ref
from control_plane.resources.store import ResourceStore
from control_plane.revisions.service import Revisions
from control_plane.usage.histogram import percentile
from headgate.rules.names import SHARED_TENANT
from headgate.v1 import config_pb2

log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
# What is so old counts half.
HALF_LIFE = timedelta(days=30)
WINDOW = timedelta(days=120)
# That the quality is ever below its lower bound; of each bound.
ALPHA = 0.05
# Of units, weighted by their age. Fewer are no evidence yet.
MIN_UNITS = 30.0
SUCCESS = 0.7
# Smaller moves are not worth a revision.
MATERIAL = 0.01
ACTOR = "headgate"
# A round that takes long is made seldom: a twentieth of one connection's time at most.
REST = 20.0
MAX_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Fit:
    """Of one model at one task under one rubric. `task` "": calls that name none."""

    tenant: str
    model: str
    task: str
    rubric: str
    quality: float
    lower: float
    upper: float
    # By age: 100 units that are a half-life old count as 50.
    units: float
    answers: int
    # What an attempt costs, over the share of answers that were good enough.
    cost_per_success_usd: float | None
    # Half of the calls took no longer.
    latency_ms: float | None

    @property
    def is_evidence(self) -> bool:
        return self.units >= MIN_UNITS


def fits(
    session: Session, now: datetime, tenant: str | None, task: str | None = None, *, by_owner: bool = False
) -> list[Fit]:
    """Of all models of a tenant (None: of all), ordered by task, model and rubric.

    By the tenant whose calls were judged; `by_owner`: by the tenant that declares the model, so that the
    evidence of all who share one is summed up.
    """
    parameters = {
        "now": now,
        "start": now - WINDOW,
        "half_life": HALF_LIFE.total_seconds(),
        "tenant": tenant,
        "task": task,
        "success": SUCCESS,
        "by_owner": by_owner,
        "shared": SHARED_TENANT,
    }
    rows = session.connection().execute(text(_FITS), parameters)
    return [_fit(*row) for row in rows]


def _fit(
    tenant: str,
    model: str,
    task: str,
    rubric: str,
    answers: int,
    n: float,
    y: float,
    nn: float,
    yy: float,
    ny: float,
    cost_per_success: float | None,
    latency: list[int] | None,
) -> Fit:
    # Two answers that nobody gave, one of each kind: a hundred perfect ones do not prove perfection.
    n, y, nn, yy, ny = n + 2, y + 1, nn + 2, yy + 1, ny + 1
    mean = y / n
    units = n * n / nn
    variance = max(0.0, yy - 2 * mean * ny + mean * mean * nn) / (n * n) * units
    half = math.sqrt(variance) * width(max(1, int(units)), ALPHA)
    return Fit(
        tenant,
        model,
        task,
        rubric,
        quality=mean,
        lower=max(0.0, mean - half),
        upper=min(1.0, mean + half),
        units=max(0.0, units - 2),
        answers=int(answers),
        cost_per_success_usd=cost_per_success,
        latency_ms=percentile(latency, 0.5) if latency else None,
    )


def fit_messages(detail: Mapping[str, Any]) -> Iterator[config_pb2.TaskFit]:
    """Of a model's stored state."""
    for task, found in sorted(detail.get("fit", {}).items()):
        yield config_pb2.TaskFit(
            task=task, quality=found["quality"], lower=found["lower"], upper=found["upper"]
        )


class TaskFit:
    def __init__(self, database: Database, revisions: Revisions, now: Callable[[], datetime]) -> None:
        self._database = database
        self._revisions = revisions
        self._now = now

    async def run(self) -> None:
        """Runs until cancelled."""
        pause = EVERY_SECONDS
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                await self._database.run(self.learn)
            except (DatabaseAway, QueryTooLong):
                continue
            pause = max(EVERY_SECONDS, REST * (time.monotonic() - began))

    def learn(self, session: Session) -> None:
        """One round, unless another replica is at it: writes what has changed by enough to matter."""
        if not locks.taken(session, locks.TASK_FIT):
            return
        allow_seconds(session, MAX_SECONDS)
        now = self._now()
        resources = ResourceStore(session)
        models = resources.names_of_kinds(("model",))
        found: dict[Ref, dict[str, dict[str, Any]]] = defaultdict(dict)
        for one in fits(session, now, None, by_owner=True):
            ref = Ref("model", one.tenant, one.model)
            if ref not in models or not one.is_evidence:
                continue  # the model is gone, or too little is known of it
            before = found[ref].get(one.task)
            if before is None or one.lower < before["lower"]:
                found[ref][one.task] = _stored(one)
        states = resources.get_states(sorted(models))
        stored = {ref: state.detail.get("fit", {}) for ref, state in states.items()}
        # Also what is stored and no longer found: all evidence of a model has left the window.
        changed = {
            ref: found.get(ref, {})
            for ref in set(found) | set(stored)
            if _differs(stored.get(ref, {}), found.get(ref, {}))
        }
        if not changed:
            return
        change = self._revisions.begin(session, ACTOR, "task fit", now)
        for ref, fit in sorted(changed.items()):
            before = states[ref].detail if ref in states else {}
            detail = {**before, "fit": fit}
            resources.set_detail(ref, detail, ACTOR, now)
            change.record("model", ref.tenant, ref.name, "judged", before, detail)
        change.finish()
        log.info("task fit", extra={"data": {"models": len(changed)}})


def _stored(fit: Fit) -> dict[str, Any]:
    return {
        "quality": round(fit.quality, 4),
        "lower": round(fit.lower, 4),
        "upper": round(fit.upper, 4),
        "units": round(fit.units),
        "rubric": fit.rubric,
    }


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    if before.keys() != after.keys():
        return True
    return any(
        abs(before[task][bound] - after[task][bound]) > MATERIAL
        for task in after
        for bound in ("lower", "upper")
    )


_FITS = """
WITH said AS (
  SELECT DISTINCT ON (request_id, source, name)
    tenant, model, task, unit, request_id, source, rubric, value, time
  FROM score_record
  WHERE time >= :start AND source IN (1, 2) AND versus = '' AND NOT changed AND model <> ''
    AND (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
    AND (CAST(:task AS text) IS NULL OR task = :task)
  ORDER BY request_id, source, name, ingested_at DESC, id DESC
), answers AS (
  SELECT tenant, model, task, unit, max(rubric) AS rubric,
    coalesce(avg(value) FILTER (WHERE source = 1), 1) * coalesce(min(value) FILTER (WHERE source = 2), 1)
      AS quality,
    power(0.5, extract(epoch FROM :now - min(time)) / :half_life)::float8 AS weight
  FROM said GROUP BY tenant, model, task, unit, request_id
  -- Where a judge or a check said nothing, the others are not all that was asked for.
  HAVING bool_and(value IS NOT NULL)
), units AS (
  SELECT tenant, model, task, rubric, unit, count(*) AS answers, sum(weight) AS n,
    sum(weight * quality) AS y, sum(weight) FILTER (WHERE quality >= :success) AS successes
  FROM answers GROUP BY tenant, model, task, rubric, unit
), owners AS (
  SELECT seen.tenant, seen.model,
    CASE WHEN :by_owner THEN coalesce(own.tenant, :shared) ELSE seen.tenant END AS owner
  FROM (SELECT DISTINCT tenant, model FROM units) AS seen
  LEFT JOIN resource AS own ON own.kind = 'model' AND own.tenant = seen.tenant AND own.name = seen.model
), found AS (
  -- A unit of one tenant and one of the same name of another are two.
  SELECT owner, model, task, rubric, sum(answers) AS answers, sum(n) AS n, sum(y) AS y, sum(n * n) AS nn,
    sum(y * y) AS yy, sum(n * y) AS ny, coalesce(sum(successes), 0) AS successes
  FROM units JOIN owners USING (tenant, model) GROUP BY owner, model, task, rubric
), costs AS (
  SELECT owner, model, task, sum(cost_picousd)::float8 / 1e12 / nullif(sum(attempts), 0) AS cost,
    hist_sum(latency_histogram) AS latency
  FROM usage_hour JOIN owners USING (tenant, model)
  WHERE hour >= :start AND purpose IN (0, 2) GROUP BY owner, model, task
)
SELECT owner, model, task, rubric, answers, n, y, nn, yy, ny, cost * n / nullif(successes, 0), latency
FROM found LEFT JOIN costs USING (owner, model, task) ORDER BY task, model, rubric
"""
