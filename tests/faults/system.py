"""The system under fault: `headgate up` with two workers, a fake provider, and proxies started by hand.

`up` gives up after five deaths a minute, so faults that strike often strike proxies of our own, which
report to its control plane, directly or through a `FaultProxy`.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from tests.support.child_process import ChildProcess, kill_by_pid
from tests.support.ledgers import PRICE, Billed, Ledgers, embedded_url
from tests.support.load import CallSeen, Load
from tests.support.processes import Headgate, ProviderProcess, clean_environment, start_headgate
from tests.support.processes import start_fake_provider as start_provider
from tests.support.provider.behaviour import Behaviour
from tests.support.sockets import free_port

WORKER = "proxy.processes.worker_process"
# Answers at once, and over about 0.3 s: at every moment some calls are under way.
MODELS = ("quick", "slow")
SLOW = Behaviour(tokens_per_second=50, headers_delay_seconds=0.05)
# Rows of clients that only pretend to be proxies.
REPORTER = "reporter"


def manifest(base_url: str) -> dict[str, Any]:
    timeouts = {"connect": "1s", "first_token": "700ms", "idle": "700ms", "total": "3s"}
    patience = {"connect": "10s", "first_token": "10m", "idle": "10m", "total": "1h"}
    return {
        "providers": [
            {
                "name": "fake",
                "kind": "openai-compatible",
                "base_url": base_url,
                "private_network": True,
                "keys": ["sk-fake"],
            }
        ],
        "models": [
            {"name": name, "provider": "fake", "price": PRICE}
            for name in (*MODELS, "broken", "spare", "still")
        ],
        "routes": [
            {"name": "hurried", "policy": "broken", "timeouts": timeouts, "retry": {"attempts": 1}},
            {"name": "chain", "policy": {"fallback": ["broken", "spare"]}, "timeouts": timeouts},
            {"name": "patient", "policy": "still", "timeouts": patience},
        ],
    }


class System:
    """What all tests of one worker share; every test ends with `check`, over everything since the start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.provider_port = free_port()
        self.provider = start_provider(folder, port=self.provider_port)
        self.provider_as_usual()
        self.grpc_port = free_port()
        grpc = ("--grpc", f"127.0.0.1:{self.grpc_port}")
        self.headgate: Headgate = start_headgate(
            folder, manifest(self.provider.base_url), "--workers", "2", *grpc
        )
        self.billed = Billed(lambda: embedded_url(self.headgate.state))
        self.seen: list[CallSeen] = []

    def stop(self) -> None:
        self.headgate.stop()
        self.provider.stop()

    def provider_as_usual(self) -> None:
        self.provider.always("slow", SLOW)

    def restart_provider(self) -> ProviderProcess:
        """At its old address, with its old ledger file."""
        self.provider = start_provider(self.folder, port=self.provider_port)
        self.provider_as_usual()
        return self.provider

    @contextlib.contextmanager
    def load(
        self,
        calls_per_second: float = 100.0,
        base_url: str | None = None,
        models: tuple[str, ...] = MODELS,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[Load]:
        """Calls meanwhile; what their clients saw counts in every later `check`."""
        url = base_url or self.headgate.base_url
        with Load(url, self.headgate.api_key, models, calls_per_second, headers) as load:
            try:
                yield load
            finally:
                self.seen += load.stop()

    def ledgers(self, spool_state: Path | None = None, timeout_seconds: float = 30.0) -> Ledgers:
        return Ledgers.of(
            self.provider.recorded, self.billed, self.seen, spool_state, REPORTER, timeout_seconds
        )

    def check(self, spool_state: Path | None = None) -> Ledgers:
        """The three ledgers and the clients agree."""
        ledgers = self.ledgers(spool_state)
        ledgers.check()
        return ledgers

    @property
    def api_key(self) -> str:
        return self.headgate.api_key

    def proxy_token(self) -> str:
        return self.headgate.proxy_token()


class Home(Protocol):
    """Whose proxy it is: a control plane, real or played, with a key that may call the model `slow`."""

    folder: Path
    grpc_port: int

    @property
    def api_key(self) -> str: ...

    def proxy_token(self) -> str: ...


class OwnProxy:
    """`python -m proxy` on a state folder that outlives it; a context manager.

    `cold`: it is started and not waited for. `clock`: its wall clock is what this file says (`skewed.py`).
    `control_planes`: addresses, tried in turn. `join_token`: it joins by this one and has no other token.
    `through`: the program that runs it (`counted.py`, `hastened.py`). `arguments`: more, and the last counts.
    """

    def __init__(
        self,
        home: Home,
        name: str,
        control_plane_port: int | None = None,
        workers: int = 1,
        *,
        cold: bool = False,
        clock: Path | None = None,
        control_planes: Sequence[str] = (),
        join_token: str = "",
        through: Sequence[str] = (),
        arguments: Sequence[str] = (),
    ) -> None:
        self._home = home
        self._arguments = arguments
        self.name = name
        self._control_planes = control_planes or [f"127.0.0.1:{control_plane_port or home.grpc_port}"]
        self._join_token = join_token
        self._workers = workers
        self._program = [*through, "proxy"] if clock is None else ["tests.faults.skewed", str(clock), "proxy"]
        self.state = home.folder / name
        self.http_port, self.ops_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.http_port}/v1"
        self.ops = f"http://127.0.0.1:{self.ops_port}"
        self.ready_seconds = 0.0
        self._starts = 0
        self.process: ChildProcess = self.launch() if cold else self.start()

    def start(self) -> ChildProcess:
        began = time.monotonic()
        self.launch()
        self.process.wait_for_file(self._ready_file)
        self.ready_seconds = time.monotonic() - began
        self.wait_for_key()
        return self.process

    @property
    def _ready_file(self) -> Path:
        return self._home.folder / f"{self.name}.{self._starts}.json"

    @property
    def is_announced(self) -> bool:
        """Its ready file is there."""
        return self._ready_file.exists()

    def launch(self) -> ChildProcess:
        self._starts += 1
        command = [sys.executable, "-m", *self._program]
        command += ["--control-plane", *self._control_planes]
        command += [
            "--region",
            "local",
            "--name",
            self.name,
            "--workers",
            str(self._workers),
            "--no-call-log",
        ]
        command += ["--http", f"127.0.0.1:{self.http_port}", "--ops", f"127.0.0.1:{self.ops_port}"]
        command += ["--state", str(self.state), "--ready-file", str(self._ready_file)]
        command += ["--spool-size", "64MiB", *self._arguments]
        shown = {"HEADGATE_JOIN_TOKEN": self._join_token} if self._join_token else {}
        environment = clean_environment(**(shown or {"HEADGATE_TOKEN": self._home.proxy_token()}))
        self.process = ChildProcess(command, self._home.folder / f"{self.name}.log", environment)
        return self.process

    def wait_for_key(self) -> None:
        """Its first config may be the one before the manifest."""
        deadline = time.monotonic() + 10
        request = urllib.request.Request(
            f"{self.base_url}/models", headers={"authorization": f"Bearer {self._home.api_key}"}
        )
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
                if b'"slow"' in answer.read():
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not know the key:\n{self.process.log_tail()}")
            time.sleep(0.02)

    def __enter__(self) -> OwnProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL to the supervisor; with several workers these live on for a while."""
        self.process.kill()

    def kill_worker(self) -> int:
        pid = self.process.descendants_running(WORKER)[0]
        kill_by_pid(pid)
        return pid

    def terminate(self, timeout_seconds: float = 40.0) -> tuple[int, float]:
        """SIGTERM; its exit code, and the seconds that it took."""
        began = time.monotonic()
        self.process.signal(signal.SIGTERM)
        code = self.process.wait(timeout_seconds)
        return code, time.monotonic() - began


def wait_until(what: Callable[[], bool], timeout_seconds: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come about")
        time.sleep(0.01)


def call(base_url: str, key: str, model: str, stream: bool = False) -> tuple[int, bytes]:
    """One call from the test's own thread: status and body, also of errors."""
    try:
        with urllib.request.urlopen(request_for(base_url, key, model, stream), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@contextlib.contextmanager
def heard_done(base_url: str, key: str, model: str) -> Iterator[None]:
    """A streamed call whose client has read `[DONE]`, and hangs up only at the end of the block."""
    with urllib.request.urlopen(request_for(base_url, key, model, True), timeout=20) as answer:
        for line in answer:
            if line.strip() == b"data: [DONE]":
                break
        else:
            raise AssertionError("the stream ended without [DONE]")
        yield


def request_for(base_url: str, key: str, model: str, stream: bool) -> urllib.request.Request:
    document = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return urllib.request.Request(f"{base_url}/chat/completions", json.dumps(document).encode(), headers)


def get(url: str, key: str = "") -> tuple[int, bytes]:
    """Status and body; (0, b"") where nobody answers."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def metric(ops: str, name: str) -> float:
    """A metric without labels, as `/metrics` of a proxy or a control plane says it."""
    found = re.search(rf"^{name} (\S+)$", get(f"{ops}/metrics")[1].decode(), re.MULTILINE)
    if found is None:
        raise LookupError(f"no metric {name} at {ops}")
    return float(found[1])
