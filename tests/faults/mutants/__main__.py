"""`python -m tests.faults.mutants [NAME…]`: applies each patch to a copy of the tree, and its test must fail.

A patch says above its first line of diff which test that is (`Test: …`), and whether chance needs the full
counts (`Counts: full`). Exit code 1 if a mutant survives, or no longer applies: then the mechanism has
moved, and the patch has to follow it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
PATCHES = Path(__file__).parent
TEST_TIMEOUT_SECONDS = 300
# pytest: tests were run, and some failed.
TESTS_FAILED = 1


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    patch: Path
    what: str
    test: str
    full: bool = False


def mutants(names: list[str]) -> list[Mutant]:
    found = []
    for patch in sorted(PATCHES.glob("*.patch")):
        head = dict(re.findall(r"^(Mutant|Test|Counts): (.+)$", patch.read_text(), re.MULTILINE))
        found.append(Mutant(patch.stem, patch, head["Mutant"], head["Test"], head.get("Counts") == "full"))
    return [one for one in found if not names or one.name in names]


def copy_tree(target: Path) -> None:
    """What git knows or would add; no environment, no caches."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)


def is_killed(mutant: Mutant, folder: Path) -> tuple[bool, str]:
    """Whether the test fails with the patch, and how; else why not."""
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    applied = subprocess.run(
        ["git", "apply", str(mutant.patch)], cwd=folder, capture_output=True, text=True, check=False
    )
    if applied.returncode != 0:
        return False, f"the patch does not apply any more: {applied.stderr.strip()}"
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'proto'}"}
    if mutant.full:
        environment["HEADGATE_FAULTS"] = "full"
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:xdist", *shlex.split(mutant.test)]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TEST_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"{mutant.test}: no end after {TEST_TIMEOUT_SECONDS} s"
    if done.returncode == TESTS_FAILED:
        said = re.findall(r"^E +(.+)$", done.stdout, re.MULTILINE)
        return True, said[0] if said else ""
    return False, f"{mutant.test}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}"


def main(names: list[str]) -> int:
    survivors = 0
    for mutant in mutants(names):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"headgate-mutant-{mutant.name}-") as name:
            folder = Path(name)
            copy_tree(folder)
            killed, why = is_killed(mutant, folder)
        word = "red, as it must be" if killed else "SURVIVES"
        print(f"{mutant.name} ({mutant.what}): {word}, {time.monotonic() - began:.0f} s", flush=True)
        survivors += not killed
        print(f"  {why}", flush=True)
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
