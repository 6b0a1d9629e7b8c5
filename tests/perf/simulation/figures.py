"""Of a policy's answers, the figures that are compared. Percentiles are over calls that were answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headgate.rules.money import PICO_PER_USD
from tests.perf.simulation.answers import Answer


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds and USD; first tokens are those of streams; shares are of all calls."""

    name: str
    kind: str
    calls: int
    usd_per_thousand: float
    first_p50: float
    first_p95: float
    total_p50: float
    total_p95: float
    failed: float
    attempts: float
    quality: float
    too_bad: float


def figures(name: str, kind: str, answers: Sequence[Answer]) -> Figures:
    good = [answer for answer in answers if not answer.failed]
    firsts = sorted(answer.first_seconds for answer in good if answer.call.stream)
    totals = sorted(answer.seconds for answer in good)
    calls = len(answers)
    picousd = sum(answer.picousd for answer in answers)
    return Figures(
        name=name,
        kind=kind,
        calls=calls,
        usd_per_thousand=picousd / PICO_PER_USD / max(calls, 1) * 1000,
        first_p50=at_rank(firsts, 0.5),
        first_p95=at_rank(firsts, 0.95),
        total_p50=at_rank(totals, 0.5),
        total_p95=at_rank(totals, 0.95),
        failed=(calls - len(good)) / max(calls, 1),
        attempts=sum(len(answer.billed) for answer in answers) / max(calls, 1),
        quality=sum(answer.quality for answer in good) / max(len(good), 1),
        too_bad=sum(answer.too_bad for answer in answers) / max(calls, 1),
    )


def at_rank(ordered: Sequence[float], share: float) -> float:
    """Nearest rank; NaN of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
