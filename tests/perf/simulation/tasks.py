"""What the simulated applications ask for: kinds of calls, how long they are, what they need.

Lengths are lognormal: a median in tokens and the sigma of its logarithm. What real traffic looks like differs
from house to house; these four differ as such things do: one word, long input, a conversation, a long answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """`share`: of all calls. `floor`: a model of less quality for this task is not good enough."""

    name: str
    share: float
    input_median: float
    input_sigma: float
    output_median: float
    output_sigma: float
    floor: float
    stream_share: float
    tools_share: float
    vision_share: float
    # Mean number of calls that share a growing prompt; 1: each stands alone.
    turns: float = 1.0
    # Mean time between two of them.
    pause_seconds: float = 0.0


TASKS = (
    Task("classify", 0.40, 600, 0.7, 4, 0.5, 0.50, 0.0, 0.0, 0.05),
    Task("summarise", 0.15, 6_000, 0.8, 350, 0.5, 0.65, 0.5, 0.0, 0.0),
    Task("chat", 0.30, 900, 0.7, 220, 0.7, 0.70, 1.0, 0.15, 0.08, turns=5, pause_seconds=60),
    Task("code", 0.15, 3_500, 0.8, 900, 0.7, 0.80, 0.8, 0.60, 0.0, turns=4, pause_seconds=40),
)
NAMES = tuple(task.name for task in TASKS)
