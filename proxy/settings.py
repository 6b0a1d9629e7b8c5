"""What a proxy is started with. The limits of the process stand here with their units and reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headgate.rules.credentials import Secret

# A request body; the largest that providers take (images as base64) is 20 to 32 MiB.
MAX_BODY_BYTES = 32 * 2**20
# A body that is passed on as it comes in (files, batches); OpenAI takes files of 512 MB.
MAX_STREAMED_BODY_BYTES = 1 * 2**30
# Commas and brackets in a body before it is parsed: 32 MiB of `[],` cost the parser 0.8-2.9 s and 770 MB,
# and a million keys half a second. Code has about 50,000 in a MiB; no model takes ten MiB of it.
MAX_STRUCTURAL_BYTES = 500_000
# A whole (unstreamed) answer; images and embeddings batches reach tens of MiB.
MAX_ANSWER_BYTES = 128 * 2**20
# One server-sent event; an image in a chunk is the largest known.
MAX_EVENT_BYTES = 16 * 2**20
# Bytes held back before the first real event of a stream.
MAX_PRELUDE_BYTES = 1 * 2**20


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[::1]:PORT` or `:PORT` (all addresses). ValueError says what was expected."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, like 127.0.0.1:8080")
    return Address(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 - the user left it open


@dataclass(frozen=True, slots=True)
class Settings:
    name: str
    region: str
    control_planes: tuple[str, ...]
    http: Address
    ops: Address
    state: Path
    # Empty: it joins, or has joined.
    token: Secret
    join_token: Secret = field(default_factory=lambda: Secret(""))
    # What the last good config is sealed under; empty: a token, or the proxy's own key.
    state_key: Secret = field(default_factory=lambda: Secret(""))
    workers: int = 1
    labels: dict[str, str] = field(default_factory=dict)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    # Where files that a config names are read.
    secrets_dir: Path | None = None
    drain_seconds: float = 30.0
    # After its client left, a stream's provider is listened to for so long.
    read_on_seconds: float = 0.5
    # Of one client address at a time, in each worker; 0: three quarters of all that it takes.
    connections_per_address: int = 0
    ready_file: Path | None = None
    log_calls: bool = True
    spool_bytes: int = 256 * 2**20


def to_json(settings: Settings, *, http: str) -> dict[str, Any]:
    """What a worker process needs to know; never the token. `http`: the address as it was bound."""
    return {
        "name": settings.name,
        "region": settings.region,
        "http": http,
        "state": str(settings.state),
        "workers": settings.workers,
        "tls_cert": str(settings.tls_cert) if settings.tls_cert else None,
        "tls_key": str(settings.tls_key) if settings.tls_key else None,
        "secrets_dir": str(settings.secrets_dir) if settings.secrets_dir else None,
        "drain_seconds": settings.drain_seconds,
        "read_on_seconds": settings.read_on_seconds,
        "connections_per_address": settings.connections_per_address,
        "log_calls": settings.log_calls,
        "spool_bytes": settings.spool_bytes,
    }


def from_json(document: dict[str, Any]) -> Settings:
    address = parse_address(document["http"])
    return Settings(
        name=document["name"],
        region=document["region"],
        control_planes=(),
        http=address,
        ops=address,
        state=Path(document["state"]),
        token=Secret(""),
        workers=document["workers"],
        tls_cert=Path(document["tls_cert"]) if document["tls_cert"] else None,
        tls_key=Path(document["tls_key"]) if document["tls_key"] else None,
        secrets_dir=Path(document["secrets_dir"]) if document["secrets_dir"] else None,
        drain_seconds=document["drain_seconds"],
        read_on_seconds=document["read_on_seconds"],
        connections_per_address=document["connections_per_address"],
        log_calls=document["log_calls"],
        spool_bytes=document["spool_bytes"],
    )
