"""The last good config on disk: what is damaged is never served, the one before it is (P1, F10)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from headgate.rules.credentials import Secret
from proxy.config.holder import ConfigHolder
from proxy.config.last_good import LastGood
from proxy.config.model import Version
from tests.unit.proxy import entries

TOKEN = Secret("hgt-000000000000-" + "t" * 43)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds version 1 as previous and version 2 as current."""
    holder = ConfigHolder()
    last_good = LastGood(tmp_path / "state", TOKEN, "eu")
    for revision in (1, 2):
        holder.receive(entries.update(revision, entries.provider("p", secrets={"main": "sk-canary"})))
        last_good.save(holder.serialized())
    return tmp_path / "state"


def loaded(folder: Path, token: Secret = TOKEN, region: str = "eu") -> tuple[Version | None, str | None]:
    holder = ConfigHolder()
    trouble = LastGood(folder, token, region).load(holder)
    return holder.version, trouble


def test_the_newest_is_served(folder: Path) -> None:
    assert loaded(folder) == (Version(1, 2), None)


def test_a_flipped_byte_anywhere_brings_the_version_before(folder: Path) -> None:
    current = folder / "config.current"
    good = current.read_bytes()
    for place in range(len(good)):
        current.write_bytes(good[:place] + bytes([good[place] ^ 0x01]) + good[place + 1 :])
        version, trouble = loaded(folder)
        assert version == Version(1, 1), place
        assert trouble is not None
        assert trouble.startswith("config.current: ")


def test_a_cut_at_any_length_brings_the_version_before(folder: Path) -> None:
    current = folder / "config.current"
    good = current.read_bytes()
    for length in range(len(good)):
        current.write_bytes(good[:length])
        version, trouble = loaded(folder)
        assert version == Version(1, 1), length
        assert trouble is not None


def test_bytes_after_the_end_are_damage_too(folder: Path) -> None:
    current = folder / "config.current"
    current.write_bytes(current.read_bytes() + b"\0")
    assert loaded(folder)[0] == Version(1, 1)


def test_a_crash_between_the_two_renames_leaves_the_version_before(folder: Path) -> None:
    (folder / "config.current").unlink()
    assert loaded(folder) == (Version(1, 1), None)


def test_nothing_good_is_nothing_served(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"HGCONF01 and then nothing of use")
    version, trouble = loaded(folder)
    assert version is None
    assert trouble is not None


def test_no_files_are_no_trouble(tmp_path: Path) -> None:
    assert loaded(tmp_path / "nowhere") == (None, None)


def test_another_token_opens_nothing(folder: Path) -> None:
    version, trouble = loaded(folder, Secret("hgt-000000000000-" + "u" * 43))
    assert version is None
    assert trouble is not None


def test_what_another_region_was_sent_is_not_served(folder: Path) -> None:
    version, trouble = loaded(folder, region="us")
    assert version is None
    assert trouble is not None
    assert "another region" in trouble


def test_a_config_that_this_proxy_refuses_is_passed_over(folder: Path) -> None:
    bad = ConfigHolder()
    bad.receive(entries.update(3, entries.provider("p")))
    bad.entries = {("provider", "default", "p"): entries.provider("p", kind="martian")}
    LastGood(folder, TOKEN, "eu").save(bad.serialized())
    version, trouble = loaded(folder)
    assert version == Version(1, 2)
    assert trouble is not None
    assert "martian" in trouble


def test_secrets_are_sealed_and_files_are_private(folder: Path) -> None:
    for path in folder.iterdir():
        assert b"sk-canary" not in path.read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_seal_is_never_the_same_twice(folder: Path) -> None:
    first = (folder / "config.current").read_bytes()
    holder = ConfigHolder()
    LastGood(folder, TOKEN, "eu").load(holder)
    LastGood(folder, TOKEN, "eu").save(holder.serialized())
    assert (folder / "config.current").read_bytes() != first
