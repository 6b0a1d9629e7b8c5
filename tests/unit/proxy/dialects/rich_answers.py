"""What a provider of each dialect may answer, whole and as events, with everything a reader looks at.

Not an answer that any model gives: every field that some reader reads is there once, so that damaging it
shows what the reader makes of it.
"""

from __future__ import annotations

from typing import Any

CHAT_USAGE: dict[str, Any] = {
    "prompt_tokens": 5,
    "completion_tokens": 3,
    "total_tokens": 8,
    "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": 1, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
    "num_cached_tokens": 1,
    "cost": 0.1,
}
_DETAILS = [
    {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
    {"type": "reasoning.encrypted", "data": "d", "format": "google-gemini-v1", "id": "x", "index": 1},
]
_LOGPROBS = {"content": [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": []}]}
_URL = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}


def _chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, **more}]}


CHAT_EVENTS: list[dict[str, Any]] = [
    {**_chunk({"role": "assistant", "content": ""}), "service_tier": "default", "created": 1},
    _chunk({"reasoning_content": "r", "reasoning": "r", "reasoning_details": _DETAILS}),
    _chunk({"content": "hi", "annotations": [_URL]}, logprobs=_LOGPROBS),
    _chunk(
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                {"type": "text", "text": "x"},
            ],
            "refusal": "no",
        }
    ),
    _chunk(
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "a",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                    "extra_content": {"google": {"thought_signature": "s"}},
                },
                {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"q":'}},
            ]
        }
    ),
    _chunk(
        {
            "tool_calls": [
                {"index": 0, "function": {"arguments": "{}"}},
                {"index": 1, "function": {"arguments": "1}"}},
            ],
            "function_call": {"name": "h", "arguments": "{}"},
        }
    ),
    _chunk({}, finish_reason="tool_calls", stop_reason="x"),
    {"choices": [], "usage": CHAT_USAGE, "x_groq": {"usage": {}}},
]
CHAT_WHOLE: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "service_tier": "x",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "hi",
                "refusal": None,
                "reasoning_content": "r",
                "reasoning_details": _DETAILS,
                "annotations": [_URL],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "custom", "custom": {"name": "f", "input": "{}"}},
                ],
            },
            "logprobs": _LOGPROBS,
            "finish_reason": "stop",
            "stop_reason": "x",
        }
    ],
    "usage": CHAT_USAGE,
}

MESSAGES_USAGE: dict[str, Any] = {
    "input_tokens": 5,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 2,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 4,
    "service_tier": "standard",
    "output_tokens_details": {"thinking_tokens": 1},
    "iterations": [{"type": "compaction", "input_tokens": 1, "output_tokens": 2}],
}
_SEARCH_CITATION = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "c"}
_BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "t", "signature": "s"},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "text", "text": "x", "citations": [_SEARCH_CITATION, {"type": "char_location"}]},
    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    {"type": "server_tool_use", "id": "t2", "name": "f", "input": {"a": 1}},
]
MESSAGES_WHOLE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": _BLOCKS,
    "stop_reason": "tool_use",
    "stop_sequence": "q",
    "stop_details": {"type": "refusal"},
    "usage": MESSAGES_USAGE,
}
_DELTAS: list[dict[str, Any]] = [
    {"type": "thinking_delta", "thinking": "t"},
    {"type": "signature_delta", "signature": "s"},
    {"type": "text_delta", "text": "x"},
    {"type": "citations_delta", "citation": _SEARCH_CITATION},
    {"type": "input_json_delta", "partial_json": "{}"},
]
MESSAGES_EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**MESSAGES_WHOLE, "content": [], "stop_reason": None}},
    {"type": "ping"},
    *(
        event
        for index, (block, deltas) in enumerate(
            zip(_BLOCKS, (_DELTAS[:2], [], _DELTAS[2:4], _DELTAS[4:], _DELTAS[4:]), strict=True)
        )
        for event in (
            {"type": "content_block_start", "index": index, "content_block": block},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        )
    ),
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": "q"},
        "usage": MESSAGES_USAGE,
    },
    {"type": "message_stop"},
]

RESPONSES_USAGE: dict[str, Any] = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1, "audio_tokens": 1},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
    "total_tokens": 8,
}
_FLAT_URL = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
_ITEMS: list[dict[str, Any]] = [
    {
        "type": "reasoning",
        "id": "rs",
        "summary": [{"type": "summary_text", "text": "t"}],
        "content": [{"type": "reasoning_text", "text": "y"}],
        "encrypted_content": "e",
    },
    {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": [
            {"type": "output_text", "text": "x", "annotations": [_FLAT_URL], "logprobs": [{"token": "a"}]},
            {"type": "refusal", "refusal": "n"},
        ],
    },
    {"type": "function_call", "id": "f", "call_id": "c1", "name": "f", "arguments": "{}", "namespace": "n"},
    {"type": "custom_tool_call", "id": "f", "call_id": "c2", "name": "g", "input": "x"},
    {"type": "web_search_call", "id": "w"},
]
RESPONSES_WHOLE: dict[str, Any] = {
    "id": "r",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": _ITEMS,
    "error": None,
    "incomplete_details": None,
    "service_tier": "default",
    "usage": RESPONSES_USAGE,
}
_INNER: list[list[dict[str, Any]]] = [
    [
        {"type": "response.reasoning_summary_part.added", "summary_index": 0},
        {"type": "response.reasoning_summary_text.delta", "delta": "t"},
    ],
    [
        {"type": "response.output_text.delta", "delta": "x", "logprobs": [{"token": "a"}]},
        {"type": "response.output_text.annotation.added", "annotation": _FLAT_URL},
        {"type": "response.refusal.delta", "delta": "x"},
    ],
    [{"type": "response.function_call_arguments.delta", "delta": "{}"}],
    [],
    [],
]
RESPONSES_EVENTS: list[dict[str, Any]] = [
    {"type": "response.created", "response": {**RESPONSES_WHOLE, "output": []}},
    *(
        event
        for index, (item, inner) in enumerate(zip(_ITEMS, _INNER, strict=True))
        for event in (
            {"type": "response.output_item.added", "output_index": index, "item": item},
            *({**one, "output_index": index} for one in inner),
            {"type": "response.output_item.done", "output_index": index, "item": item},
        )
    ),
    {"type": "response.completed", "response": RESPONSES_WHOLE},
    {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "m"}}},
    {"type": "error", "code": "server_error", "message": "m"},
]

GEMINI_USAGE: dict[str, Any] = {
    "promptTokenCount": 5,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 10,
    "cachedContentTokenCount": 1,
    "toolUsePromptTokenCount": 0,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
    "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 1}],
    "serviceTier": "standard",
}
GEMINI_WHOLE: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "t", "thought": True, "thoughtSignature": "s"},
                    {"text": "hé"},
                    {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}, "thoughtSignature": "s"},
                    {"functionCall": {"name": "g"}},
                    {"executableCode": {"code": "x"}},
                    {"inlineData": {"mimeType": "image/png", "data": "AA"}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
                "groundingSupports": [
                    {
                        "segment": {"startIndex": 0, "endIndex": 2, "text": "h"},
                        "groundingChunkIndices": [0],
                    }
                ],
            },
            "logprobsResult": {
                "chosenCandidates": [{"token": "a", "logProbability": -1}],
                "topCandidates": [{"candidates": [{"token": "a", "logProbability": -1}]}],
            },
            "safetyRatings": [{"category": "x"}],
        }
    ],
    "usageMetadata": GEMINI_USAGE,
    "modelVersion": "g",
    "responseId": "rid",
}
_UNFINISHED = {k: v for k, v in GEMINI_WHOLE["candidates"][0].items() if k != "finishReason"}
GEMINI_EVENTS: list[dict[str, Any]] = [
    {**GEMINI_WHOLE, "candidates": [_UNFINISHED]},
    {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 1}},
    GEMINI_WHOLE,
]

# Provider dialect → (whole answer, events).
ANSWERS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "chat": (CHAT_WHOLE, CHAT_EVENTS),
    "responses": (RESPONSES_WHOLE, RESPONSES_EVENTS),
    "messages": (MESSAGES_WHOLE, MESSAGES_EVENTS),
    "gemini": (GEMINI_WHOLE, GEMINI_EVENTS),
}
