"""POST of a JSON document to a server of the operator's, for checks: same connections, same address rules."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from headgate.v1 import usage_pb2
from proxy.upstream.deadlines import Deadlines
from proxy.upstream.exchange import Exchange
from proxy.upstream.failure import broken
from proxy.upstream.pool import Pools
from proxy.upstream.reach import Reach, split_url

DEFAULT_TIMEOUT_SECONDS = 10.0
MAX_TIMEOUT_SECONDS = 60.0


class Hooks:
    def __init__(self, pools: Pools, deadlines: Deadlines) -> None:
        self._pools = pools
        self._deadlines = deadlines

    async def post(
        self, url: str, document: dict[str, Any], *, private_network: bool, timeout_seconds: float
    ) -> dict[str, Any]:
        """The JSON object that it answers. Raises AttemptFailed."""
        try:
            origin, _ = split_url(url)
        except ValueError as error:
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, str(error)) from None
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        seconds = min(timeout_seconds or DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS)
        body = orjson.dumps(document)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {origin.authority}\r\nuser-agent: headgate\r\n"
            "connection: close\r\ncontent-type: application/json\r\naccept-encoding: identity\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        exchange = Exchange(
            asyncio.get_running_loop(),
            None,
            total_deadline=time.monotonic() + seconds,
            first_token_seconds=seconds,
            idle_seconds=seconds,
        )
        self._deadlines.add(exchange)
        try:
            # A connection of its own: a hook is asked seldom, and a stale one would look like its failure.
            connection = await self._pools.pool(origin, Reach(private_network)).connect(seconds)
            exchange.link = connection
            connection.start(head.encode("latin-1"), body, exchange)
            await exchange.ready
        except BaseException:
            exchange.abort()
            raise
        finally:
            self._deadlines.discard(exchange)
        if exchange.failure is not None:
            raise exchange.failure
        try:
            found = orjson.loads(exchange.body)
        except orjson.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise broken(usage_pb2.REASON_PROTOCOL_ERROR, "the hook's answer is not a JSON object")
        return found
