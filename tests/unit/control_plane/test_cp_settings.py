"""What the program accepts at start."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from control_plane.settings import Address, SettingsError, parse_address, read_settings

URL = {"HEADGATE_DATABASE_URL": "postgresql://u:p4ssw0rd@db/headgate"}
KEK = base64.b64encode(bytes(32)).decode()


def test_plain_text_is_for_loopback_only() -> None:
    for address in ("127.0.0.1:1", "localhost:1", "[::1]:1", "127.9.9.9:1"):
        assert read_settings(["--grpc", address], URL).grpc.is_loopback
    for address in ("0.0.0.0:1", "10.0.0.1:1", "[::]:1", "example.com:1"):
        with pytest.raises(SettingsError, match="--tls-cert"):
            read_settings(["--grpc", address], URL)


def test_with_tls_any_address_will_do() -> None:
    tls = ["--tls-cert", "c", "--tls-key", "k"]
    assert read_settings(["--grpc", "0.0.0.0:1", *tls], URL).tls_cert == Path("c")
    with pytest.raises(SettingsError):
        read_settings(["--tls-cert", "c"], URL)


def test_there_must_be_a_database() -> None:
    with pytest.raises(SettingsError, match="HEADGATE_DATABASE_URL"):
        read_settings([], {})
    assert read_settings(["--embedded-postgres", "d"], {}).embedded_postgres == Path("d")
    assert read_settings(["--embedded-postgres", "d"], URL).embedded_postgres is None


def test_the_key_is_32_bytes_in_base64_from_the_environment_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "kek"
    file.write_text(KEK + "\n")
    assert read_settings([], {**URL, "HEADGATE_KEK": KEK}).kek_source.is_set
    assert read_settings([], {**URL, "HEADGATE_KEK_FILE": str(file)}).kek_source.is_set
    assert not read_settings([], URL).kek_source.is_set
    for bad in ("short", KEK[:-4], "%%%"):
        with pytest.raises(SettingsError, match="32 bytes"):
            read_settings([], {**URL, "HEADGATE_KEK": bad})
    with pytest.raises(SettingsError, match="HEADGATE_KEK_FILE"):
        read_settings([], {**URL, "HEADGATE_KEK_FILE": str(tmp_path / "absent")})


def test_secrets_do_not_show() -> None:
    settings = read_settings([], {**URL, "HEADGATE_KEK": KEK})
    assert "p4ssw0rd" not in repr(settings)
    assert KEK not in repr(settings)


def test_a_database_url_is_not_an_argument() -> None:
    with pytest.raises(SystemExit):
        read_settings(["--database-url", "postgresql://u:p@db/x"], URL)


def test_addresses() -> None:
    assert parse_address("[::1]:80") == Address("::1", 80)
    assert str(parse_address("[::1]:80")) == "[::1]:80"
    for bad in ("", "80", "host:", "host:x", "host:70000"):
        with pytest.raises(SettingsError):
            parse_address(bad)


def test_retention_is_in_days() -> None:
    assert read_settings(["--usage-retention", "30d"], URL).usage_retention_days == 30
    for bad in ("30", "1h", "0d", "99999d"):
        with pytest.raises(SettingsError):
            read_settings(["--usage-retention", bad], URL)
