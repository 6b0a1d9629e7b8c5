"""The Makefile describes itself, and a test folder is a target."""

from __future__ import annotations

import re
import subprocess

from tests.unit.repository.tree import REPOSITORY

# Not folders of tests: what they share, and the measurements (`make bench`).
NO_TESTS = {"support", "perf"}
PROMISED = {"setup", "up", "demo", "test", "lint", "bench", "proto", "lock"}


def makefile() -> str:
    return (REPOSITORY / "Makefile").read_text("utf-8")


def described() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## \S", makefile(), re.MULTILINE))


def test_every_target_is_described_and_phony() -> None:
    targets = set(re.findall(r"^([a-z-]+):", makefile(), re.MULTILINE))
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", makefile(), re.MULTILINE)
    assert phony is not None
    assert targets == described()
    assert targets == set(phony[1].replace("\\", " ").split())
    assert targets >= PROMISED


def test_every_folder_of_tests_is_a_target() -> None:
    folders = {path.name for path in (REPOSITORY / "tests").iterdir() if path.is_dir()}
    wanted = {f"test-{name}" for name in folders - NO_TESTS if not name.startswith("_")}
    assert {name for name in described() if name.startswith("test-")} == wanted


def test_make_alone_lists_the_targets_and_starts_nothing() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    shown = re.findall(r"^  make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert set(shown) == described()
    assert len(shown) == len(done.stdout.splitlines())


def test_the_check_of_a_change_can_be_run_and_ends_with_the_tests() -> None:
    run = REPOSITORY / ".ci" / "run"
    assert run.stat().st_mode & 0o111
    assert run.read_text("utf-8").rstrip().endswith("make test")
    subprocess.run(["bash", "-n", str(run)], check=True)
