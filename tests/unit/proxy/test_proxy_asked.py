"""What a provider is sent is the client's body, changed where it must be and nowhere else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.asked import parse_request
from proxy.dialects.chat.patch import body_for
from proxy.errors import CallError
from proxy.settings import MAX_STRUCTURAL_BYTES
from tests.unit.proxy.targets import target
from tests.unit.proxy.test_proxy_spans import layouts, texts, values

CHAT = "chat.completions"
TO_MAX_TOKENS = {"mistral", "deepinfra", "nvidia"}
KINDS = ["openai", "groq", "cerebras", "deepinfra", "mistral", "xai", "openrouter", "nvidia"]

names = st.one_of(texts, st.sampled_from(["model", "messages", "stream", "role", "content"]))
nested = st.recursive(
    values,
    lambda inner: st.dictionaries(names, inner, max_size=3),
    max_leaves=4,
)
messages = st.fixed_dictionaries({"role": st.just("user"), "content": texts}, optional={"model": texts})
requests = st.fixed_dictionaries(
    {"model": texts.filter(bool), "messages": st.lists(messages, max_size=3)},
    optional={
        "stream": st.booleans(),
        "stream_options": st.one_of(
            st.none(), st.dictionaries(st.sampled_from(["include_usage", "other"]), st.booleans())
        ),
        "max_tokens": st.integers(0, 100),
        "max_completion_tokens": st.integers(0, 100),
        "tools": st.lists(nested, max_size=2),
        "metadata": nested,
    },
)


@st.composite
def shuffled_requests(draw: st.DrawFn) -> dict[str, Any]:
    document = draw(requests)
    order = draw(st.permutations(list(document)))
    return {name: document[name] for name in order}


def expected(document: dict[str, Any], kind: str, upstream_model: str) -> dict[str, Any]:
    """The same by re-serialising: a table of the providers' differences, independent of the product's."""
    changed = {**document, "model": upstream_model}
    if kind in TO_MAX_TOKENS and "max_completion_tokens" in changed and "max_tokens" not in changed:
        changed["max_tokens"] = changed.pop("max_completion_tokens")
    reasoning = kind == "openai" and upstream_model.startswith(("o3", "gpt-5"))
    if reasoning and "max_tokens" in changed and "max_completion_tokens" not in changed:
        changed["max_completion_tokens"] = changed.pop("max_tokens")
    options = changed.get("stream_options")
    if kind == "mistral":
        changed.pop("stream_options", None)
    elif changed.get("stream") and not (options and options.get("include_usage")):
        changed["stream_options"] = {**(options or {}), "include_usage": True}
    return changed


def only_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


@given(
    shuffled_requests(),
    layouts,
    st.sampled_from(KINDS),
    st.sampled_from(["gpt-4o", "o3-mini", "gpt-5", 'a"b']),
)
def test_splicing_means_the_same_as_writing_the_body_anew(
    document: dict[str, Any], layout: dict[str, Any], kind: str, upstream_model: str
) -> None:
    body = json.dumps(document, **layout).encode()
    sent = body_for(parse_request(CHAT, body), target(upstream_model, kind))
    assert json.loads(sent, object_pairs_hook=only_once) == expected(document, kind, upstream_model)


@given(shuffled_requests(), layouts)
def test_a_body_that_needs_no_change_is_sent_to_the_letter(
    document: dict[str, Any], layout: dict[str, Any]
) -> None:
    document.pop("stream", None)
    body = json.dumps(document, **layout).encode()
    assert body_for(parse_request(CHAT, body), target(document["model"], "groq")) is body


@pytest.mark.parametrize("key", ["model", "mod\\u0065l", "\\u006d\\u006F\\u0064\\u0065\\u006c"])
@pytest.mark.parametrize("value", ["fast", "f\\u0061st", "\\u0066ast"])
def test_an_escaped_model_is_the_same_model(key: str, value: str) -> None:
    body = f'{{"messages":[{{"role":"user","content":"\\"model\\": 1"}}],"{key}" : "{value}"}}'.encode()
    asked = parse_request(CHAT, body)
    assert asked.model == "fast"
    assert json.loads(body_for(asked, target("gpt-4o")))["model"] == "gpt-4o"


def test_a_model_inside_messages_tools_and_text_stays() -> None:
    inner = {"model": "theirs", "text": '"model":"theirs"', "tools": [{"function": {"model": "theirs"}}]}
    document = {"tools": [inner], "model": "ours", "messages": [{"role": "user", "content": "", **inner}]}
    sent = body_for(parse_request(CHAT, json.dumps(document).encode()), target("new"))
    assert json.loads(sent) == {**document, "model": "new"}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('"model":"a"', '"model":"b"'),
        ('"model":"a"', '"mod\\u0065l":"b"'),
        ('"\\u006dodel":"a"', '"mod\\u0065l":"b"'),
        ('"messages":[]', '"messages":[]'),
        ('"stream":false', '"stream":true'),
        ('"stream":false', '"str\\u0065am":true'),
        ('"stream_options":{}', '"stream_options":{"include_usage":true}'),
    ],
)
def test_a_member_that_we_act_on_must_not_stand_twice(first: str, second: str) -> None:
    rest = [part for part in ('"model":"a"', '"messages":[]') if part.split(":")[0] not in first]
    if "model" in first:
        rest = ['"messages":[]']
    body = "{" + ",".join([first, *rest, second]) + "}"
    with pytest.raises(CallError) as refused:
        parse_request(CHAT, body.encode())
    assert refused.value.status == 400
    assert "twice" in refused.value.message
    assert refused.value.param == json.loads("[" + first.split(":")[0] + "]")[0]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"nothing", None),
        (b"[]", None),
        (b'{"model":"a","messages":[]', None),
        (b'{"messages":[]}', "model"),
        (b'{"model":"","messages":[]}', "model"),
        (b'{"model":7,"messages":[]}', "model"),
        (b'{"model":"a"}', "messages"),
        (b'{"model":"a","messages":"hello"}', "messages"),
        (b'{"model":"a","messages":[7]}', "messages[0]"),
        (b'{"model":"a","messages":[{"role":"user"},{"content":"x"}]}', "messages[1]"),
        (b'{"model":"a","messages":[],"stream":"yes"}', "stream"),
        (b'{"model":"a","messages":[],"stream_options":true}', "stream_options"),
        (b'{"model":"a","messages":[],"max_tokens":"many"}', "max_tokens"),
        (b'{"model":"a","messages":[],"max_tokens":true}', "max_tokens"),
        (b'{"model":"a","messages":[],"n":-1}', "n"),
        (b'{"model":"a","messages":[],"user":7}', "user"),
        (b'{"model":"\\ud800","messages":[]}', None),
        (b'{"model":"a","messages":[],"x":NaN}', None),
        (b"[" * 100_000, None),
    ],
)
def test_a_request_that_cannot_be_meant_is_a_400_that_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(CallError) as refused:
        parse_request(CHAT, body)
    assert refused.value.status == 400
    assert refused.value.code == "invalid_request_error"
    assert refused.value.param == param


def test_too_many_values_are_refused_before_they_are_parsed() -> None:
    body = b'{"model":"a","messages":[' + b"[]," * MAX_STRUCTURAL_BYTES + b"[]]}"
    with pytest.raises(CallError, match="values"):
        parse_request(CHAT, body)


def test_embeddings_are_never_streamed() -> None:
    asked = parse_request("embeddings", b'{"model":"a","input":"x","stream":true}')
    assert asked.stream is False
    assert body_for(asked, target("a")) == asked.body


def test_usage_is_asked_for_only_where_the_kind_takes_it_and_the_client_did_not() -> None:
    body = b'{"model":"m","messages":[],"stream":true}'
    assert body_for(parse_request(CHAT, body), target("m", "openai")) == (
        b'{"stream_options":{"include_usage":true},"model":"m","messages":[],"stream":true}'
    )
    assert body_for(parse_request(CHAT, body), target("m", "mistral")) == body
    asking = b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    assert parse_request(CHAT, asking).wants_usage
    assert body_for(parse_request(CHAT, asking), target("m", "openai")) == asking
    assert body_for(parse_request(CHAT, asking), target("m", "mistral")) == body
