"""Structured output where a provider has none: a tool that the model must call, its arguments the answer.

The request gets the tool, the answer loses it again: its arguments come out as text, its finish as a stop.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.dialects.neutral.passing import PassingSink
from proxy.dialects.neutral.request import ModelRequest, Tool, ToolChoice
from proxy.dialects.neutral.sink import FinishReason, Sink

FORCED_TOOL = "headgate_answer"
_ANY_OBJECT = {"type": "object", "additionalProperties": True}


def with_forced_tool(request: ModelRequest) -> ModelRequest:
    """The request with the tool instead of the output format.

    A model that must call one of the client's tools gives no text that could have a format; one that must
    not is left with the forced tool alone.
    """
    output, choice = request.output, request.tool_choice
    if output is None:
        return request
    mode = choice.mode if choice is not None else "auto"
    if mode in ("required", "named") and request.tools:
        return replace(request, output=None)
    forced = Tool(
        output.at, FORCED_TOOL, output.description or "Give the answer.", output.schema or _ANY_OBJECT
    )
    if mode == "none" or not request.tools:
        alone = ToolChoice(output.at, "named", [FORCED_TOOL])
        return replace(request, tools=[forced], tool_choice=alone, output=None)
    names = [*choice.names, FORCED_TOOL] if choice is not None and choice.names else []
    some = ToolChoice(output.at, "required", names)
    return replace(request, tools=[*request.tools, forced], tool_choice=some, output=None)


class ForcedToolSink(PassingSink):
    """Hands everything on but the calls of the forced tool."""

    def __init__(self, inner: Sink) -> None:
        super().__init__(inner)
        self._forced: set[int] = set()
        self._others = False
        # What the model says beside its answer: the client expects JSON alone.
        self._beside = ""

    def text(self, text: str) -> None:
        self._beside += text

    def call(self, index: int, id: str, name: str) -> None:
        if name == FORCED_TOOL:
            self._forced.add(index)
        else:
            self._others = True
            self._inner.call(index, id, name)

    def arguments(self, index: int, text: str) -> None:
        if index in self._forced:
            self._inner.text(text)
        else:
            self._inner.arguments(index, text)

    def finish(self, reason: FinishReason, *, sequence: str = "", native: str = "") -> None:
        if self._beside:
            if self._forced:
                self._inner.foreign({"text": self._beside})
            else:
                self._inner.text(self._beside)
        if reason == "tool_calls" and self._forced and not self._others:
            reason = "stop"
        self._inner.finish(reason, sequence=sequence, native=native)
