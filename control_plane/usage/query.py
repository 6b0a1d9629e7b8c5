"""Reports: money, tokens, calls, errors and latency, grouped.

`calls` counts requests (their final attempts), `attempts` counts records, `errors` counts requests whose
client got a status of 400 or more or an incomplete answer. Latency is the request's, as the client saw it.
Windows over a day are summed from hourly roll-ups, with the hours at both edges from the records, so
the sums stay exact; percentiles then come from histograms. Grouping by user or metadata needs the records.
Where records are gone the roll-ups are all there is: the window is then widened to whole hours.
A report of several pages is of one moment: later pages leave out what came in after the first, so that a
group whose cost grows meanwhile keeps its place. (What was being committed just then may still be counted.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.usage import sql
from control_plane.usage.histogram import percentile
from control_plane.usage.model import UsageRow

ROLLED = ("tenant", "key", "route", "model", "provider", "task", "region", "purpose")
TIMES = ("hour", "day")
MAX_GROUPING = 8
MAX_WINDOW = timedelta(days=3_660)
RECORDS_UP_TO = timedelta(days=1)
HOUR = timedelta(hours=1)
_METADATA = re.compile(r"metadata\.(.{1,256})", re.DOTALL)

_SUMMED = (
    "calls",
    "attempts",
    "errors",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_picousd",
    "unpriced_attempts",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended."""

    # By the database's clock: the moment that the first page is of.
    as_of: datetime
    # Less than any cost is what has none.
    below_picousd: int
    below_attempts: int
    group: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    by: Sequence[str]
    start: datetime
    end: datetime
    # None: all.
    tenant: str | None
    limit: int
    # Older records may be gone; the first moment of a day.
    kept_from: datetime
    after: Place | None = None


def ask(session: Session, question: Question) -> tuple[list[UsageRow], Place | None]:
    """A page, and where it ended if there is more. Raises InvalidField, QueryTooLong."""
    _check(question)
    can_be_rolled = all(name in ROLLED or name in TIMES for name in question.by)
    if question.start < question.kept_from:
        if not can_be_rolled:
            kept = f"{question.kept_from:%Y-%m-%d}"
            raise InvalidField("from", f"is before {kept}; older usage is not known by user or metadata")
        question = _in_whole_hours(question)
    is_rolled = can_be_rolled and (
        question.start < question.kept_from or question.end - question.start > RECORDS_UP_TO
    )
    parameters: dict[str, Any] = {
        "start": question.start,
        "end": question.end,
        "tenant": question.tenant,
        "limit": question.limit + 1,
    }
    if (after := question.after) is not None:
        parameters |= {
            "as_of": after.as_of,
            "cost": str(after.below_picousd),
            "attempts": str(after.below_attempts),
        }
        parameters |= {f"group_{index}": name for index, name in enumerate(after.group)}
    for index, name in enumerate(question.by):
        if match := _METADATA.fullmatch(name):
            parameters[f"metadata_{index}"] = match.group(1)
    if is_rolled:
        first_hour = _hour_at_or_after(question.start)
        last_hour = max(first_hour, _hour_of(question.end))
        parameters |= {"first_hour": first_hour, "last_hour": last_hour}
        statement = _rolled(question)
    else:
        statement = _from_records(question)
    rows = session.connection().execute(text(statement), parameters).mappings().all()
    found = [_row(question, row) for row in rows[: question.limit]]
    if len(rows) <= question.limit:
        return found, None
    as_of = after.as_of if after is not None else session.connection().scalar(text("SELECT now()"))
    return found, _place(question, as_of, rows[question.limit - 1])


def _place(question: Question, as_of: datetime, row: Any) -> Place:
    group = tuple(row[f"g{index}"] or "" for index in range(len(question.by)))
    cost = -1 if row["cost_picousd"] is None else int(row["cost_picousd"])
    return Place(as_of, cost, int(row["attempts"]), group)


def _check(question: Question) -> None:
    if len(question.by) > MAX_GROUPING or len(set(question.by)) != len(question.by):
        raise InvalidField("by", f"at most {MAX_GROUPING} different names")
    for name in question.by:
        if name not in (*ROLLED, *TIMES, "user") and not _METADATA.fullmatch(name):
            known = ", ".join((*ROLLED[:2], "user", *ROLLED[2:], "day", "hour", "metadata.X"))
            raise InvalidField("by", f"unknown name {name[:64]!r}; known are {known}")
    if question.end <= question.start:
        raise InvalidField("to", "is not after `from`")
    if question.end - question.start > MAX_WINDOW:
        raise InvalidField("from", f"is more than {MAX_WINDOW.days} days before `to`")


def _in_whole_hours(question: Question) -> Question:
    """At those of its edges that lie where records are gone."""
    end = question.end
    if end < question.kept_from:
        end = _hour_at_or_after(end)
    return replace(question, start=_hour_of(question.start), end=end)


def _hour_of(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _hour_at_or_after(time: datetime) -> datetime:
    hour = _hour_of(time)
    return hour if hour == time else hour + HOUR


# By the names in usage.proto.
_PURPOSE = "(ARRAY['call', 'judge', 'shadow'])[purpose + 1]"


def _dimensions(question: Question, time: str) -> list[str]:
    """SQL for each grouping, as text, named g0, g1 …"""
    found = []
    for index, name in enumerate(question.by):
        if name == "purpose":
            expression = _PURPOSE
        elif name in ROLLED:
            expression = name
        elif name == "user":
            expression = "user_name"
        elif name == "hour":
            expression = f"to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:00:00\"Z\"')"
        elif name == "day":
            expression = f"to_char({time} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        else:
            expression = f"coalesce(metadata->>:metadata_{index}, '')"
        found.append(f"{expression} AS g{index}")
    return found


def _groups(question: Question) -> str:
    return ", ".join(f"g{index}" for index in range(len(question.by)))


def _page(question: Question, select: str) -> str:
    """Grouping, order and page: by time where time is grouped by, else by cost."""
    times = [index for index, name in enumerate(question.by) if name in TIMES]
    groups = [*times, *(index for index in range(len(question.by)) if index not in times)]
    names = [f"coalesce(g{index}, '')" for index in groups]
    places = [f":group_{index}" for index in groups]
    order = [*names[: len(times)], "-coalesce(cost_picousd, -1)", "-attempts", *names[len(times) :]]
    place = [*places[: len(times)], "-CAST(:cost AS numeric)", "-CAST(:attempts AS numeric)"]
    place += places[len(times) :]
    group = f"GROUP BY {_groups(question)}" if question.by else ""
    here = ""
    if question.after is not None:
        here = f"WHERE attempts > 0 AND ({', '.join(order)}) > ({', '.join(place)})"
    page = f"SELECT * FROM ({select} {group}) grouped {here}"  # noqa: S608 - names checked by _check
    return f"{page} ORDER BY {', '.join(order)} LIMIT :limit"


def _where(question: Question, window: str, when: str = "") -> str:
    return f"({window}){when}" + (" AND tenant = :tenant" if question.tenant is not None else "")


def _in_time(question: Question) -> str:
    return " AND ingested_at <= :as_of" if question.after is not None else ""


def _from_records(question: Question) -> str:
    columns = [*_dimensions(question, "time"), sql.SUMS]
    is_timed = sql.IS_TIMED
    columns += [
        f"percentile_cont(0.5) WITHIN GROUP (ORDER BY request_latency_ms) FILTER (WHERE {is_timed}) AS p50",
        f"percentile_cont(0.95) WITHIN GROUP (ORDER BY request_latency_ms) FILTER (WHERE {is_timed}) AS p95",
        f"percentile_cont(0.5) WITHIN GROUP (ORDER BY {sql.FIRST_TOKEN_MS}) "
        f"FILTER (WHERE {is_timed} AND first_token_ms IS NOT NULL) AS first_token_p50",
    ]
    where = _where(question, "time >= :start AND time < :end", _in_time(question))
    return _page(question, f"SELECT {', '.join(columns)} FROM usage_record WHERE {where}")  # noqa: S608


def _rolled(question: Question) -> str:
    edges = "time >= :start AND time < :first_hour OR time >= :last_hour AND time < :end"
    group = f"GROUP BY {_groups(question)}" if question.by else ""
    of_records = [
        *_dimensions(question, "time"),
        sql.SUMS,
        f"{sql.LATENCY_BUCKETS} AS latency_histogram",
        f"{sql.FIRST_TOKEN_BUCKETS} AS first_token_histogram",
    ]
    of_hours = [*_dimensions(question, "hour"), *_SUMMED, "latency_histogram", "first_token_histogram"]
    outside_groups = [f"g{index}" for index in range(len(question.by))]
    outside = list(outside_groups)
    outside += [f"sum({name}) AS {name}" for name in _SUMMED if name != "cost_picousd"]
    # What was taken off again makes no price of none.
    outside.append(
        "CASE WHEN sum(unpriced_attempts) < sum(attempts) THEN sum(cost_picousd) END AS cost_picousd"
    )
    outside += [f"hist_sum({name}) AS {name}" for name in ("latency_histogram", "first_token_histogram")]
    late = ""
    if question.after is not None:
        within = _where(question, "time >= :first_hour AND time < :last_hour", " AND ingested_at > :as_of")
        of_late = [*outside_groups, *(f"-{name}" for name in _SUMMED), "NULL", "NULL"]
        late = f"""
          UNION ALL
          SELECT {", ".join(of_late)} FROM (
            SELECT {", ".join([*_dimensions(question, "time"), sql.SUMS])} FROM usage_record
            WHERE {within} {group}
          ) late"""  # noqa: S608 - as below
    select = f"""
        WITH parts AS (
          SELECT {", ".join(of_hours)} FROM usage_hour
          WHERE {_where(question, "hour >= :first_hour AND hour < :last_hour")}
          UNION ALL
          SELECT {", ".join(of_records)} FROM usage_record
          WHERE {_where(question, edges, _in_time(question))} {group}
          {late}
        )
        SELECT {", ".join(outside)} FROM parts
    """  # noqa: S608 - names checked by _check
    return _page(question, select)


def _ms(value: float | None) -> float | None:
    """To a tenth: buckets and clocks are no finer."""
    return None if value is None else round(float(value), 1)


def _row(question: Question, row: Any) -> UsageRow:
    if "latency_histogram" in row:
        latency, first_token = row["latency_histogram"] or (), row["first_token_histogram"] or ()
        p50, p95 = percentile(latency, 0.5), percentile(latency, 0.95)
        first_p50 = percentile(first_token, 0.5)
    else:
        p50, p95, first_p50 = row["p50"], row["p95"], row["first_token_p50"]
    cost = row["cost_picousd"]
    return UsageRow(
        group=tuple(str(row[f"g{index}"]) for index in range(len(question.by))),
        calls=int(row["calls"] or 0),
        attempts=int(row["attempts"] or 0),
        errors=int(row["errors"] or 0),
        input_tokens=int(row["input_tokens"] or 0),
        cache_read_tokens=int(row["cache_read_tokens"] or 0),
        cache_write_tokens=int(row["cache_write_tokens"] or 0),
        output_tokens=int(row["output_tokens"] or 0),
        reasoning_tokens=int(row["reasoning_tokens"] or 0),
        cost_picousd=int(cost) if cost is not None else None,
        unpriced_attempts=int(row["unpriced_attempts"] or 0),
        p50_ms=_ms(p50),
        p95_ms=_ms(p95),
        first_token_p50_ms=_ms(first_p50),
    )
