"""Every mutant still applies: one that does not proves nothing, and nobody would notice."""

from __future__ import annotations

import subprocess

import pytest

from tests.faults.mutants.__main__ import REPOSITORY, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants([]), ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_names_a_test_that_is_there(mutant: Mutant) -> None:
    command = ["git", "apply", "--check", str(mutant.patch)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the mechanism has moved, the patch has to follow it:\n{done.stderr}"
    assert (REPOSITORY / mutant.test.split()[0]).is_file()
    assert "\n+++ b/tests/" not in mutant.patch.read_text(), "a mutant is of the product"
