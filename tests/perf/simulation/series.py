"""How slow one region's calls were over the day: p95 by half hour, for the plot."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tests.perf.simulation.answers import Answer
from tests.perf.simulation.figures import at_rank
from tests.perf.simulation.market import REGIONS
from tests.perf.simulation.traffic import DAY_SECONDS

STEP_SECONDS = 1_800
SHOWN_REGION = REGIONS.index("eu")
Series = tuple[float, ...]


def series(answers: Sequence[Answer]) -> Series:
    """Seconds until the first token of streams in SHOWN_REGION; NaN where there were none."""
    steps: list[list[float]] = [[] for _ in range(DAY_SECONDS // STEP_SECONDS)]
    for answer in answers:
        call = answer.call
        if call.region == SHOWN_REGION and call.stream and not answer.failed:
            steps[int(call.at) // STEP_SECONDS].append(answer.first_seconds)
    return tuple(at_rank(sorted(step), 0.95) if step else math.nan for step in steps)
