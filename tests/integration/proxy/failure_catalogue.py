"""The failure catalogue: how providers fail, who is asked how often then, and what the client is told.

Read by test_proxy_failure_catalogue.py; docs/routing.md says the same in words. Every case has a primary and
a spare of its own, because keys that rest and circuits outlive a call.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.integration.proxy.asking_across import events, question
from tests.support.fake_provider import Behaviour
from tests.support.provider import presets

PRIMARY_PRICE, SPARE_PRICE = {"input": 3, "output": 17}, {"input": 5, "output": 31}
# The first pause between two tries is 0.05 to 0.1 s.
BACKOFF_SECONDS = 0.05
LONG_PAUSE_SECONDS = 0.9
WORDS = ("One", " two", " three")
TEXT = "".join(WORDS)
AFTER_WORDS = 1 + len(WORDS)  # events: the role is the first


OK = Behaviour()


class Tried(NamedTuple):
    """One attempt as the receipt has it. `billed`: what the provider reported ("as reported"), nothing, or a
    guess: the request by its size and so many events of output."""

    outcome: str
    reason: str | None
    status: int | None
    billed: str | int


ANSWERED = Tried("ok", None, 200, "as reported")


def failed(reason: str, status: int | None = None) -> Tried:
    return Tried("error", reason, status, "nothing")


def late(reason: str, status: int | None = None, said: int = 0) -> Tried:
    return Tried("timeout", reason, status, said)


def broke_off(reason: str) -> Tried:
    return Tried("error", reason, 200, len(WORDS))


@dataclass(frozen=True)
class Row:
    """`script`: the primary's answers in turn, the last one for ever; empty: nobody listens. `alone`: its
    tries where there is nobody else. `before`: its tries before the spare is asked; None: the spare is not
    asked, all is as if alone. `said`: the client's status and code; with 200, of a stream's error event."""

    script: tuple[Behaviour, ...]
    alone: tuple[Tried, ...]
    before: tuple[Tried, ...] | None = None
    said: tuple[int, str] = (200, "")
    retry_after: str | None = None
    pause_seconds: float = BACKOFF_SECONDS  # at least so long between two tries at the primary
    timeouts: tuple[tuple[str, str], ...] = (("total", "10s"),)
    keyless: bool = False
    # What the spare does, and what becomes of its tries.
    spare: Behaviour = OK
    spare_tries: tuple[Tried, ...] = (ANSWERED,)
    spare_window: int = 100_000


def status(code: int, **headers: str) -> Behaviour:
    return Behaviour(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})


def refused(message: str, code: str | None) -> Behaviour:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Behaviour(status=400, body={"error": error})


def chunk(**delta: str) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def bad_chunk_after_words() -> Behaviour:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    body = events(chunk(role="assistant"), *(chunk(content=word) for word in WORDS))
    return Behaviour(raw=head + b"%x\r\n%b\r\nXYZ\r\n" % (len(body), body))


LIMITED, BUSY, SERVER = failed("rate_limited", 429), failed("overloaded", 503), failed("upstream_error", 500)
LIMITED_LONG = (status(429, retry_after="30"),)
RESET, CUT = failed("connection_reset"), failed("connection_reset", 200)
NOBODY, GARBLED = failed("connect_failed"), failed("protocol_error", 200)
LONG, CONTENT = failed("context_length", 400), failed("content_filter", 400)
SILENT, UNBEGUN = late("total_timeout"), late("first_token_timeout")
STALLED = late("idle_timeout", 200, len(WORDS))
TOO_LONG_SCRIPT = (refused("maximum context length is 900", "context_length_exceeded"),)
CONTENT_SCRIPT = (refused("It triggered our content policy.", "content_policy_violation"),)
BRIEF = (("total", "700ms"),)
HASTY = (("first_token", "500ms"), ("idle", "500ms"), ("total", "10s"))
FAILED, TIMED_OUT = (502, "upstream_error"), (504, "upstream_timeout")
LIMIT, TOO_LONG = (429, "rate_limit_exceeded"), (400, "context_length_exceeded")
CUT_EVENT, STALL_EVENT = (200, "upstream_error"), (200, "upstream_timeout")

# Whole answers and streams of which nothing has been said yet: the client of a stream gets a real status.
BOTH: dict[str, Row] = {
    "429, a short Retry-After": Row(
        (status(429, retry_after="1"), OK), (LIMITED, ANSWERED), (LIMITED,), pause_seconds=1.0
    ),
    "429, a long Retry-After": Row(LIMITED_LONG, (LIMITED,), (LIMITED,), LIMIT, "30"),
    "429, a Retry-After beyond the call's deadline": Row(
        (status(429, retry_after="5"),), (LIMITED,), (LIMITED,), LIMIT, "5", timeouts=(("total", "4s"),)
    ),
    "429, a Retry-After in milliseconds is told in whole seconds, never too few": Row(
        (status(429, retry_after_ms="20300"),), (LIMITED,), (LIMITED,), LIMIT, "21"
    ),
    "429 for ever, no Retry-After": Row(
        (status(429),), (LIMITED, LIMITED), (LIMITED,), LIMIT, pause_seconds=LONG_PAUSE_SECONDS
    ),
    "429 without a code": Row(
        (Behaviour(status=429, headers={"retry-after": "30"}, body={"detail": "slow down"}),),
        (LIMITED,),
        (LIMITED,),
        LIMIT,
        "30",
    ),
    "429 at a provider without keys": Row(
        (status(429, retry_after_ms="300"), OK),
        (LIMITED, ANSWERED),
        (LIMITED,),
        keyless=True,
        pause_seconds=0.3,
    ),
    "500 once": Row((status(500), OK), (SERVER, ANSWERED)),
    "503 always": Row((status(503),), (BUSY, BUSY), (BUSY, BUSY), FAILED),
    "503 once, a short Retry-After": Row(
        (status(503, retry_after_ms="300"), OK), (BUSY, ANSWERED), (BUSY,), pause_seconds=0.3
    ),
    "503, a long Retry-After": Row((status(503, retry_after="30"),), (BUSY,), (BUSY,), FAILED, "30"),
    "a reset before the head, once": Row((presets.cut_before_headers(), OK), (RESET, ANSWERED)),
    "a reset before the head": Row((presets.cut_before_headers(),), (RESET, RESET), (RESET, RESET), FAILED),
    "nobody listens": Row((), (NOBODY, NOBODY), (NOBODY, NOBODY), FAILED),
    "a malformed chunk": Row(
        (Behaviour(framing="malformed-chunked"),), (GARBLED, GARBLED), (GARBLED, GARBLED), FAILED
    ),
    "the prompt is too long": Row(TOO_LONG_SCRIPT, (LONG,), (LONG,), TOO_LONG),
    "the prompt is too long, said without a code": Row(
        (refused("prompt is too long: 2000 tokens > 1000 maximum", None),), (LONG,), (LONG,), TOO_LONG
    ),
    "the prompt is too long, the spare's window no larger": Row(
        TOO_LONG_SCRIPT, (LONG,), None, TOO_LONG, spare_window=1_000
    ),
    "400, the provider's content policy": Row(
        CONTENT_SCRIPT, (CONTENT,), None, (400, "content_policy_violation")
    ),
}
WHOLE: dict[str, Row] = {
    "silence": Row((presets.silence(),), (SILENT,), None, TIMED_OUT, timeouts=BRIEF),
    "a body that is cut": Row((presets.cut_after_bytes(30, "close"),), (CUT, CUT), (CUT, CUT), FAILED),
}
STREAMED: dict[str, Row] = {
    "silence": Row((presets.silence(),), (UNBEGUN,) * 2, (UNBEGUN,) * 2, TIMED_OUT, timeouts=HASTY),
    "a slow first token, once": Row(
        (Behaviour(first_event_delay_seconds=5), OK),
        (late("first_token_timeout", 200), ANSWERED),
        timeouts=HASTY,
    ),
    "a cut before the first word": Row(
        (presets.cut_after_events(1, "close"),), (CUT, CUT), (CUT, CUT), FAILED
    ),
    "a cut in the middle": Row(
        (presets.cut_after_events(AFTER_WORDS, "close", text=TEXT),),
        (broke_off("connection_reset"),),
        None,
        CUT_EVENT,
    ),
    "a stall in the middle": Row(
        (presets.stall_after_events(AFTER_WORDS, text=TEXT),),
        (STALLED,),
        None,
        STALL_EVENT,
        timeouts=HASTY,
    ),
    "a malformed chunk in the middle": Row(
        (bad_chunk_after_words(),), (broke_off("protocol_error"),), None, CUT_EVENT
    ),
    "no terminal event": Row(
        (presets.no_terminal_event(text=TEXT),), (broke_off("stream_cut"),), None, CUT_EVENT
    ),
}
# The spare fails too: the last one decides, and all are listed.
DOWN: dict[str, Row] = {
    "503, then 500": Row(
        (status(503),), (), (BUSY, BUSY), FAILED, spare=status(500), spare_tries=(SERVER, SERVER)
    ),
    "nobody listens, then 429": Row(
        (), (), (NOBODY, NOBODY), LIMIT, "30", spare=LIMITED_LONG[0], spare_tries=(LIMITED,)
    ),
    "429, then content policy": Row(
        LIMITED_LONG,
        (),
        (LIMITED,),
        (400, "content_policy_violation"),
        spare=CONTENT_SCRIPT[0],
        spare_tries=(CONTENT,),
    ),
    "500, then silence": Row(
        (status(500),),
        (),
        (SERVER, SERVER),
        TIMED_OUT,
        timeouts=BRIEF,
        spare=presets.silence(),
        spare_tries=(SILENT,),
    ),
}


@dataclass(frozen=True)
class Case:
    name: str
    row: Row
    stream: bool
    client: str
    spared: bool
    number: int

    @property
    def primary(self) -> str:
        return f"primary-{self.number}"

    @property
    def spare(self) -> str:
        return f"spare-{self.number}"

    @property
    def tries(self) -> list[tuple[str, Tried]]:
        """Who is asked, in order, and what becomes of it."""
        row = self.row
        if not self.spared or row.before is None:
            return [(self.primary, tried) for tried in row.alone]
        return [*((self.primary, t) for t in row.before), *((self.spare, t) for t in row.spare_tries)]

    @property
    def told(self) -> tuple[int, str]:
        """Status and code; (200, "") is an answer."""
        answered = self.tries[-1][1] == ANSWERED
        return (200, "") if answered else self.row.said

    @property
    def route(self) -> str:
        return f"route-{self.number}"

    @property
    def fields(self) -> dict[str, Any]:
        return {"stream": True} if self.stream else {}

    @property
    def question(self) -> dict[str, Any]:
        return question(self.client, self.route, **self.fields)

    def __str__(self) -> str:
        kind = "streamed" if self.stream else "whole"
        return f"{self.name} - {kind}, {'with a spare' if self.spared else 'alone'}, {self.client}"


def every_case() -> Iterator[Case]:
    """Errors are told in both dialects; that the spare answers needs one. Long pauses: each dialect once."""
    numbers = itertools.count(1)
    either = (False, True)
    for table, streams in ((BOTH, either), (WHOLE, (False,)), (STREAMED, (True,)), (DOWN, either)):
        for (name, row), stream, client in itertools.product(table.items(), streams, ("chat", "messages")):
            once = row.pause_seconds < LONG_PAUSE_SECONDS or stream == (client == "messages")
            if table is not DOWN and once:
                yield Case(name, row, stream, client, False, next(numbers))
            if client == "chat" or (table is DOWN and stream):
                yield Case(name, row, stream, client, True, next(numbers))


CASES = list(every_case())


def manifest(base_url: str, dead_url: str) -> dict[str, Any]:
    providers, models, routes = [], [], []

    def add(name: str, price: dict[str, int], window: int, **more: Any) -> None:
        place = {"kind": "openai-compatible", "base_url": base_url, "private_network": True}
        providers.append({"name": name, "keys": [f"pk-{name}"], **place, **more})
        models.append({"name": name, "provider": name, "price": price, "context_window": window})

    for case in CASES:
        row = case.row
        add(case.primary, PRIMARY_PRICE, 1_000, **({} if row.script else {"base_url": dead_url}))
        if row.keyless:
            del providers[-1]["keys"]
        add(case.spare, SPARE_PRICE, row.spare_window)
        of = [case.primary, case.spare] if case.spared else [case.primary]
        policy = {"policy": {"fallback": of}, "timeouts": dict(row.timeouts)}
        routes.append({"name": case.route, **policy})
    for name in ("flapping", "cutting"):
        add(name, PRIMARY_PRICE, 1_000)
        add(f"{name}-spare", SPARE_PRICE, 1_000)
        policy = {"policy": {"fallback": [name, f"{name}-spare"]}, "retry": {"attempts": 1}}
        routes += [{"name": f"{name}-alone", "policy": name}, {"name": f"{name}-spared", **policy}]
    claude = {"name": "claude", "kind": "anthropic", "keys": ["pk-claude"], "private_network": True}
    providers.append({**claude, "base_url": base_url.removesuffix("/v1")})
    models.append({"name": "claude", "provider": "claude", "price": PRIMARY_PRICE})
    return {"providers": providers, "models": models, "routes": routes}
