"""Where two answers meet: whatever the pieces, the client reads the text once and whole, or nothing more."""

from __future__ import annotations

import itertools
from functools import partial
from types import SimpleNamespace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.spoken import MessagesSpoken, Spoken, events_in, spoken_in
from proxy.resume import MAX_AFTER_ERROR_BYTES, MAX_DELIVERED_CHARACTERS, Delivered, Seam

texts = st.text(min_size=1, max_size=60)


class Client:
    """What reached the client."""

    def __init__(self) -> None:
        self.data = b""

    def send(self, data: bytes) -> bool:
        self.data += data
        return True

    def text(self, spoken: Spoken) -> str:
        return "".join(spoken.kind(document)[1] for _, document in events_in(self.data) if document)


class Exchange:
    """As much of one as a seam touches."""

    def __init__(self) -> None:
        self.failure: Any = None
        self.stream = SimpleNamespace(done=False, tail=[])

    def fail(self, failure: Any) -> None:
        self.failure = failure


def pieces(text: str, cuts: list[int]) -> list[str]:
    at = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
    return [text[a:b] for a, b in itertools.pairwise(at)]


def chat_events(said: list[str], identity: str) -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": t} for t in said)]
    return [
        b"data: " + orjson.dumps({"id": identity, "choices": [{"index": 0, "delta": delta}]}) + b"\n\n"
        for delta in deltas
    ]


def join(first: list[bytes], second: list[bytes], operation: str) -> tuple[Client, Exchange, Spoken]:
    spoken = spoken_in(operation)
    assert spoken is not None
    client, exchange = Client(), Exchange()
    delivered = Delivered(client, spoken)  # type: ignore[arg-type]
    for event in first:
        delivered.send(event)
    seam = Seam(delivered, exchange, lambda: None)  # type: ignore[arg-type]
    for event in second:
        seam.send(event)
    seam.end()
    return client, exchange, spoken


@given(texts, st.integers(1, 60), st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_the_text_is_whole_wherever_it_was_cut_and_however_it_is_said_again(
    text: str, cut: int, one: list[int], two: list[int]
) -> None:
    said = text[: 1 + cut % len(text)]
    first, second = chat_events(pieces(said, one), "a"), chat_events(pieces(text, two), "other-answer")
    client, exchange, spoken = join(first, second, "chat.completions")
    assert exchange.failure is None
    assert client.text(spoken) == text
    assert b"other-answer" not in client.data, "its id shows nowhere"


@given(texts, texts, st.lists(st.integers(0, 60)))
def test_of_an_answer_that_says_something_else_nothing_reaches_the_client(
    said: str, other: str, cuts: list[int]
) -> None:
    if other.startswith(said):
        other = "x" + other if not said.startswith("x") else "y" + other
    client, exchange, spoken = join(
        chat_events([said], "a"), chat_events(pieces(other, cuts), "b"), "chat.completions"
    )
    assert exchange.failure is not None
    assert client.text(spoken) == said


def test_what_is_no_text_is_not_put_together() -> None:
    spoken = MessagesSpoken()
    delivered = Delivered(Client(), spoken)  # type: ignore[arg-type]
    delivered.send(
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}\n\n'
    )
    assert not delivered.resumable


def test_an_error_and_what_closes_the_answer_before_it_are_withheld() -> None:
    spoken = spoken_in("responses")
    assert spoken is not None
    client = Client()
    delivered = Delivered(client, spoken)  # type: ignore[arg-type]
    kinds = ("response.output_text.done", "response.output_item.done", "response.failed", "error")
    delivered.send(b'data: {"type":"response.output_text.delta","delta":"Hi","item_id":"i"}\n\n')
    delivered.send(b"".join(b'data: {"type":"%b"}\n\n' % kind.encode() for kind in kinds))
    assert delivered.resumable
    assert delivered.text == "Hi"
    assert client.data.count(b"data:") == 1
    assert delivered.withheld.count(b"data:") == 4


def test_of_an_answer_that_is_too_long_to_be_put_together_nothing_is_kept() -> None:
    spoken = spoken_in("chat.completions")
    assert spoken is not None
    for in_one in (True, False):
        client = Client()
        delivered = Delivered(client, spoken)  # type: ignore[arg-type]
        add = delivered.send if in_one else partial(delivered.continued, text="x" * 1000)
        [_, event] = chat_events(["x" * 1000], "a")
        for _ in range(MAX_DELIVERED_CHARACTERS // 1000):
            add(event)
        assert (delivered.resumable, len(delivered.text)) == (True, MAX_DELIVERED_CHARACTERS)
        for _ in range(2):
            add(event)
            assert (delivered.resumable, delivered.text) == (False, "")
        assert client.data.count(b"data:") == MAX_DELIVERED_CHARACTERS // 1000 + 2, "all of it is delivered"


def test_what_follows_an_error_without_end_is_not_kept() -> None:
    spoken = spoken_in("chat.completions")
    assert spoken is not None
    client = Client()
    delivered = Delivered(client, spoken)  # type: ignore[arg-type]
    error = b'data: {"error":{"message":"overloaded"}}\n\n'
    [_, more] = chat_events(["x" * 1000], "a")
    delivered.send(error)
    for _ in range(1000):
        delivered.send(more)
    assert delivered.withheld.startswith(error + more)
    assert len(delivered.withheld) < MAX_AFTER_ERROR_BYTES + len(more)
    assert client.data == b""
