"""The usage's side: tokens by class in the client's own shape, and in the usage record.

What a recording is worth is worked out from the provider's own numbers by its documentation:
Anthropic's input leaves cached tokens out (https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching),
Gemini's candidates leave thoughts out and its prompt the tools' (https://ai.google.dev/api/generate-content).
"""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from tests.contract.conformance.answers import heard_documents
from tests.contract.conformance.cases import NATIVE
from tests.contract.conformance.playing import Played
from tests.contract.recorded_worth import Worth, calculated_usd, picousd, recorded_tokens, stated_usd
from tests.support.wire import Recording

_RECORDED = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
}


def worth_of(recording: Recording) -> Worth | None:
    """None where the provider reported nothing."""
    usage = recording.usage
    if usage is None or recording.status != 200:
        return None
    native = NATIVE[recording.endpoint]
    if native == "chat":
        return recorded_tokens(recording)
    if native == "responses":
        return of_responses(usage)
    return of_gemini(usage) if native == "gemini" else of_messages(_merged(usage))


def _merged(usage: Any) -> dict[str, Any]:
    """A stream's counts are cumulative: the later one of each class counts."""
    if "message_start" not in usage:
        return dict(usage)
    later = {name: value for name, value in (usage["message_delta"] or {}).items() if value is not None}
    return {**(usage["message_start"] or {}), **later}


def of_chat(usage: Any) -> Worth:
    """OpenAI's own shape, which the gateway gives to chat clients."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Worth(
        input=usage["prompt_tokens"],
        cache_read=prompt.get("cached_tokens") or 0,
        cache_write=prompt.get("cache_write_tokens") or 0,
        audio_input=prompt.get("audio_tokens") or 0,
        output=usage["completion_tokens"],
        reasoning=completion.get("reasoning_tokens") or 0,
        audio_output=completion.get("audio_tokens") or 0,
    )


def of_responses(usage: Any) -> Worth:
    given, made = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return Worth(
        input=usage["input_tokens"],
        cache_read=given.get("cached_tokens") or 0,
        cache_write=given.get("cache_write_tokens") or 0,
        output=usage["output_tokens"],
        reasoning=made.get("reasoning_tokens") or 0,
    )


def of_messages(usage: dict[str, Any]) -> Worth:
    """Passes that compact the context are listed, and counted nowhere else."""
    passes = usage.get("iterations") or []
    if any(one.get("type") == "compaction" for one in passes):
        found = [asdict(of_messages(one)) for one in passes]
        return Worth(**{name: sum(one[name] for one in found) for name in found[0]})
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    return Worth(
        input=(usage.get("input_tokens") or 0) + read + written,
        cache_read=read,
        cache_write=written,
        output=usage.get("output_tokens") or 0,
        reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )


def of_gemini(usage: Any) -> Worth:
    thoughts = usage.get("thoughtsTokenCount") or 0
    return Worth(
        input=(usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0),
        cache_read=usage.get("cachedContentTokenCount") or 0,
        audio_input=_audio(usage.get("promptTokensDetails")),
        output=(usage.get("candidatesTokenCount") or 0) + thoughts,
        reasoning=thoughts,
        audio_output=_audio(usage.get("candidatesTokensDetails")),
    )


def _audio(details: Any) -> int:
    return sum(one.get("tokenCount") or 0 for one in details or () if one["modality"] == "AUDIO")


def problems(played: Played) -> list[str]:
    """What is wrong with the counts that the client and the record have."""
    worth = worth_of(played.case.recording)
    if worth is None:
        return []
    found = [
        f"record: {name} is {getattr(played.call, field)}, recorded {getattr(worth, name)}"
        for name, field in _RECORDED.items()
        if getattr(played.call, field) != getattr(worth, name)
    ]
    found += _cost(played, worth)
    return found if played.case.passes_through else [*found, *_shown(played, worth)]


def _cost(played: Played, worth: Worth) -> list[str]:
    """As the provider states it, else by the catalogue; the same whatever dialect the client speaks."""
    recording = played.case.recording
    if _hour_writes(recording.usage):
        return []  # the catalogue's calculation knows one price for cache writes
    stated = stated_usd(recording)
    usd = calculated_usd(recording, worth) if stated is None else stated
    estimate = (recording.usage or {}).get("estimated_cost")
    if usd is None and estimate is not None:  # DeepInfra, for what the catalogue does not know
        usd = Decimal(str(estimate))
    expected = None if usd is None else picousd(usd)
    told = played.call.cost_usd
    got = int(Decimal(told).scaleb(12)) if told else None
    return [] if got == expected else [f"record: cost is {got} pico-dollars, calculated {expected}"]


def _hour_writes(usage: Any) -> bool:
    found = (usage.get("message_start") or usage).get("cache_creation") or {}
    return bool(found.get("ephemeral_1h_input_tokens"))


def _shown(played: Played, worth: Worth) -> list[str]:
    """In the client's shape, which knows audio in chat alone."""
    client = played.case.client
    shown = _client_usage(played)
    if shown is None:
        return [] if played.case.quiet else ["the client got no usage"]
    if client == "chat":
        got = of_chat(shown)
    else:
        got = of_messages(shown) if client == "messages" else of_responses(shown)
    expected, known = asdict(worth), asdict(got)
    if client != "chat":
        expected |= {"audio_input": 0, "audio_output": 0}
    found = [
        f"client: {name} is {known[name]}, recorded {value}"
        for name, value in expected.items()
        if known[name] != value
    ]
    if client != "messages" and shown["total_tokens"] != worth.input + worth.output:
        found.append(f"client: total_tokens is {shown['total_tokens']}")
    return found


def _client_usage(played: Played) -> dict[str, Any] | None:
    """The last word about usage in what the client got, where its dialect has it."""
    found: dict[str, Any] | None = None
    for document in heard_documents(played):
        holder = document.get("response") or document
        if document.get("type") == "message_start":
            holder = document["message"]
        usage = holder.get("usage")
        if usage:
            found = {**(found or {}), **{k: v for k, v in usage.items() if v is not None}}
    return found
