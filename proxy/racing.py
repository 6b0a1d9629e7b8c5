"""A race: several targets are asked, the first good answer wins, the others are stopped at the socket.

Good is: not an error, not empty, not a refusal, JSON where JSON was asked for. Of streams the first real
event decides. What the losers cost is recorded with the outcome `race_lost`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from proxy.dialects.spoken import OTHER, events_in, is_refusal, spoken_in
from proxy.errors import CallError

if TYPE_CHECKING:
    from headgate.policy.estimates import Estimates
    from headgate.policy.nodes import Heat
    from proxy.attempts import Attempt
    from proxy.call import Call
    from proxy.config.model import Target
    from proxy.settle import Settlement

# `stagger: auto`, before a model was ever measured.
DEFAULT_STAGGER_SECONDS = 1.0

# A stream that says more than this is neither empty nor a refusal; to read it all would hold up other calls
# (40 MiB: 2.9 s).
MAX_JUDGED_BYTES = 1_000_000

Run = Callable[["Target"], Awaitable["Attempt | None"]]


async def race(
    call: Call, heat: Heat[Target], run: Run, settlement: Settlement, estimates: Estimates, failures: Sized
) -> Attempt | None:
    """The winner's attempt; None when nobody answered. `run` makes one target's attempts, noting `failures`.

    An answer that is not good wins only if nobody gives a good one. Raises CallError where the request was
    refused and that is all that happened.
    """
    failed_before = len(failures)
    refusals: list[CallError] = []
    waiting = deque(heat.targets)
    running: dict[asyncio.Task[Attempt | None], Target] = {}
    spare: Attempt | None = None
    winner: Attempt | None = None
    try:
        while winner is None and (waiting or running):
            if waiting and not running:
                _start(running, waiting.popleft(), run)
            while waiting and heat.stagger_seconds == 0:
                _start(running, waiting.popleft(), run)
            latest = next(reversed(running.values()))
            pause = _stagger(call, heat, latest, estimates) if waiting else None
            done, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task in done]:  # as they started
                del running[task]
                attempt = _result(task, refusals)
                if attempt is None:
                    continue
                if is_good(call, attempt):
                    winner = winner or attempt
                else:
                    spare = spare or attempt
            if waiting and winner is None:  # the one before is slow, or has failed
                _start(running, waiting.popleft(), run)
        winner = winner or spare
    finally:
        # Cancelled, too: then nobody has lost, and what runs is abandoned with its call.
        for task in running:
            task.cancel()
    # The request's own figures hang on its last attempt: without a winner it stays open until it is known.
    last = winner or (call.attempts[-1] if call.attempts else None)
    for attempt in list(call.attempts):
        if attempt is not last and not attempt.settled:
            settlement.lost(call, attempt)
    if winner is not None:
        call.attempts.remove(winner)
        call.attempts.append(winner)
    elif refusals and len(failures) == failed_before:
        raise replace(refusals[0])  # not the one that a task holds, which this frame holds
    return winner


def _start(running: dict[asyncio.Task[Attempt | None], Target], target: Target, run: Run) -> None:
    running[asyncio.ensure_future(run(target))] = target


def _result(task: asyncio.Task[Attempt | None], refusals: list[CallError]) -> Attempt | None:
    """What a runner came to; a refusal of the request itself is its own alone, as long as others run."""
    try:
        return task.result()
    except CallError as error:
        refusals.append(error.with_traceback(None))  # whose frames hold the call and its body
        return None


def _stagger(call: Call, heat: Heat[Target], latest: Target, estimates: Estimates) -> float:
    if heat.stagger_seconds is not None:
        return heat.stagger_seconds
    return estimates.slow_seconds(latest, call.asked.stream) or DEFAULT_STAGGER_SECONDS


def is_good(call: Call, attempt: Attempt) -> bool:
    """As interface.md defines it; of a stream that has begun, its first event said so."""
    if attempt.exchange.streaming:
        if not call.route.hold_whole:
            return True
        held = attempt.exchange.held
        if len(held) > MAX_JUDGED_BYTES:
            return True
        text, refused, called = said_in_events(call.asked.operation, held)
    elif attempt.whole is None:
        return True
    else:
        try:
            document = orjson.loads(attempt.whole.body)
        except orjson.JSONDecodeError:
            return True  # bytes of a sort that nobody looks into
        text, refused, called = said(document)
    if refused:
        return False
    if called:
        return True
    if not text.strip():
        return False
    return not call.wants_json or _is_json(text)


def said(document: Any) -> tuple[str, bool, bool]:
    """(text, whether it is a refusal, whether tools are called) of an answer in a client's dialect."""
    if not isinstance(document, dict):
        return "", False, False
    text: list[str] = []
    refused = called = False
    for choice in document.get("choices") or ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):
            text.append(str(message.get("content") or ""))
            refused = refused or bool(message.get("refusal"))
            called = called or bool(message.get("tool_calls"))
        elif isinstance(choice, dict):
            text.append(str(choice.get("text") or ""))
        refused = refused or (isinstance(choice, dict) and choice.get("finish_reason") == "content_filter")
    refused = refused or document.get("stop_reason") == "refusal"
    for item in (*(document.get("content") or ()), *(document.get("output") or ())):
        if not isinstance(item, dict):
            continue
        called = called or item.get("type") in ("tool_use", "function_call", "custom_tool_call")
        text.append(str(item.get("text") or ""))
        for part in item.get("content") or ():
            if isinstance(part, dict):
                text.append(str(part.get("text") or ""))
                refused = refused or part.get("type") == "refusal"
    return "".join(text), refused, called


def said_in_events(operation: str, events: bytes) -> tuple[str, bool, bool]:
    """The same of a whole stream. Events that are no text count as a call: there is something in them."""
    spoken = spoken_in(operation)
    if spoken is None:
        return "", False, True
    text: list[str] = []
    refused = other = False
    for _, document in events_in(events):
        if document is not None:
            kind, piece = spoken.kind(document)
            text.append(piece)
            refused = refused or is_refusal(document)
            other = other or kind == OTHER
    return "".join(text), refused, other


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
