"""A request and its answer as text, out of any dialect: what a judge reads and a check looks at."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from proxy.dialects.asked import GENERATING, Asked
from proxy.dialects.chat.answer_reader import ChatReader
from proxy.dialects.messages.answer_reader import MessagesReader
from proxy.dialects.neutral.answer import Answer, SaidCall, SaidText
from proxy.dialects.neutral.reader import Reader
from proxy.dialects.neutral.request import Media, Part, Refusal, Text, ToolCall, ToolResult, Turn
from proxy.dialects.neutral.sink import Sink
from proxy.dialects.responses.answer_reader import ResponsesReader
from proxy.dialects.spoken import events_in
from proxy.dialects.translate import neutral_request
from proxy.errors import CallError
from proxy.upstream.failure import AttemptFailed

# Of a conversation; its end says what is asked, so that the beginning is what goes.
MAX_QUESTION_CHARACTERS = 60_000
MAX_ANSWER_CHARACTERS = 60_000
_LEFT_OUT = "[what came before is left out]\n"
_READERS: dict[str, Callable[[Sink], Reader]] = {
    "chat": ChatReader,
    "messages": MessagesReader,
    "responses": ResponsesReader,
}
# See `translate.py`.
_UNREADABLE = (TypeError, ValueError, LookupError, AttributeError, AttemptFailed)


def question_of(asked: Asked) -> str:
    """The conversation, turn by turn. Raises ValueError where it cannot be read."""
    try:
        request = neutral_request(asked)
    except CallError as error:
        raise ValueError(str(error)) from None
    text = "\n\n".join(f"{turn.role}:\n{_turn(turn)}" for turn in request.turns)
    if len(text) <= MAX_QUESTION_CHARACTERS:
        return text
    return _LEFT_OUT + text[-MAX_QUESTION_CHARACTERS:]


def answer_of(operation: str, body: bytes, *, streamed: bool) -> Answer:
    """A complete answer in a client's dialect. Raises ValueError where it is none."""
    answer = Answer()
    reader = _READERS[GENERATING[operation]](answer)
    # A provider that does not stream may answer in one piece to a client that wanted events.
    streamed = streamed and body.lstrip()[:1] != b"{"
    try:
        if streamed:
            for _, document in events_in(body):
                if document is not None:
                    reader.read(document)
            reader.finish_at_end()
        else:
            reader.read_whole(orjson.loads(body))
    except _UNREADABLE as error:
        raise ValueError(f"not an answer: {type(error).__name__}") from None
    if reader.error is not None or not reader.finished:
        raise ValueError("not a complete answer")
    return answer


def text_of(answer: Answer) -> str:
    """What it says, and nothing of what was thought or called."""
    return "".join(part.text for part in answer.parts if isinstance(part, SaidText))


def shown(answer: Answer) -> str:
    """What a judge is shown: the text, and what tools were called."""
    said = []
    for part in answer.parts:
        if isinstance(part, SaidText):
            said.append(part.text)
        elif isinstance(part, SaidCall):
            said.append(f"[calls {part.name} with {part.arguments}]")
    return "\n".join(said)[:MAX_ANSWER_CHARACTERS]


def _turn(turn: Turn) -> str:
    return "\n".join(_part(part) for part in turn.parts)


def _part(part: Part) -> str:
    if isinstance(part, (Text, Refusal)):
        return part.text
    if isinstance(part, Media):
        return part.text or f"[{part.kind}]"
    if isinstance(part, ToolCall):
        return f"[calls {part.name} with {part.arguments}]"
    if isinstance(part, ToolResult):
        return "[result] " + "\n".join(_part(inner) for inner in part.parts)
    return "[not shown]"
