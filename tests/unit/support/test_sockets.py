"""The fault proxy passes bytes on unharmed until it is told otherwise."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.fake_provider import FakeProvider
from tests.support.sockets import FaultProxy, free_port, refused_port, wait_for_port

REQUEST = b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def proxy(provider: FakeProvider) -> Iterator[FaultProxy]:
    with FaultProxy(provider.port) as proxy:
        yield proxy


def asked(proxy: FaultProxy, timeout_seconds: float = 5.0) -> bytes:
    data = b""
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=timeout_seconds)) as connection:
        connection.sendall(REQUEST)
        while piece := connection.recv(1 << 16):
            data += piece
    return data


def test_without_a_fault_everything_passes(proxy: FaultProxy) -> None:
    assert asked(proxy).endswith(b"}")
    with urllib.request.urlopen(f"{proxy.url}/v1/models") as answer:
        assert answer.status == 200


def test_latency_is_added_in_each_direction(proxy: FaultProxy) -> None:
    proxy.set(latency_seconds=0.05)
    started = time.monotonic()
    asked(proxy)
    assert time.monotonic() - started >= 0.1


def test_the_slicer_changes_nothing_but_the_pieces(proxy: FaultProxy) -> None:
    plain = asked(proxy)
    proxy.set(slice_bytes=3, slice_pause_seconds=0.0)
    sliced = asked(proxy)
    assert plain.partition(b"\r\n\r\n")[2] == sliced.partition(b"\r\n\r\n")[2]


def test_a_black_hole_is_silent_and_heals(proxy: FaultProxy) -> None:
    proxy.set(black_hole=True)
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=0.2)) as connection:
        connection.sendall(REQUEST)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.heal()
        connection.settimeout(5.0)
        assert connection.recv(1) == b"H"


def test_open_connections_can_be_reset(proxy: FaultProxy) -> None:
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=5.0)) as connection:
        connection.sendall(REQUEST.replace(b"close", b"keep-alive"))
        assert connection.recv(1 << 16)
        assert proxy.open_connections == 1
        proxy.reset_all()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_close_can_be_slow(proxy: FaultProxy) -> None:
    proxy.set(slow_close_seconds=0.1)
    started = time.monotonic()
    asked(proxy)
    assert time.monotonic() - started >= 0.1


def test_refused_means_refused(proxy: FaultProxy) -> None:
    proxy.set(refuse=True)
    with pytest.raises(ConnectionError):
        asked(proxy)
    with closing(refused_port()) as held, pytest.raises(TimeoutError):
        wait_for_port(held.getsockname()[1], timeout_seconds=0.05)
    assert free_port() > 0
