"""`python -m tests.abuse.flood URL GUESSES RATE ADDRESSES`: wrong keys as fast as told, from so many
addresses.

Prints what was answered, as JSON: status → count, and the seconds that it took.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
import secrets
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

from tests.integration.proxy.raw_client import request_bytes

FIRST_ADDRESS = ipaddress.IPv4Address("127.96.0.1")
# Requests in one write; the proxy queues eight.
PIPELINED = 8
CONNECTIONS = 16
BODY = b'{"model":"gpt-plain","messages":[]}'
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


async def guess(host: str, port: int, source: str, count: int) -> Counter[str]:
    """Up to `count` guesses on one connection; fewer if the proxy closes it."""
    answered: Counter[str] = Counter()
    try:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
    except OSError:
        return Counter({"refused": 1})
    writer.write(
        b"".join(request_bytes(BODY, f"hg-guessGuess00-{secrets.token_urlsafe(32)}") for _ in range(count))
    )
    try:
        while answered.total() < count and (data := await reader.read(65_536)):
            answered.update(status.decode() for status in _STATUS.findall(data))
    except OSError:
        pass
    writer.close()
    return answered


async def flood(url: str, guesses: int, rate: float, addresses: int) -> Counter[str]:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    found: Counter[str] = Counter()
    begun, sent = time.monotonic(), 0

    async def attack(number: int) -> None:
        nonlocal sent
        while sent < guesses:
            sent += PIPELINED
            due = begun + sent / rate
            if (pause := due - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            source = str(FIRST_ADDRESS + (sent // PIPELINED + number) % addresses)
            found.update(await guess(host, port, source, PIPELINED))

    await asyncio.gather(*(attack(number) for number in range(CONNECTIONS)))
    return found


def main() -> None:
    url, guesses, rate, addresses = sys.argv[1:]
    began = time.monotonic()
    found = asyncio.run(flood(url, int(guesses), float(rate), int(addresses)))
    print(json.dumps({"answers": found, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main()
