"""How often each attack is repeated: a small part in `make test`, all of it in `make test-abuse`.

`HEADGATE_ABUSE=full` chooses; then bounds in time are asserted too.
"""

from __future__ import annotations

import os

FULL = os.environ.get("HEADGATE_ABUSE", "") == "full"


def times(reduced: int, full: int) -> int:
    return full if FULL else reduced
