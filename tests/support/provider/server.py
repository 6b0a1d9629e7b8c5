"""The provider's connections: read a request, take the next behaviour, deliver it, write the ledger.

Runs in whatever loop it is started in. Every request that has come in completely is one attempt in the
ledger, before anything is answered; its second entry is written when the answer has ended, however it ended.
Paths below /_ are the provider's own controls and are not attempts.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import time
from typing import Any

from tests.support.provider.connection import BadRequest, ClientLeft, Connection, Request
from tests.support.provider.controls import Controls
from tests.support.provider.delivery import Broken, Delivery
from tests.support.provider.ledger import Attempt, Ledger
from tests.support.provider.reply import JSON, parsed, reply_to
from tests.support.provider.script import Script

LISTEN_BACKLOG = 4096
# For clients that do not listen while they wait.
GOODBYE_SECONDS = 1.0
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
# Gemini's stands in the path, and a form's in a part of its own.
_MODEL_IN_PATH = re.compile(r"/models/([^:?]+):")
_MODEL_IN_FORM = re.compile(rb'name="model"\r\n\r\n([^\r\n]*)')


def model_elsewhere(request: Request) -> str:
    """Of a request that does not name it in JSON."""
    in_path = _MODEL_IN_PATH.search(request.target)
    if in_path is not None:
        return in_path[1]
    in_form = _MODEL_IN_FORM.search(request.body) if b"form-data" in request.body else None
    return in_form[1].decode() if in_form is not None else ""


class ProviderServer:
    """`start` gives the port; `stop` closes the listener and every connection."""

    def __init__(self, ledger: Ledger, script: Script) -> None:
        self.connections_opened = 0
        self.incomplete_requests = 0  # clients that left inside a request, or did not speak HTTP
        self.stale_closes = 0  # connections reset on a next request, unread
        self._ledger = ledger
        self._script = script
        self._controls = Controls(ledger, script, self.counts)
        self._server: asyncio.Server | None = None
        self._tasks: dict[asyncio.Task[None], Connection] = {}

    def counts(self) -> dict[str, int]:
        return {
            "attempts": len(self._ledger.attempts()),
            "connections_opened": self.connections_opened,
            "open_connections": len(self._tasks),
            "incomplete_requests": self.incomplete_requests,
            "stale_closes": self.stale_closes,
            "scripted": self._script.waiting(),
        }

    async def start(self, host: str, port: int) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_connection, host, port, backlog=LISTEN_BACKLOG)
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        await self.stop_listening()
        await self._cancel()

    async def stop_listening(self) -> None:
        """New connections are refused; those that are open go on."""
        if self._server is not None:
            self._server.close()

    async def drop_connections(self) -> None:
        """Clients that are at rest have seen it, and closed their end too, when this returns."""
        for connection in self._tasks.values():
            connection.say_goodbye()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GOODBYE_SECONDS)
        await self._cancel()

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _new_connection(self) -> Connection:
        self.connections_opened += 1
        return Connection(self.connections_opened, self._opened)

    def _opened(self, connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    async def _serve(self, connection: Connection) -> None:
        count = 0
        try:
            while True:
                request = await connection.read_request()
                if request.path.startswith("/_"):
                    await self._control(connection, request)
                    continue
                count += 1
                if not await self._answer(connection, request, count):
                    return
        except (ClientLeft, Broken):
            self.incomplete_requests += connection.has_input
        except (BadRequest, ValueError):
            self.incomplete_requests += 1
        finally:
            connection.close()

    async def _answer(self, connection: Connection, request: Request, count: int) -> bool:
        """Answer one request; whether the connection stays open for another."""
        document = parsed(request.body)
        attempt = self._received(connection, request, document, count)
        key = next(filter(None, map(request.header, _KEY_HEADERS)), "").removeprefix("Bearer ")
        behaviour = self._script.next(attempt.model, key)
        reply = reply_to(request, document, behaviour, attempt.number, self._script.models())
        delivery = Delivery(connection, behaviour, reply, attempt.number, head_only=request.method == "HEAD")
        bytes_before = connection.bytes_sent
        complete = False
        try:
            await delivery.deliver()
            complete = not delivery.truncated
        finally:
            done = dataclasses.replace(
                attempt,
                status=reply.status if delivery.headers_sent_at_seconds is not None else None,
                headers_sent_at_seconds=delivery.headers_sent_at_seconds,
                first_event_at_seconds=delivery.first_event_at_seconds,
                finished_at_seconds=time.monotonic(),
                served=delivery.served,
                usage_sent=delivery.usage_sent,
                events_sent=delivery.events_sent,
                bytes_sent=connection.bytes_sent - bytes_before,
                complete=complete,
                client_left_at_seconds=connection.left_at_seconds,
                client_left_how=connection.left_how,
            )
            self._ledger.done(done)
        if behaviour.close_after == "on_next_request":
            await connection.wait_for_input()
            self.stale_closes += 1
            connection.reset()
            return False
        return not delivery.closes and request.header("connection").lower() != "close"

    def _received(
        self, connection: Connection, request: Request, document: dict[str, Any], count: int
    ) -> Attempt:
        return self._ledger.received(
            connection=connection.number,
            request_of_connection=count,
            client_request_id=request.header("x-client-request-id"),
            method=request.method,
            path=request.target,
            model=str(document.get("model") or model_elsewhere(request)),
            stream=document.get("stream") is True,
            headers=request.headers,
            body=request.body,
        )

    async def _control(self, connection: Connection, request: Request) -> None:
        status, document = self._controls.answer(request)
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} Control\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n\r\n"
        await connection.send(head.encode() + body)
