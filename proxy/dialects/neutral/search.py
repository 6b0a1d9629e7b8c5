"""The providers' own web search, read from one dialect's tool and written as another's.

https://platform.openai.com/docs/guides/tools-web-search,
https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool,
https://ai.google.dev/gemini-api/docs/google-search. Pages are fetched and billed by whoever answers.
"""

from __future__ import annotations

from typing import Any

from proxy.dialects.neutral.fields import Fields
from proxy.dialects.neutral.request import ModelRequest, Unsupported, WebSearch

_PLACE = ("city", "region", "country", "timezone")


def read_search(item: Fields, request: ModelRequest) -> None:
    """A `web_search…` tool of the Responses API or of Anthropic's."""
    filters = item.object("filters") or item
    search = WebSearch(
        item.at,
        [str(domain) for domain in filters.take("allowed_domains", list) or []],
        [str(domain) for domain in filters.take("blocked_domains", list) or []],
        item.take("max_uses", int),
        location_of(item.object("user_location")),
        item.text("search_context_size"),
    )
    # What a search returns and how it is reached; the answer's own tools alone call it in any case.
    item.ignore(
        "name", "external_web_access", "search_content_types", "return_token_budget", "indexed_web_access"
    )
    if item.take("allowed_callers", list) not in (None, ["direct"]):
        request.unread.append(item.path("allowed_callers"))
    request.unread += item.rest()
    request.search = search


def location_of(place: Fields | None) -> dict[str, str]:
    if place is None:
        return {}
    inner = place.object("approximate") or place
    place.ignore("type")
    return {name: inner.text(name) for name in _PLACE if inner.text(name)}


def anthropic_tool(search: WebSearch, left_out: list[str]) -> dict[str, Any]:
    tool: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
    if search.max_uses is not None:
        tool["max_uses"] = search.max_uses
    if search.allowed_domains:
        tool["allowed_domains"] = search.allowed_domains
    if search.blocked_domains:
        tool["blocked_domains"] = search.blocked_domains
    if search.location:
        tool["user_location"] = {"type": "approximate", **search.location}
    if search.context_size:
        left_out.append(f"{search.at}.search_context_size")
    return tool


def responses_tool(search: WebSearch, left_out: list[str]) -> dict[str, Any]:
    tool: dict[str, Any] = {"type": "web_search"}
    if search.blocked_domains:
        raise Unsupported(f"{search.at}.blocked_domains", "has no counterpart in the Responses API")
    if search.allowed_domains:
        tool["filters"] = {"allowed_domains": search.allowed_domains}
    if search.location:
        tool["user_location"] = {"type": "approximate", **search.location}
    if search.context_size:
        tool["search_context_size"] = search.context_size
    if search.max_uses is not None:
        left_out.append(f"{search.at}.max_uses")
    return tool


def chat_options(search: WebSearch, left_out: list[str]) -> dict[str, Any]:
    """`web_search_options`, for models that search with every question."""
    if search.allowed_domains or search.blocked_domains:
        raise Unsupported(search.at, "cannot be limited to domains in chat completions")
    options: dict[str, Any] = {}
    if search.location:
        options["user_location"] = {"type": "approximate", "approximate": search.location}
    if search.context_size:
        options["search_context_size"] = search.context_size
    if search.max_uses is not None:
        left_out.append(f"{search.at}.max_uses")
    return options


def gemini_tool(search: WebSearch, left_out: list[str], *, beside_functions: bool) -> dict[str, Any]:
    """`beside_functions`: the request has functions too, and this model cannot do both."""
    if beside_functions:
        raise Unsupported(search.at, "cannot be used beside functions by this model of gemini")
    if search.allowed_domains or search.blocked_domains:
        raise Unsupported(search.at, "cannot be limited to domains at gemini")
    if search.location or search.context_size or search.max_uses is not None:
        left_out.append(search.at)
    return {"googleSearch": {}}


def refuse_search(request: ModelRequest, provider: str) -> None:
    """For dialects without one."""
    if request.search is not None:
        raise Unsupported(
            request.search.at,
            f"is a search of the web, which models at {provider} do not have: switch it off in the client",
        )
