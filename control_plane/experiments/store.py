"""The calls of an experiment, summed up by variant over its units. Attempts are read, nothing is written.

A call counts for the variant that it was assigned to, whoever answered it in the end (intention to treat);
calls that were assigned by themselves, because they did not say their unit, do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from control_plane.experiments.statistics import Sums
from control_plane.usage.sql import FIRST_TOKEN_MS, IS_ERROR
from headgate.policy.experiments import METADATA

METRICS = ("error_rate", "cost_usd", "latency_ms", "first_token_ms")
_UNITS = {"session": "session", "user": "user_name", "key": "key", "request": "request_id::text"}


@dataclass(frozen=True, slots=True)
class Question:
    tenant: str
    experiment: str
    # As the experiment has it.
    unit: str
    start: datetime
    end: datetime


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
    metrics: dict[str, Sums]


def arms(session: Session, question: Question) -> list[Arm]:
    unit = question.unit
    parameters = {
        "tenant": question.tenant,
        "experiment": question.experiment,
        "start": question.start,
        "end": question.end,
        "field": unit.removeprefix(METADATA),
    }
    by = "metadata ->> :field" if unit.startswith(METADATA) else _UNITS[unit]
    rows = session.connection().execute(text(_STATEMENT.format(unit=by)), parameters)
    found = []
    for variant, units, calls, unpriced, outside, *sums in rows:
        metrics = {
            name: Sums(int(sums[at]), *(float(value or 0) for value in sums[at + 1 : at + 6]))
            for at, name in zip(range(0, len(sums), 6), METRICS, strict=True)
        }
        found.append(Arm(variant, units, calls, unpriced, outside, metrics))
    return found


def _per_unit(name: str) -> str:
    return f"count({name})::float8 AS {name}_n, coalesce(sum({name}), 0)::float8 AS {name}_y"


def _per_variant(name: str) -> str:
    n, y = f"{name}_n", f"{name}_y"
    return (
        f"count(*) FILTER (WHERE {n} > 0), sum({n}), sum({y}), sum({n} * {n}), sum({y} * {y}), sum({n} * {y})"
    )


_STATEMENT = f"""
WITH calls AS (
  SELECT variant, {{unit}} AS unit, request_id,
    max(CASE WHEN {IS_ERROR} THEN 1 ELSE 0 END) AS error_rate,
    CASE WHEN bool_and(cost_picousd IS NOT NULL) THEN sum(cost_picousd)::float8 / 1e12 END AS cost_usd,
    max(request_latency_ms) FILTER (WHERE final) AS latency_ms,
    max({FIRST_TOKEN_MS}) FILTER (WHERE final) AS first_token_ms,
    bool_or(outside_variant) AS outside
  FROM usage_record
  WHERE tenant = :tenant AND time >= :start AND time < :end AND experiment = :experiment
    AND NOT variant_by_request
  GROUP BY variant, {{unit}}, request_id
  HAVING bool_or(final)
), units AS (
  SELECT variant, unit, count(*) AS calls, count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced,
    count(*) FILTER (WHERE outside) AS outside, {", ".join(map(_per_unit, METRICS))}
  FROM calls GROUP BY variant, unit
)
SELECT variant, count(*), sum(calls)::bigint, sum(unpriced)::bigint, sum(outside)::bigint,
  {", ".join(map(_per_variant, METRICS))}
FROM units GROUP BY variant ORDER BY variant
"""  # noqa: S608 - constants
