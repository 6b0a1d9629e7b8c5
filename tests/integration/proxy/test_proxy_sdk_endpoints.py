"""The SDK's other endpoints: embeddings, legacy completions, the models list; and what is not built yet."""

from __future__ import annotations

import base64
import struct
from typing import Any

import openai
import pytest

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.gateway_manifest import NARROW, NOTHING, OTHER_TENANT, PRICES
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.provider.documents import embedding_of


def packed(text: str, dimensions: int = 32) -> bytes:
    return struct.pack(f"<{dimensions}f", *embedding_of(text, dimensions))


def test_embeddings_come_as_floats(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="chat", input=["one", "two"], encoding_format="float")
    assert [item.index for item in answer.data] == [0, 1]
    assert struct.pack("<32f", *answer.data[1].embedding) == packed("two")


def test_embeddings_come_as_base64_which_is_the_sdks_own_wish(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    decoded = client.embeddings.create(model="chat", input="one")
    assert struct.pack("<32f", *decoded.data[0].embedding) == packed("one")
    assert gateway.attempts(1)[0].document()["encoding_format"] == "base64"
    asked = client.embeddings.create(model="chat", input="one", encoding_format="base64")
    text: Any = asked.data[0].embedding
    assert base64.b64decode(text) == packed("one")


def test_embeddings_of_tokens_and_with_dimensions_pass(gateway: Gateway, client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="chat", input=[1, 2, 3], dimensions=8, encoding_format="float")
    assert len(answer.data[0].embedding) == 8
    [attempt] = gateway.attempts(1)
    assert attempt.path == "/v1/embeddings"
    assert attempt.document() == {
        "model": "alpha-upstream",
        "input": [1, 2, 3],
        "dimensions": 8,
        "encoding_format": "float",
    }


def test_embeddings_are_recorded_with_their_tokens_and_price(gateway: Gateway, client: openai.OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(model="chat", input=["six by seven", "is what"])
    [attempt] = gateway.attempts(1)
    call = gateway.call(raw.headers["x-request-id"])
    assert (call.input_tokens, call.output_tokens) == (attempt.served.prompt_tokens, 0) == (5, 0)
    assert call.cost_usd == "0.00000075"  # 5 × 0.15 USD per million


def test_a_large_batch_of_embeddings_is_counted_from_its_end(gateway: Gateway, client: openai.OpenAI) -> None:
    texts = [f"text number {number}" for number in range(300)]
    raw = client.embeddings.with_raw_response.create(
        model="chat", input=texts, dimensions=256, encoding_format="float"
    )
    assert len(raw.content) > 512 * 1024
    assert len(raw.parse().data) == 300
    call = gateway.call(raw.headers["x-request-id"])
    assert call.input_tokens == gateway.attempts(1)[0].served.prompt_tokens == 900
    assert not call.attempt_list[0].estimated


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/moderations"])
def test_what_is_no_text_has_no_output_where_its_provider_counts_nothing(gateway: Gateway, path: str) -> None:
    vectors = [{"index": 0, "embedding": [0.125] * 1000}]
    gateway.provider.script("alpha-upstream", Behaviour(body={"data": vectors, "results": []}))
    answer = gateway.post({"model": "chat", "input": "six by seven" * 10}, path)
    assert answer.status == 200
    [row] = gateway.call(answer.request_id).attempt_list
    assert row.estimated
    assert row.input_tokens > 0
    assert row.output_tokens == 0


def test_legacy_completions_come_whole_and_streamed(gateway: Gateway, client: openai.OpenAI) -> None:
    whole = client.completions.create(model="chat", prompt="Six by seven is", logprobs=1)
    assert whole.choices[0].text.startswith("The answer of alpha-upstream")
    assert whole.choices[0].logprobs is not None
    chunks = list(client.completions.create(model="chat", prompt="Six by seven is", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    first, second = gateway.attempts(2)
    assert first.path == second.path == "/v1/completions"
    assert first.served == second.served


def test_legacy_completions_take_several_prompts(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="chat", prompt=["one", "two"], n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]


def test_the_models_list_shows_what_the_key_may_call(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == sorted(names)
    assert {"chat", "chain", "weighted", *PRICES} <= set(names)
    assert len(names) == len(set(names))


def test_the_models_list_of_a_narrow_key_is_narrow(gateway: Gateway) -> None:
    lists = {}
    for key in (NARROW, NOTHING, OTHER_TENANT):
        with openai.OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as narrow:
            lists[key] = [model.id for model in narrow.models.list()]
    assert lists == {NARROW: ["chat"], NOTHING: [], OTHER_TENANT: []}


@pytest.mark.parametrize("name", ["chat", "alpha", "fake/alpha-upstream", "fake/Anything:free"])
def test_a_model_is_retrieved_by_its_name_slashes_included(client: openai.OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == name


def test_a_model_that_does_not_exist_or_may_not_be_called_is_not_retrieved(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nowhere")
    with openai.OpenAI(base_url=gateway.base_url, api_key=NARROW, max_retries=0) as narrow:
        assert narrow.models.retrieve("fake/beta-upstream").id == "fake/beta-upstream"
        with pytest.raises(openai.PermissionDeniedError):
            narrow.models.retrieve("alpha")


def test_another_tenants_models_are_as_unknown_as_any(gateway: Gateway) -> None:
    with openai.OpenAI(base_url=gateway.base_url, api_key=OTHER_TENANT, max_retries=0) as stranger:
        messages: Any = [{"role": "user", "content": "hi"}]
        for name in ("chat", "alpha", "fake/alpha-upstream", "nowhere"):
            with pytest.raises(openai.NotFoundError) as raised:
                stranger.chat.completions.create(model=name, messages=messages)
            assert raised.value.code == "model_not_found"
    assert gateway.provider.attempts() == []


def test_an_undeclared_model_of_a_provider_is_called_and_unpriced(
    gateway: Gateway, client: openai.OpenAI
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="fake/Some-New_Model:v1", messages=[{"role": "user", "content": "hi"}]
    )
    assert gateway.attempts(1)[0].model == "Some-New_Model:v1"
    assert raw.headers["x-headgate-cost-usd"] == "unpriced"
    call = gateway.call(raw.headers["x-request-id"])
    assert not call.HasField("cost_usd")
    assert call.input_tokens > 0
    assert gateway.receipt(raw.headers["x-request-id"])["cost_usd"] is None


def test_feedback_names_what_is_wrong_with_it(gateway: Gateway, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.post("/../headgate/v1/feedback", cast_to=object, body={"request_id": "x", "score": 1})
    assert raised.value.param == "request_id"


def test_a_provider_that_answers_without_usage_is_estimated_and_flagged(
    gateway: Gateway, provider: FakeProvider, client: openai.OpenAI
) -> None:
    provider.always("alpha-upstream", Behaviour(usage_place="none"))
    for stream in (False, True):
        raw = client.chat.completions.with_raw_response.create(
            model="chat", messages=[{"role": "user", "content": "hi"}], stream=stream
        )
        if stream:
            list(raw.parse())
        [row] = gateway.call(raw.headers["x-request-id"]).attempt_list
        assert row.estimated
        assert row.input_tokens > 0
        assert row.output_tokens > 0
