"""What every call passes before and after its handler: token, role, place, deadline, and errors as status.

Who it is comes before the request is read: a call that never says what it wants has to be somebody's. Nothing
is registered without an entry in the access table, and nothing that is registered goes around this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Never
from urllib.parse import unquote

import grpc

from control_plane.db.roles import scoped
from control_plane.errors import InvalidField
from control_plane.identity.certificates import digest_of_certificate
from control_plane.ops.metrics import Metrics
from control_plane.rpc.access import ACCESS, ANYONE, BOOTSTRAP, CARRIED, GLOBAL_ONLY
from control_plane.rpc.errors import Status, status_of
from control_plane.rpc.places import Places
from control_plane.tokens.authenticator import Authenticator
from control_plane.tokens.errors import NotAllowed, NotAuthenticated
from control_plane.tokens.model import Principal

log = logging.getLogger(__name__)

# For unary calls that bring no deadline of their own.
DEFAULT_DEADLINE_SECONDS = 60.0
# From a call's head to the end of its one message; the largest, 16 MiB, passes at 7 Mbit/s.
REQUEST_SECONDS = 20.0

NOBODY = Principal("", "", None, b"")

Context = grpc.aio.ServicerContext[Any, Any]
Unary = Callable[[Any, Principal], Awaitable[Any]]
ServerStream = Callable[[Any, Principal], AsyncIterator[Any]]
# Requests, context, caller: writes its answers itself.
Streams = Callable[[AsyncIterator[Any], Any, Principal], Awaitable[None]]


class Guard:
    def __init__(self, authenticator: Authenticator, metrics: Metrics) -> None:
        self._authenticator = authenticator
        self._metrics = metrics
        self._places = Places()

    def unary(self, method: str, handle: Unary) -> Callable[[AsyncIterator[Any], Context], Awaitable[Any]]:
        async def guarded(requests: AsyncIterator[Any], context: Context) -> Any:
            try:
                caller = await self._admit(method, context)
                with self._places.call(caller.sha256), scoped(caller.tenant):
                    async with asyncio.timeout(_deadline_seconds(context)):
                        answer = await handle(await _only(requests), caller)
            except TimeoutError:
                await self._abort(method, context, Status(grpc.StatusCode.DEADLINE_EXCEEDED, "out of time"))
            except Exception as error:  # noqa: BLE001, RUF100 - the boundary: everything becomes a status
                await self._refuse(method, context, error)
            self._metrics.count_rpc(method, "OK")
            return answer

        return guarded

    def server_stream(
        self, method: str, handle: ServerStream
    ) -> Callable[[AsyncIterator[Any], Context], Awaitable[None]]:
        async def guarded(requests: AsyncIterator[Any], context: Context) -> None:
            try:
                caller = await self._admit(method, context)
                with (
                    self._places.stream(caller.sha256),
                    scoped(caller.tenant),
                    self._authenticator.watching(caller) as ended,
                ):
                    # Who follows something that is quiet wants to know that he is let in.
                    await context.send_initial_metadata(())
                    async for answer in handle(await _only(requests), caller):
                        if ended.is_set():
                            raise NotAuthenticated
                        await context.write(answer)
            except TimeoutError:
                await self._abort(method, context, Status(grpc.StatusCode.DEADLINE_EXCEEDED, "out of time"))
            except Exception as error:  # noqa: BLE001, RUF100
                await self._refuse(method, context, error)
            self._metrics.count_rpc(method, "OK")

        return guarded

    def streams(
        self, method: str, handle: Streams
    ) -> Callable[[AsyncIterator[Any], Context], Awaitable[None]]:
        async def guarded(requests: AsyncIterator[Any], context: Context) -> None:
            try:
                caller = await self._admit(method, context)
                one = caller.region is not None  # by its certificate
                with self._places.stream(caller.sha256, is_one_proxy=one), scoped(caller.tenant):
                    await handle(requests, context, caller)
            except Exception as error:  # noqa: BLE001, RUF100
                await self._refuse(method, context, error)
            self._metrics.count_rpc(method, "OK")

        return guarded

    async def _admit(self, method: str, context: Context) -> Principal:
        needed = ACCESS.get(method)
        if needed is None:
            raise NotAllowed("nobody has")
        if needed in (ANYONE, CARRIED):
            return NOBODY
        if needed == BOOTSTRAP:
            if not is_loopback(context.peer()):
                raise NotAllowed("of somebody on this machine: bootstrap works from loopback only")
            return NOBODY
        metadata = dict(context.invocation_metadata() or ())
        certificate = _certificate(context)
        if certificate is not None and "authorization" not in metadata:
            # TLS has checked it against our authority; whether it still counts, only the table knows.
            caller = await self._authenticator.authenticate_key(certificate)
        else:
            caller = await self._authenticator.authenticate(metadata)
        if not caller.has(needed):
            raise NotAllowed(needed)
        if caller.tenant is not None and method in GLOBAL_ONLY:
            raise NotAllowed(f"{needed} of all tenants")
        return caller

    async def _refuse(self, method: str, context: Context, error: Exception) -> Never:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        status = status_of(error)
        if status is None:
            log.error("a call failed unexpectedly", exc_info=error, extra={"data": {"method": method}})
            status = Status(grpc.StatusCode.INTERNAL, "internal error; the log of the control plane has it")
        await self._abort(method, context, status)

    async def _abort(self, method: str, context: Context, status: Status) -> Never:
        self._metrics.count_rpc(method, status.code.name)
        await context.abort(status.code, status.message, status.trailing)
        raise RuntimeError("abort returned")  # it never does; the type checker does not know


async def _only(requests: AsyncIterator[Any]) -> Any:
    """A call's one message. Raises TimeoutError, InvalidField."""
    async with asyncio.timeout(REQUEST_SECONDS):
        async for request in requests:
            return request
    raise InvalidField("request", "is missing")


def _certificate(context: Context) -> bytes | None:
    """The digest of the key of a client's certificate; None: it has none."""
    found = context.auth_context().get("x509_pem_cert")
    return digest_of_certificate(next(iter(found))) if found else None


def is_loopback(peer: str) -> bool:
    """`ipv4:127.0.0.1:53412`, `ipv6:%5B::1%5D:53412`, `unix:…`."""
    peer = unquote(peer)
    return peer.startswith(("ipv4:127.", "ipv6:[::1]:", "ipv6:[::ffff:127.", "unix:"))


def _deadline_seconds(context: Context) -> float:
    remaining = context.time_remaining()
    return min(remaining, DEFAULT_DEADLINE_SECONDS) if remaining is not None else DEFAULT_DEADLINE_SECONDS
