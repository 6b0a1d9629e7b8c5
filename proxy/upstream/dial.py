"""Opens connections: DNS, the address check (P9), happy eyeballs (RFC 8305), TLS.

The check is made on the address that is connected to, not on the name, so that a name which resolves
differently the second time gains nothing. Redirects are never followed: nobody here reads `location`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohappyeyeballs

from headgate.v1 import usage_pb2
from proxy.upstream.failure import AttemptFailed, broken, timed_out

# How long one address may take before the next is tried beside it (RFC 8305, section 5).
HAPPY_EYEBALLS_DELAY_SECONDS = 0.25

# Instance metadata of the clouds; link-local ones are refused as a class.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a provider listens."""

    scheme: str
    host: str
    port: int

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def split_url(base_url: str) -> tuple[Origin, str]:
    """(origin, path prefix) of a provider's base URL. ValueError if it is none."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{base_url!r} is not an http or https address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.hostname, port), parts.path.rstrip("/")


def refused_address(address: str, *, private_network: bool) -> bool:
    """Whether an address must not be connected to. Embedded IPv4 counts as that IPv4."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    if ip in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return True
    # is_global leaves out loopback, RFC 1918, RFC 4193, RFC 6598 and documentation networks.
    return not ip.is_global and not private_network


async def dial(
    origin: Origin,
    make_protocol: Callable[[], asyncio.Protocol],
    *,
    private_network: bool,
    tls: ssl.SSLContext,
    timeout_seconds: float,
) -> None:
    """Connects a protocol. Raises AttemptFailed with the reason."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_seconds):
            found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            allowed = [
                info
                for info in found
                if not refused_address(str(info[4][0]), private_network=private_network)
            ]
            if not allowed:
                raise AttemptFailed(
                    usage_pb2.REASON_ADDRESS_REFUSED,
                    message="the provider's address is not allowed (private_network: true permits "
                    "loopback and private ones; metadata addresses never)",
                )
            sock = await aiohappyeyeballs.start_connection(
                allowed, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_SECONDS, interleave=1, loop=loop
            )
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        raise broken(usage_pb2.REASON_CONNECT_FAILED, f"TLS failed: {error.reason or 'error'}") from None
    except OSError as error:
        detail = error.strerror or type(error).__name__
        raise broken(usage_pb2.REASON_CONNECT_FAILED, f"no connection: {detail}") from None
