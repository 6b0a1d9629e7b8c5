"""Closed-loop load over keep-alive connections: wrk where it is installed, a generator of our own elsewhere.

wrk costs a tenth of what a Python client would, so that on two cores the measured system gets what it
needs. Both count only complete responses; anything but a 200 is an error and fails the measure.
"""

import asyncio
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httptools
import uvloop

from tests.perf import wire
from tests.perf.systems import Target

CONNECTIONS = 16

# Requests are the same each time, so wrk formats them once; `done` prints what this module reads.
_SCRIPT = """\
wrk.method = "POST"
wrk.path = %(path)s
wrk.body = %(body)s
%(headers)s
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('BENCH {"requests":%%d,"micros":%%d,"errors":%%d}\\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class LoadFailed(Exception):
    """The load met errors; figures of such a run would say nothing."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    requests: int
    seconds: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


def run_load(
    target: Target,
    seconds: int,
    scratch: Path,
    connections: int = CONNECTIONS,
    model: str = wire.INSTANT_MODEL,
) -> LoadResult:
    """`seconds` of as much load as `connections` connections carry."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return uvloop.run(_own_load(target, seconds, connections, model))
    script = scratch / f"load-{target.port}.lua"
    script.write_text(_lua(target, model))
    argv = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script)]
    finished = subprocess.run(
        [*argv, f"http://{target.host}:{target.port}"], capture_output=True, text=True, timeout=seconds + 30
    )
    for line in finished.stdout.splitlines():
        if line.startswith("BENCH "):
            counted = json.loads(line.removeprefix("BENCH "))
            if counted["errors"] or not counted["requests"]:
                raise LoadFailed(
                    f"{counted['errors']} errors in {counted['requests']} requests\n{finished.stdout}"
                )
            return LoadResult(int(counted["requests"]), counted["micros"] / 1e6)
    raise LoadFailed(f"wrk ended with {finished.returncode}: {finished.stderr[-500:]}")


def _lua(target: Target, model: str) -> str:
    headers = {"content-type": "application/json", **target.headers}
    return _SCRIPT % {
        "path": _lua_string(target.path),
        "body": _lua_string(target.body(model).decode()),
        "headers": "\n".join(
            f"wrk.headers[ {_lua_string(k)} ] = {_lua_string(v)}" for k, v in headers.items()
        ),
    }


def _lua_string(text: str) -> str:
    # The level of the brackets is one that no JSON text contains.
    return f"[==[{text}]==]"


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it was answered."""

    def __init__(self, request: bytes) -> None:
        self.answered = 0
        self.errors = 0
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, not isinstance: uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            self.errors += 1
        self.answered += 1
        if self._transport is not None:
            self._transport.write(self._request)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self.errors += 1

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


async def _own_load(target: Target, seconds: int, connections: int, model: str) -> LoadResult:
    loop = asyncio.get_running_loop()
    request = target.request(model)
    begin = time.monotonic()
    clients: list[_Client] = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(request), target.host, target.port)
        clients.append(client)
    await asyncio.sleep(seconds)
    for client in clients:
        client.close()
    result = LoadResult(sum(client.answered for client in clients), time.monotonic() - begin)
    errors = sum(client.errors for client in clients)
    if errors or not result.requests:
        raise LoadFailed(f"{errors} errors in {result.requests} requests")
    return result
