"""Opens connections: DNS, the address check (P9), happy eyeballs (RFC 8305), TLS.

The check is made on the address that is connected to, not on the name, so that a name which resolves
differently the second time gains nothing. Redirects are never followed: nobody here reads `location`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Callable

import aiohappyeyeballs

from headgate.v1 import usage_pb2
from proxy.upstream.failure import AttemptFailed, broken, timed_out
from proxy.upstream.reach import Origin, Reach

# How long one address may take before the next is tried beside it (RFC 8305, section 5).
HAPPY_EYEBALLS_DELAY_SECONDS = 0.25
# What an egress proxy answers to CONNECT.
MAX_CONNECT_HEAD_BYTES = 8 * 2**10
_ERRNO = re.compile(r"\[Errno (\d+)\]")

# Instance metadata and credentials of the clouds; link-local ones are refused as a class.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
# Amazon's own services on an instance: metadata (::254), the credentials of pods (::23), DNS, time.
_AMAZON_INSTANCE = ipaddress.ip_network("fd00:ec2::/32")


def refused_address(address: str, *, private_network: bool) -> bool:
    """Whether an address must not be connected to. Embedded IPv4 counts as that IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    if ip in _METADATA or ip in _AMAZON_INSTANCE:
        return True
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return True
    if ip.is_reserved and not ip.is_loopback:  # ::1 lies in a reserved block
        return True
    # is_global leaves out loopback, RFC 1918, RFC 4193, RFC 6598 and documentation networks, and takes
    # the site-local addresses of old (fec0::/10, RFC 3879) for global ones.
    site_local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return (site_local or not ip.is_global) and not private_network


async def dial(
    origin: Origin,
    make_protocol: Callable[[], asyncio.Protocol],
    *,
    reach: Reach,
    tls: ssl.SSLContext,
    timeout_seconds: float,
) -> None:
    """Connects a protocol. Raises AttemptFailed with the reason."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            if reach.egress_proxy is None:
                sock = await _connect(origin, reach.private_network)
            else:
                sock = await _connect_through(reach.egress_proxy, origin, reach.private_network)
            await loop.create_connection(
                make_protocol,
                sock=sock,
                ssl=tls if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
    except TimeoutError:
        raise timed_out(
            usage_pb2.REASON_CONNECT_TIMEOUT, f"no connection within {timeout_seconds:g} s"
        ) from None
    except ssl.SSLError as error:
        raise broken(usage_pb2.REASON_CONNECT_FAILED, f"TLS failed: {_said_of_tls(error)}") from None
    except OSError as error:
        raise broken(usage_pb2.REASON_CONNECT_FAILED, f"no connection: {_said(error)}") from None


def _said(error: OSError) -> str:
    """Why, by the error's number: texts of asyncio and of aiohappyeyeballs (several in one, and then perhaps
    without a number) name addresses, and where a name leads to is not for clients to know."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name was not resolved"
    numbers = [error.errno] if error.errno else map(int, _ERRNO.findall(str(error)))
    return ", ".join(dict.fromkeys(map(os.strerror, numbers))) or type(error).__name__


def _said_of_tls(error: ssl.SSLError) -> str:
    reason = error.reason or "error"
    if not isinstance(error, ssl.SSLCertVerificationError):
        return reason
    # "Hostname mismatch, certificate is not valid for '…'": not for whom.
    return f"{reason} ({error.verify_message.partition(',')[0]})"


async def _connect(origin: Origin, private_network: bool) -> socket.socket:
    """Raises AttemptFailed if every address is refused; OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    allowed = [
        info for info in found if not refused_address(str(info[4][0]), private_network=private_network)
    ]
    if not allowed:
        raise _refused()
    sock = await aiohappyeyeballs.start_connection(
        allowed, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_SECONDS, interleave=1, loop=loop
    )
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _connect_through(egress: Origin, origin: Origin, private_network: bool) -> socket.socket:
    """A tunnel (RFC 9110, 9.3.6). The proxy resolves the name, so only a literal address is checked here."""
    loop = asyncio.get_running_loop()
    if _is_refused_literal(origin.host, private_network):
        raise _refused()
    sock = await _connect(egress, private_network=True)
    try:
        ask = f"CONNECT {origin.host_and_port} HTTP/1.1\r\nhost: {origin.host_and_port}\r\n\r\n"
        await loop.sock_sendall(sock, ask.encode("latin-1"))
        head = b""
        while b"\r\n\r\n" not in head:
            # No more than the head: nothing follows it before we speak.
            data = await loop.sock_recv(sock, MAX_CONNECT_HEAD_BYTES)
            head += data
            if not data or len(head) > MAX_CONNECT_HEAD_BYTES:
                raise broken(usage_pb2.REASON_CONNECT_FAILED, "the egress proxy did not answer in HTTP")
        status = head.split(b" ", 2)[1:2]
        if not head.startswith(b"HTTP/1.") or not status or not status[0].startswith(b"2"):
            said = status[0].decode("latin-1")[:3] if status else "?"
            raise broken(usage_pb2.REASON_CONNECT_FAILED, f"the egress proxy refused the connection ({said})")
    except BaseException:
        sock.close()
        raise
    return sock


def _is_refused_literal(host: str, private_network: bool) -> bool:
    try:
        return refused_address(host, private_network=private_network)
    except ValueError:
        return False  # a name


def _refused() -> AttemptFailed:
    return AttemptFailed(
        usage_pb2.REASON_ADDRESS_REFUSED,
        message="the provider's address is not allowed (private_network: true permits "
        "loopback and private ones; metadata addresses never)",
    )
