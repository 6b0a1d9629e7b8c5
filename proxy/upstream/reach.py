"""Where a provider listens, and what is allowed and needed on the way there."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


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
    def host_and_port(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authority(self) -> str:
        """The Host header."""
        is_default = self.port == (443 if self.tls else 80)
        return self.host_and_port.rpartition(":")[0] if is_default else self.host_and_port


@dataclass(frozen=True, slots=True)
class Reach:
    """How an origin is reached. Connections are shared only between equal ones."""

    # Loopback and private addresses too; metadata addresses never.
    private_network: bool = False
    # An HTTP proxy that is asked to CONNECT; its own address may be private, because an admin named it.
    egress_proxy: Origin | None = None
    # Certificate authorities (PEM) that count instead of the system's; empty: the system's.
    ca: str = ""


def split_url(base_url: str) -> tuple[Origin, str]:
    """(origin, path prefix) of a provider's base URL. ValueError if it is none."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{base_url!r} is not an http or https address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(parts.scheme, parts.hostname, port), parts.path.rstrip("/")
