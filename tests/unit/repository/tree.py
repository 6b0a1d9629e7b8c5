"""Which files the repository consists of: what git tracks; in a plain copy, all that is not ignored."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PRODUCT = ("admin_cli", "control_plane", "proxy", "proto/headgate")
# What .gitignore leaves out, for a copy without a .git.
_MADE = {".git", "__pycache__", ".venv", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache"}
_MADE |= {"build", "dist", "headgate.egg-info"}


@functools.cache
def files() -> tuple[Path, ...]:
    """Relative paths of all files that are, or are about to be, part of the repository."""
    if (REPOSITORY / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = [Path(name) for name in listed.split("\0") if name]
    else:
        everything = (path.relative_to(REPOSITORY) for path in REPOSITORY.rglob("*"))
        found = [path for path in everything if not _MADE.intersection(path.parts)]
    return tuple(path for path in found if (REPOSITORY / path).is_file())


def texts() -> list[tuple[Path, str]]:
    """All files that are text."""
    found = []
    for path in files():
        try:
            found.append((path, (REPOSITORY / path).read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def product_modules() -> list[Path]:
    """Hand-written Python of the product."""
    return [
        path
        for path in files()
        if path.suffix == ".py" and str(path).startswith(PRODUCT) and "_pb2" not in path.name
    ]
