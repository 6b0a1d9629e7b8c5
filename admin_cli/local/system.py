"""The life of one local system: control plane, proxy, what they are given, and their end in order.

The order of a start is chosen for its time: the manifest is read while the control plane starts, and
the proxy starts while resources are declared. The order of the end loses nothing: the proxy drains
and delivers its usage while the control plane is still there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from admin_cli.address import Address, parse_address
from admin_cli.errors import CliError
from admin_cli.local import folder
from admin_cli.local.child import Child
from admin_cli.progress import Working, working
from admin_cli.render import say
from admin_cli.state import StateFolder, write_private
from headgate.rules.credentials import Secret

if TYPE_CHECKING:
    from admin_cli.local.setup import LocalProxy

REGION = "local"
# An embedded database that recovers from a crash on a slow disk.
CONTROL_PLANE_START_SECONDS = 90.0
PROXY_START_SECONDS = 30.0
ACKNOWLEDGE_SECONDS = 10.0
# By reliability.md F18: streams may finish for 30 s.
PROXY_STOP_SECONDS = 35.0
CONTROL_PLANE_STOP_SECONDS = 15.0
# After the second Ctrl-C: enough for a database to shut down fast.
HURRY_SECONDS = 1.0
WATCH_SECONDS = 0.1

_ONLY_CONTROL_PLANE = (*folder.KEK_VARIABLES, "HEADGATE_DATABASE_URL")
# What would send a child elsewhere, or is none of its business.
_NOT_INHERITED = (
    "HEADGATE_TOKEN",
    "HEADGATE_JOIN_TOKEN",
    "HEADGATE_CA_FILE",
    "HEADGATE_CONTROL_PLANE",
    "HEADGATE_REGION",
)


class StopRequested(BaseException):
    """Ctrl-C or SIGTERM. Not an Exception: nothing on the way may take it for a failure."""


@dataclass(slots=True)
class StopSignals:
    """The first signal unwinds whatever runs; later ones are only counted."""

    count: int = 0
    raising: bool = True

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._received)

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.raising:
            self.raising = False
            raise StopRequested

    def hurry(self) -> bool:
        return self.count > 1


@dataclass(frozen=True, slots=True)
class Programs:
    """How the two programs are started; tests put others in their place."""

    control_plane: tuple[str, ...] = ("-m", "control_plane")
    proxy: tuple[str, ...] = ("-m", "proxy")


@dataclass(frozen=True, slots=True)
class Settings:
    state: StateFolder
    http: Address
    grpc: Address
    ops: Address
    workers: int
    files: tuple[str, ...]
    ready_file: Path | None
    environment: Mapping[str, str] = field(repr=False)
    secrets_dir: Path | None = None
    programs: Programs = Programs()


@dataclass(slots=True)
class Listening:
    """Where things listen: as asked for, then as it came to be (port 0 becomes a port)."""

    http: Address
    grpc: Address
    ops: Address
    control_plane_ops: Address
    # Where the proxy comes once it has joined.
    proxies: Address


@dataclass(frozen=True, slots=True)
class Ready:
    """What a started system can tell its user."""

    http: str
    grpc: str
    ops: str
    control_plane_ops: str
    admin_token: Secret
    api_key: Secret
    models: tuple[str, ...]
    notes: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """For the ready files, without secrets."""
        return {
            "http": self.http,
            "grpc": self.grpc,
            "ops": self.ops,
            "control_plane_ops": self.control_plane_ops,
            "pid": os.getpid(),
        }


class LocalSystem:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        free = Address("127.0.0.1", 0)
        self._listening = Listening(
            settings.http, settings.grpc, settings.ops, free, folder.proxies_address(settings.state)
        )
        self._control_plane: Child | None = None
        self._proxy: Child | None = None

    def run(self, announce: Callable[[Ready], None]) -> None:
        """Starts everything, calls `announce`, watches until a signal comes, stops everything."""
        settings = self._settings
        if settings.ready_file is not None and not settings.ready_file.parent.is_dir():
            raise CliError(f"--ready-file: there is no folder {settings.ready_file.parent}", "make it first")
        signals = StopSignals()
        with folder.locked(settings.state):
            if settings.ready_file is not None:
                settings.ready_file.unlink(missing_ok=True)
            signals.install()
            try:
                with working("starting") as work:
                    ready = self._start(work)
                self._publish(ready)
                announce(ready)
                while True:
                    self._watch()
                    time.sleep(WATCH_SECONDS)
            except StopRequested:
                say("headgate: stopping (again: at once)")
            finally:
                signals.raising = False
                self._stop(signals)

    def _start(self, work: Working) -> Ready:
        settings, state = self._settings, self._settings.state
        work.now("waiting for an earlier run to end")
        folder.prepare(state)
        folder.check_addresses({"--http": settings.http, "--grpc": settings.grpc, "--ops": settings.ops})
        kek = folder.kek_environment(state, settings.environment)
        work.now("starting the control plane")
        self._control_plane = self._control_plane_child(kek)
        self._control_plane.start()

        # Meanwhile, in this process: everything that takes time and needs nobody.
        from admin_cli import manifest as manifests
        from admin_cli.client import AdminClient, Connection
        from admin_cli.local import setup

        manifest = manifests.load(settings.files, "default", settings.environment)
        document = self._control_plane.wait_ready(CONTROL_PLANE_START_SECONDS)
        self._listening.grpc = Address(settings.grpc.host, parse_address(str(document["grpc"]), "grpc").port)
        self._listening.control_plane_ops = _address_of(
            document.get("ops"), self._listening.control_plane_ops
        )

        if "proxies" not in document:
            raise CliError(
                "the control plane is sealed, and can let no proxy join",
                "its log says why; give it the KEK with which the stored secrets were sealed",
            )
        self._listening.proxies = parse_address(str(document["proxies"]), "proxies")

        address = self._listening.grpc.reachable
        token = setup.admin_token(state, address, settings.environment)
        with AdminClient(Connection(address, token), quiet=True) as client:
            work.now("starting the proxy")
            self._proxy = self._proxy_child(setup.local_proxy(client, state, REGION))
            self._proxy.start()
            first, current = setup.is_first_run(client)
            revision, notes = setup.declare(client, manifest, settings.environment, first)
            key, key_revision = setup.quickstart_key(client, state, first)
            document = self._proxy.wait_ready(PROXY_START_SECONDS)
            self._listening.http = _address_of(document["http"], settings.http)
            self._listening.ops = _address_of(document["ops"], settings.ops)
            work.now("waiting for the proxy to take the config")
            notes += self._acknowledged(client, max(current, revision, key_revision))
        return self._probed(str(document["http"]), str(document["ops"]), token, key, notes)

    def _acknowledged(self, client: Any, revision: int) -> list[str]:
        """Until the local proxy, at least, has acknowledged; other proxies of the database may be slow."""
        deadline = time.monotonic() + ACKNOWLEDGE_SECONDS
        while True:
            answer = client.await_revision(revision, 2.0)
            if answer.acknowledged and not answer.pending and not answer.refused:
                return []
            self._watch()
            if answer.refused or time.monotonic() > deadline:
                refused = [
                    f"refused by a proxy, which keeps its last good config: {who}" for who in answer.refused
                ]
                return refused + [f"not acknowledged yet by proxy {who}" for who in answer.pending]
            if not answer.acknowledged:
                time.sleep(0.02)

    def _probed(self, http: str, ops: str, token: Secret, key: Secret, notes: list[str]) -> Ready:
        from admin_cli.local.probe import local_address, wait_answering

        probe = wait_answering(local_address(http), key, self._watch)
        if probe.status != 200:
            notes.append("the key 'quickstart' opens nothing any more (revoked or expired?): use another one")
        return Ready(
            http=http,
            grpc=str(self._listening.grpc),
            ops=ops,
            control_plane_ops=f"http://{self._listening.control_plane_ops}",
            admin_token=token,
            api_key=key,
            models=probe.models,
            notes=tuple(notes),
        )

    def _publish(self, ready: Ready) -> None:
        facts = ready.facts()
        write_private(self._settings.state.up_file, json.dumps(facts) + "\n")
        if self._settings.ready_file is not None:
            secrets = {"admin_token": ready.admin_token.text, "api_key": ready.api_key.text}
            write_private(self._settings.ready_file, json.dumps({**facts, **secrets}) + "\n")

    def _watch(self) -> None:
        for child in (self._control_plane, self._proxy):
            if child is not None:
                child.watch()

    def _stop(self, signals: StopSignals) -> None:
        settings = self._settings
        for file in (settings.state.up_file, settings.ready_file):
            if file is not None:
                file.unlink(missing_ok=True)
        for child, seconds in (
            (self._proxy, PROXY_STOP_SECONDS),
            (self._control_plane, CONTROL_PLANE_STOP_SECONDS),
        ):
            if child is None:
                continue
            child.terminate()
            ended = child.wait_end(seconds, signals.hurry)
            if not ended and child is self._control_plane:
                ended = child.wait_end(HURRY_SECONDS, lambda: False)
            if not ended:
                say(f"headgate: the {child.name} is ended at once")
                child.kill()

    def _control_plane_child(self, kek: Mapping[str, str]) -> Child:
        state = self._settings.state
        ready_file = state.run / "control-plane.json"
        environment = self._environment(without=_NOT_INHERITED) | dict(kek)

        def arguments() -> list[str]:
            words = [*self._settings.programs.control_plane, "--grpc", str(self._listening.grpc)]
            words += ["--ops", str(self._listening.control_plane_ops), "--ready-file", str(ready_file)]
            words += ["--proxies", str(self._listening.proxies)]
            if not environment.get("HEADGATE_DATABASE_URL"):
                words += ["--embedded-postgres", str(state.postgres)]
            return words

        return Child("control plane", arguments, environment, state.logs / "control-plane.log", ready_file)

    def _proxy_child(self, proxy: LocalProxy) -> Child:
        state = self._settings.state
        ready_file = state.run / "proxy.json"
        environment = self._environment(without=(*_NOT_INHERITED, *_ONLY_CONTROL_PLANE))
        if proxy.join_token is not None:
            environment["HEADGATE_JOIN_TOKEN"] = proxy.join_token.text

        def arguments() -> list[str]:
            words = [*self._settings.programs.proxy, "--control-plane", str(self._listening.grpc.reachable)]
            words += [
                "--name",
                proxy.name,
                "--region",
                REGION,
                "--http",
                str(self._listening.http),
                "--ops",
                str(self._listening.ops),
            ]
            words += ["--state", str(state.proxy), "--workers", str(self._settings.workers)]
            if self._settings.secrets_dir is not None:
                words += ["--secrets-dir", str(self._settings.secrets_dir)]
            return [*words, "--ready-file", str(ready_file)]

        return Child("proxy", arguments, environment, state.logs / "proxy.log", ready_file)

    def _environment(self, without: tuple[str, ...]) -> dict[str, str]:
        """Children inherit no credential that they do not need."""
        from admin_cli.local.first_run import KEY_VARIABLES

        inherited = {
            name: value
            for name, value in self._settings.environment.items()
            if name not in without and name not in KEY_VARIABLES
        }
        # A proxy.py in the current folder is not our proxy.
        return {**inherited, "PYTHONSAFEPATH": "1"}


def _address_of(url: Any, asked: Address) -> Address:
    """The host as asked for, with the port that it came to be."""
    from urllib.parse import urlsplit

    port = urlsplit(str(url)).port if url else None
    if port is None:
        raise CliError(
            f"a program's ready file has no usable address: {url!r}", f"python is {sys.executable}"
        )
    return Address(asked.host, port)
