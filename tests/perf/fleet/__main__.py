"""`python -m tests.perf.fleet`: 10 to 1,000 proxies on one control plane replica with 10,000 keys.

The figures go to standard output, progress to standard error where that is a terminal, and with --write
table and plot into docs/scaling.md. Returns 1 if a promise was broken. Everything that is started here ends
with it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from headgate.v1 import admin_pb2, resources_pb2
from tests.perf import accounting
from tests.perf.fleet.proxies import Fleet
from tests.perf.routing.verdicts import Verdict, percentile, section, write
from tests.perf.simulation.drawing import Canvas, log_ticks
from tests.support.child_process import ChildProcess
from tests.support.processes import clean_environment

PAGE = Path(__file__).resolve().parents[3] / "docs" / "scaling.md"
TARGET = "bench-fleet"
KEYS = 10_000
SIZES = (10, 30, 100, 300, 1_000)
QUICK_SIZES = (10, 100)
CHANGES = 100
QUICK_CHANGES = 20
PROMISED = 100
PROMISED_P50, PROMISED_P99 = 0.1, 1.0
TIMEOUT_SECONDS = 300.0
MAX_MESSAGE_BYTES = 64 * 2**20

NOTES = (
    f"one real control plane process with its embedded PostgreSQL, {KEYS:,} keys; a change is a new key "
    "(`CreateKey`), one every 0.1 to 0.3 s; its time begins when the request is sent, the transaction "
    "included, and ends when the last proxy has sent its acknowledgement",
    "the proxies are connections and streams of their own in one process (two cores for all): they parse and "
    "acknowledge. A real proxy then takes a new key among 10,000 in some ms more",
    "connecting: all at once, with nothing cached, each is sent the whole snapshot",
    "CPU and memory are the control plane's alone, by /proc; memory is the highest of all readings",
)


@dataclass
class Measured:
    proxies: int
    connected_seconds: float
    snapshot_mb: float
    connect_cpu_seconds: float
    # Per change, of all proxies; and of the slowest one.
    each: list[float]
    last: list[float]
    cpu_ms_per_change: float
    rss_mb: float


class ControlPlane:
    """A real one with its keys; a context manager."""

    def __init__(self, folder: Path) -> None:
        environment = clean_environment(HEADGATE_KEK=base64.b64encode(os.urandom(32)).decode())
        command = [sys.executable, "-m", "control_plane", "--grpc", "127.0.0.1:0"]
        command += ["--embedded-postgres", str(folder / "postgres"), "--ready-file", str(folder / "ready")]
        self.process = ChildProcess(command, folder / "log", environment)
        self.address = str(self.process.wait_for_file(folder / "ready", 60)["grpc"])

    @property
    def pids(self) -> list[int]:
        return [self.process.pid]

    def __enter__(self) -> ControlPlane:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()


class Admin:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._metadata: tuple[tuple[str, str], ...] = ()

    async def call(self, method: str, request: Any, answer: Any) -> Any:
        stub: Any = self._channel.unary_unary(
            f"/headgate.v1.AdminService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        return await stub(request, metadata=self._metadata, timeout=120)

    async def furnish(self) -> tuple[str, int]:
        """Keys and what they open; the token of all proxies, and the revision with all of it."""
        first = await self.call(
            "BootstrapToken", admin_pb2.BootstrapTokenRequest(), admin_pb2.BootstrapTokenResponse
        )
        self._metadata = (("authorization", f"Bearer {first.minted.secret}"),)
        provider = resources_pb2.Provider(name="box", kind="sandbox")
        model = resources_pb2.Model(name="words", provider="box")
        resources = [resources_pb2.Resource(provider=provider), resources_pb2.Resource(model=model)]
        for number in range(KEYS):
            key = resources_pb2.Key(name=f"key-{number}", metadata={"team": f"team-{number % 50}"})
            key.allow.of.append("words")
            resources.append(resources_pb2.Resource(key=key))
        request = admin_pb2.ApplyResourcesRequest(resources=resources, source="bench")
        await self.call("ApplyResources", request, admin_pb2.ApplyResourcesResponse)
        token = admin_pb2.CreateTokenRequest(name="proxies", role="proxy")
        answer = await self.call("CreateToken", token, admin_pb2.CreateTokenResponse)
        return str(answer.minted.secret), await self.change("last-of-all")

    async def change(self, name: str) -> int:
        """One new key; the revision."""
        request = admin_pb2.CreateKeyRequest(key=resources_pb2.Key(name=name))
        return int((await self.call("CreateKey", request, admin_pb2.CreateKeyResponse)).revision)


async def measure(
    plane: ControlPlane, admin: Admin, token: str, revision: int, count: int, changes: int
) -> Measured:
    fleet = Fleet(plane.address, token, count)
    cpu = accounting.read_cpu(plane.pids)
    began = time.monotonic()
    await fleet.start()
    try:
        connected = max(await fleet.acks.all_of(count, revision, TIMEOUT_SECONDS)) - began
        connect_cpu = accounting.spent_us(cpu, accounting.read_cpu(plane.pids)) / 1e6
        snapshot_mb = fleet.bytes_received / count / 1e6
        rss = accounting.memory(plane.pids).rss_mb
        await asyncio.sleep(1.0)
        cpu = accounting.read_cpu(plane.pids)
        each: list[float] = []
        last: list[float] = []
        for number in range(changes):
            sent = time.monotonic()
            revision = await admin.change(f"fleet-{count}-{number}")
            times = [at - sent for at in await fleet.acks.all_of(count, revision, TIMEOUT_SECONDS)]
            each += times
            last.append(max(times))
            fleet.acks.at.clear()
            rss = max(rss, accounting.memory(plane.pids).rss_mb)
            await asyncio.sleep(random.uniform(0.1, 0.3))
        spent = accounting.spent_us(cpu, accounting.read_cpu(plane.pids)) / 1000 / changes
        return Measured(count, connected, snapshot_mb, connect_cpu, each, last, spent, rss)
    finally:
        await fleet.stop()


async def run(plane: ControlPlane, sizes: tuple[int, ...], changes: int) -> list[Measured]:
    options = [("grpc.max_send_message_length", MAX_MESSAGE_BYTES)]
    async with grpc.aio.insecure_channel(plane.address, options) as channel:
        admin = Admin(channel)
        progress(f"declaring {KEYS:,} keys")
        token, revision = await admin.furnish()
        found = []
        for count in sizes:
            progress(f"{count:,} proxies")
            found.append(await measure(plane, admin, token, revision, count, changes))
    return found


def verdicts(found: list[Measured]) -> list[Verdict]:
    lines = []
    for one in found:
        p50, p99 = percentile(one.each, 0.5), percentile(one.each, 0.99)
        promised = one.proxies == PROMISED
        lines.append(
            Verdict(
                f"{one.proxies:,} proxies: a change, until each has acknowledged it",
                f"p50 {p50 * 1000:.0f}, p99 {p99 * 1000:.0f} ms",
                "p50 ≤ 100 ms, p99 ≤ 1 s" if promised else "",
                p50 <= PROMISED_P50 and p99 <= PROMISED_P99 if promised else None,
            )
        )
        lines.append(
            Verdict(
                "· until all have",
                f"p50 {statistics.median(one.last) * 1000:.0f}, worst {max(one.last) * 1000:.0f} ms",
            )
        )
        lines.append(Verdict("· CPU of the control plane", f"{one.cpu_ms_per_change:.0f} ms a change"))
        lines.append(
            Verdict(
                f"· connecting, {one.snapshot_mb:.1f} MB each",
                f"{one.connected_seconds:.1f} s, {one.connect_cpu_seconds:.1f} s of CPU, "
                f"{one.rss_mb:.0f} MB RSS",
            )
        )
    return lines


def plot(found: list[Measured]) -> str:
    """What a change takes, by the number of proxies; both axes logarithmic."""
    canvas = Canvas(860, 420, f"A change of the config, {KEYS:,} keys, on one control plane replica")
    canvas.top = 80.0
    lines = {
        "p50 of the proxies, ms": [percentile(one.each, 0.5) * 1000 for one in found],
        "p99 of the proxies, ms": [percentile(one.each, 0.99) * 1000 for one in found],
        "CPU of the control plane, ms a change": [one.cpu_ms_per_change for one in found],
    }
    values = [value for line in lines.values() for value in line]
    x = _logarithmic(min(SIZES) / 1.2, max(SIZES) * 1.2, canvas.left, canvas.right)
    y = _logarithmic(min(values) / 1.25, max(values) * 1.25, canvas.bottom, canvas.top)
    for one in found:
        canvas.grid_x(x(one.proxies), f"{one.proxies:,}")
    for tick in log_ticks(min(values) / 1.25, max(values) * 1.25):
        canvas.grid_y(y(tick), f"{tick:g}")
    canvas.axes("proxies", "")
    for color, line in enumerate(lines.values()):
        points = [(x(one.proxies), y(value)) for one, value in zip(found, line, strict=True)]
        canvas.line(points, color)
        for point in points:
            canvas.dot(*point, color)
    canvas.legend([(name, color) for color, name in enumerate(lines)], 54)
    return canvas.svg()


def _logarithmic(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (end - start) * math.log(value / low) / math.log(high / low)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.fleet", description="Measure how a change reaches many proxies."
    )
    parser.add_argument("--quick", action="store_true", help="10 and 100 proxies, fewer changes")
    parser.add_argument("--write", action="store_true", help="write table and plot into docs/scaling.md")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sizes, changes = (QUICK_SIZES, QUICK_CHANGES) if arguments.quick else (SIZES, CHANGES)
    with tempfile.TemporaryDirectory(prefix="headgate-fleet-") as folder:
        os.chmod(folder, 0o755)  # as root, PostgreSQL is another user
        with ControlPlane(Path(folder)) as plane:
            found = asyncio.run(run(plane, sizes, changes))
    lines = verdicts(found)
    text = section(lines, NOTES)
    print(text)
    if arguments.write:
        write(text, PAGE, TARGET)
        (PAGE.parent / "images" / "scaling.svg").write_text(plot(found))
        progress(f"written to {PAGE}")
    return int(any(line.kept is False for line in lines))


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
