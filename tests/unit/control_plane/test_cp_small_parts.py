"""Page tokens, logs, the ready file, loopback peers."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from control_plane.errors import InvalidField
from control_plane.logs import JsonFormatter
from control_plane.ready import write_ready_file
from control_plane.rpc import pages
from control_plane.rpc.guard import is_loopback


def test_a_page_token_comes_back_as_it_was() -> None:
    assert pages.decode(pages.encode("key", "acme", "ä/b"), str, str, str) == ["key", "acme", "ä/b"]
    assert pages.decode("", str) is None


@pytest.mark.parametrize("token", ["x", "!!!", "WzFd", pages.encode("a", "b"), "A" * 10_000, pages.encode(1)])
def test_a_page_token_that_is_not_ours_is_refused(token: str) -> None:
    with pytest.raises(InvalidField):
        pages.decode(token, str)


@pytest.mark.parametrize("peer", ["ipv4:127.0.0.1:1", "ipv6:%5B::1%5D:1", "ipv6:[::1]:1", "unix:/x"])
def test_a_peer_on_this_machine(peer: str) -> None:
    assert is_loopback(peer)


@pytest.mark.parametrize("peer", ["ipv4:10.0.0.1:1", "ipv6:%5B2001:db8::1%5D:1", "", "ipv4:128.0.0.1:127.0"])
def test_a_peer_elsewhere(peer: str) -> None:
    assert not is_loopback(peer)


def test_a_log_line_is_one_json_object() -> None:
    try:
        raise ValueError("x")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "it\nfailed", (), sys.exc_info())
    record.data = {"proxy": "p"}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["proxy"] == "p"


def test_the_ready_file_is_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    write_ready_file(path, {"pid": 1})
    assert json.loads(path.read_text()) == {"pid": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
