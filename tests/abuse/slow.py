"""Clients that take their time: each opens a connection, sends a byte now and then, and waits for the end."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.abuse.target import NATIVE, VALID
from tests.integration.proxy.raw_client import request_bytes

GIVE_UP_SECONDS = 30.0
# So many at a time, so that the listener's backlog is not what is tested.
OPENED_AT_ONCE = 200

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\n"
CHUNKED = {"content-length": "", "transfer-encoding": "chunked"}
LONG = {"content-length": "60000"}


@dataclass(frozen=True, slots=True)
class Slow:
    """What is sent at once, and then piece by piece for ever; `tls`: to the listener that speaks it."""

    name: str
    first: bytes
    then: bytes
    tls: bool = False


KINDS: tuple[Slow, ...] = (
    Slow("says nothing", b"", b""),
    Slow("half a method", b"PO", b""),
    Slow("half a head", HEAD, b""),
    Slow("a header by letters", HEAD + b"x: ", b"y"),
    Slow("a header at a time", HEAD, b"x: y\r\n"),
    Slow("empty lines", b"", b"\r\n"),
    Slow("a stranger's body, none of it", request_bytes(b"", None, headers=LONG), b""),
    Slow("a stranger's body by letters", request_bytes(b"", None, headers=LONG), b" "),
    Slow("a body by letters", request_bytes(b"", VALID, headers=LONG), b" "),
    Slow("an expected body", request_bytes(b"", VALID, headers={**LONG, "expect": "100-continue"}), b""),
    Slow("chunks of a letter", request_bytes(b"", VALID, headers=CHUNKED), b"1\r\n \r\n"),
    Slow("a chunk's extension", request_bytes(b"1;", VALID, headers=CHUNKED), b"x"),
    Slow("trailers", request_bytes(b"2\r\n{}\r\n0\r\n", VALID, headers=CHUNKED), b"x: y\r\n"),
    Slow(
        "a passed-on body, none of it",
        request_bytes(b"", NATIVE, "/providers/at-gpt-plain/v1/files", headers=LONG),
        b"",
    ),
    Slow(
        "a passed-on body by letters",
        request_bytes(b"", NATIVE, "/providers/at-gpt-plain/v1/files", headers=LONG),
        b" ",
    ),
    Slow("a second head", request_bytes(b"", VALID, "/v1/models", "GET") + HEAD, b"x"),
    Slow("no handshake", b"", b"", tls=True),
    Slow("half a handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"", tls=True),
)


@dataclass(slots=True)
class Stay:
    kind: str
    # None: still open when we gave up.
    seconds: float | None


def each_of_them(count: int) -> list[Slow]:
    found: Iterator[Slow] = itertools.cycle(KINDS)
    return list(itertools.islice(found, count))


def attack(clients: Sequence[Slow], url: str, tls_url: str, pause_seconds: float) -> list[Stay]:
    """How long each of them could stay."""
    return asyncio.run(_attack(clients, url, tls_url, pause_seconds))


async def _attack(clients: Sequence[Slow], url: str, tls_url: str, pause: float) -> list[Stay]:
    tasks: list[asyncio.Task[Stay]] = []
    for begin in range(0, len(clients), OPENED_AT_ONCE):
        opened = [
            asyncio.open_connection(urlsplit(at).hostname, urlsplit(at).port)
            for at in (tls_url if one.tls else url for one in clients[begin : begin + OPENED_AT_ONCE])
        ]
        for one, (reader, writer) in zip(clients[begin:], await asyncio.gather(*opened), strict=False):
            tasks.append(asyncio.create_task(_stay(one, reader, writer, pause)))
    return await asyncio.gather(*tasks)


async def _stay(one: Slow, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> Stay:
    begun = time.monotonic()
    trickle = asyncio.create_task(_trickle(one, writer, pause))
    try:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while await reader.read(65536):
                pass
        return Stay(one.name, time.monotonic() - begun)
    except ConnectionError:
        return Stay(one.name, time.monotonic() - begun)
    except TimeoutError:
        return Stay(one.name, None)
    finally:
        trickle.cancel()
        await asyncio.gather(trickle, return_exceptions=True)
        writer.transport.abort()


async def _trickle(one: Slow, writer: asyncio.StreamWriter, pause: float) -> None:
    writer.write(one.first)
    while one.then and not writer.is_closing():
        await asyncio.sleep(pause)
        writer.write(one.then)
