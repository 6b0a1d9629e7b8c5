"""The system under measurement: one `headgate up` with a route per case, and the models as a process.

All cases go through the same proxy process, so that none is compared with another process's luck. Every
judge has a provider and a key of its own.
"""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.perf import accounting, pinning, wire
from tests.perf.judging import models
from tests.perf.paced import Ask
from tests.perf.provider import Provider
from tests.perf.systems import Target
from tests.support.processes import start_headgate

SAMPLE = 0.2
VARIANTS = ("first", "second")
# Every call its own unit: all of them are assigned, and can be judged.
UNIT = "request"
PLAIN, CHOSEN, SPLIT, AGAIN = "plain", "chosen", "split", "split-again"
POINTWISE, PAIRWISE, HANGING, FAILING = "pointwise", "pairwise", "hanging", "failing"
JUDGES: dict[str, dict[str, Any]] = {
    POINTWISE: {"model": models.GRADING},
    PAIRWISE: {"model": models.PREFERRING, "mode": "pairwise"},
    HANGING: {"model": models.HANGING},
    FAILING: {"model": models.FAILING},
}
CASES = (PLAIN, CHOSEN, SPLIT, AGAIN, *JUDGES)
_POLL_SECONDS = 0.2
_COUNTED = re.compile(
    r'headgate_background_total{outcome="(?P<outcome>\w+)",what="(?P<what>\w+)"} (?P<count>\S+)'
)


def manifest(upstream_url: str) -> dict[str, Any]:
    # The upstream reads from the name how long a stream is wanted.
    names = dict.fromkeys(VARIANTS, models.STREAMED.model)
    names |= {str(judge["model"]): str(judge["model"]) for judge in JUDGES.values()}
    variants = [{"name": name, "use": name} for name in VARIANTS]
    experiments: list[dict[str, Any]] = [
        {"name": name, "unit": UNIT, "variants": variants} for name in (SPLIT, AGAIN)
    ]
    for name, judge in JUDGES.items():
        asked = {**judge, "sample": SAMPLE}
        experiments.append({"name": name, "unit": UNIT, "variants": variants, "judge": asked})
    routes: list[dict[str, Any]] = [
        {"name": PLAIN, "policy": VARIANTS[0]},
        {"name": CHOSEN, "policy": {"weighted": [{"use": name, "weight": 1} for name in VARIANTS]}},
    ]
    routes += [{"name": one["name"], "policy": {"experiment": one["name"]}} for one in experiments]
    return {
        "providers": [
            {
                "name": name,
                "kind": "openai-compatible",
                "base_url": upstream_url,
                "private_network": True,
                "keys": [f"pk-{name}"],
            }
            for name in names
        ],
        "models": [
            {"name": name, "provider": name, "upstream_model": upstream, "price": {"input": 1, "output": 2}}
            for name, upstream in names.items()
        ],
        "experiments": experiments,
        "routes": routes,
    }


class World:
    """`close` ends everything."""

    def __init__(self, folder: Path) -> None:
        self.models = Provider(folder, "tests.perf.judging.models")
        try:
            self._headgate = start_headgate(folder, manifest(f"http://127.0.0.1:{self.models.port}/v1"))
        except BaseException:
            self.models.stop()
            raise
        parts = urlsplit(self._headgate.http)
        headers = {"authorization": f"Bearer {self._headgate.api_key}"}
        self.target = Target(parts.hostname or "", parts.port or 0, headers)
        self.pids = [pid for root in self._headgate.pids("proxy")[:1] for pid in accounting.tree(root)]
        if pinning.possible():
            pinning.leave_core_zero()
            beside = [*self._headgate.pids("control_plane"), *self._headgate.pids("postgres")]
            pinning.pin_system(self.pids, beside)

    def close(self) -> None:
        self._headgate.stop()
        self.models.stop()
        pinning.release()

    def asks(self, route: str, *, padding: int = 0) -> list[Ask]:
        """A whole answer and a stream. `padding`: by how many bytes the request is longer than usual."""
        asks = []
        for stream, end in ((False, b"}"), (True, b"data: [DONE]\n\n")):
            body = self.target.body(route, stream=stream)
            body = body.replace(b"Summarise", b"x" * padding + b"Summarise", 1)
            to = self.target
            asks.append(Ask(wire.post(to.path, to.host, to.port, body, to.headers), end))
        return asks

    def rss_mb(self) -> float:
        return accounting.memory(self.pids).rss_mb

    def background(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        with urllib.request.urlopen(f"{self._headgate.ops}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if counted := _COUNTED.match(line):
                    found[counted["what"], counted["outcome"]] = int(float(counted["count"]))
        return found

    def at_rest(self, seconds: float = 30.0) -> None:
        """Until no model is asked any more; TimeoutError if that does not come."""
        end = time.monotonic() + seconds
        before = -1
        while (now := self.models.counts().requests) != before:
            if time.monotonic() > end:
                raise TimeoutError("models are still being asked")
            before = now
            time.sleep(_POLL_SECONDS)

    def let_go(self) -> None:
        """Every judge that hangs answers, and those that wait for one of them, too."""
        self.models.asked("/let-go")
        self.at_rest()
        self.models.asked("/hold")
