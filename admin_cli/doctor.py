"""`doctor`: checks its own surroundings, and says for each finding what to do.

A check never raises: what it cannot find out is a finding too. Failures make the exit code 1.
"""

from __future__ import annotations

import base64
import binascii
import os
import resource
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from admin_cli.errors import CliError, ExitCode, PermissionDenied, Unavailable
from admin_cli.options import OutputOption
from admin_cli.render import Result
from admin_cli.state import StateFolder, read_json

if TYPE_CHECKING:
    from admin_cli.client import AdminClient

OK, WARNING, FAILURE = "ok", "warning", "failure"
PYTHON_WANTED = (3, 11)
# A worker needs two descriptors per call that is under way.
DESCRIPTORS_WANTED = 4096
DISK_WANTED_BYTES = 1 << 30
DISK_NEEDED_BYTES = 100 * 2**20
# Certificates and expiries tolerate seconds, not minutes.
CLOCK_TOLERANCE_SECONDS = 5.0
STALE_SECONDS = 300.0
_COLUMNS = ("check", "result", "detail", "advice")

_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    result: str
    detail: str
    advice: str = ""

    def item(self) -> dict[str, str]:
        return {"check": self.check, "result": self.result, "detail": self.detail, "advice": self.advice}


def doctor(output: OutputOption = None) -> Result:
    """Check this machine, the state folder, the control plane and the proxies; say what to do.

    Exit code 1 if something failed; warnings alone are 0.
    """
    state = StateFolder.from_environment()
    findings = [_python(), _descriptors(), *_folder(state), _kek(state), *_control_plane(state)]
    failed = any(finding.result == FAILURE for finding in findings)
    items = [finding.item() for finding in findings]
    return Result("Check", _COLUMNS, items, output, exit_code=ExitCode.FAILED if failed else ExitCode.DONE)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON_WANTED:
        return Finding("python", FAILURE, version, "Headgate needs Python 3.11 or later")
    return Finding("python", OK, version)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= DESCRIPTORS_WANTED:
        return Finding("open files", OK, f"limit {soft}")
    advice = f"raise it where Headgate is started: ulimit -n {DESCRIPTORS_WANTED} (hard limit {hard})"
    return Finding("open files", WARNING, f"limit {soft}: about {soft // 2} calls at a time", advice)


def _folder(state: StateFolder) -> Iterator[Finding]:
    if not state.root.is_dir():
        yield Finding("state folder", OK, f"{state.root} does not exist; only `headgate up` needs it")
        return
    open_to_others = []
    for path in (
        state.root,
        state.run,
        state.logs,
        state.kek,
        state.admin_token,
        state.proxy_certificate,
        state.quickstart_key,
    ):
        try:
            # Passing through (x) is allowed: the embedded database has a user of its own below.
            if path.stat().st_mode & _OTHERS:
                open_to_others.append(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Finding("state folder", FAILURE, f"{path}: {error.strerror}", "run as the user who owns it")
            return
    if open_to_others:
        paths = " ".join(map(str, open_to_others))
        yield Finding("state folder", FAILURE, f"others may read {paths}", f"chmod go-rwx {paths}")
    elif not os.access(state.root, os.W_OK):
        yield Finding("state folder", FAILURE, f"{state.root} is not writable", "run as the user who owns it")
    else:
        yield Finding("state folder", OK, f"{state.root}, private")
    yield _disk(state)


def _disk(state: StateFolder) -> Finding:
    status = os.statvfs(state.root)
    free = status.f_bavail * status.f_frsize
    detail = f"{free // 2**20} MiB free at {state.root}"
    if free < DISK_NEEDED_BYTES:
        return Finding(
            "disk", FAILURE, detail, "free some space: without it, usage cannot be kept and calls stop"
        )
    if free < DISK_WANTED_BYTES:
        return Finding("disk", WARNING, detail, "free some space before the database and the spools fill it")
    return Finding("disk", OK, detail)


def _kek(state: StateFolder) -> Finding:
    """The key that seals provider keys; only where the control plane runs here."""
    text, where = os.environ.get("HEADGATE_KEK", ""), "HEADGATE_KEK"
    if os.environ.get("HEADGATE_KEK_COMMAND") and not text and not os.environ.get("HEADGATE_KEK_FILE"):
        return Finding("kek", OK, "from a command, which only the control plane runs")
    if not text:
        where = os.environ.get("HEADGATE_KEK_FILE") or str(state.kek)
        try:
            with open(where, encoding="ascii", errors="replace") as file:
                text = file.read(1024)
        except FileNotFoundError:
            if state.has_database():
                advice = "put the file back; without it the stored provider keys cannot be opened"
                return Finding("kek", FAILURE, f"{where} is missing", advice)
            return Finding("kek", OK, "none here; only a control plane needs one")
        except OSError as error:
            return Finding(
                "kek", FAILURE, f"{where}: {error.strerror}", "let the control plane's user read it"
            )
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys or not all(_is_key(key) for key in keys):
        advice = "it must be 32 random bytes in base64: head -c 32 /dev/urandom | base64"
        return Finding("kek", FAILURE, f"{where} is not a key", advice)
    return Finding("kek", OK, f"from {where}")


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def _control_plane(state: StateFolder) -> Iterator[Finding]:
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    try:
        connection = Connection.from_environment()
        with AdminClient(connection) as client:
            try:
                status = client.call(
                    "GetStatus", admin_pb2.GetStatusRequest(), admin_pb2.GetStatusResponse, 5
                )
            except PermissionDenied as error:
                yield Finding("control plane", OK, f"{connection.address} answers")
                yield Finding("token", FAILURE, error.message, error.hint)
                return
            yield Finding("control plane", OK, f"{connection.address}, version {status.software_version}")
            yield Finding("token", OK, "accepted")
            yield from _status(status)
            yield from _guarded("proxies", lambda: _proxies(client))
    except Unavailable as error:
        yield Finding("control plane", FAILURE, error.message, error.hint)
    except (CliError, OSError) as error:
        yield Finding("control plane", FAILURE, str(error), getattr(error, "hint", ""))
    yield from _guarded("clock", lambda: _clock(state))


def _status(status: Any) -> Iterator[Finding]:
    if status.secrets == "ok":
        yield Finding("secrets", OK, "can be opened")
    else:
        advice = (
            "give the control plane the KEK with which they were sealed "
            "(HEADGATE_KEK, HEADGATE_KEK_FILE or HEADGATE_KEK_COMMAND)"
        )
        yield Finding("secrets", FAILURE, status.secrets or "unknown", advice)
    if status.quarantined_records:
        advice = "`headgate usage quarantine` shows records that contradict others or cannot be read"
        yield Finding("usage", WARNING, f"{status.quarantined_records} records in quarantine", advice)
    else:
        yield Finding("usage", OK, "nothing in quarantine")


def _proxies(client: AdminClient) -> Iterator[Finding]:
    from headgate.v1 import admin_pb2

    request, answer = admin_pb2.ListProxiesRequest(), admin_pb2.ListProxiesResponse
    proxies = list(client.pages("ListProxies", request, answer, lambda page: page.proxies))
    connected = [proxy for proxy in proxies if proxy.connected]
    if not connected:
        yield Finding("proxies", WARNING, "none is connected", "start one: headgate up, or headgate proxy …")
        return
    yield Finding("proxies", OK, f"{len(connected)} connected of {len(proxies)} known")
    for proxy in proxies:
        name = f"proxy {proxy.name}"
        if proxy.last_nack:
            yield Finding(
                name, WARNING, f"refused a config: {proxy.last_nack}", "mend that resource and apply it"
            )
        if proxy.connected and proxy.staleness_seconds > STALE_SECONDS:
            behind = f"{proxy.staleness_seconds:.0f} s behind what is published"
            yield Finding(
                name, WARNING, behind, "look at its log, and at its connection to the control plane"
            )


def _clock(state: StateFolder) -> Iterator[Finding]:
    """This machine's clock against the Date of the control plane's ops listener, where `up` named one."""
    url = (read_json(state.up_file) or {}).get("control_plane_ops")
    if not isinstance(url, str) or os.environ.get("HEADGATE_CONTROL_PLANE"):
        return
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=3)
    try:
        connection.request("GET", "/livez")
        date = connection.getresponse().getheader("date")
    finally:
        connection.close()
    if date is None:
        return
    difference = abs(time.time() - parsedate_to_datetime(date).timestamp())
    if difference > CLOCK_TOLERANCE_SECONDS:
        yield Finding(
            "clock", WARNING, f"{difference:.0f} s from the control plane's", "set the clock by NTP"
        )
    else:
        yield Finding("clock", OK, "agrees with the control plane's")


def _guarded(check: str, find: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from list(find())
    except (CliError, OSError, ValueError) as error:
        yield Finding(check, WARNING, f"could not be checked: {error}")
    except Exception as error:
        yield Finding(check, WARNING, f"could not be checked: {type(error).__name__}")
