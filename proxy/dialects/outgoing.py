"""A neutral request as the document that one target's provider is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.config.model import Target
from proxy.dialects.chat import request_writer as chat
from proxy.dialects.gemini import request_writer as gemini
from proxy.dialects.messages import request_writer as messages
from proxy.dialects.neutral.emulation import FORCED_TOOL
from proxy.dialects.neutral.request import ModelRequest
from proxy.dialects.responses import request_writer as responses
from proxy.providers import families


@dataclass(frozen=True, slots=True)
class Outgoing:
    # Decides the provider's path.
    operation: str
    document: dict[str, Any]
    # Fields of the client's that were left out.
    left_out: list[str]

    @property
    def emulated(self) -> bool:
        """The answer comes as the arguments of a forced tool."""
        return any(_is_forced(tool) for tool in self.document.get("tools", ()))


def _is_forced(tool: dict[str, Any]) -> bool:
    names = [tool.get("name"), (tool.get("function") or {}).get("name")]
    names += [function.get("name") for function in tool.get("functionDeclarations", ())]
    return FORCED_TOOL in names


def write_for(request: ModelRequest, target: Target, dialect: str) -> Outgoing:
    """Raises Unsupported where the dialect, or this model, has no counterpart for what is asked."""
    left_out: list[str] = []
    model = target.upstream_model
    kind = target.provider.kind
    name = kind.name
    if dialect == "messages":
        document = messages.write_request(
            request,
            model=model,
            provider=name,
            claude=families.claude(model),
            max_output_tokens=target.max_output_tokens,
            json_schema=target.can("json_schema"),
            left_out=left_out,
        )
        return Outgoing("messages", document, left_out)
    if dialect == "gemini":
        document = gemini.write_request(
            request, provider=name, gemini=families.gemini(model), left_out=left_out
        )
        return Outgoing("gemini.stream" if request.stream else "gemini", document, left_out)
    thinks = target.can("thinking")
    if thinks is None:
        thinks = families.thinks(model)
    json_schema = target.can("json_schema")
    if dialect == "responses":
        document = responses.write_request(
            request,
            model=model,
            provider=name,
            maker=kind.maker,
            thinks=thinks,
            json_schema=json_schema is not False,
            left_out=left_out,
        )
        return Outgoing("responses", document, left_out)
    document = chat.write_request(
        request,
        model=model,
        provider=name,
        manners=kind.manners,
        thinks=thinks,
        json_schema=kind.manners.json_schema if json_schema is None else json_schema,
        left_out=left_out,
    )
    if request.stream and kind.takes_stream_options:
        document["stream_options"] = {"include_usage": True}
    for old, new in kind.renames.items():
        matches = kind.renames_models is None or kind.renames_models.match(model)
        if old in document and matches:
            document[new] = document.pop(old)
    return Outgoing("chat.completions", document, left_out)
