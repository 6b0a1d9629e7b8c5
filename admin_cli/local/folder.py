"""What `up` does to its state folder before anything runs: modes, the lock, the KEK, ports, leftovers.

Only one `up` uses a state folder at a time. A KEK is made once and never replaced: without it the
provider keys in the database cannot be opened again.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from admin_cli.address import Address
from admin_cli.errors import CliError, Conflict, from_system
from admin_cli.local.child import rotate
from admin_cli.render import say
from admin_cli.state import StateFolder, make_private_folder, read_json, write_private

# A proxy drains for 30 s, a database stops in a few.
LEFTOVERS_SECONDS = 45.0

KEK_VARIABLES = ("HEADGATE_KEK", "HEADGATE_KEK_FILE", "HEADGATE_KEK_COMMAND")


@contextmanager
def locked(state: StateFolder) -> Iterator[None]:
    """Makes the folder and holds it for this process."""
    try:
        for folder in (state.root, state.run, state.logs, state.proxy):
            make_private_folder(folder)
        descriptor = os.open(state.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        problem = from_system(error)
        raise CliError(
            f"the state folder cannot be used: {problem.message}", problem.hint or "--state names another"
        ) from None
    with open(descriptor, "r+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = lock.read(20).strip()
            raise Conflict(
                f"another `headgate up` (process {holder or 'unknown'}) runs on {state.root}",
                "use that one, stop it, or give this one its own folder with --state",
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def prepare(state: StateFolder) -> None:
    """Waits for what a killed `up` left running, removes its stale files, rotates the logs."""
    deadline = time.monotonic() + LEFTOVERS_SECONDS
    told = False
    for program in ("proxy", "control_plane"):
        ready_file = state.run / f"{program.replace('_', '-')}.json"
        pid = (read_json(ready_file) or {}).get("pid")
        while isinstance(pid, int) and _is_running(pid, program):
            if not told:
                say("headgate: waiting for the programs of an earlier `up` to end")
                told = True
            if time.monotonic() > deadline:
                raise Conflict(
                    f"a {program} of an earlier `headgate up` still runs (process {pid})",
                    f"end it: kill {pid}",
                )
            time.sleep(0.1)
        ready_file.unlink(missing_ok=True)
    state.up_file.unlink(missing_ok=True)
    for name in ("control-plane.log", "proxy.log"):
        rotate(state.logs / name)


def kek_environment(state: StateFolder, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables by which the control plane finds its KEK; makes one on the first start."""
    if any(environment.get(name) for name in KEK_VARIABLES):
        return {}
    if not state.kek.exists():
        if state.has_database():
            raise CliError(
                f"{state.kek} is missing, but {state.postgres} holds data sealed with it",
                "put the file back (or set HEADGATE_KEK); without it the stored provider keys are lost",
            )
        write_private(state.kek, base64.b64encode(secrets.token_bytes(32)).decode())
    return {"HEADGATE_KEK_FILE": str(state.kek)}


def proxies_address(state: StateFolder) -> Address:
    """Where a proxy that has joined expects the control plane; port 0: anywhere, and it will learn of it."""
    joined = read_json(state.proxy_certificate) or {}
    certificate = joined.get("certificate")
    port = certificate.get("port") if isinstance(certificate, dict) else None
    if isinstance(port, int) and 0 < port < 65536:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return Address("127.0.0.1", port)
    return Address("127.0.0.1", 0)


def check_addresses(addresses: Mapping[str, Address]) -> None:
    """Tries to listen on each address, so that a taken one is told before anything starts.

    gRPC's own listener would share a taken port (SO_REUSEPORT) instead of complaining.
    """
    seen: dict[str, str] = {}
    for option, address in addresses.items():
        if address.port and (other := seen.setdefault(str(address), option)) != option:
            raise CliError(f"{other} and {option} are the same address, {address}", "give each its own port")
        _try_listen(option, address)


def _try_listen(option: str, address: Address) -> None:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(1)
    except OSError as error:
        any_port = Address(address.host, 0)
        hints = {
            errno.EADDRINUSE: f"stop what uses it, or choose another; {option} {any_port} takes a free one",
            errno.EACCES: "ports below 1024 need privileges; choose a higher one",
            errno.EADDRNOTAVAIL: "this machine does not have that address",
        }
        problem = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror or error})"
        )
        raise CliError(
            f"{option}: the address {address} {problem}", hints.get(error.errno or 0, "")
        ) from None


def _is_running(pid: int, module: str) -> bool:
    """Whether the process is (still) `python -m MODULE`; pids are used again by others."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"-m" in words and module.encode() in words
