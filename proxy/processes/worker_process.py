"""A worker as a process of its own: `python -m proxy.processes.worker_process FD`.

Started by the supervisor only, with one end of a socket pair. Ends when the other end is gone: nobody
would ship its records, and the next supervisor adopts its spool.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import orjson
import uvloop

from headgate.v1 import config_pb2
from proxy.config.compile import ConfigRefused
from proxy.config.holder import ConfigHolder
from proxy.http.server import open_socket
from proxy.logs import Log
from proxy.main import settle_memory
from proxy.processes.link import Link, LinkLost, Operation
from proxy.settings import Settings, from_json
from proxy.worker import Worker


class WorkerProcess:
    def __init__(self) -> None:
        self._holder = ConfigHolder()
        self._worker: Worker | None = None
        self._settings: Settings | None = None
        self._link: Link | None = None
        self._started = asyncio.Event()
        self._listening = asyncio.Lock()
        self._told_ready = False
        self._draining = asyncio.Event()

    async def run(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: None)  # the supervisor says when
        self._link = await Link.over(socket.socket(fileno=descriptor), self._handle)
        async with asyncio.TaskGroup() as tasks:
            link = tasks.create_task(self._link.run())
            link.add_done_callback(self._link_lost)
            await self._started.wait()
            worker, settings = self._worker, self._settings
            if worker is not None and settings is not None:
                keeping = tasks.create_task(worker.run())
                await self._draining.wait()
                await worker.drain(settings.drain_seconds)
                keeping.cancel()
                worker.close()
            link.cancel()

    def _link_lost(self, _: asyncio.Task[None]) -> None:
        self._draining.set()
        self._started.set()

    async def _handle(self, operation: Operation, payload: bytes) -> bytes:
        if operation == Operation.SETTINGS:
            await self._start(*orjson.loads(payload))
        elif operation == Operation.CONFIG:
            await self._apply(payload)
        elif operation == Operation.DUMP and self._worker is not None:
            return orjson.dumps(self._worker.metrics.dump())
        elif operation == Operation.RECEIPT and self._worker is not None:
            wanted = orjson.loads(payload)
            receipt = self._worker.receipts.get(bytes.fromhex(wanted["id"]), wanted["tenant"], wanted["key"])
            return orjson.dumps(receipt) if receipt is not None else b""
        elif operation == Operation.STANDINGS and self._worker is not None:
            self._worker.standing.adopt(config_pb2.Standings.FromString(payload))
            return self._worker.standing.told().SerializeToString()
        elif operation == Operation.REGION and self._worker is not None:
            self._worker.learn(config_pb2.WatchResponse.FromString(payload))
        elif operation == Operation.CONTACT:
            self._holder.lost_at = orjson.loads(payload)
        elif operation == Operation.DRAIN:
            self._draining.set()
        return b""

    async def _start(self, settings: dict[str, Any], folder: str, configured: bool) -> None:
        self._settings = from_json(settings)
        self._holder = ConfigHolder(self._settings.secrets_dir)  # its config comes after this
        log = Log(calls=self._settings.log_calls)
        worker = Worker(self._settings, self._holder, Path(folder), log)
        worker.find_receipt = self._find_receipt
        self._worker = worker
        self._started.set()
        if not configured:
            # Nor is any other worker: a client is told to come back (503), not that nobody is here.
            await self._listen()
        await self._answer_when_configured()

    async def _apply(self, payload: bytes) -> None:
        try:
            self._holder.receive(config_pb2.ConfigUpdate.FromString(payload))
        except ConfigRefused as refused:
            # The supervisor compiled it before; a worker that cannot starts afresh with the whole.
            sys.stderr.write(f'{{"event":"worker_refused_config","reason":"{refused.reason}"}}\n')
            sys.exit(1)
        await self._answer_when_configured()

    async def _answer_when_configured(self) -> None:
        if self._worker is None or self._link is None or self._holder.snapshot is None or self._told_ready:
            return
        self._told_ready = True
        await self._listen()
        await self._link.tell(Operation.READY)

    async def _listen(self) -> None:
        async with self._listening:
            worker, settings = self._worker, self._settings
            if worker is not None and settings is not None and not worker.listening:
                await worker.listen(open_socket(settings.http, shared=True))

    async def _find_receipt(self, request_id: bytes, tenant: str, key: str) -> dict[str, Any] | None:
        """Here, or by the supervisor in another worker."""
        if self._worker is None or self._link is None:
            return None
        own = self._worker.receipts.get(request_id, tenant, key)
        if own is not None:
            return own
        wanted = orjson.dumps({"id": request_id.hex(), "tenant": tenant, "key": key})
        try:
            answer = await self._link.ask(Operation.RECEIPT, wanted)
        except (LinkLost, TimeoutError):
            return None
        found: dict[str, Any] | None = orjson.loads(answer) if answer else None
        return found


async def _run(descriptor: int) -> None:
    await WorkerProcess().run(descriptor)


if __name__ == "__main__":
    settle_memory()
    uvloop.run(_run(int(sys.argv[1])))
