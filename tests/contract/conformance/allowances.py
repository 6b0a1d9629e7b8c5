"""What may differ between the request that was recorded and the one that the gateway sent, and why.

Each allowance takes one harmless difference out of both meanings, for the cases that it is about; its
docstring is its reason and is printed in docs/conformance.md. Whatever differs after all of them is a loss.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from tests.contract.conformance.asking import SHARED_BOOKKEEPING
from tests.contract.conformance.cases import Case
from tests.contract.conformance.meaning import Meaning, Part, in_chat_order, text


@dataclass(slots=True)
class Pair:
    """What was recorded and what was sent. `unsaid`: settings that the client had no words for."""

    case: Case
    recorded: Meaning
    sent: Meaning
    unsaid: frozenset[str]
    left_out: str = ""

    @property
    def client(self) -> str:
        return self.case.client

    def parts(self) -> list[Part]:
        """All parts of both, those inside results too."""
        outer = [*self.recorded.parts(), *self.sent.parts()]
        return [*outer, *(one for part in outer if "result" in part for one in part["parts"])]


Allowance = Callable[[Pair], None]


def neighbours(pair: Pair) -> None:
    """Turns of one role that follow each other are one turn: Anthropic reads them so, and no provider's
    documentation gives the border a meaning."""
    for meaning in (pair.recorded, pair.sent):
        turns = meaning.turns
        meaning.turns = []
        for role, parts in turns:
            meaning.more(role, list(parts))


def gateways_own(pair: Pair) -> None:
    """The gateway adds `stream_options.include_usage` (chat), `store: false` and
    `include: [reasoning.encrypted_content]` (Responses): usage is always counted, nothing is stored, and
    reasoning can be replayed. They change no answer."""
    if "store" not in pair.recorded.bookkeeping:
        pair.sent.bookkeeping.pop("store", None)


def unsaid_settings(pair: Pair) -> None:
    """A setting that the client's dialect has no field for (a seed in Messages, a stop sequence in Responses)
    is not asked for, and counted as refused by design."""
    for name in pair.unsaid:
        pair.recorded.settings.pop(name, None)


def bookkeeping(pair: Pair) -> None:
    """Where an answer is kept, how it is cached and accounted for (`store`, `metadata`, `prompt_cache_key`,
    `defer_loading` …): asked for where both dialects have the field, and then it must arrive or be named in
    `x-headgate-left-out`."""
    shared = SHARED_BOOKKEEPING if {pair.client, pair.case.native} == {"chat", "responses"} else ()
    for name in [*pair.recorded.bookkeeping]:
        told = name in pair.left_out
        if (name not in (*shared, "user")) or (name not in pair.sent.bookkeeping and told):
            del pair.recorded.bookkeeping[name]


def store_is_never_kept(pair: Pair) -> None:
    """A translated call keeps nothing at the provider: `store: true` becomes `store: false`."""
    if "store" in pair.left_out:
        pair.sent.bookkeeping.pop("store", None)


def cache_marks(pair: Pair) -> None:
    """A cache mark on a tool's result and on the last part inside it mark the same place. Responses have no
    cache marks at all, and chat has none on calls."""
    for part in pair.parts():
        inner = part.get("parts") or []
        if inner and "cache" in inner[-1]:
            part.setdefault("cache", inner[-1].pop("cache"))
    for one in [*pair.parts(), *pair.recorded.tools, *pair.sent.tools]:
        if pair.client == "responses" or (pair.client == "chat" and "call" in one):
            one.pop("cache", None)


def chat_has_no_order(pair: Pair) -> None:
    """An assistant's chat message has thinking, words and calls, in no order."""
    if "chat" in (pair.client, pair.case.native):
        for meaning in (pair.recorded, pair.sent):
            meaning.turns = [
                (role, in_chat_order(parts) if role == "assistant" else parts)
                for role, parts in meaning.turns
            ]


def failed_results(pair: Pair) -> None:
    """Only Messages clients can say that a result is an error; the others say so in its words."""
    if pair.client != "messages":
        for part in pair.recorded.parts():
            if "error" in part:
                part["error"] = False


def marked_errors(pair: Pair) -> None:
    """Providers of OpenAI's dialects know no failed result: it begins with `Error: ` (and Messages' own
    recorded ones have no such words)."""
    if pair.case.native in ("chat", "responses"):
        for part in pair.parts():
            part.pop("error", None)


def text_documents(pair: Pair) -> None:
    """A document of plain text is its text with its name above, where documents are files (PDF)."""
    for meaning in (pair.recorded, pair.sent):
        for _, parts in meaning.turns:
            parts[:] = [_as_text(part) for part in parts]
            for part in parts:
                if "result" in part:
                    part["parts"] = [_as_text(one) for one in part["parts"]]


def _as_text(part: Part) -> Part:
    if part.get("media") != "document" or part.get("citations") or part.get("context"):
        return part
    words = part.get("plain")
    if words is None and str(part.get("type", "")).startswith("text/"):
        words = base64.b64decode(part.get("data", "")).decode("utf-8", "replace")
    if words is None:
        return part
    name = part.get("name")
    said = text(f"{name}\n\n{words}" if name and name != _A_NAME else words)
    return {**said, "cache": part["cache"]} if "cache" in part else said


_A_NAME = "document.pdf"


def names_of_files(pair: Pair) -> None:
    """A file needs a name in OpenAI's dialects: `document.pdf` where there was none. A document by URL
    has none in Responses."""
    for part in pair.parts():
        if part.get("media") == "document":
            nameless = "url" in part and "responses" in (pair.client, pair.case.native)
            if nameless or part.get("name") == _A_NAME:
                part.pop("name", None)


def images(pair: Pair) -> None:
    """Messages and Gemini have no word for the detail in which an image is looked at, and the type of an
    image by URL is needed at Gemini alone."""
    for part in pair.parts():
        if part.get("media") == "image":
            if pair.client == "messages":
                part.pop("detail", None)
            if "url" in part and pair.client != "messages":
                part.pop("type", None)
    if pair.case.native == "gemini":
        for part in pair.parts():
            if "media" in part and "url" in part:
                part.pop("type", None)


def media_in_results(pair: Pair) -> None:
    """A tool's result is text in the chat dialect: its images follow in a user's message that says so."""
    if pair.case.native != "chat":
        return
    for meaning in (pair.recorded, pair.sent):
        turns = meaning.turns
        meaning.turns = []
        for role, parts in turns:
            moved = [one for part in parts for one in part.get("parts", ()) if "media" in one]
            for part in parts:
                if "parts" in part:
                    part["parts"] = [one for one in part["parts"] if "media" not in one]
                    part["parts"] = [one for one in part["parts"] if one.get("text") != _NEXT]
            kept = [part for part in parts if not str(part.get("text")).startswith(_FROM)]
            meaning.more(role, kept)
            if moved:
                meaning.more("user", moved)


_NEXT = "See the next user message."
_FROM = "From the result of call "


def search(pair: Pair) -> None:
    """Only OpenAI's dialects say how much a search may read; chat and Gemini cannot limit it."""
    for meaning in (pair.recorded, pair.sent):
        if meaning.search is None:
            continue
        found = {name: value for name, value in meaning.search.items() if value}
        if pair.client == "messages":
            found.pop("size", None)
        if pair.client in ("chat", "responses"):
            found.pop("uses", None)
        meaning.search = found


def what_was_searched(pair: Pair) -> None:
    """`web_search_call` items of earlier turns and what `include` asks of them: what was found stands in the
    text, and no other dialect has them."""
    for meaning in (pair.recorded, pair.sent):
        for _, parts in meaning.turns:
            parts[:] = [one for one in parts if (one.get("other") or {}).get("type") != "web_search_call"]
        include = meaning.other.get("include")
        if include:
            kept = [one for one in include if not one.startswith("web_search_call.")]
            meaning.other["include"] = kept
            if not kept:
                del meaning.other["include"]


def earlier_citations(pair: Pair) -> None:
    """Citations of an earlier answer are not sent back to a provider of another dialect: its text stands."""
    for part in pair.parts():
        part.pop("citations", None) if "text" in part else None


def blank_texts(pair: Pair) -> None:
    """Anthropic refuses texts of blanks alone, so a Messages client sends none."""
    if pair.client == "messages":
        for meaning in (pair.recorded, pair.sent):
            for _, parts in meaning.turns:
                parts[:] = [part for part in parts if part.keys() != {"text"} or part["text"].strip()]


def refused_efforts(pair: Pair) -> None:
    """An effort that the provider itself refused (a recorded 400 that speaks of it) need not be sent."""
    recording = pair.case.recording
    if recording.status == 400 and b"effort" in recording.body.lower():
        pair.recorded.reasoning.clear()


def max_tokens(pair: Pair) -> None:
    """Messages demand `max_tokens`, so a Messages client has to say a number where the recorded one did not.
    Two names with two numbers are a request that the provider refuses."""
    body = pair.case.recording.request_body or {}
    if (pair.client == "messages" and "max_tokens" not in pair.recorded.settings) or (
        "max_tokens" in body and "max_completion_tokens" in body
    ):
        pair.sent.settings.pop("max_tokens", None)
        pair.recorded.settings.pop("max_tokens", None)


def schemas(pair: Pair) -> None:
    """A schema has no name, description or strictness in Messages and Gemini: Messages are always strict."""
    for output in (pair.recorded.output, pair.sent.output):
        if output is not None and "messages" in (pair.client, pair.case.native):
            for name in ("name", "description", "strict"):
                output.pop(name, None)
    if pair.case.native == "gemini":
        for one in (*pair.recorded.tools, *pair.sent.tools):
            one["strict"] = False


def reasoning(pair: Pair) -> None:
    """Chat and Messages cannot say how long a summary should be; Responses cannot say a budget (the word
    nearest to it is said), nor Messages that reasoning should not be shown while leaving it on."""
    recorded, sent = pair.recorded.reasoning, pair.sent.reasoning
    if recorded.get("summary"):
        recorded["summary"] = "auto"
    if pair.client == "messages" and "summary" not in recorded:
        sent.pop("summary", None)  # a Messages client reads what is thought, unless it says otherwise
    if pair.client == "responses" and "budget" in recorded and "budget" in sent:
        sent["budget"] = recorded["budget"]
    recorded.pop("context", None)


def shown_thoughts(pair: Pair) -> None:
    """Not showing thoughts is Gemini's default, and the gateway asks for them where the client does not
    say; chat and Responses clients that name an effort alone leave it open."""
    for one in (pair.recorded.reasoning, pair.sent.reasoning):
        if one.get("shown") is False:
            del one["shown"]
    if "shown" not in pair.recorded.reasoning:
        pair.sent.reasoning.pop("shown", None)


def words_for_budgets(pair: Pair) -> None:
    """Gemini models after 2.5, and names that nobody knows, take a level where the recorded client tried a
    budget."""
    recorded, sent = pair.recorded.reasoning, pair.sent.reasoning
    if pair.case.native == "gemini" and "budget" in recorded and "effort" in sent:
        del recorded["budget"], sent["effort"]


def gemini_thoughts(pair: Pair) -> None:
    """Gemini needs no thoughts back, only signatures: one that stood on a thought stands on the next part."""
    if pair.case.native != "gemini":
        return
    for meaning in (pair.recorded, pair.sent):
        for _, parts in meaning.turns:
            carried = ""
            for part in [*parts]:
                if "thinking" in part:
                    carried = part.get("signature", carried)
                    parts.remove(part)
                elif carried:
                    part.setdefault("signature", carried)
                    carried = ""


def gemini_modes(pair: Pair) -> None:
    """`VALIDATED` (calls are checked against their schemas) and showing the server's own calls are
    Gemini's alone."""
    for meaning in (pair.recorded, pair.sent):
        meaning.other.pop("toolConfig.mode", None)
        meaning.other.pop("toolConfig.includeServerSideToolInvocations", None)


def groqs_format(pair: Pair) -> None:
    """How Groq writes down reasoning (`reasoning_format`) is the gateway's to choose where it translates."""
    pair.recorded.other.pop("reasoning_format", None)


# In this order: those that move parts come before those that look at them.
ALLOWANCES: tuple[Allowance, ...] = (
    unsaid_settings,
    store_is_never_kept,
    bookkeeping,
    gateways_own,
    text_documents,
    names_of_files,
    images,
    media_in_results,
    what_was_searched,
    earlier_citations,
    blank_texts,
    refused_efforts,
    gemini_thoughts,
    neighbours,
    cache_marks,
    chat_has_no_order,
    failed_results,
    marked_errors,
    search,
    max_tokens,
    schemas,
    reasoning,
    shown_thoughts,
    words_for_budgets,
    gemini_modes,
    groqs_format,
)
