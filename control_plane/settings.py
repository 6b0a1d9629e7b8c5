"""What one control plane replica is told at start: arguments and environment, checked.

Secrets come from the environment or a file and never from an argument: arguments show in `ps`.
"""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from control_plane.secrets.source import KekSource, KekUnavailable
from headgate.rules.credentials import Secret
from headgate.rules.units import parse_duration_ns

DEFAULT_GRPC = "127.0.0.1:8081"
DEFAULT_RETENTION = "90d"


class SettingsError(ValueError):
    """The program cannot start like this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Settings:
    grpc: Address
    # Where proxies come with their certificates; None: nowhere.
    proxies: Address | None = None
    ops: Address | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    ca_file: Path | None = None
    embedded_postgres: Path | None = None
    # libpq connection string; None with embedded PostgreSQL.
    database_url: Secret | None = None
    kek_source: KekSource = field(default_factory=KekSource)
    ready_file: Path | None = None
    grpc_reflection: bool = False
    usage_retention_days: int = 90


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Raises SettingsError; argparse itself exits with 2 on wrong usage."""
    given = _parser().parse_args(arguments)
    grpc = parse_address(given.grpc)
    if (given.tls_cert is None) != (given.tls_key is None):
        raise SettingsError("--tls-cert and --tls-key go together")
    if given.tls_cert is None and not grpc.is_loopback:
        raise SettingsError(
            f"{grpc} is not a loopback address, and tokens must not travel in plain text: "
            "give --tls-cert and --tls-key, or listen on 127.0.0.1"
        )
    url = environment.get("HEADGATE_DATABASE_URL", "")
    if not url and given.embedded_postgres is None:
        raise SettingsError("no database: set HEADGATE_DATABASE_URL, or give --embedded-postgres DIR")
    return Settings(
        grpc=grpc,
        proxies=parse_address(given.proxies) if given.proxies else None,
        ops=parse_address(given.ops) if given.ops else None,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        ca_file=given.ca_file,
        embedded_postgres=None if url else given.embedded_postgres,
        database_url=Secret(url) if url else None,
        kek_source=_read_kek(environment),
        ready_file=given.ready_file,
        grpc_reflection=given.grpc_reflection,
        usage_retention_days=_days(given.usage_retention),
    )


def parse_address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{text!r} is not HOST:PORT")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def _read_kek(environment: Mapping[str, str]) -> KekSource:
    """A key that stands there wrongly is noticed now; a command may still come right."""
    source = KekSource.from_environment(environment)
    if source.is_set and not source.command:
        try:
            source.read()
        except KekUnavailable as error:
            raise SettingsError(str(error)) from None
    return source


def _days(text: str) -> int:
    try:
        days = parse_duration_ns(text) // (86400 * 10**9)
    except ValueError as error:
        raise SettingsError(f"--usage-retention: {error}") from None
    if not 1 <= days <= 3650:
        raise SettingsError("--usage-retention must be from 1d to 3650d")
    return days


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m control_plane",
        description="One Headgate control plane replica. HEADGATE_DATABASE_URL names the database, "
        "HEADGATE_KEK, HEADGATE_KEK_FILE or HEADGATE_KEK_COMMAND the key-encryption key.",
    )
    add = parser.add_argument
    add("--grpc", default=DEFAULT_GRPC, metavar="HOST:PORT", help=f"admin API and streams ({DEFAULT_GRPC})")
    add("--proxies", metavar="HOST:PORT", help="where joined proxies come, with certificates (mutual TLS)")
    add("--ops", metavar="HOST:PORT", help="livez, readyz and metrics")
    add("--tls-cert", type=Path, metavar="FILE")
    add("--tls-key", type=Path, metavar="FILE")
    add("--ca-file", type=Path, metavar="FILE", help="client certificates, where given, must be signed by it")
    add("--embedded-postgres", type=Path, metavar="DIR", help="run a PostgreSQL of our own below DIR")
    add("--ready-file", type=Path, metavar="FILE", help="written once a call would succeed")
    add("--usage-retention", default=DEFAULT_RETENTION, metavar="TIME", help="keep usage records (90d)")
    add("--grpc-reflection", action="store_true")
    return parser
