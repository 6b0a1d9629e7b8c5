"""A Responses answer, whole or as events. https://platform.openai.com/docs/api-reference/responses/object

Of a stream the items that were said to be done are read: the last event repeats them.
"""

from __future__ import annotations

from typing import Any

from tests.contract.conformance.said import Said

_LAST = ("response.completed", "response.incomplete", "response.failed")


def read(documents: list[dict[str, Any]]) -> Said:
    """One whole answer, or the events of a stream."""
    if len(documents) == 1 and "output" in documents[0]:
        return _whole(documents[0])
    response: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    error, partial = None, Said()
    for event in documents:
        kind = event.get("type") or ""
        if kind == "response.output_item.done":
            items[event["output_index"]] = event["item"]
        elif kind == "response.created" or kind in _LAST:
            response = event["response"]
            error = error or response.get("error")
        elif kind == "error":
            error = event.get("error") or event
        elif kind == "response.output_text.delta":
            partial.say(event["delta"])
        elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            partial.think(event["delta"])
    if error:
        partial.error = error
        partial.id, partial.model = response.get("id") or "", response.get("model") or ""
        return partial
    return _whole({**response, "output": [items[index] for index in sorted(items)]})


def _whole(response: dict[str, Any]) -> Said:
    said = Said(id=response.get("id") or "", model=response.get("model") or "", error=response.get("error"))
    for item in response["output"]:
        kind = item["type"]
        if kind == "message":
            for part in item["content"]:
                _part(part, said)
        elif kind == "reasoning":
            for piece in (*(item.get("summary") or ()), *(item.get("content") or ())):
                said.think(piece["text"])
            said.seals += [item["encrypted_content"]] if item.get("encrypted_content") else []
        elif kind == "function_call":
            said.called(item["call_id"], _name(item), item["arguments"])
        elif kind == "custom_tool_call":
            said.called(item["call_id"], _name(item), {"input": item["input"]})
        else:
            said.foreign.append(item)
    why = (response.get("incomplete_details") or {}).get("reason")
    said.native = why or response.get("status") or ""
    said.stop_sequence = response.get("stop_sequence") or ""
    if why:
        said.finish = "content_filter" if why == "content_filter" else "length"
    elif said.calls:
        said.finish = "tool_calls"
    else:
        said.finish = "refusal" if said.refusal else "stop"
    return said


def _name(item: dict[str, Any]) -> str:
    return f"{item['namespace']}__{item['name']}" if item.get("namespace") else item["name"]


def _part(part: dict[str, Any], said: Said) -> None:
    if part["type"] == "refusal":
        said.refuse(part["refusal"])
        return
    said.say(part["text"])
    said.logprobs += [(entry["token"], entry["logprob"]) for entry in part.get("logprobs") or []]
    for annotation in part.get("annotations") or []:
        if annotation.get("url"):
            said.urls.append(annotation["url"])
        else:
            said.foreign.append(annotation)
