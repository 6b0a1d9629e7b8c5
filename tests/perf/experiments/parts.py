"""What a part of the page is made of: tables, and promises that are kept or missed."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# What a worker process does; results come back in the order of jobs.
Job = Callable[[], Any]
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run follows from. `runs`: simulated experiments of each kind; `hashed`: units to assign."""

    seed: int = 1
    runs: int = 1_000
    hashed: int = 1_000_000

    def chance(self, what: str) -> random.Random:
        """Of its own for each kind of experiment, so that one more kind changes no other's figures."""
        return random.Random(f"{what} {self.seed}")


@dataclass(frozen=True, slots=True)
class Promise:
    text: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Table:
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    # Said above it.
    about: str = ""

    def text(self) -> str:
        lines = [_row(self.heads), _row(["---", *["---:"] * (len(self.heads) - 1)]), *map(_row, self.rows)]
        return "\n".join([self.about, "", *lines] if self.about else lines)


@dataclass(frozen=True, slots=True)
class Part:
    title: str
    tables: Sequence[Table]
    promises: Sequence[Promise]
    # Name → points or times for the plots.
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def text(self) -> str:
        promises = [f"- {'kept' if one.kept else '**missed**'}: {one.text}" for one in self.promises]
        return "\n\n".join(
            [f"## {self.title}", *(table.text() for table in self.tables), "\n".join(promises)]
        )


def timed(job: Job) -> tuple[Any, float]:
    """Its result, and the seconds of processor that it took. Here, because workers import it by name."""
    begun = time.process_time()
    return job(), time.process_time() - begun


def share_text(part: float, whole: float) -> str:
    """Per cent, with a digit more where it is small."""
    share = part / whole if whole else math.nan
    return f"{share:.2%}" if 0 < share < 0.01 else f"{share:.1%}"


def count_text(value: float) -> str:
    return "never" if value == NEVER else f"{value:,.0f}"


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank, with NEVER among the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def happened(values: Sequence[float], until: float = math.inf) -> int:
    """How many of the times are not NEVER, and not after `until`."""
    return sum(value != NEVER and value <= until for value in values)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
