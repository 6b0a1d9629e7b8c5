"""Node and the programs, by npm, in a folder outside the repository.

The folder is `HEADGATE_PROGRAMS`, default `headgate-programs` in the machine's folder for temporary files;
delete it and nothing of them is left. Versions are pinned here and nowhere else. Must not change what is
installed on the machine: npm is only asked for this folder, with a cache of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "HEADGATE_PROGRAMS"

# Node first: npm picks versions of the others that its own Node can run, and Debian's is too old for them.
NODE = {"node": "22"}
PACKAGES = {
    "@anthropic-ai/claude-code": "2.1.331",
    "@openai/codex": "0.169.0",
    "@anthropic-ai/sdk": "1.13.0",
    "openai": "7.57.0",
}
# `node` and Claude Code put their binary, which came in another package, in its place.
SCRIPTS = ("node", "@anthropic-ai/claude-code")

_NPM_LIMIT_SECONDS = 600  # 1 GB unpacked: 30 s where the registry is near


class NotInstalled(Exception):
    """Why the programs are not there; a test is skipped with it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Where they are. `path` is what a program's PATH must be."""

    modules: Path

    @property
    def claude(self) -> Path:
        return self.modules / ".bin" / "claude"

    @property
    def codex(self) -> Path:
        return self.modules / ".bin" / "codex"

    @property
    def node(self) -> Path:
        return self.modules / "node" / "bin" / "node"

    @property
    def path(self) -> str:
        return os.pathsep.join((str(self.node.parent), str(self.modules / ".bin"), os.defpath))

    def missing(self) -> list[Path]:
        files = [
            self.claude,
            self.codex,
            self.node,
            self.modules / "openai",
            self.modules / "@anthropic-ai/sdk",
        ]
        return [file for file in files if not file.exists()]


def folder() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else Path(tempfile.gettempdir()) / "headgate-programs"


def install() -> Programs:
    """Install what is not there in its pinned version; raises `NotInstalled`. Several processes may."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    programs, done = Programs(place / "node_modules"), place / "installed.json"
    wanted = json.dumps(NODE | PACKAGES)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_text() == wanted and not programs.missing():
            return programs
        _npm_install(place, programs)
        if missing := programs.missing():
            raise NotInstalled(f"npm left out {', '.join(str(file.relative_to(place)) for file in missing)}")
        done.write_text(wanted)
    return programs


def _npm_install(place: Path, programs: Programs) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("npm is not there (on Debian: apt-get install -y npm)")
    manifest = {"private": True, "allowScripts": dict.fromkeys(SCRIPTS, True)}
    (place / "package.json").write_text(json.dumps(manifest))
    for packages in (NODE, PACKAGES):
        names = [f"{name}@{version}" for name, version in packages.items()]
        command = [npm, "install", "--no-audit", "--no-fund", "--loglevel", "error", *names]
        path = os.pathsep.join((str(programs.node.parent), os.environ.get("PATH", os.defpath)))
        try:
            done = subprocess.run(
                command,
                cwd=place,
                env={**os.environ, "PATH": path, "npm_config_cache": str(place / "cache")},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_NPM_LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotInstalled(f"npm install took more than {_NPM_LIMIT_SECONDS} s") from error
        if done.returncode != 0:
            raise NotInstalled(f"npm install {' '.join(names)}: {done.stderr.strip()[-500:]}")
