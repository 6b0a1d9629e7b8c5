"""A request to a model, whatever dialect it came in: turns, tools, settings.

Made by a dialect's `request_reader`, turned into a provider's document by another's `request_writer`.
Every part knows where it stood in the client's document (`at`), so that what a provider has no word for
is refused by its name. Nothing in here is changed after reading: the same request goes to several targets.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Literal

# Who made a piece of opaque reasoning; only the same can read it again: anthropic, openai, gemini, xai, or
# whatever OpenRouter calls it. "": nobody, there is nothing to continue from.
Origin = str
Role = Literal["system", "developer", "user", "assistant", "tool"]


# What all providers take for a tool's name; Anthropic's clients may use twice the length.
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def wire_name(namespace: str, name: str) -> str:
    """A tool's name as every provider takes it: flat, and no longer than the shortest limit. The same for
    a tool and for the calls of it in earlier turns."""
    flat = f"{namespace}__{name}" if namespace else name
    if _TOOL_NAME.fullmatch(flat):
        return flat
    digest = hashlib.sha256(flat.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return re.sub(r"[^a-zA-Z0-9_-]", "_", flat)[:51] + "_" + digest


@dataclass(slots=True)
class Unsupported(Exception):
    """The target's dialect has no counterpart. `at`: the client's field; `what`: why, as a clause."""

    at: str
    what: str

    def __str__(self) -> str:
        return f"'{self.at}' {self.what}"


@dataclass(slots=True)
class Text:
    at: str
    text: str
    # `cache_control` as Anthropic writes it: {"type": "ephemeral", "ttl": "1h"}.
    cache: dict[str, Any] | None = None
    # As the dialect of `citations_from` writes them.
    citations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Refusal:
    at: str
    text: str


@dataclass(slots=True)
class Media:
    """An image, a document or audio: by URL, or as base64 with its type, or as plain text."""

    at: str
    kind: Literal["image", "document", "audio"]
    url: str = ""
    data: str = ""
    media_type: str = ""
    # A document that is plain text.
    text: str | None = None
    # The name under which one provider stores it; means nothing to another.
    file_id: str = ""
    name: str = ""
    # Images: low, high, auto. Documents: what to know about it.
    detail: str = ""
    context: str = ""
    citations: bool = False
    cache: dict[str, Any] | None = None


@dataclass(slots=True)
class Thinking:
    """Reasoning of an earlier turn. `data`: what lets its maker (`origin`) continue from it."""

    at: str
    text: str = ""
    data: str = ""
    origin: Origin = ""
    # Nothing to read, by the maker's decision.
    redacted: bool = False
    id: str = ""


@dataclass(slots=True)
class ToolCall:
    at: str
    id: str
    name: str
    # JSON text of an object; of a custom tool: its free text.
    arguments: str
    namespace: str = ""
    custom: bool = False
    cache: dict[str, Any] | None = None

    @property
    def wire_name(self) -> str:
        return wire_name(self.namespace, self.name)


@dataclass(slots=True)
class ToolResult:
    at: str
    id: str
    parts: list[Text | Media]
    is_error: bool = False
    custom: bool = False
    cache: dict[str, Any] | None = None


@dataclass(slots=True)
class Foreign:
    """Something that only one dialect knows (a provider's own tool at work). Refused by all others."""

    at: str
    what: str


Part = Text | Refusal | Media | Thinking | ToolCall | ToolResult | Foreign


@dataclass(slots=True)
class Turn:
    at: str
    role: Role
    parts: list[Part]
    name: str = ""


@dataclass(slots=True)
class Tool:
    """A function of the client's. `format`: of a custom tool (free text in, by a grammar)."""

    at: str
    name: str
    description: str = ""
    # JSON Schema; None: no parameters were declared.
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    namespace: str = ""
    custom: bool = False
    format: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None

    @property
    def wire_name(self) -> str:
        """Its name where there are no namespaces."""
        return wire_name(self.namespace, self.name)


@dataclass(slots=True)
class WebSearch:
    """The provider's own search of the web, which three dialects have."""

    at: str
    allowed_domains: list[str] = field(default_factory=list)
    blocked_domains: list[str] = field(default_factory=list)
    max_uses: int | None = None
    # city, region, country, timezone
    location: dict[str, str] = field(default_factory=dict)
    # low, medium, high
    context_size: str = ""


@dataclass(slots=True)
class ToolChoice:
    at: str
    mode: Literal["auto", "required", "none", "named"]
    # Of the one tool, or of those among which to choose.
    names: list[str] = field(default_factory=list)


@dataclass(slots=True)
class OutputFormat:
    """`schema` None: any JSON object."""

    at: str
    schema: dict[str, Any] | None = None
    name: str = "answer"
    description: str = ""
    strict: bool | None = None


@dataclass(slots=True)
class Reasoning:
    """How much to think: by `effort` or by `budget` in tokens; `off`: not at all."""

    at: str
    effort: str = ""
    budget: int | None = None
    off: bool = False
    # The client wants to read (a summary of) it.
    show: bool | None = None
    # The model decides how much, up to `effort`.
    adaptive: bool = False


@dataclass(slots=True)
class Setting:
    """One of the numbers and words that dialects share, with the client's name for it."""

    at: str
    value: Any


@dataclass(slots=True)
class ModelRequest:
    turns: list[Turn] = field(default_factory=list)
    tools: list[Tool] = field(default_factory=list)
    search: WebSearch | None = None
    tool_choice: ToolChoice | None = None
    # None: as the provider does by default.
    parallel_tools: Setting | None = None
    output: OutputFormat | None = None
    reasoning: Reasoning | None = None
    # By neutral name: max_tokens temperature top_p top_k stop seed frequency_penalty presence_penalty
    # logit_bias logprobs top_logprobs n user service_tier verbosity …
    settings: dict[str, Setting] = field(default_factory=dict)
    # Fields that only the client's dialect knows: refused by every other.
    unread: list[str] = field(default_factory=list)
    # Likewise, with a word about what it is (a provider's own tool).
    foreign: list[Foreign] = field(default_factory=list)
    # Fields whose absence changes cost, speed or book-keeping but no answer; left out and said so.
    hints: list[str] = field(default_factory=list)
    stream: bool = False
    model: str = ""

    def value(self, name: str) -> Any:
        setting = self.settings.get(name)
        return setting.value if setting is not None else None
