"""YAML and JSON text as plain values that remember their lines.

Reads the parser's events instead of its objects, because a manifest needs what objects lose: lines,
duplicate keys, exact numbers (Decimal, never float) and YAML 1.2's booleans (`on` is a word here).
Depth and size are bounded, aliases count with all that they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

# Policies nest; nothing sensible is deeper. Checked while reading, so that no stack can overflow.
MAX_DEPTH = 100
# Values in one file after aliases are resolved: 10,000 keys with 20 fields each are 400,000.
MAX_VALUES = 1_000_000

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", "")),
}
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_NO_TAGS = (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class Number(Decimal):
    """An exact number that also knows how it was written: `1.10` in a text field stays `1.10`."""

    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


class PlainText(str):
    """Text without quotes around it: what `${NAME}` in it turns into may be a number or a word."""

    __slots__ = ()


class LineMap(dict[str, Any]):
    """A map that knows the line of each key."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


class LineList(list[Any]):
    """A list that knows the line of each item."""

    __slots__ = ("lines",)

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


class YamlProblem(ValueError):
    """What cannot be read, and on which line (from 1)."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Document:
    value: Any
    line: int


def read_documents(text: str) -> Iterator[Document]:
    """The documents of a text, empty ones left out. Raises YamlProblem."""
    if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        text = _without_surrogates(text)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from _Reader(yaml.parse(text, Loader=loader)).documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        raise YamlProblem(mark.line + 1 if mark else 1, message or "is not YAML") from None
    except yaml.YAMLError as error:
        raise YamlProblem(1, str(error).splitlines()[0]) from None


def resolve(text: str) -> Any:
    """A scalar without quotes: a number, true, false, null, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    return Number(text) if NUMBER.fullmatch(text) else PlainText(text)


def _without_surrogates(text: str) -> str:
    """JSON writes characters beyond U+FFFF as two escapes, which YAML does not know."""

    def joined(match: re.Match[str]) -> str:
        high, low = int(match.group(2), 16), int(match.group(3), 16)
        return f"{match.group(1)}\\U{0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF):08x}"

    return _SURROGATES.sub(joined, text)


class _Reader:
    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._count = 0
        # Anchor → value and how many values it stands for.
        self._anchors: dict[str, tuple[Any, int]] = {}

    def documents(self) -> Iterator[Document]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors.clear()
                first = next(self._events)
                value = self._value(first, 0)
                if value is not None:
                    yield Document(value, _line(first))

    def _value(self, event: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise YamlProblem(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        before = self._count
        self._take(1, event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise YamlProblem(_line(event), f"*{event.anchor} refers to nothing above (or to itself)")
            value, weight = self._anchors[event.anchor]
            self._take(weight, event)
            return value
        if isinstance(event, yaml.MappingStartEvent):
            value = self._map(event, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(event, depth)
        else:
            value = self._scalar(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before)
        return value

    def _map(self, start: Any, depth: int) -> LineMap:
        _refuse_tag(start)
        result = LineMap()
        merged: list[Any] = []
        while not isinstance(key_event := next(self._events), yaml.MappingEndEvent):
            line = _line(key_event)
            if not isinstance(key_event, yaml.ScalarEvent):
                raise YamlProblem(line, "a key must be a word, not a map, list or alias")
            key = key_event.value
            value = self._value(next(self._events), depth + 1)
            if key == "<<" and key_event.implicit[0]:
                merged += value if isinstance(value, list) else [value]
                continue
            if key in result:
                raise YamlProblem(line, f"duplicate key {key!r} (first on line {result.lines[key]})")
            result[key] = value
            result.lines[key] = line
        for source in merged:
            if not isinstance(source, LineMap):
                raise YamlProblem(_line(start), "'<<' merges maps only")
            for key in source:
                if key not in result:
                    result[key] = source[key]
                    result.lines[key] = source.lines[key]
        return result

    def _list(self, start: Any, depth: int) -> LineList:
        _refuse_tag(start)
        result = LineList()
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            result.append(self._value(event, depth + 1))
            result.lines.append(_line(event))
        return result

    def _scalar(self, event: Any) -> Any:
        if event.tag in _TEXT_TAGS:
            return event.value
        _refuse_tag(event)
        return resolve(event.value) if event.implicit[0] else event.value

    def _take(self, count: int, event: Any) -> None:
        self._count += count
        if self._count > MAX_VALUES:
            raise YamlProblem(_line(event), f"more than {MAX_VALUES:,} values (aliases count in full)")


def _refuse_tag(event: Any) -> None:
    if event.tag not in _NO_TAGS:
        raise YamlProblem(_line(event), f"the tag {event.tag!r} has no meaning here")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
