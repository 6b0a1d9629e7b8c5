"""Headgate as a user runs it: `headgate up` with a manifest, an embedded PostgreSQL, everything on.

What is measured as "a call's cost" is the proxy process; the control plane and PostgreSQL, which work on
the usage records meanwhile, are counted beside it and shown in a row of their own. Only the public door is
used (the command, the manifest, the ready file), so this file does not change when the inside does.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tests.perf import accounting
from tests.perf.systems import (
    START_LIMIT_SECONDS,
    Absent,
    Child,
    Started,
    StartFailed,
    Target,
    end_process,
    first_good_answer,
    free_port,
)
from tests.perf.wire import INSTANT_MODEL

COMMAND_VARIABLE = "HEADGATE_BENCH_COMMAND"


def manifest(
    upstream_port: int, models: Sequence[str], keys: int, *, routed: bool = False
) -> dict[str, object]:
    """The manifest of the bench: for each public name a route with a fallback chain over two priced models.

    The upstream reads what it shall do from the model name, so the upstream's name equals the route's.
    `routed`: the chain is the innermost of three levels, and the cheapest of what stands beside it.
    """
    routes: list[dict[str, object]] = []
    declared: list[dict[str, object]] = []
    price = {"input": 0.15, "output": 0.60, "cache_read": 0.075}
    dear = {"input": 1.5, "output": 6.0}
    for name in models:
        chain = [f"first-{name}", f"second-{name}"]
        policy: dict[str, object] = {"fallback": chain}
        prices = dict.fromkeys(chain, price)
        if routed:
            routes.append({"name": f"inner-{name}", "policy": policy})
            third, fourth = f"third-{name}", f"fourth-{name}"
            prices |= {third: dear, fourth: dear}
            policy = {"fallback": [{"cheapest": {"of": [third, {"route": f"inner-{name}"}]}}, fourth]}
        for model, its_price in prices.items():
            declared.append({"name": model, "provider": "bench", "upstream_model": name, "price": its_price})
        routes.append({"name": name, "policy": policy, "retry": {"attempts": 2}})
    provider = {
        "name": "bench",
        "kind": "openai-compatible",
        "base_url": f"http://127.0.0.1:{upstream_port}/v1",
        "private_network": True,
        "keys": ["sk-bench-0000000000000000"],
    }
    return {
        "providers": [provider],
        "models": declared,
        "routes": routes,
        # Hashes of secrets that nobody has: a key weighs the same whether or not it is ever used.
        "keys": [
            {
                "name": f"bench-{number:06d}",
                "sha256": hashlib.sha256(f"hg-bench-{number}".encode()).hexdigest(),
            }
            for number in range(keys)
        ],
    }


class Headgate:
    """One `headgate up`. The state folder outlives `stop`, so that a second `start` is a restart."""

    def __init__(
        self,
        upstream_port: int,
        folder: Path,
        models: Sequence[str],
        keys: int = 0,
        *,
        translated: bool = False,
        routed: bool = False,
    ) -> None:
        # Asked in Anthropic's dialect, with the same upstream: every call is translated.
        self._translated = translated
        self._command = _command()
        # A stand-in is for trying the harness out; its figures must not pass for ours.
        self.is_stand_in = COMMAND_VARIABLE in os.environ
        self.name = "stand-in" if self.is_stand_in else "Headgate"
        if translated:
            self.name += ", Messages to chat"
        if routed:
            self.name += ", policy of three levels"
        self._folder = folder
        self._state = folder / "state"
        self._manifest = folder / "manifest.json"
        self._ready_file = folder / "ready.json"
        self._log = folder / "headgate.log"
        folder.mkdir(parents=True, exist_ok=True)
        document = manifest(upstream_port, [INSTANT_MODEL, *models], keys, routed=routed)
        self._manifest.write_text(json.dumps(document))  # JSON is YAML
        # A known port, so that a restart can be asked before its ready file is there.
        self._port = free_port()
        self._api_key = ""
        self._child: Child | None = None
        self.admin_token = ""
        self.grpc = ""
        self.ops = ""

    def start(self) -> Started:
        """Moments: `up_ready` (the ready file); on a restart also `proxy_ready`, from its birth on."""
        self._ready_file.unlink(missing_ok=True)
        self._child = child = Child(self._argv(), self._log)
        try:
            restart = bool(self._api_key)
            answered = first_good_answer(child, self.target()) if restart else 0.0
            ready = self._wait_ready(child)
            answered = answered or first_good_answer(child, self.target())
            moments = {"up_ready": ready - child.started}
            proxies = self._proxy_roots()
            born = accounting.started_at(proxies[0]) if proxies else None
            if restart and born is not None:
                moments["proxy_ready"] = answered - born
        except BaseException:
            self.stop()
            raise
        return Started(answered - child.started, moments)

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        postmasters = list(self._postmasters())
        child.stop()
        for pid in postmasters:
            # PostgreSQL daemonises, so a `headgate up` that died without its clean-up leaves it behind.
            end_process(pid)

    def target(self) -> Target:
        return Target("127.0.0.1", self._port, {"authorization": f"Bearer {self._api_key}"}, self._translated)

    def measured_pids(self) -> list[int]:
        """The proxy: its supervisor and workers."""
        return [pid for root in self._proxy_roots() for pid in accounting.tree(root)]

    def control_plane_pids(self) -> list[int]:
        return [pid for root in self._modules("control_plane") for pid in accounting.tree(root)]

    def postgres_pids(self) -> list[int]:
        return [pid for root in self._postmasters() for pid in accounting.tree(root)]

    def beside_pids(self) -> list[int]:
        """Everything else that `up` started: its own process, the control plane, PostgreSQL."""
        if self._child is None:
            return []
        measured = set(self.measured_pids())
        return sorted({*accounting.tree(self._child.pid), *self.postgres_pids()} - measured)

    def _argv(self) -> list[str]:
        any_port = "127.0.0.1:0"
        return [
            *self._command,
            "up",
            *("-f", str(self._manifest)),
            *("--state", str(self._state)),
            *("--http", f"127.0.0.1:{self._port}"),
            *("--grpc", any_port),
            *("--ops", any_port),
            *("--ready-file", str(self._ready_file)),
        ]

    def _wait_ready(self, child: Child) -> float:
        deadline = child.started + START_LIMIT_SECONDS
        while time.monotonic() < deadline and not child.ended():
            if self._ready_file.exists():
                moment = time.monotonic()
                ready = json.loads(self._ready_file.read_text())
                self._api_key, self.admin_token = ready["api_key"], ready["admin_token"]
                self.grpc, self.ops = ready["grpc"], ready["ops"]
                return moment
            time.sleep(0.002)
        raise StartFailed(f"headgate up wrote no ready file\n{child.log_tail()}")

    def _modules(self, module: str) -> list[int]:
        """The outermost processes below `up` that run `python -m module`."""
        if self._child is None:
            return []
        found: list[int] = []
        inside: set[int] = set()
        for pid in accounting.tree(self._child.pid):
            words = accounting.command_line(pid)
            if pid not in inside and ("-m", module) in pairwise(words):
                found.append(pid)
                inside.update(accounting.tree(pid))
        return found

    def _proxy_roots(self) -> list[int]:
        return self._modules("proxy")

    def _postmasters(self) -> Iterator[int]:
        for file in self._state.glob("**/postmaster.pid"):
            first_line = file.read_text().partition("\n")[0].strip()
            if first_line.isdigit() and "postgres" in " ".join(accounting.command_line(int(first_line))):
                yield int(first_line)


def _command() -> list[str]:
    named = os.environ.get(COMMAND_VARIABLE)
    if named:
        return named.split()
    program = Path(sys.executable).with_name("headgate")
    if not program.exists():
        raise Absent(f"{program} is not there (pip install -e ., or {COMMAND_VARIABLE}='python -m …')")
    return [str(program)]
