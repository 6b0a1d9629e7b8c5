"""A scripted LLM provider on real loopback sockets, in a thread of the test or in a process of its own.

Speaks the OpenAI dialect under any path prefix and says the same thing every time, unless a test scripts
something else (`provider.behaviour`, `provider.presets`). What it did is in its ledger. As a process
(`python -m tests.support.fake_provider --port 0 --ready-file F --ledger FILE`) it outlives kills of all else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.loop_thread import LoopThread
from tests.support.provider.behaviour import Behaviour, Cut, Cuts, ErrorEvent, Usage, to_json
from tests.support.provider.ledger import Attempt, Ledger, attempt_from_json, read_ledger
from tests.support.provider.script import ANY, Script
from tests.support.provider.server import ProviderServer

__all__ = [
    "ANY",
    "Attempt",
    "Behaviour",
    "Cut",
    "Cuts",
    "ErrorEvent",
    "FakeProvider",
    "RemoteProvider",
    "Usage",
    "read_ledger",
]

PARENT_CHECK_SECONDS = 0.5


class FakeProvider:
    """A provider in this process; a context manager. Attributes may be used from any thread."""

    def __init__(self, ledger_file: Path | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self.ledger = Ledger(ledger_file)
        self._script = Script()
        self._server = ProviderServer(self.ledger, self._script)
        self._loop = LoopThread("fake-provider")
        self._host = host
        self.port = port

    def __enter__(self) -> FakeProvider:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Without a path; `base_url` is what a provider resource gets."""
        return f"http://{self._host}:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    def start(self) -> FakeProvider:
        self._loop.start()
        self.port = self._loop.run(self._server.start(self._host, self.port))
        return self

    def stop(self) -> None:
        self._loop.run(self._server.stop())
        self._loop.stop()
        self.ledger.close()

    # Scripting.

    def script(self, model: str, *behaviours: Behaviour, key: str = ANY) -> None:
        """The next answers for that model (and provider key), one each; then the standing order again."""
        self._script.push(model, key, behaviours)

    def always(self, model: str, *behaviours: Behaviour, key: str = ANY) -> None:
        """The answer for that model whenever its queue is empty; several take turns."""
        self._script.stand(model, key, behaviours)

    def reject_keys(self, *keys: str) -> None:
        """These provider keys get 401; a further call replaces the set."""
        self._script.reject_keys(keys)

    def reset(self) -> None:
        """Forget scripts, rejected keys and the ledger in memory."""
        self._script.clear()
        self.ledger.clear()

    # Faults of the whole provider.

    def drop_connections(self) -> None:
        self._loop.run(self._server.drop_connections())

    def stop_listening(self) -> None:
        """New connections are refused from now on."""
        self._loop.run(self._server.stop_listening())

    # What happened.

    def attempts(self) -> list[Attempt]:
        return self.ledger.attempts()

    def counts(self) -> dict[str, int]:
        """attempts, connections_opened, open_connections, incomplete_requests, stale_closes, scripted."""
        return self._server.counts()

    def wait_received(self, count: int, timeout_seconds: float = 5.0) -> list[Attempt]:
        """The attempts, once at least `count` have come in."""
        return self.ledger.wait(lambda attempts: len(attempts) >= count, timeout_seconds)

    def wait_done(self, count: int, timeout_seconds: float = 5.0) -> list[Attempt]:
        """The attempts, once at least `count` have come in and none is still being answered."""

        def enough(attempts: list[Attempt]) -> bool:
            return len(attempts) >= count and all(attempt.finished_at_seconds for attempt in attempts)

        return self.ledger.wait(enough, timeout_seconds)


class RemoteProvider:
    """The same verbs for a provider in another process, over its control paths."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base_url = f"{url}/v1"

    def script(self, model: str, *behaviours: Behaviour, key: str = ANY) -> None:
        document = {
            "model": model,
            "key": key,
            "behaviours": [to_json(behaviour) for behaviour in behaviours],
        }
        self._call("/_script", document)

    def always(self, model: str, *behaviours: Behaviour, key: str = ANY) -> None:
        orders = [to_json(behaviour) for behaviour in behaviours]
        self._call("/_script", {"model": model, "key": key, "always": True, "behaviours": orders})

    def reject_keys(self, *keys: str) -> None:
        self._call("/_reject_keys", {"keys": keys})

    def reset(self) -> None:
        self._call("/_reset", {})

    def attempts(self) -> list[Attempt]:
        return [attempt_from_json(document) for document in self._call("/_ledger")["attempts"]]

    def counts(self) -> dict[str, int]:
        return dict(self._call("/_counts"))

    def _call(self, path: str, document: dict[str, Any] | None = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        # An empty proxy handler: HTTP_PROXY of the machine must not come between.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.url + path, data), timeout=30) as answer:
            return json.load(answer)


def write_ready_file(path: Path, document: dict[str, Any]) -> None:
    """Whole or not there: a reader never sees half of it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(document))
    os.replace(temporary, path)


async def _serve(arguments: argparse.Namespace, ledger: Ledger) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    server = ProviderServer(ledger, Script())
    port = await server.start(arguments.host, arguments.port)
    url = f"http://{arguments.host}:{port}"
    ready = {"url": url, "base_url": f"{url}/v1", "port": port, "pid": os.getpid()}
    if arguments.ready_file is not None:
        write_ready_file(arguments.ready_file, ready)
    print(json.dumps(ready), flush=True)
    parent = os.getppid()
    orphaned: Callable[[], bool] = lambda: arguments.exit_with_parent and os.getppid() != parent  # noqa: E731
    while not stopped.is_set() and not orphaned():
        try:
            await asyncio.wait_for(stopped.wait(), PARENT_CHECK_SECONDS)
        except TimeoutError:
            continue
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="The scripted fake provider as a process.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--ledger", type=Path)
    parser.add_argument("--exit-with-parent", action="store_true", help="end when the starter is gone")
    arguments = parser.parse_args()
    ledger = Ledger(arguments.ledger)
    try:
        asyncio.run(_serve(arguments, ledger))
    finally:
        ledger.close()


if __name__ == "__main__":
    main()
