"""What a scripted upstream says, in whatever dialect: a tool call, then, once it was run, a text.

A `Turn` is one answer. Counts of tokens are all different, so that a class that was mistaken for another
one, or a turn for the other, shows in the usage rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What a provider wants back unchanged with its thought: a signature, or OpenAI's encrypted content.
SIGNATURE = "c2NyaXB0ZWQgc2lnbmF0dXJl"


@dataclass(frozen=True, slots=True)
class Usage:
    """All input, of which cached; all output, of which reasoning."""

    input: int
    cached: int
    output: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class Call:
    """`arguments`: a text is for a tool without a schema, or with one of a single field."""

    id: str
    name: str
    arguments: Mapping[str, Any] | str

    def shaped(self, schema: Mapping[str, Any] | None) -> Call:
        """For a tool that was offered with this schema (None: without)."""
        if schema is None or not isinstance(self.arguments, str):
            return self
        (field,) = schema["properties"]
        return Call(self.id, self.name, {field: self.arguments})


@dataclass(frozen=True, slots=True)
class Turn:
    text: str
    usage: Usage
    call: Call | None = None
    thought: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    call: Call
    final: str
    before: str = "I shall use the tool. "
    thought: str = "The tool is needed."
    usages: tuple[Usage, Usage] = (Usage(1210, 190, 47, 11), Usage(1430, 1150, 23, 0))

    def turn(self, called: bool, schema: Mapping[str, Any] | None) -> Turn:
        """The next answer: `called` says whether the tool's result has come, `schema` how it was offered."""
        if called:
            return Turn(self.final, self.usages[1])
        return Turn(self.before, self.usages[0], self.call.shaped(schema), self.thought, SIGNATURE)


def pieces(text: str, count: int = 3) -> list[str]:
    """The text in about `count` parts, none of them empty: as a stream brings it."""
    size = max(1, -(-len(text) // count))
    return [text[start : start + size] for start in range(0, len(text), size)]
