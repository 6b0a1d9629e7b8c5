"""Whatever a client sends is a request, a 400 that it can read, or something that this target cannot do.

Never anything else: an exception of another kind would be a 500, which says that Headgate is broken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.config.model import Target
from proxy.dialects.asked import parse_request
from proxy.dialects.choose import bridge_for
from proxy.dialects.counting import uncounted
from proxy.dialects.neutral.request import Unsupported
from proxy.errors import CallError
from tests.unit.proxy.dialects.asking import CLAUDE, FAMILIES, GEMINI, REQUEST_ID, TARGETS, at
from tests.unit.proxy.dialects.garbage import Path, damaged, found, nested, paths, replaced, thinned
from tests.unit.proxy.dialects.rich_requests import NEEDED, RICH

VALUES: tuple[object, ...] = (None, True, -1, 10**400, 1e308, "", "x", [], {}, [[]], [None])
OFTEN = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def ask(operation: str, body: bytes, targets: Sequence[Target] = FAMILIES) -> int:
    """How many of the targets can be asked this. Fails for everything but the three ways to answer."""
    answered = 0
    try:
        asked = parse_request(operation, body)
    except CallError as error:
        check_refusal(error)
        return answered
    for target in targets:
        try:
            bridge = bridge_for(asked, target, REQUEST_ID, hold_end=False)
        except Unsupported as reason:
            assert reason.at, reason
            continue
        except CallError as error:
            check_refusal(error)
            continue
        orjson.loads(bridge.body)
        bridge.stream()
        answered += 1
    if operation in ("messages.count_tokens", "responses.input_tokens"):
        try:
            uncounted(asked, [at("any", "openai-compatible")])
        except CallError as error:
            check_refusal(error)
    return answered


def check_refusal(error: CallError) -> None:
    assert error.status == 400
    assert error.message


@pytest.mark.parametrize("operation", RICH)
@OFTEN
@given(data=st.data())
def test_a_damaged_request_is_asked_or_refused_and_never_breaks_anything(
    operation: str, data: st.DataObject
) -> None:
    rich = data.draw(thinned(RICH[operation], NEEDED))
    document = data.draw(damaged(rich, NEEDED))
    ask(operation, orjson.dumps(document))


@pytest.mark.parametrize("operation", RICH)
@pytest.mark.parametrize(("levels", "in_objects"), [(300, True), (900, False)])
def test_deep_nesting_anywhere_is_asked_or_refused(operation: str, levels: int, in_objects: bool) -> None:
    deep = nested(levels, in_objects=in_objects)
    for place in paths(RICH[operation]):
        ask(operation, json.dumps(around(operation, place, deep)).encode(), some_targets(place))


@pytest.mark.parametrize("operation", RICH)
def test_a_value_of_any_type_in_any_place_is_asked_or_refused(operation: str) -> None:
    for place in paths(RICH[operation]):
        for value in VALUES:
            ask(operation, json.dumps(around(operation, place, value)).encode(), some_targets(place))


def around(operation: str, place: Path, value: object) -> dict[str, Any]:
    """The rich request with the value in that place, and of the rest only what belongs to it."""
    document: dict[str, Any] = replaced(RICH[operation], place, value)
    kept = {name: document[name] for name in document if name in (place[0], "model", "max_tokens")}
    turns = "messages" if "messages" in document else "input"
    if place[0] != turns:
        kept[turns] = [{"role": "user", "content": "hi"}] if operation != "embeddings" else "hi"
    elif len(place) > 1 and isinstance(document[turns], list):
        index = int(place[1])
        kept[turns] = document[turns][index : index + 1]
    if place[0] in ("tool_choice", "parallel_tool_calls"):
        kept["tools"] = document["tools"][:1]
    return kept


def some_targets(place: Path) -> list[Target]:
    """One of each dialect, and another for each place."""
    return [*TARGETS.values(), FAMILIES[len(TARGETS) + sum(map(ord, str(place))) % (len(FAMILIES) - 4)]]


@pytest.mark.parametrize("operation", RICH)
def test_each_field_alone_is_asked_of_some_family(operation: str) -> None:
    """The rich requests are real ones: without this, the tests above could pass on refusals alone."""
    rich = RICH[operation]
    needed = {name: value for name, value in rich.items() if name in NEEDED}
    if "messages" in needed:
        needed["messages"] = [{"role": "user", "content": "hi"}]
    elif operation != "embeddings":
        needed["input"] = "hi"
    for name in rich:
        alone = {**needed, **{k: rich[k] for k in ("tools",) if k in rich and "tool" in name}}
        if name not in needed:
            alone[name] = rich[name]
        assert ask(operation, orjson.dumps(alone)), name


@pytest.mark.parametrize(
    ("operation", "name"),
    [(o, n) for o, n in (("chat.completions", "messages"), ("messages", "messages"), ("responses", "input"))],
)
def test_each_turn_alone_is_asked_of_some_family(operation: str, name: str) -> None:
    rich = RICH[operation]
    needed = {key: value for key, value in rich.items() if key in NEEDED}
    for turn in rich[name]:
        assert ask(operation, orjson.dumps({**needed, name: [turn]})), turn
    content = [p for p in paths(rich[name]) if len(p) == 3 and p[1] == "content"]
    for place in content:
        one = {**found(rich[name], place[:1]), "content": [found(rich[name], place)]}
        assert ask(operation, orjson.dumps({**needed, name: [one]})), one


# What translated answers left in a conversation, on its way to a provider of the client's own dialect.
MARK = "headgate.gemini.c2ln"
LEFT: dict[str, dict[str, Any]] = {
    "messages": {
        "model": "m",
        "max_tokens": 4096,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [
            {"role": "user", "content": "?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": MARK},
                    {"type": "redacted_thinking", "data": MARK},
                    {"type": "text", "text": "x"},
                    {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}]},
        ],
    },
    "responses": {
        "model": "m",
        "input": [
            {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": MARK},
            {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": MARK},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        ],
    },
    "chat.completions": {
        "model": "m",
        "messages": [
            {
                "role": "assistant",
                "content": "x",
                "reasoning_content": "t",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "format": "unknown"}],
                "provider_content": [{"index": 0}],
                "annotations": [],
            },
            {"role": "user", "content": "?"},
        ],
    },
}
SAME_DIALECT = (CLAUDE, *(at("m", kind) for kind in ("openai", "groq", "mistral", "openrouter", "xai")))


@pytest.mark.parametrize("operation", LEFT)
def test_what_was_left_in_a_conversation_may_be_damaged_too(operation: str) -> None:
    document = LEFT[operation]
    assert ask(operation, orjson.dumps(document), SAME_DIALECT)
    for place in paths(document):
        for value in VALUES:
            changed = replaced(document, place, value)
            ask(operation, json.dumps(changed).encode(), SAME_DIALECT)
            # One of two, so that the other's mark is still found.
            if isinstance(found(document, place[:-1]), list):
                more = [*found(changed, place[:-1]), found(document, place)]
                ask(operation, json.dumps(replaced(document, place[:-1], more)).encode(), SAME_DIALECT)


def test_what_nobody_knows_is_refused_by_its_path() -> None:
    asked = parse_request(
        "chat.completions",
        orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "x", "mood": "good"}]}),
    )
    for target in (CLAUDE, GEMINI, TARGETS["responses"]):
        with pytest.raises(Unsupported) as refusal:
            bridge_for(asked, target, REQUEST_ID, hold_end=False)
        assert refusal.value.at == "messages[0].mood"
