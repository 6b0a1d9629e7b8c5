"""The body that a provider of the chat dialect is sent for a request in that dialect: what the client wrote,
but for the model's name and the provider's known differences (`providers/kinds.py`).
"""

from __future__ import annotations

import orjson

from proxy.config.model import Target
from proxy.dialects.asked import Asked
from proxy.dialects.documents import dumped
from proxy.dialects.spans import Member, Splice, insertion, members, spliced

_INCLUDE_USAGE = b'"stream_options":{"include_usage":true}'


def body_for(request: Asked, target: Target) -> bytes:
    """The bytes that this target's provider is sent."""
    kind = target.provider.kind
    document = request.document
    same_model = request.model == target.upstream_model
    add_usage = request.stream and not request.wants_usage and kind.takes_stream_options
    drop_options = "stream_options" in document and not kind.takes_stream_options
    options_given = "stream_options" in document
    renames = kind.renames and [
        (old, new)
        for old, new in kind.renames.items()
        if old in document
        and new not in document
        and (kind.renames_models is None or kind.renames_models.match(target.upstream_model))
    ]
    if same_model and not add_usage and not drop_options and not renames:
        return request.body
    body = request.body
    span = request.model_span
    if span is not None and not renames and not drop_options and not (add_usage and options_given):
        changes: list[Splice] = [insertion(body, _INCLUDE_USAGE)] if add_usage else []
        if not same_model:
            changes.append((*span, target.upstream_json))
        return spliced(body, changes)
    return _rewritten(
        request, target, add_usage=add_usage, drop_options=drop_options, renames=list(renames or ())
    )


def _rewritten(
    request: Asked,
    target: Target,
    *,
    add_usage: bool,
    drop_options: bool,
    renames: list[tuple[str, str]],
) -> bytes:
    body = request.body
    found = members(body)
    by_name = {member.name: member for member in found}
    splices: list[Splice] = []
    model = by_name["model"]
    splices.append((model.value_start, model.value_end, target.upstream_json))
    for old, new in renames:
        member = by_name[old]
        key_end = body.index(b":", member.start + 1 + len(orjson.dumps(old)) - 1)
        splices.append((member.start, key_end, orjson.dumps(new)))
    options = by_name.get("stream_options")
    if options is not None and drop_options:
        splices.append(_removal(found, options))
    elif add_usage and options is not None:
        value = {**(request.document["stream_options"] or {}), "include_usage": True}
        splices.append((options.value_start, options.value_end, dumped(value)))
    elif add_usage:
        splices.append(insertion(body, _INCLUDE_USAGE))
    return spliced(body, splices)


def _removal(found: list[Member], member: Member) -> Splice:
    """Cuts a member with one of its commas. There is always another member: the model."""
    index = found.index(member)
    if index + 1 < len(found):
        return member.start, found[index + 1].start, b""
    return found[index - 1].value_end, member.value_end, b""
