"""The supervisor's side of several workers: starts them, feeds them config, asks them, buries them.

A worker that dies is replaced; its spool is adopted at once, so that the attempts it had under way
become records with outcome `unknown`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from headgate.policy.standing import merged
from headgate.v1 import config_pb2
from proxy.config.holder import ConfigHolder
from proxy.logs import Log
from proxy.processes.link import Link, LinkLost, Operation
from proxy.settings import Settings, to_json
from proxy.usage.shipper import Shipper

# Between the death of a worker and its replacement.
RESTART_SECONDS = 0.2
# For a worker to apply a config; 10,000 keys compile in well under a second.
CONFIG_SECONDS = 30.0


class _Member:
    """One worker process."""

    __slots__ = ("folder", "link", "process", "ready", "told")

    def __init__(self, process: asyncio.subprocess.Process, link: Link, folder: Path) -> None:
        self.process = process
        self.link = link
        self.folder = folder
        self.ready = False
        # What it has learned, as it said last.
        self.told = config_pb2.Standings()


class WorkerPool:
    def __init__(
        self, settings: Settings, sock: socket.socket, holder: ConfigHolder, shipper: Shipper, log: Log
    ) -> None:
        self._settings = settings
        # Bound and never listening: it keeps the port ours while workers come and go.
        self._sock = sock
        self._holder = holder
        self._shipper = shipper
        self._log = log
        self._members: list[_Member] = []
        self._stopping = False

    @property
    def alive(self) -> int:
        return sum(member.ready for member in self._members)

    @property
    def ready(self) -> bool:
        return self.alive >= self._settings.workers

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._settings.workers):
                tasks.create_task(self._keep_one())

    async def _keep_one(self) -> None:
        while not self._stopping:
            member = await self._start()
            try:
                await member.link.run()
                code = await member.process.wait()
            finally:
                if member in self._members:
                    self._members.remove(member)
                if member.process.returncode is None:
                    member.process.kill()
            self._shipper.add(member.folder, writer_alive=False)
            if not self._stopping:
                self._log.event("worker_died", pid=member.process.pid, code=code)
                await asyncio.sleep(RESTART_SECONDS)

    async def _start(self) -> _Member:
        ours, theirs = socket.socketpair()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "proxy.processes.worker_process",
            str(theirs.fileno()),
            pass_fds=(theirs.fileno(),),
            stdin=asyncio.subprocess.DEVNULL,
        )
        theirs.close()
        folder = self._settings.state / "spool" / f"{process.pid}-{time.time_ns()}"
        member: _Member

        async def handle(operation: Operation, payload: bytes) -> bytes:
            if operation == Operation.READY:
                member.ready = True
            elif operation == Operation.RECEIPT:
                return await self._find_receipt(payload, member)
            return b""

        member = _Member(process, await Link.over(ours, handle), folder)
        host, port = self._sock.getsockname()[:2]
        settings = to_json(self._settings, http=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        self._shipper.add(folder, writer_alive=True)
        try:
            configured = self._holder.snapshot is not None
            await member.link.tell(Operation.SETTINGS, orjson.dumps([settings, str(folder), configured]))
            told = None
            while (snapshot := self._holder.snapshot) is not told:  # it may change while we tell it
                told = snapshot
                for update in self._holder.whole():
                    await member.link.tell(Operation.CONFIG, update.SerializeToString())
        except LinkLost:
            pass  # it is dead already; whoever reads its link learns that
        self._members.append(member)
        return member

    async def send_config(self, messages: list[config_pb2.ConfigUpdate]) -> None:
        """Gives an update to all workers; returns when all that live have applied it."""
        payloads = [message.SerializeToString() for message in messages]

        async def give(member: _Member) -> None:
            try:
                for payload in payloads:
                    await member.link.ask(Operation.CONFIG, payload, seconds=CONFIG_SECONDS)
            except LinkLost:
                return  # its successor begins with the whole config
            except TimeoutError:
                self._log.event("worker_hangs", pid=member.process.pid)
                member.process.kill()

        await asyncio.gather(*(give(member) for member in [*self._members]))

    async def _find_receipt(self, payload: bytes, asker: _Member | None) -> bytes:
        for member in [*self._members]:
            if member is not asker:
                try:
                    answer = await member.link.ask(Operation.RECEIPT, payload)
                except (LinkLost, TimeoutError):
                    continue
                if answer:
                    return answer
        return b""

    async def dumps(self) -> list[dict[str, Any]]:
        """The counters of all workers that answer."""
        found = []
        for member in [*self._members]:
            try:
                found.append(orjson.loads(await member.link.ask(Operation.DUMP)))
            except (LinkLost, TimeoutError):
                continue
        return found

    async def share_standings(self) -> config_pb2.Standings:
        """Tells each worker what the others have learned; gives back what all have."""

        async def ask(member: _Member) -> None:
            others = merged(one.told for one in self._members if one is not member)
            try:
                answer = await member.link.ask(Operation.STANDINGS, others.SerializeToString())
                member.told = config_pb2.Standings.FromString(answer)
            except (LinkLost, TimeoutError):
                return

        members = [member for member in self._members if member.ready]
        await asyncio.gather(*map(ask, members))
        return merged(member.told for member in members)

    async def tell_contact(self, lost_at: float | None) -> None:
        """Since when the control plane has not been heard; the clock is one for all processes."""
        payload = orjson.dumps(lost_at)
        for member in [*self._members]:
            try:
                await member.link.tell(Operation.CONTACT, payload)
            except LinkLost:
                continue

    async def tell_region(self, told: config_pb2.WatchResponse) -> None:
        """What other proxies have measured and spent."""
        payload = told.SerializeToString()
        for member in [*self._members]:
            try:
                await member.link.tell(Operation.REGION, payload)
            except LinkLost:
                continue

    async def drain(self, seconds: float) -> None:
        """Asks all to finish, waits, and ends those that do not."""
        self._stopping = True
        members = [*self._members]
        for member in members:
            try:
                await member.link.tell(Operation.DRAIN)
            except LinkLost:
                continue
        waits = [asyncio.create_task(member.process.wait()) for member in members]
        if waits:
            _, late = await asyncio.wait(waits, timeout=seconds + 2.0)
            if late:
                self._log.event("drain_cut_calls_short", workers=len(late))
            for member in members:
                if member.process.returncode is None:
                    member.process.kill()
                    await member.process.wait()
