"""The resolver of a hostile name: any Python with this folder in PYTHONPATH imports it at its start.

`ABUSE_NAMES` is a JSON file of name → list of answers, each a list of addresses; the n-th look-up gets the
n-th answer, and the last one stays. Names that are not in it are resolved as ever.
"""

from __future__ import annotations

import json
import os
import socket
from collections import Counter
from pathlib import Path
from typing import Any

FILE = os.environ.get("ABUSE_NAMES")


def take_over(file: Path) -> None:
    import uvloop

    as_ever = uvloop.Loop.getaddrinfo
    asked: Counter[str] = Counter()

    async def getaddrinfo(self: Any, host: str, port: int, **options: Any) -> list[Any]:
        answers = json.loads(file.read_text()).get(host)
        if answers is None:
            return list(await as_ever(self, host, port, **options))
        addresses = answers[min(asked[host], len(answers) - 1)]
        asked[host] += 1
        options["flags"] = socket.AI_NUMERICHOST
        return [info for one in addresses for info in await as_ever(self, one, port, **options)]

    setattr(uvloop.Loop, "getaddrinfo", getaddrinfo)  # noqa: B010 - a method, to mypy


if FILE:
    take_over(Path(FILE))
