"""The tour of `make demo` ends by itself, shows what it says, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.processes import REPOSITORY, clean_environment

TOUR_SECONDS = 110


def test_the_tour_shows_a_fallback_and_its_money_and_removes_its_folder(tmp_path: Path) -> None:
    # Unix sockets have short names: not below tmp_path, whose own is long.
    with tempfile.TemporaryDirectory(prefix="hg-", dir="/tmp") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tests.demo.tour"],
            cwd=REPOSITORY,
            env=clean_environment(TMPDIR=folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TOUR_SECONDS,
            check=False,
        )
        left = os.listdir(folder)
    assert done.returncode == 0, done.stderr
    assert left == []
    assert "x-headgate-attempts: 2" in done.stdout
    assert re.search(r"resilient +large +3 +3 ", done.stdout)
    assert re.search(r"resilient +down +0 +3 .* 0 ", done.stdout), "the failed attempts cost nothing"
    assert '"reason": "overloaded"' in done.stdout


def test_a_tour_that_is_interrupted_stops_what_it_started(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hg-", dir="/tmp") as folder:
        tour = subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.demo.tour"],
            cwd=REPOSITORY,
            env=clean_environment(TMPDIR=folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert tour.stdout is not None
        for line in tour.stdout:
            if "Ready after" in line:
                break
        tour.terminate()
        rest = tour.stdout.read()
        code = tour.wait(TOUR_SECONDS)
        tour.stdout.close()
        assert code == 128 + 15, rest
        assert os.listdir(folder) == []
