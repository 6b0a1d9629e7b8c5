"""Bodies made to fill the memory (A2): refused unread, cut off, never unpacked, counted before parsing.

The gateway is one of its own: memory that earlier requests have left behind would hide what these take.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.settings import MAX_BODY_BYTES, MAX_STRUCTURAL_BYTES
from tests.abuse.scale import FULL, times
from tests.abuse.target import ASKED, NATIVE, VALID, error_of, forget_peak, manifest, memory_mib, proxy_pid
from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.raw_client import Closed, RawClient, request_bytes
from tests.support.fake_provider import ANY, Behaviour, FakeProvider
from tests.support.processes import start_headgate

MIB = 2**20
GIB = 2**30
MAX_REFUSAL_SECONDS = 0.1
# Of one request, in bodies of the largest size.
MAX_MEMORY_MIB = 4 * MAX_BODY_BYTES / MIB
# What the heap may keep of them: less than two bodies, however many there were.
KEPT_MIB = 2 * MAX_BODY_BYTES / MIB
CHUNKED = {"content-length": "", "transfer-encoding": "chunked"}
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Watched:
    """A gateway, and the memory of its proxy."""

    gateway: Gateway
    pid: int
    at_first_mib: float

    @contextlib.contextmanager
    def takes_at_most(self, mib: float) -> Iterator[None]:
        """Of what it does not have already, at any moment of the block."""
        forget_peak(self.pid)
        before = memory_mib(self.pid, "VmRSS")
        yield
        assert memory_mib(self.pid) - before <= mib

    def kept_mib(self) -> float:
        """Beyond what it had after its first call."""
        return memory_mib(self.pid, "VmRSS") - self.at_first_mib


@pytest.fixture(scope="module")
def shared_watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder: Path = tmp_path_factory.mktemp("watched")
    with FakeProvider() as provider, start_headgate(folder, manifest(provider.base_url)) as headgate:
        gateway = Gateway(headgate, provider)
        assert gateway.post(chat("gpt-plain")).status == 200
        pid = proxy_pid(gateway)
        yield Watched(gateway, pid, memory_mib(pid, "VmRSS"))
        gateway.close()


@pytest.fixture
def watched(shared_watched: Watched) -> Watched:
    shared_watched.gateway.provider.wait_done(0)
    shared_watched.gateway.provider.reset()
    return shared_watched


@pytest.mark.parametrize("length", [MAX_BODY_BYTES + 1, GIB])
@pytest.mark.parametrize("path", ASKED)
def test_a_body_of_a_gibibyte_is_refused_unread(watched: Watched, path: str, length: int) -> None:
    for _ in range(times(1, 50)):
        with watched.gateway.connect() as client:
            begun = time.monotonic()
            client.send(request_bytes(b"", VALID, path, headers={"content-length": str(length)}))
            answer = client.answer()
            seconds = time.monotonic() - begun
        assert answer.status == 413
        assert error_of(answer, path)["code"] == "request_too_large"
        assert answer.header("connection") == "close"
        assert not FULL or seconds <= MAX_REFUSAL_SECONDS
    assert watched.gateway.provider.attempts() == []


def test_many_such_bodies_at_once_are_refused_and_leave_nothing(watched: Watched) -> None:
    gateway = watched.gateway
    head = request_bytes(b" " * 1000, VALID, CHAT, headers={"content-length": str(GIB)})
    with watched.takes_at_most(MAX_MEMORY_MIB), contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(gateway.connect()) for _ in range(times(100, 1_000))]
        for client in clients:
            client.send(head)
        assert {client.answer().status for client in clients} == {413}
        assert gateway.post(chat("gpt-plain")).status == 200
    gateway.attempts(1)


# What a client can send for ever, piece by piece, after the head of a chunked request.
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "large chunks": (b"", b"10000\r\n" + b" " * 65536 + b"\r\n"),
    "chunks of a byte": (b"", b"1\r\n \r\n" * 10_000),
    "chunks of two bytes, with extensions": (b"", b"2;a=b\r\n  \r\n" * 6_000),
    "one chunk": (b"fffffffffffffff\r\n", b" " * 65536),
    "an extension": (b"1;", b"x" * 65536),
    "zeros of a size": (b"", b"0" * 65536),
    "trailers": (b"0\r\n", b"".join(b"x-%d: y\r\n" % number for number in range(6_000))),
    "a trailer's name": (b"0\r\n", b"x" * 65536),
    "a trailer's value": (b"0\r\nx: ", b"y" * 65536),
}
# More than is read before it is refused; in chunks of a byte, six bytes are one.
WIRE_BYTES = times(48, 256) * MIB
SLOW_WIRE_BYTES = times(12, 256) * MIB


def send_until_refused(client: RawClient, piece: bytes, most: int = WIRE_BYTES) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(most // len(piece)):
            client.send(piece)


@pytest.mark.parametrize("form", ENDLESS)
def test_a_body_without_an_end_is_cut_off(watched: Watched, form: str) -> None:
    gateway = watched.gateway
    first, piece = ENDLESS[form]
    with watched.takes_at_most(MAX_MEMORY_MIB), gateway.connect() as client:
        client.send(request_bytes(first, VALID, CHAT, headers=CHUNKED))
        send_until_refused(client, piece, SLOW_WIRE_BYTES if "byte" in form else WIRE_BYTES)
        # Others are answered meanwhile, whatever else this one may send.
        assert gateway.post(chat("gpt-plain")).status == 200
    gateway.attempts(1)


@pytest.mark.parametrize("form", ["an extension", "trailers", "a trailer's name", "a trailer's value"])
def test_what_stands_between_the_bytes_of_a_body_is_bounded_like_a_head(watched: Watched, form: str) -> None:
    first, piece = ENDLESS[form]
    with watched.takes_at_most(4), watched.gateway.connect() as client:
        client.send(request_bytes(first, VALID, CHAT, headers=CHUNKED))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(piece * 16)
        client.socket.settimeout(5.0)  # sooner than a slow client would be cut off
        with contextlib.suppress(Closed):
            assert client.answer().status in (400, 431)
    assert watched.gateway.provider.attempts() == []


def test_an_endless_body_of_a_stranger_is_not_begun_with(watched: Watched) -> None:
    with watched.gateway.connect("127.0.0.21") as client:
        client.send(request_bytes(b"", None, CHAT, headers=CHUNKED))
        assert client.answer().status == 401
        assert client.closes_within(3.0)


def test_an_endless_body_that_is_passed_on_takes_a_window_of_it(watched: Watched) -> None:
    """To a provider that reads nothing, the client cannot send more than the buffers between them hold."""
    with watched.takes_at_most(MAX_MEMORY_MIB / 4), watched.gateway.connect() as client:
        headers = {**CHUNKED, "content-type": "application/octet-stream"}
        client.send(request_bytes(b"", NATIVE, "/providers/at-gpt-plain/v1/files", headers=headers))
        client.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            send_until_refused(client, ENDLESS["large chunks"][1])


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip"])
def test_a_packed_body_is_refused_and_never_unpacked(watched: Watched, encoding: str) -> None:
    packed = gzip.compress(b" " * (times(64, 1024) * MIB), 9 if FULL else 1)
    for path in ASKED:
        request = request_bytes(packed, VALID, path, headers={"content-encoding": encoding})
        with watched.takes_at_most(MAX_MEMORY_MIB / 4), watched.gateway.connect() as client:
            client.send(request)
            answer = client.answer()
        assert answer.status == 415
        error_of(answer, path)
    assert watched.gateway.provider.attempts() == []


def filled(front: bytes, unit: bytes, back: bytes, count: int | None = None) -> bytes:
    """A body of the largest size, or with so many units."""
    room = (MAX_BODY_BYTES - len(front) - len(back)) // len(unit)
    return front + unit * min(room, room if count is None else count) + back


FRONT = b'{"model":"gpt-plain","messages":[],"x":['
# Too many values: counted in the bytes, before anything is made of them.
COUNTED: dict[str, bytes] = {
    "arrays": b"[],",
    "objects": b"{},",
    "numbers": b"0,",
    "texts": b'"",',
    "openings": b"[",
    "pairs": b'{"a":0},',
}


@pytest.mark.parametrize("form", COUNTED)
def test_values_are_counted_before_they_are_parsed(watched: Watched, form: str) -> None:
    body = filled(FRONT, COUNTED[form], b"0]}")
    with watched.takes_at_most(MAX_MEMORY_MIB):
        answer = watched.gateway.post(body)
    assert answer.status == 400
    assert str(MAX_STRUCTURAL_BYTES) in answer.error()["message"]
    assert watched.gateway.provider.attempts() == []


def test_as_many_values_as_are_permitted_stay_within_the_bound(watched: Watched) -> None:
    units = {b"{},": 2, b"[],": 2, b"0,": 1, b'{"a":{}},': 3}
    for unit, values in units.items():
        body = filled(FRONT, unit, b"0]}", MAX_STRUCTURAL_BYTES // values - 10)
        with watched.takes_at_most(MAX_MEMORY_MIB):
            assert watched.gateway.post(body, key=VALID).status == 200
    watched.gateway.attempts(len(units))


def largest(stream: bool = False) -> bytes:
    front = b'{"stream":%s,"model":"gpt-plain","messages":[{"role":"user","content":"'
    return filled(front % (b"true" if stream else b"false"), b"x", b'"}]}')


def answered(client: RawClient) -> None:
    client.send(request_bytes(largest(), VALID, CHAT))
    assert client.answer().status == 200


def answered_with_a_stream(client: RawClient) -> None:
    client.send(request_bytes(largest(stream=True), VALID, CHAT))
    assert client.answer().events()[-1] == "[DONE]"


def left_in_the_body(client: RawClient) -> None:
    client.send(request_bytes(largest(), VALID, CHAT)[:-1])


def left_before_the_answer(client: RawClient) -> None:
    client.send(request_bytes(largest(), VALID, CHAT))


def left_in_the_answer(client: RawClient) -> None:
    client.send(request_bytes(largest(stream=True), VALID, CHAT))
    client.wait_for(b"data:")


def refused(client: RawClient) -> None:
    client.send(request_bytes(largest()[:-1] + b"]", VALID, CHAT))
    assert client.answer().status == 400


def refused_in_the_body(client: RawClient) -> None:
    body = b"%x\r\n%b\r\nzz\r\n" % (MAX_BODY_BYTES, largest())
    client.send(request_bytes(body, VALID, CHAT, headers=CHUNKED))
    assert client.answer().status == 400


_CHUNK = {"object": "chat.completion.chunk", "id": "c", "created": 1, "model": "m"}
_CHOICE = {"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
_EVENT = json.dumps({**_CHUNK, "choices": [_CHOICE]}).encode()
# A stream that is there with its first piece has ended before it is relayed.
ANSWERS: dict[Callable[[RawClient], None], Behaviour] = {
    answered_with_a_stream: Behaviour(stream=True, body=b"data: %b\n\ndata: [DONE]\n\n" % _EVENT),
    left_in_the_answer: Behaviour(tokens_per_second=20),
}


@pytest.mark.parametrize(
    "ends",
    [
        *(answered, answered_with_a_stream, refused, refused_in_the_body),
        *(left_in_the_body, left_before_the_answer, left_in_the_answer),
    ],
)
def test_what_the_largest_body_took_is_given_back_however_it_ends(
    watched: Watched, ends: Callable[[RawClient], None]
) -> None:
    """Nothing may wait for a collector of cycles, which hardly ever runs there."""
    gateway = watched.gateway
    for _ in range(times(3, 30)):
        gateway.provider.always(ANY, ANSWERS.get(ends, Behaviour()))
        with watched.takes_at_most(MAX_MEMORY_MIB), gateway.connect() as client:
            ends(client)
        gateway.provider.wait_done(0)
        gateway.provider.reset()
    deadline = time.monotonic() + 5
    while watched.kept_mib() > KEPT_MIB and time.monotonic() < deadline:
        time.sleep(0.05)
    assert watched.kept_mib() <= KEPT_MIB
