"""Addresses as users write them, `HOST:PORT`, and what follows from the host."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from admin_cli.errors import UsageProblem

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port; port 0 stands for any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> Address:
        """Where a program on this machine connects to, when `host` may be a wildcard."""
        return Address(_WILDCARDS.get(self.host, self.host), self.port)

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str, what: str) -> Address:
    """`127.0.0.1:8081`, `[::1]:8081`, `example.org:443`. `what` names the option in the error."""
    host, colon, port_text = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    well_formed = colon and port_text.isascii() and port_text.isdigit() and (bracketed or ":" not in host)
    if not well_formed or int(port_text) > 65535 or "/" in host or not host:
        raise UsageProblem(f"{what}: {text!r} is not an address", "write HOST:PORT, like 127.0.0.1:8081")
    return Address(host, int(port_text))
