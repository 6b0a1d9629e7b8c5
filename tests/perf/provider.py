"""The upstream process as the bench sees it: started, asked what it served, and ended.

Its counts are the cross-check of every figure: requests that the load counted and the upstream did not see
were answered from somewhere else; requests that it saw twice were retried.
"""

import http.client
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.perf.systems import Child, StartFailed

_START_LIMIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Counts:
    requests: int
    streams: int
    chunks: int
    late_chunks: int


class Provider:
    """`python -m tests.perf.upstream` (or another `module` like it) on a free port."""

    def __init__(self, scratch: Path, module: str = "tests.perf.upstream") -> None:
        ready_file = scratch / "upstream.json"
        argv = [sys.executable, "-m", module, "--ready-file", str(ready_file)]
        self._child = Child(argv, scratch / "upstream.log")
        while not ready_file.exists():
            if self._child.ended() or time.monotonic() > self._child.started + _START_LIMIT_SECONDS:
                self._child.stop()
                raise StartFailed(f"the upstream did not start\n{self._child.log_tail()}")
            time.sleep(0.01)
        self.port = int(json.loads(ready_file.read_text())["port"])

    def counts(self) -> Counts:
        return Counts(**self.asked("/stats"))

    def asked(self, path: str) -> dict[str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            found: dict[str, int] = json.loads(connection.getresponse().read())
            return found
        finally:
            connection.close()

    def stop(self) -> None:
        self._child.stop()
