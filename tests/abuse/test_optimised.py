"""`python -O` takes asserts out (A18): what guards must still guard, so the same tests pass under it.

pytest's own asserts are rewritten and stay; those of the product would be gone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.abuse.scale import FULL
from tests.support.processes import REPOSITORY, clean_environment

# Money, the access table, sealing, usage records, who may call what.
SMALL = (
    "tests/unit/rules",
    "tests/unit/control_plane/test_cp_access.py",
    "tests/unit/control_plane/test_cp_envelope.py",
    "tests/unit/control_plane/test_cp_records.py",
    "tests/unit/proxy/test_proxy_resolve.py",
)
LARGE = (
    "tests/unit",
    "tests/integration/control_plane/test_cp_access.py",
    "tests/integration/control_plane/test_cp_identity.py",
    "tests/integration/control_plane/test_cp_sealing.py",
    "tests/integration/control_plane/test_cp_walls.py",
    "tests/integration/proxy/test_proxy_bad_requests.py",
)


FAILING = "def test_that_must_fail():\n    assert not __debug__\n    assert 1 == 2\n"


def test_the_suite_passes_without_asserts(tmp_path: Path) -> None:
    """All of it but a test that must fail, or else the others would prove nothing."""
    failing = tmp_path / "test_failing.py"
    failing.write_text(FAILING)
    command = [sys.executable, "-O", "-m", "pytest", "--basetemp", str(tmp_path / "inner"), str(failing)]
    # What it says about -O is what is wanted here.
    command += ["-W", "ignore::pytest.PytestConfigWarning", *(LARGE if FULL else SMALL)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=clean_environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    assert [name.rpartition("::")[2] for name in failed] == ["test_that_must_fail"], done.stdout[-4_000:]
    assert "assert 1 == 2" in done.stdout
