"""One request per operation that has everything its dialect knows, for tests that damage it.

Not a request that any client sends: most targets refuse it as a whole, so tests take some of its members
(`garbage.thinned`) or one at a time.
"""

from __future__ import annotations

from typing import Any

PNG = "iVBORw0KGgo="
PNG_URL = f"data:image/png;base64,{PNG}"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "string", "minLength": 2},
        "b": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        "c": {"type": "array", "items": {"type": "number"}, "minItems": 3},
    },
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"x": {"oneOf": [{"type": "string"}]}},
}

CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "developer",
            "content": [{"type": "text", "text": "d", "cache_control": {"type": "ephemeral"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}},
                {"type": "image_url", "image_url": "https://e.example/x.png"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "f"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]},
                {"type": "text", "text": "x"},
                {"type": "refusal", "refusal": "no"},
            ],
            "refusal": "r",
            "reasoning_content": "rc",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1"},
                {"type": "reasoning.encrypted", "data": "d", "format": "openai-responses-v1", "id": "i"},
            ],
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                    "extra_content": {"google": {"thought_signature": "sig"}},
                },
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "txt"}},
            ],
            "annotations": [{"type": "url_citation"}],
            "function_call": {"name": "h", "arguments": "{}"},
        },
        {"role": "tool", "tool_call_id": "c1", "content": "res"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [
                {"type": "text", "text": "res"},
                {"type": "image_url", "image_url": {"url": "https://e.example/x.png"}},
            ],
        },
        {"role": "function", "name": "h", "content": "x"},
        {"role": "system", "content": "later"},
        {"role": "user", "name": "n", "content": "more"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {
            "type": "custom",
            "custom": {
                "name": "g",
                "description": "x",
                "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}},
            },
        },
    ],
    "functions": [{"name": "h", "parameters": {"type": "object"}}],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "parallel_tool_calls": True,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"},
    },
    "web_search_options": {"search_context_size": "low", "user_location": {"type": "approximate"}},
    "reasoning_effort": "high",
    "reasoning": {"effort": "low", "max_tokens": 2000, "exclude": False, "enabled": True},
    "reasoning_format": "parsed",
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 1,
    "top_k": 4,
    "n": 1,
    "seed": 3,
    "stop": ["a", "b"],
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "user": "u",
    "service_tier": "flex",
    "verbosity": "low",
    "metadata": {"a": "b"},
    "stream": True,
    "stream_options": {"include_usage": True},
    "modalities": ["text"],
}

MESSAGES: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5000,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://e.example/x.png"}},
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "doc"},
                    "title": "t",
                    "context": "c",
                    "citations": {"enabled": False},
                },
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
                },
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "text/plain", "data": "AAAA"},
                },
            ],
        },
        {"role": "system", "content": "later"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "sig"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "x", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "r"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": PNG},
                        },
                    ],
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": "e",
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
            ],
            "output_config": {"effort": "low"},
        },
    ],
    "tools": [
        {
            "name": "f",
            "description": "d",
            "input_schema": SCHEMA,
            "strict": True,
            "cache_control": {"type": "ephemeral"},
            "allowed_callers": ["direct"],
            "input_examples": [{}],
        },
        {"type": "custom", "name": "g", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2, "user_location": {"city": "c"}},
    ],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "summarized"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "stop_sequences": ["x"],
    "temperature": 1.0,
    "top_p": 1,
    "top_k": 3,
    "metadata": {"user_id": "u"},
    "service_tier": "auto",
    "stream": True,
}

RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"role": "user", "content": "hi"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": PNG_URL, "detail": "high"},
                {"type": "input_file", "file_data": "AAAA", "filename": "f.pdf"},
                {"type": "input_file", "file_url": "https://e.example/x.pdf"},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "t"}],
            "content": [{"type": "reasoning_text", "text": "u"}],
            "encrypted_content": "enc",
        },
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "x", "annotations": [{}], "logprobs": []},
                {"type": "refusal", "refusal": "r"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "namespace": "ns"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
        {
            "type": "function_call_output",
            "call_id": "c1",
            "output": [
                {"type": "input_text", "text": "o"},
                {"type": "input_image", "image_url": "https://e.example/x.png"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "o"},
    ],
    "tools": [
        {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True, "description": "d"},
        {
            "type": "custom",
            "name": "g",
            "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
        },
        {
            "type": "namespace",
            "name": "ns",
            "description": "d",
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
        },
        {"type": "web_search", "filters": {"allowed_domains": ["a.example"]}, "search_context_size": "low"},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "text": {
        "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
        "verbosity": "low",
    },
    "max_output_tokens": 100,
    "temperature": 0.3,
    "top_p": 0.9,
    "top_logprobs": 3,
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    "store": False,
    "truncation": "disabled",
    "user": "u",
    "service_tier": "default",
    "metadata": {"a": "b"},
    "stream": True,
}

EMBEDDINGS: dict[str, Any] = {
    "model": "m",
    "input": ["a", "b"],
    "dimensions": 3,
    "encoding_format": "base64",
    "user": "u",
}

# Operation → its rich request.
RICH: dict[str, dict[str, Any]] = {
    "chat.completions": CHAT,
    "messages": MESSAGES,
    "messages.count_tokens": MESSAGES,
    "responses": RESPONSES,
    "responses.input_tokens": RESPONSES,
    "embeddings": EMBEDDINGS,
}
NEEDED = ("model", "messages", "input", "max_tokens")
