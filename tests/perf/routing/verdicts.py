"""Figures beside their promises: as a table on the terminal and between two markers of docs/routing.md.

A `Verdict` without a promise is for information and cannot fail. Nothing here measures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.perf.table import machine

ROUTING = "bench-routing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kept` None: nothing is promised of it."""

    what: str
    figure: str
    promise: str = ""
    kept: bool | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; NaN of nothing, which keeps no promise."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def milliseconds(values: Sequence[float], *, highest: bool = False) -> str:
    """p50 and p99 (and the maximum) of seconds."""
    p50, p99 = percentile(values, 0.5) * 1000, percentile(values, 0.99) * 1000
    end = f", max {max(values, default=math.nan) * 1000:.1f}" if highest else ""
    return f"p50 {p50:.1f}, p99 {p99:.1f}{end} ms"


def table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| measured | figure | promise | kept |", "| --- | --- | --- | --- |"]
    for verdict in verdicts:
        kept = "" if verdict.kept is None else "yes" if verdict.kept else "**no**"
        lines.append(f"| {verdict.what} | {verdict.figure} | {verdict.promise} | {kept} |")
    return "\n".join(lines)


def section(verdicts: Sequence[Verdict], assumed: Sequence[str], today: datetime | None = None) -> str:
    when = (today or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    notes = "\n".join(f"- {note}" for note in assumed)
    return f"Measured {when} on {machine()}.\n\n{table(verdicts)}\n\nAssumed:\n\n{notes}\n"


def write(text: str, page: Path, target: str = ROUTING) -> None:
    """Replaces what is between the markers of a make target; ValueError where there are none."""
    begins = f"<!-- {target}:begin (written by `make {target} ARGS=--write`; edit outside) -->"
    ends = f"<!-- {target}:end -->"
    whole = page.read_text()
    before, begin, rest = whole.partition(begins)
    _, end, after = rest.partition(ends)
    if not begin or not end:
        raise ValueError(f"{page} has no markers {begins} and {ends}")
    page.write_text(f"{before}{begins}\n\n{text}\n{ends}{after}")
