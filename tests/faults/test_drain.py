"""F18: SIGTERM under load. What has begun is finished, the spool is flushed, and the end comes in time."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

import pytest

from tests.faults.scale import FULL, points, times
from tests.faults.system import OwnProxy, System, get, metric, request_for, wait_until
from tests.support.ledgers import read_spool
from tests.support.provider.behaviour import Behaviour

EXIT_SECONDS = 35.0
DRAIN_SECONDS = times(1, 30)
STREAMS = times(4, 20)


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_lets_streams_finish_and_flushes_the_spool(system: System, workers: int) -> None:
    random = points(f"drain {workers}")
    # About two seconds a stream: those that have begun outlast the signal.
    system.provider.always("slow", Behaviour(tokens_per_second=times(8, 1)))
    try:
        with OwnProxy(system, f"drained-{workers}", workers=workers) as proxy:
            with system.load(times(60, 100), proxy.base_url) as load:
                load.wait_begun(40 + random.randrange(40))
                code, seconds = proxy.terminate()
            left = read_spool(proxy.state)
        assert code == 0
        assert load.seen
        began_before = [call for call in load.seen if call.request_id is not None]
        assert [call for call in began_before if not call.complete] == [], "a call that had begun was cut"
        assert any(call.stream for call in began_before)
        assert not left.finals, "the control plane was there: nothing is left behind"
        assert not left.intents
        if FULL:
            assert seconds <= EXIT_SECONDS
        system.check(proxy.state)
    finally:
        system.provider_as_usual()


@pytest.mark.parametrize("workers", [1, 2])
def test_streams_finish_within_the_drain_and_what_outlasts_it_is_cut_and_recorded(
    system: System, workers: int
) -> None:
    # One ends well before the drain does, the other long after it.
    ends_after = 0.6 * DRAIN_SECONDS
    system.provider.always("slow", Behaviour(text="word " * 21, tokens_per_second=20 / ends_after))
    system.provider.always("still", Behaviour(text="word " * 2_000, tokens_per_second=5))
    arguments = ("--drain", f"{DRAIN_SECONDS}s")
    try:
        with OwnProxy(system, f"outlasted-{workers}", workers=workers, arguments=arguments) as proxy:
            with ThreadPoolExecutor(STREAMS) as threads:
                models = ["slow", "patient"] * (STREAMS // 2)
                running = [threads.submit(hear, proxy.base_url, system.api_key, model) for model in models]
                wait_until(lambda: metric(proxy.ops, "headgate_inflight") == STREAMS)
                began = time.monotonic()
                code, seconds = proxy.terminate(DRAIN_SECONDS + 30)
                heard = [future.result() for future in running]
            assert code == 0
            assert all(b"[DONE]" in one.body for one in heard[::2]), "it had the time to end"
            assert not any(b"[DONE]" in one.body for one in heard[1::2])
            assert min(one.ended_at for one in heard[1::2]) - began >= DRAIN_SECONDS, "cut before its time"
            if FULL:
                assert seconds <= EXIT_SECONDS
            left = read_spool(proxy.state)
            assert not left.finals
            assert not left.intents
            ledgers = system.check(proxy.state)
        rows = {row.request_id: row for row in ledgers.rows if row.proxy == proxy.name}
        for one in heard:
            row = rows[one.request_id]
            assert row.output_tokens >= one.body.count(b'"content":') - 1, "what was heard is worth something"
            assert row.final
    finally:
        system.provider_as_usual()


def test_a_client_that_is_slow_to_take_its_answer_has_all_of_it_before_the_end(system: System) -> None:
    """For the proxy the call is over long before."""
    text = "word " * 1_600_000
    system.provider.script("quick", Behaviour(text=text, stream=False))
    body = json.dumps({"model": "quick", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {system.api_key}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    with OwnProxy(system, "slow-reader") as proxy, ThreadPoolExecutor(1) as threads:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
            client.settimeout(20)
            client.connect(("127.0.0.1", proxy.http_port))
            client.sendall(head.encode() + body)
            wait_until(lambda: b"headgate_requests_total{" in get(f"{proxy.ops}/metrics")[1])
            ending = threads.submit(proxy.terminate)
            wait_until(lambda: "draining" in proxy.process.log())
            heard = b""
            while data := client.recv(2**18):
                heard += data
                time.sleep(0.001)
        assert ending.result()[0] == 0
    answer = json.loads(heard.partition(b"\r\n\r\n")[2])
    assert answer["choices"][0]["message"]["content"] == text
    system.check(proxy.state)


@dataclass(frozen=True, slots=True)
class Heard:
    request_id: UUID
    body: bytes
    # CLOCK_MONOTONIC seconds.
    ended_at: float


def hear(base_url: str, api_key: str, model: str) -> Heard:
    """A stream to its end, or until it is cut."""
    body = b""
    with urllib.request.urlopen(request_for(base_url, api_key, model, True), timeout=90) as answer:
        with contextlib.suppress(OSError, http.client.HTTPException):
            while data := answer.read1():
                body += data
        return Heard(UUID(answer.headers["x-request-id"]), body, time.monotonic())
