"""The order of a stream's events, read from the very bytes, by each dialect's own rules.

https://platform.openai.com/docs/api-reference/chat-streaming, …/responses-streaming,
https://docs.anthropic.com/en/api/messages-streaming. `problems` names each rule that is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.contract.conformance import sse
from tests.contract.conformance.playing import Played
from tests.contract.conformance.sse import Event

_LAST = ("response.completed", "response.incomplete", "response.failed")


def problems(played: Played) -> list[str]:
    """For streams that the gateway wrote; those that pass through are the provider's."""
    kind = played.taken.headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        return [f"a stream of type {kind!r}"]
    events = list(sse.events(played.taken.body))
    if not events:
        return ["no events"]
    ended_badly = bool(played.heard.raised)
    if played.case.client == "chat":
        return [*chat(events, wants_usage=not played.case.quiet, ended_badly=ended_badly)]
    check = responses if played.case.client == "responses" else messages
    return [*check(events, ended_badly=ended_badly)]


def chat(events: list[Event], *, wants_usage: bool, ended_badly: bool) -> Iterator[str]:
    """The role first, one finish, the usage in a chunk of its own if it was asked for, `[DONE]` last."""
    if any(event.name for event in events):
        yield "an event has a name"
    done = [event.data == "[DONE]" for event in events]
    if ended_badly:
        return
    if done.count(True) != 1 or not done[-1]:
        yield "[DONE] is not the last event, once"
    chunks = [event.document for event in events if event.data != "[DONE]"]
    if any(chunk["object"] != "chat.completion.chunk" for chunk in chunks):
        yield "an event is no chunk"
    if len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks}) != 1:
        yield "id, model or time change"
    if not chunks[0]["choices"] or chunks[0]["choices"][0]["delta"].get("role") != "assistant":
        yield "the first chunk has no role"
    finishes = [bool(c["choices"] and c["choices"][0].get("finish_reason")) for c in chunks]
    if finishes.count(True) != 1:
        yield f"{finishes.count(True)} finishes"
    elif any(chunk["choices"] and _delta(chunk) for chunk in chunks[finishes.index(True) + 1 :]):
        yield "content after the finish"
    usages = [chunk for chunk in chunks if chunk.get("usage")]
    if not wants_usage:
        if usages or not all(chunk["choices"] for chunk in chunks):
            yield "usage that nobody asked for"
    elif len(usages) != 1 or usages[0] is not chunks[-1] or usages[0]["choices"]:
        yield "usage is not in one last chunk without choices"


def _delta(chunk: dict[str, Any]) -> bool:
    return any(value for name, value in chunk["choices"][0]["delta"].items() if name != "role")


def messages(events: list[Event], *, ended_badly: bool) -> Iterator[str]:
    """message_start first and with input tokens; each block started, filled and stopped, once and in this
    order; one message_delta, then message_stop."""
    documents = [event.document for event in events]
    if any(event.name != document["type"] for event, document in zip(events, documents, strict=True)):
        yield "an event's name is not its type"
    kinds = [document["type"] for document in documents if document["type"] != "ping"]
    if kinds[0] != "message_start" or kinds.count("message_start") != 1:
        yield "message_start is not the first event, once"
    else:
        message = documents[0]["message"]
        if message["content"] or message["stop_reason"] is not None:
            yield "message_start has content already"
        if not message["usage"].get("input_tokens") and not message["usage"].get("cache_read_input_tokens"):
            yield "message_start has no input tokens"
    yield from _blocks(documents, ended_badly=ended_badly)
    if ended_badly:
        return
    if kinds[-2:] != ["message_delta", "message_stop"]:
        yield f"the end is {kinds[-2:]}"
    if kinds.count("message_delta") != 1 or kinds.count("message_stop") != 1:
        yield "message_delta or message_stop is not there once"
    last = documents[-2]
    if not (last.get("delta") or {}).get("stop_reason") or "output_tokens" not in (last.get("usage") or {}):
        yield "message_delta has no stop reason or no usage"


_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "redacted_thinking": set[str](),
}


def _blocks(documents: list[dict[str, Any]], *, ended_badly: bool) -> Iterator[str]:
    open_blocks: dict[int, str] = {}
    count = 0
    for document in documents:
        kind, index = document["type"], document.get("index")
        if kind == "content_block_start":
            if index != count:
                yield f"block {index} begins after {count}"
            block = document["content_block"]["type"]
            if block not in _DELTAS:
                yield f"a block of type {block}"
            count += 1
            open_blocks[index or 0] = block
        elif kind == "content_block_delta":
            if index not in open_blocks:
                yield f"a delta for block {index}, which is not open"
            elif document["delta"]["type"] not in _DELTAS.get(open_blocks[index], ()):
                yield f"{document['delta']['type']} in a block of type {open_blocks[index]}"
        elif kind == "content_block_stop" and open_blocks.pop(index or 0, None) is None:
            yield f"block {index} is stopped and was not open"
        elif kind == "message_delta" and open_blocks:
            yield f"blocks {sorted(open_blocks)} are open at the end"
    if open_blocks and not ended_badly and documents[-1]["type"] != "message_stop":
        yield f"blocks {sorted(open_blocks)} are never stopped"


def responses(events: list[Event], *, ended_badly: bool) -> Iterator[str]:
    """Numbered without a gap; created first; items and parts are added, filled and done, and the last event
    holds what was done."""
    documents = [event.document for event in events]
    if any(event.name != document["type"] for event, document in zip(events, documents, strict=True)):
        yield "an event's name is not its type"
    numbers = [document.get("sequence_number") for document in documents]
    if numbers != list(range(len(numbers))):
        yield f"sequence numbers {numbers[:5]} …"
    kinds = [document["type"] for document in documents]
    beginning = ["response.created", "response.in_progress"]
    if kinds[:2] != beginning or any(kinds.count(kind) != 1 for kind in beginning):
        yield f"the beginning is {kinds[:3]}"
    yield from Items(ended_badly=ended_badly).check(documents)
    last = [document for document in documents if document["type"] in _LAST]
    if len(last) != 1:
        yield f"{len(last)} last events"
        return
    first = documents[0].get("response") or {}
    for name in ("id", "model", "created_at"):
        if last[0]["response"].get(name) != first.get(name):
            yield f"{name} of the last event is not the first one's"
    if not ended_badly and last[0] is not documents[-1]:
        yield "something comes after the last event"


class Items:
    """What was added, what came in deltas, what is done."""

    def __init__(self, *, ended_badly: bool) -> None:
        self._ended_badly = ended_badly
        self._items: dict[int, dict[str, Any]] = {}
        self._done: dict[int, dict[str, Any]] = {}
        # (item, kind of part, its index) → the deltas so far.
        self._deltas: dict[tuple[str, str, int], str] = {}
        self._parts: set[tuple[str, str, int]] = set()
        self._seen: set[tuple[str, str, int]] = set()
        self._told: set[tuple[str, str, int]] = set()

    def check(self, documents: list[dict[str, Any]]) -> Iterator[str]:
        for document in documents:
            yield from self._event(document["type"].removeprefix("response."), document)
        if self._ended_badly:
            return
        if self._items.keys() != self._done.keys():
            yield f"items {sorted(self._items.keys() - self._done.keys())} are never done"
        if self._parts:
            yield f"parts {sorted(self._parts)} are never done"
        untold = self._deltas.keys() - self._told
        if untold:
            yield f"texts {sorted(untold)} are never done"
        output = documents[-1].get("response", {}).get("output")
        if output != [self._done[index] for index in sorted(self._done)]:
            yield "the last event's output is not what was done"

    def _event(self, kind: str, document: dict[str, Any]) -> Iterator[str]:
        if kind == "output_item.added":
            if document["output_index"] != len(self._items):
                yield f"item {document['output_index']} is added after {len(self._items)}"
            self._items[document["output_index"]] = document["item"]
            return
        if kind == "output_item.done":
            yield from self._item_done(document)
            return
        if "item_id" not in document:
            return
        if self._items.get(document["output_index"], {}).get("id") != document["item_id"]:
            yield f"{kind} of an item that was not added"
        subject, _, verb = kind.rpartition(".")
        place = (document["item_id"], _subject(subject), _index(document))
        if verb == "added" and subject in ("content_part", "reasoning_summary_part"):
            if place in self._seen:
                yield f"{kind} of a part that was there"
            self._seen.add(place)
            self._parts.add(place)
        elif verb == "delta":
            needs_part = not subject.startswith(("function_call", "custom_tool_call"))
            if needs_part and place not in self._parts:
                yield f"{kind} before its part was added"
            self._deltas[place] = self._deltas.get(place, "") + document["delta"]
        elif verb == "done" and subject in ("content_part", "reasoning_summary_part"):
            if place not in self._parts:
                yield f"{kind} of a part that is not open"
            self._parts.discard(place)
        elif verb == "done":
            yield from self._text_done(kind, place, document)

    def _text_done(self, kind: str, place: tuple[str, str, int], document: dict[str, Any]) -> Iterator[str]:
        whole = next(document[name] for name in ("text", "refusal", "arguments", "input") if name in document)
        if place in self._told:
            yield f"{kind} twice"
        self._told.add(place)
        told = self._deltas.get(place, "")
        if told != whole and not (whole == "{}" and told == ""):
            yield f"{kind} is not what its deltas said"

    def _item_done(self, document: dict[str, Any]) -> Iterator[str]:
        index, item = document["output_index"], document["item"]
        if index not in self._items or index in self._done:
            yield f"item {index} is done and was not open"
        elif self._items[index]["id"] != item["id"] or self._items[index]["type"] != item["type"]:
            yield f"item {index} is done as another"
        if item.get("status") not in (None, "completed", "incomplete"):
            yield f"item {index} is done and {item['status']}"
        self._done[index] = item


def _subject(subject: str) -> str:
    """A part and the text in it are one place."""
    if subject.startswith("reasoning_summary"):
        return "summary"
    return "arguments" if "_call_" in subject else "content"


def _index(document: dict[str, Any]) -> int:
    return int(document.get("content_index", document.get("summary_index", 0)))
