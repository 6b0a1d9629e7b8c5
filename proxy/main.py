"""`python -m proxy`: reads the arguments, checks them, runs the supervisor."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import resource
import socket
import sys
from pathlib import Path

import uvloop

from headgate.rules.credentials import Secret
from headgate.rules.units import parse_duration_ns, parse_size_bytes
from proxy.identity_folder import kept_key
from proxy.settings import Settings, parse_address

# https://man7.org/linux/man-pages/man3/mallopt.3.html
_M_MMAP_THRESHOLD = -3
MAPPED_FROM_BYTES = 1 * 2**20

MAX_READ_ON_SECONDS = 60.0
# Characters: 32 of base64 have 192 bits.
MIN_STATE_KEY = 32


def main() -> None:
    try:
        settings = read_settings(sys.argv[1:])
    except ValueError as error:
        sys.stderr.write(f"headgate proxy: {error}\n")
        sys.exit(2)
    _raise_descriptor_limit()
    # Starting a worker forks. gRPC would then open its connections anew and send once more what is under way:
    # a join, which the second time has a token that is used up (1 of 50 starts with two workers).
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from proxy.supervisor import Supervisor

    async def run() -> None:
        await Supervisor(settings).run()

    settle_memory()
    try:
        uvloop.run(run())
    except OSError as error:
        sys.stderr.write(f"headgate proxy: {error}\n")
        sys.exit(1)


def settle_memory() -> None:
    """The modules live as long as the process: keep them out of every collection, and collect seldom.

    Calls make no reference cycles, so that what the collector would find is little. Large bodies are mapped,
    and unmapped when they go: by itself glibc raises the size from which it does so with each that it frees,
    and keeps up to 64 MiB for the next.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MAPPED_FROM_BYTES)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def read_settings(arguments: list[str]) -> Settings:
    """Raises ValueError that says what is wrong; argparse itself exits with 2."""
    given = _parser().parse_args(arguments)
    token = os.environ.get("HEADGATE_TOKEN", "")
    join_token = _secret("--join-token-file", given.join_token_file, "HEADGATE_JOIN_TOKEN")
    state_key = _secret("--state-key-file", given.state_key_file, "HEADGATE_STATE_KEY")
    if state_key and len(state_key) < MIN_STATE_KEY:
        raise ValueError(
            f"the state key has {len(state_key)} characters, fewer than {MIN_STATE_KEY}: `openssl rand "
            "-base64 32` makes a good one"
        )
    if not token and not join_token and not kept_key(given.state / "identity"):
        raise ValueError(
            "this proxy has not joined: give --join-token-file (or HEADGATE_JOIN_TOKEN; 'headgate join-token "
            "create --region R' makes one), or set HEADGATE_TOKEN to a token of role proxy"
        )
    if (given.tls_cert is None) != (given.tls_key is None):
        raise ValueError("--tls-cert and --tls-key belong together")
    addresses = tuple(given.control_plane or [os.environ.get("HEADGATE_CONTROL_PLANE", "127.0.0.1:8081")])
    for address in addresses:
        parse_address(address)
    region = given.region or os.environ.get("HEADGATE_REGION")
    if not region:
        raise ValueError("--region is missing (or HEADGATE_REGION): where this proxy stands, like eu")
    ca_file = given.ca_file
    if ca_file is None and os.environ.get("HEADGATE_CA_FILE"):
        ca_file = Path(os.environ["HEADGATE_CA_FILE"])
    if ca_file is not None and not ca_file.is_file():
        raise ValueError(f"the CA file {ca_file} does not exist")
    if given.secrets_dir is not None and not given.secrets_dir.is_dir():
        raise ValueError(f"--secrets-dir {given.secrets_dir} is no folder")
    labels = {}
    for label in given.label:
        name, separator, value = label.partition("=")
        if not separator or not name:
            raise ValueError(f"--label {label!r}: write name=value")
        labels[name] = value
    if not 1 <= given.workers <= 64:
        raise ValueError("--workers takes a number from 1 to 64")
    return Settings(
        name=given.name or f"{socket.gethostname()}-{region}",
        region=region,
        control_planes=addresses,
        http=parse_address(given.http),
        ops=parse_address(given.ops),
        state=given.state,
        token=Secret(token.strip()),
        join_token=Secret(join_token),
        state_key=Secret(state_key),
        workers=given.workers,
        labels=labels,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        ca_file=ca_file,
        secrets_dir=given.secrets_dir,
        drain_seconds=parse_duration_ns(given.drain) / 1e9,
        read_on_seconds=_read_on(given.read_on),
        connections_per_address=_connections(given.connections_per_address),
        ready_file=given.ready_file,
        log_calls=not given.no_call_log,
        spool_bytes=parse_size_bytes(given.spool_size),
    )


def _connections(number: int) -> int:
    if number < 0:
        raise ValueError("--connections-per-address takes a number from 1, or 0 for the default")
    return number


def _read_on(text: str) -> float:
    seconds = 0.0 if text in ("0", "0s") else parse_duration_ns(text) / 1e9
    if seconds > MAX_READ_ON_SECONDS:
        raise ValueError(f"--read-on takes at most {MAX_READ_ON_SECONDS:g} s: all of it is paid for")
    return seconds


def _secret(option: str, path: Path | None, variable: str) -> str:
    if path is None:
        return os.environ.get(variable, "").strip()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{option} {path} cannot be read: {error}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headgate proxy",
        description="One proxy: answers calls near the workloads. It joins, or shows HEADGATE_TOKEN.",
    )
    add = parser.add_argument
    add("--control-plane", nargs="+", metavar="HOST:PORT", help="one or several, tried in turn")
    add("--region", help="where this proxy stands, like eu (HEADGATE_REGION)")
    add("--http", default="127.0.0.1:8080", metavar="HOST:PORT", help="where applications call (%(default)s)")
    add("--ops", default="127.0.0.1:8082", metavar="HOST:PORT", help="health and metrics (%(default)s)")
    add("--state", type=Path, default=_default_state(), metavar="DIR", help="spool and last good config")
    add("--name", help="how the fleet view calls this proxy (default: host name and region)")
    add("--workers", type=int, default=1, metavar="N", help="processes that answer calls (%(default)s)")
    add("--label", action="append", default=[], metavar="K=V", help="a label of this proxy; repeatable")
    add("--tls-cert", type=Path, metavar="FILE", help="certificate of the HTTP listener")
    add("--tls-key", type=Path, metavar="FILE", help="its private key")
    add("--ca-file", type=Path, metavar="FILE", help="CA of the control plane (HEADGATE_CA_FILE)")
    add(
        "--secrets-dir",
        metavar="DIR",
        type=Path,
        help="where provider keys and CAs that a config names by file are read",
    )
    add("--join-token-file", type=Path, metavar="FILE", help="for the first contact (HEADGATE_JOIN_TOKEN)")
    add(
        "--state-key-file",
        type=Path,
        metavar="FILE",
        help="a secret that seals the last good config in the state folder (HEADGATE_STATE_KEY; default: the "
        "token, or else the proxy's own key, which lies beside it)",
    )
    add("--drain", default="30s", metavar="TIME", help="how long calls may finish on SIGTERM (%(default)s)")
    add(
        "--read-on",
        default="500ms",
        metavar="TIME",
        help="how long a stream's provider is listened to after its client left, for its own count of the "
        "tokens; 0s: not at all, and they are estimated (%(default)s)",
    )
    add(
        "--connections-per-address",
        type=int,
        default=0,
        metavar="N",
        help="that one client address may hold of a worker (default: three quarters of what it takes in all, "
        "which is one for every two of its descriptors)",
    )
    add("--spool-size", default="256MiB", metavar="SIZE", help="bound of each worker's spool (%(default)s)")
    add("--ready-file", type=Path, metavar="FILE", help="written once a call would be answered")
    add("--no-call-log", action="store_true", help="no log line per call")
    return parser


def _default_state() -> Path:
    return Path(os.environ.get("HEADGATE_STATE", Path.home() / ".headgate")) / "proxy"


def _raise_descriptor_limit() -> None:
    """Two sockets a call: the soft limit of 1,024 would end at 500 streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1_048_576), hard))
