"""How often each fault is repeated: a seeded tenth or less in `make test`, all of it in `make test-faults`.

`HEADGATE_FAULTS=full` chooses; then bounds in time are asserted too. The seed is printed with every failure.
"""

from __future__ import annotations

import os
import random

FULL = os.environ.get("HEADGATE_FAULTS", "") == "full"
SEED = int(os.environ.get("HEADGATE_FAULTS_SEED", "20260"))


def times(reduced: int, full: int) -> int:
    return full if FULL else reduced


def points(purpose: str) -> random.Random:
    """Where and when faults strike; the same for the same seed. Printed, and shown by pytest on failure."""
    print(f"{purpose}: HEADGATE_FAULTS_SEED={SEED}")
    return random.Random(f"{purpose} {SEED}")
