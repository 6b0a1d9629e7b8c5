"""The calls of an experiment and what was said of their answers, summed up by variant over its units.

A call counts for the variant that it was assigned to, whoever answered it in the end (intention to
treat); calls that were assigned by themselves, because they did not say their unit, do not count. A
shadow's calls are the copies that it got. Nothing is written here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION
from sqlmodel import Session

from control_plane.experiments.statistics import Sums
from control_plane.usage.sql import FIRST_TOKEN_MS, HAS_ENDED, IS_ERROR
from headgate.policy.experiments import METADATA
from headgate.rules.names import SHARED_TENANT

COST_PER_SUCCESS = "cost_per_success"
# Per call; what is null in a call is not observed.
_PER_CALL = ("quality", "error_rate", "cost_usd", "latency_ms", "first_token_ms", "feedback")
METRICS = (*_PER_CALL, COST_PER_SUCCESS)
_UNITS = {"session": "session", "user": "user_name", "key": "key", "request": "request_id::text"}


@dataclass(frozen=True, slots=True)
class Question:
    tenant: str
    experiment: str
    # As the experiment has it.
    unit: str
    start: datetime
    end: datetime
    shadows: Sequence[str] = ()
    first: str = ""
    # Answers are judged by models, each by itself.
    by_models: bool = False
    # By anybody at all: else a success is a call without an error.
    judged: bool = False
    # The quality of a success.
    success: float = 0.7
    # Stakes against a guardrail's error rate, and that rate.
    bets: Sequence[float] = ()
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Arm:
    """What was seen of one variant."""

    variant: str
    units: int
    calls: int
    # Calls of which nobody knows the price; not in the cost.
    unpriced: int
    # Calls that something outside of the variant answered, or tried to.
    outside: int
    # Answers that were to be judged, and of which the judge said nothing usable.
    judged: int
    unscored: int
    metrics: dict[str, Sums]
    # How the bets against its error rate stand.
    log_wealths: list[float] = field(default_factory=list)


def arms(session: Session, question: Question) -> list[Arm]:
    rows = _run(session, _ARMS, question)
    found = []
    for variant, units, calls, unpriced, outside, judged, unscored, wealths, *sums in rows:
        metrics = {
            name: _sums(sums[at : at + 6]) for at, name in zip(range(0, len(sums), 6), METRICS, strict=True)
        }
        counts = (int(units), int(calls), int(unpriced), int(outside), int(judged), int(unscored))
        found.append(Arm(variant, *counts, metrics, [float(one) for one in wealths or ()]))
    return found


def preferences(session: Session, question: Question) -> dict[str, Sums]:
    """By variant: how much better than the first one its answers were found, from -1 to 1."""
    return {variant: _sums(sums) for variant, *sums in _run(session, _PREFERENCES, question)}


def checks(session: Session, question: Question) -> dict[str, dict[str, Sums]]:
    """By name and variant: the share of answers that passed."""
    found: dict[str, dict[str, Sums]] = defaultdict(dict)
    for name, variant, *sums in _run(session, _CHECKS, question):
        found[name][variant] = _sums(sums)
    return dict(found)


def remarks(session: Session, question: Question) -> dict[str, list[tuple[int, int]]]:
    """By variant: (remark, how often a judge made it), the most frequent first."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for variant, remark, count in _run(session, _REMARKS, question):
        found[variant].append((int(remark), int(count)))
    return dict(found)


def agreement(session: Session, question: Question) -> float | None:
    """Krippendorff's alpha of the judges, for numbers: 1 they say the same, 0 as chance would."""
    row = _run(session, _AGREEMENT, question)[0]
    within, overall = row
    return None if within is None or not overall else 1 - float(within) / float(overall)


def exported(session: Session, question: Question, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Call by call, in the order of request ids; those after one."""
    rows = _run(session, _EXPORT, question, after=after or UUID(int=0), limit=limit)
    return [dict(row._mapping) for row in rows]


def _run(session: Session, statement: str, question: Question, **more: Any) -> list[Any]:
    unit = question.unit
    parameters = {
        "tenant": question.tenant,
        "experiment": question.experiment,
        "start": question.start,
        "end": question.end,
        "field": unit.removeprefix(METADATA),
        "shadows": list(question.shadows),
        "first": question.first,
        "by_models": question.by_models,
        "judged": question.judged,
        "success": question.success,
        "bets": list(question.bets),
        "limit_rate": question.limit,
        **more,
    }
    by = "metadata ->> :field" if unit.startswith(METADATA) else _UNITS[unit]
    if question.tenant == SHARED_TENANT:
        by = f"tenant || '/' || {by}"
    made = text(statement.replace("{unit}", by))
    names = {name for name in parameters if f":{name}" in made.text}
    typed = [bindparam("shadows", type_=ARRAY(Text)), bindparam("bets", type_=ARRAY(DOUBLE_PRECISION))]
    made = made.bindparams(*(one for one in typed if one.key in names))
    return list(session.connection().execute(made, {name: parameters[name] for name in names}))


def _sums(row: Sequence[Any]) -> Sums:
    return Sums(int(row[0] or 0), *(float(value or 0) for value in row[1:6]))


def _per_unit(name: str) -> str:
    return f"count({name})::float8 AS {name}_n, coalesce(sum({name}), 0)::float8 AS {name}_y"


def _per_variant(n: str, y: str, seen: str = "") -> str:
    """The six numbers of a Sums. `seen`: which units count."""
    seen = seen or f"{n} > 0"
    return (
        f"count(*) FILTER (WHERE {seen}), sum({n}), sum({y}), sum({n} * {n}), sum({y} * {y}), sum({n} * {y})"
    )


# Of one answer by one judge, the last word counts. A tenant can say something of its own calls alone.
_SAID = """
said AS (
  SELECT DISTINCT ON (tenant, request_id, source, name, versus)
    tenant, request_id, source, name, versus, value, unscored, remark
  FROM score_record WHERE (tenant = :tenant OR :tenant = '*') AND time >= :start AND time < :end
  ORDER BY tenant, request_id, source, name, versus, ingested_at DESC, id DESC
)"""
# Of a shared experiment, the calls of all tenants together.
_OF_EXPERIMENT = """
  (tenant = :tenant OR :tenant = '*') AND time >= :start AND time < :end AND experiment = :experiment
  AND NOT variant_by_request"""
_CALLS = f"""
calls AS (
  SELECT tenant, variant, {{unit}} AS unit, request_id,
    max(CASE WHEN {IS_ERROR} THEN 1 ELSE 0 END) AS error_rate,
    CASE WHEN bool_and(cost_picousd IS NOT NULL) THEN sum(cost_picousd)::float8 / 1e12 END AS cost_usd,
    max(request_latency_ms) FILTER (WHERE {HAS_ENDED}) AS latency_ms,
    max({FIRST_TOKEN_MS}) FILTER (WHERE final) AS first_token_ms,
    bool_or(outside_variant) AS outside
  FROM usage_record
  WHERE {_OF_EXPERIMENT} AND purpose = CASE WHEN variant = ANY(:shadows) THEN 2 ELSE 0 END
  GROUP BY tenant, variant, {{unit}}, request_id
  HAVING bool_or(final)
), {_SAID}, scores AS (
  SELECT tenant, request_id,
    CASE WHEN :by_models
      THEN avg(value) FILTER (WHERE source = 1 AND versus = '')
        * coalesce(min(value) FILTER (WHERE source = 2), 1)
      ELSE min(value) FILTER (WHERE source = 2) END AS quality,
    avg(value) FILTER (WHERE source = 3) AS feedback,
    bool_or(source = 1 AND unscored = 1) AS unanswered,
    bool_or(source IN (1, 2)) AS judged,
    bool_or(source = 1 AND unscored > 1) AS unscored
  FROM said GROUP BY tenant, request_id
), seen AS (
  SELECT calls.*, quality, feedback, coalesce(judged, false) AS judged, coalesce(unscored, false) AS unscored,
    CASE WHEN NOT :judged THEN 1 - error_rate
      WHEN unanswered THEN 0
      WHEN quality IS NOT NULL THEN CASE WHEN quality >= :success THEN 1 ELSE 0 END END AS success
  FROM calls LEFT JOIN scores USING (tenant, request_id)
)"""  # noqa: S608 - constants
_ARMS = f"""
WITH {_CALLS}, units AS (
  SELECT variant, unit, count(*) AS calls, count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced,
    count(*) FILTER (WHERE outside) AS outside, count(*) FILTER (WHERE judged) AS judged,
    count(*) FILTER (WHERE unscored) AS unscored, count(success) AS tried,
    coalesce(sum(success), 0)::float8 AS successes,
    coalesce(sum(cost_usd) FILTER (WHERE success IS NOT NULL), 0) AS spent,
    {", ".join(map(_per_unit, _PER_CALL))}
  FROM seen GROUP BY variant, unit
)
SELECT variant, count(*), sum(calls)::bigint, sum(unpriced)::bigint, sum(outside)::bigint,
  sum(judged)::bigint, sum(unscored)::bigint,
  (SELECT array_agg(wealth ORDER BY stake) FROM (
    SELECT stake, sum(ln(1 + stake * (own.error_rate_y / own.error_rate_n - :limit_rate))) AS wealth
    FROM unnest(:bets) AS stake, units AS own WHERE own.variant = units.variant GROUP BY stake) AS bets),
  {", ".join(_per_variant(f"{name}_n", f"{name}_y") for name in _PER_CALL)},
  {_per_variant("successes", "spent", "tried > 0")}
FROM units GROUP BY variant ORDER BY variant
"""  # noqa: S608 - constants
_COMPARED = f"""
who AS (
  SELECT DISTINCT tenant, request_id, variant, {{unit}} AS unit FROM usage_record
  WHERE {_OF_EXPERIMENT} AND purpose IN (0, 2)
), {_SAID}"""  # noqa: S608 - constants
_PREFERENCES = f"""
WITH {_COMPARED}, calls AS (
  SELECT variant, unit, request_id, avg(2 * value - 1) AS liked
  FROM said JOIN who USING (tenant, request_id)
  WHERE source = 1 AND versus = :first AND variant <> :first AND value IS NOT NULL
  GROUP BY variant, unit, request_id
), units AS (SELECT variant, unit, {_per_unit("liked")} FROM calls GROUP BY variant, unit)
SELECT variant, {_per_variant("liked_n", "liked_y")} FROM units GROUP BY variant
"""  # noqa: S608 - constants
_CHECKS = f"""
WITH {_COMPARED}, units AS (
  SELECT name, variant, unit, {_per_unit("value")}
  FROM said JOIN who USING (tenant, request_id) WHERE source = 2 AND value IS NOT NULL
  GROUP BY name, variant, unit
)
SELECT name, variant, {_per_variant("value_n", "value_y")} FROM units GROUP BY name, variant ORDER BY name
"""  # noqa: S608 - constants
_REMARKS = f"""
WITH {_COMPARED}
SELECT variant, remark, count(*) FROM said JOIN who USING (tenant, request_id)
WHERE source = 1 AND remark <> 0 GROUP BY variant, remark ORDER BY variant, count(*) DESC, remark
"""  # noqa: S608 - constants
_AGREEMENT = f"""
WITH {_COMPARED}, several AS (
  SELECT request_id, versus, var_samp(value) AS within, array_agg(value) AS values
  FROM said JOIN who USING (tenant, request_id) WHERE source = 1 AND value IS NOT NULL
  GROUP BY request_id, versus HAVING count(*) > 1
)
SELECT avg(within), (SELECT var_samp(value) FROM several, unnest(values) AS value) FROM several
"""  # noqa: S608 - constants
_EXPORT = f"""
WITH {_CALLS}
SELECT request_id, variant, unit, error_rate, cost_usd, latency_ms, first_token_ms, outside, quality,
  feedback, success
FROM seen WHERE request_id > :after ORDER BY request_id LIMIT :limit
"""  # noqa: S608 - constants
