"""Why there is no connection: said so that it helps, and without a word of where a name leads to."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from proxy.upstream.dial import dial
from proxy.upstream.failure import AttemptFailed
from proxy.upstream.reach import Origin, Reach
from tests.support.certificates import make_certificate

ADDRESSES = ("10.1.2.3", "10.4.5.6")


async def failed(origin: Origin, tls: ssl.SSLContext) -> str:
    """What a client is told of a connection that does not come about."""
    reach = Reach(private_network=True)
    with pytest.raises(AttemptFailed) as caught:
        await dial(origin, asyncio.Protocol, reach=reach, tls=tls, timeout_seconds=5)
    return caught.value.message


async def refused(*numbers: int) -> str:
    """Of a name with an address for each of these errors."""
    loop: Any = asyncio.get_running_loop()
    by_address = dict(zip(ADDRESSES, numbers, strict=False))

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in by_address]

    async def sock_connect(_: socket.socket, address: tuple[str, int]) -> None:
        raise OSError(by_address[address[0]], f"Connect call failed {address}")  # as asyncio says it

    loop.getaddrinfo, loop.sock_connect = getaddrinfo, sock_connect
    return await failed(Origin("http", "provider.test", 80), ssl.create_default_context())


@pytest.mark.parametrize(
    "numbers",
    [
        (errno.ECONNREFUSED,),
        (errno.ECONNREFUSED, errno.ECONNREFUSED),
        (errno.ECONNREFUSED, errno.ENETUNREACH),
    ],
    ids=["one", "alike", "different"],
)
def test_every_reason_is_said_once_and_no_address(numbers: tuple[int, ...]) -> None:
    reasons = ", ".join(dict.fromkeys(os.strerror(number) for number in numbers))
    assert asyncio.run(refused(*numbers)) == f"no connection: {reasons}"


def test_a_name_that_is_not_resolved_is_said() -> None:
    async def call() -> str:
        loop: Any = asyncio.get_running_loop()

        async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        loop.getaddrinfo = getaddrinfo
        return await failed(Origin("http", "provider.test", 80), ssl.create_default_context())

    assert asyncio.run(call()) == "no connection: Name or service not known"


@pytest.mark.parametrize(
    ("host", "trusted", "said"),
    [("127.0.0.2", True, "IP address mismatch"), ("127.0.0.1", False, "self-signed certificate")],
)
def test_what_is_wrong_with_a_certificate_is_said(
    tmp_path: Path, host: str, trusted: bool, said: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=certificate if trusted else None)

    async def call() -> str:
        server = await asyncio.start_server(lambda _, writer: writer.close(), host, 0, ssl=theirs)
        async with server:
            return await failed(Origin("https", host, server.sockets[0].getsockname()[1]), ours)

    message = asyncio.run(call()).replace("self signed", "self-signed")  # OpenSSL 1.1
    assert message == f"TLS failed: CERTIFICATE_VERIFY_FAILED ({said})"
