"""`python -m tests.faults.upgrade REVISION`: an upgrade while everything runs, and half of it back again.

REVISION is a commit of the version before. Two control planes of either version on one PostgreSQL, two
proxies of either version, under load all the time: the old ones are replaced one by one, each stays beside
the others for a while, changes are made through whichever is there. No call may fail, every proxy must
acknowledge every change, and at the end provider, spools and PostgreSQL agree. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import message_factory

from headgate.v1 import admin_pb2
from tests.faults.system import manifest
from tests.integration.control_plane.replica import KEK, METHODS, start_postgres
from tests.support.child_process import ChildProcess
from tests.support.ledgers import Billed, Ledgers
from tests.support.load import CallSeen, Load
from tests.support.processes import REPOSITORY, clean_environment, headgate_command, start_fake_provider
from tests.support.provider.behaviour import Behaviour
from tests.support.sockets import free_port

CALLS_PER_SECOND = 40.0
# Each arrangement of versions is kept for so long, and changed so often.
SECONDS = 4.0
CHANGES = 5
ACKNOWLEDGED_SECONDS = 10.0


class Upgrade:
    def __init__(self, folder: Path, old: Path) -> None:
        self.folder = folder
        self.trees = {"old": old, "new": REPOSITORY}
        self.postgres, server = start_postgres(folder)
        self.url = server
        self.provider = start_fake_provider(folder)
        self.provider.always("slow", Behaviour(tokens_per_second=50, headers_delay_seconds=0.05))
        self.ports = {"one": free_port(), "two": free_port()}
        self.running: dict[str, ChildProcess] = {}
        self.http = {name: free_port() for name in ("left", "right")}
        self.owner = self.proxy_token = self.key = ""
        self.changes = 0

    # Programs of either version.

    def control_plane(self, name: str, version: str) -> None:
        """Starts it at its address; one of another version there is stopped first."""
        command = ["-m", "control_plane", "--grpc", f"127.0.0.1:{self.ports[name]}"]
        self._start(name, version, command, HEADGATE_DATABASE_URL=self.url.text, HEADGATE_KEK=KEK)

    def proxy(self, name: str, version: str) -> None:
        addresses = [f"127.0.0.1:{port}" for port in self.ports.values()]
        command = ["-m", "proxy", "--control-plane", *addresses, "--region", "local", "--name", name]
        command += ["--http", f"127.0.0.1:{self.http[name]}", "--ops", "127.0.0.1:0", "--no-call-log"]
        command += ["--state", str(self.folder / name)]
        self._start(name, version, command, HEADGATE_TOKEN=self.proxy_token)

    def _start(self, name: str, version: str, command: list[str], **environment: str) -> None:
        if name in self.running:
            self.running.pop(name).stop()
        tree = self.trees[version]
        ready = self.folder / f"{name}-{time.time_ns()}.json"
        path = f"{tree}{os.pathsep}{tree / 'proto'}"
        self.running[name] = ChildProcess(
            [sys.executable, *command, "--ready-file", ready],
            self.folder / f"{name}.log",
            clean_environment(PYTHONPATH=path, **environment),
            tree,
        )
        self.running[name].wait_for_file(ready, 60)

    def stop(self) -> None:
        for process in self.running.values():
            process.stop()
        self.provider.stop()
        self.postgres.stop()

    # What an admin does.

    def call(self, name: str, method: str, /, **fields: Any) -> Any:
        descriptor = METHODS[method]
        request, response = (
            message_factory.GetMessageClass(kind) for kind in (descriptor.input_type, descriptor.output_type)
        )
        metadata = (("authorization", f"Bearer {self.owner}"),) if self.owner else ()
        with grpc.insecure_channel(f"127.0.0.1:{self.ports[name]}") as channel:
            stub = channel.unary_unary(
                f"/{descriptor.containing_service.full_name}/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            return stub(request(**fields), metadata=metadata, timeout=20)

    def furnish(self) -> None:
        self.owner = self.call("one", "BootstrapToken").minted.secret
        self.proxy_token = self.call("one", "CreateToken", name="proxies", role="proxy").minted.secret
        file, minted = self.folder / "manifest.json", self.folder / "minted"
        keys = [{"name": "app", "allow": ["*"]}]
        file.write_text(json.dumps({**manifest(self.provider.base_url), "keys": keys}))
        environment = clean_environment(
            HEADGATE_CONTROL_PLANE=f"127.0.0.1:{self.ports['one']}", HEADGATE_TOKEN=self.owner
        )
        command = [str(headgate_command()), "apply", "-f", str(file), "--secrets-out", str(minted)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        self.key = json.loads(minted.read_text())["items"][0]["secret"]

    def change(self, through: str, names: list[str]) -> None:
        """One change, which all these proxies acknowledge."""
        self.changes += 1
        key = {"name": f"upgrade-{self.changes}"}
        revision = self.call(through, "CreateKey", key=key).revision
        deadline = time.monotonic() + ACKNOWLEDGED_SECONDS
        while True:
            views = {view.name: view for view in self.call(through, "ListProxies").proxies}
            behind = [name for name in names if name not in views or not _has(views[name], revision)]
            if not behind:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"{', '.join(behind)} did not acknowledge revision {revision}")
            time.sleep(0.05)

    @contextlib.contextmanager
    def load(self, proxies: list[str], seen: list[CallSeen]) -> Iterator[None]:
        loads = [
            Load(f"http://127.0.0.1:{self.http[name]}/v1", self.key, ["quick", "slow"], CALLS_PER_SECOND)
            for name in proxies
        ]
        with contextlib.ExitStack() as stack:
            for load in loads:
                stack.enter_context(load)
            try:
                yield
            finally:
                for load in loads:
                    seen += load.stop()


def _has(view: admin_pb2.ProxyView, revision: int) -> bool:
    return view.connected and view.config_version.revision >= revision


# (control planes, proxies): what is replaced from one to the next is one program.
STEPS: tuple[tuple[dict[str, str], dict[str, str]], ...] = (
    ({"one": "old", "two": "old"}, {"left": "old", "right": "old"}),
    ({"one": "old", "two": "new"}, {"left": "old", "right": "old"}),
    ({"one": "old", "two": "new"}, {"left": "new", "right": "old"}),
    ({"one": "new", "two": "new"}, {"left": "new", "right": "old"}),
    # Half of it back: a control plane of the version before, on the new schema.
    ({"one": "new", "two": "old"}, {"left": "new", "right": "old"}),
    ({"one": "new", "two": "new"}, {"left": "new", "right": "old"}),
    ({"one": "new", "two": "new"}, {"left": "new", "right": "new"}),
)


def run(upgrade: Upgrade) -> list[CallSeen]:
    seen: list[CallSeen] = []
    planes: dict[str, str] = {}
    proxies: dict[str, str] = {}
    for number, (next_planes, next_proxies) in enumerate(STEPS):
        staying = [name for name, version in next_proxies.items() if proxies.get(name) == version]
        with upgrade.load(staying, seen):
            for name, version in next_planes.items():
                if planes.get(name) != version:
                    upgrade.control_plane(name, version)
            if not number:
                upgrade.furnish()
            for name, version in next_proxies.items():
                if proxies.get(name) != version:
                    upgrade.proxy(name, version)
            planes, proxies = next_planes, next_proxies
            began = len(seen)
            with upgrade.load([name for name in proxies if name not in staying], seen):
                for count in range(CHANGES):
                    upgrade.change(("one", "two")[count % 2], list(proxies))
                    time.sleep(SECONDS / CHANGES)
        told = ", ".join(f"{name} {version}" for name, version in (planes | proxies).items())
        print(f"{told}: {len(seen) - began} calls, {CHANGES} changes", flush=True)
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.upgrade")
    parser.add_argument("revision", help="a commit of the version before")
    revision = parser.parse_args().revision
    with tempfile.TemporaryDirectory(prefix="headgate-upgrade-") as name:
        folder = Path(name)
        os.chmod(folder, 0o755)  # as root, PostgreSQL is another user
        old = folder / "old"
        old.mkdir()
        archive = subprocess.run(
            ["git", "archive", revision], cwd=REPOSITORY, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x"], cwd=old, input=archive.stdout, check=True)
        upgrade = Upgrade(folder, old)
        try:
            seen = run(upgrade)
            ledgers = Ledgers.of(upgrade.provider.recorded, Billed(lambda: upgrade.url.text), seen)
        finally:
            upgrade.stop()
    failed = [call for call in seen if not call.complete]
    problems = ledgers.problems()
    print(
        f"{len(seen)} calls, {len(failed)} failed; {upgrade.changes} changes; {len(problems)} disagreements"
    )
    for call in failed[:10]:
        print(f"  {call}")
    for problem in problems[:10]:
        print(f"  {problem}")
    return int(bool(failed or problems))


if __name__ == "__main__":
    sys.exit(main())
