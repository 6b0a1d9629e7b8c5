"""What a request means, whatever dialect it is written in: the form in which what was recorded and what the
gateway sent are compared.

The four readers (`meaning_chat` …) know their formats from the providers' references and share no code with
the product. Whatever a reader does not know goes into `other` under its path, so that nothing is compared
away by ignorance. Harmless differences are taken out here or in `allowances`, each with its reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Part = dict[str, Any]
# Within an assistant's turn: the chat dialect has no order of these.
_KINDS = ("thinking", "text", "refusal", "media", "call")


@dataclass(slots=True)
class Meaning:
    """`turns`: (role, parts), with the roles system, user, assistant and tool."""

    turns: list[tuple[str, list[Part]]] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    # The provider's own search of the web, in one form for all.
    search: dict[str, Any] | None = None
    # auto and absent are the same: {"mode": required | none | named | allowed, "names": […]}
    choice: dict[str, Any] | None = None
    # False only: true is every provider's default.
    parallel: bool | None = None
    output: dict[str, Any] | None = None
    reasoning: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    # Where an answer is kept, who asks, how it is cached or accounted for.
    bookkeeping: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)
    stream: bool = False

    def say(self, role: str, parts: list[Part]) -> None:
        """Another turn."""
        if parts:
            self.turns.append((role, parts))

    def more(self, role: str, parts: list[Part]) -> None:
        """More of the last turn, if it is that role's."""
        if self.turns and self.turns[-1][0] == role:
            self.turns[-1][1].extend(parts)
        else:
            self.say(role, parts)

    def parts(self) -> list[Part]:
        return [part for _, parts in self.turns for part in parts]


class Document:
    """One JSON object whose fields are taken out by name; `rest` is what nobody took."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._left = dict(document)

    def take(self, *names: str) -> Any:
        """The value under the first of the names that is there; None for null too."""
        found = [self._left.pop(name) for name in names if name in self._left]
        return found[0] if found else None

    def rest(self, at: str = "") -> dict[str, Any]:
        """Null and empty say what absence says."""
        return {at + name: value for name, value in self._left.items() if value not in (None, [], {}, "")}


def text(words: str) -> Part:
    return {"text": words}


def thinking(words: str, data: str = "", *, redacted: bool = False) -> Part:
    part: Part = {"thinking": words}
    if data:
        part["data"] = data
    return {**part, "redacted": True} if redacted else part


def call(id: str, name: str, arguments: Any) -> Part:
    """`arguments`: JSON text or an object; text that is no JSON stays text."""
    return {"call": id, "name": name, "arguments": parsed(arguments)}


def result(id: str, parts: list[Part], *, error: bool = False) -> Part:
    """Parts that are texts are one text: no dialect gives their borders a meaning."""
    return {"result": id, "parts": joined(parts), "error": error}


def media(kind: str, **more: Any) -> Part:
    """`url`, or `type` and base64 `data`, or `file_id`; a data URL is its data."""
    url = more.get("url")
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.removeprefix("data:").partition(",")
        more = {**more, "type": head.partition(";")[0], "data": data}
        del more["url"]
    return {"media": kind, **{name: value for name, value in more.items() if value not in (None, "")}}


def marked(part: Part, mark: Any) -> Part:
    """With a cache mark; five minutes is its default."""
    if not mark:
        return part
    ttl = mark.get("ttl", "5m")
    return {**part, "cache": ttl}


def parsed(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments if arguments is not None else {}
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return arguments


def joined(parts: list[Part]) -> list[Part]:
    found: list[Part] = []
    for part in parts:
        if found and part.keys() == {"text"} == found[-1].keys():
            found[-1] = text(found[-1]["text"] + "\n" + part["text"])
        else:
            found.append(part)
    return [text(compact(part["text"])) if part.keys() == {"text"} else part for part in found]


def compact(words: str) -> str:
    """JSON text in one spelling: results travel as text, and their spaces mean nothing."""
    try:
        found = json.loads(words)
    except ValueError:
        return words
    return json.dumps(found, sort_keys=True) if isinstance(found, (dict, list)) else words


def tool(name: str, description: Any, schema: Any, strict: Any) -> dict[str, Any]:
    """No parameters, an empty object and an object without properties are one schema (nothing can be
    given); not strict is what every dialect means by leaving it out."""
    return {
        "name": name,
        "description": description or "",
        "schema": plain_schema(schema),
        "strict": bool(strict),
    }


def plain_schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return {}
    found = {name: value for name, value in schema.items() if name != "$schema"}
    if not found.get("properties") and found.keys() <= {
        *("type", "properties", "required", "additionalProperties"),
    }:
        return {}
    return found


def kind_of(part: Part) -> str:
    return next((kind for kind in _KINDS if kind in part), "other")


def in_chat_order(parts: list[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (*_KINDS, "other").index(kind_of(part)))
