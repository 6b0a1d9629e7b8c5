"""The next request of a client that appends what it got, and its tools' results.

As the SDKs' documentation shows it: the chat message, the content blocks, the output items, unchanged.
"""

from __future__ import annotations

from typing import Any

from tests.unit.proxy.dialects.asking import (
    CHAT,
    CHAT_TOOL,
    MESSAGES,
    MESSAGES_TOOL,
    QUESTION,
    RESPONSES,
    RESPONSES_TOOL,
    question,
)

Document = dict[str, Any]


def next_request(client: str, answer: Document, **fields: Any) -> Document:
    """Every call in the answer gets a result; without calls the user asks on."""
    if client == CHAT:
        message = answer["choices"][0]["message"]
        said = [
            {"role": "tool", "tool_call_id": c["id"], "content": "done"}
            for c in message.get("tool_calls", ())
        ]
        messages = [QUESTION, message, *(said or [QUESTION])]
        return question(CHAT, messages=messages, tools=[CHAT_TOOL], **fields)
    if client == MESSAGES:
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "done"}
            for block in answer["content"]
            if block["type"] == "tool_use"
        ]
        told = [{"role": "user", "content": results}] if results else [QUESTION]
        messages = [QUESTION, {"role": "assistant", "content": answer["content"]}, *told]
        return question(MESSAGES, messages=messages, tools=[MESSAGES_TOOL], **fields)
    given = [
        {"type": f"{item['type']}_output", "call_id": item["call_id"], "output": "done"}
        for item in answer["output"]
        if item["type"].endswith("_call")
    ]
    items = [QUESTION, *answer["output"], *(given or [QUESTION])]
    return question(RESPONSES, input=items, tools=[RESPONSES_TOOL], **fields)
