"""The rest of the two APIs through the official SDKs: moderations, images, audio, counting, models, probes.

Bytes are compared: a form's file and a sound must arrive as they left.
"""

from __future__ import annotations

import base64
import json
import os
import warnings
from typing import Any

import pytest

from tests.integration.proxy.asking_across import ANTHROPIC, ask, rows, script
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import request_bytes
from tests.integration.proxy.sdk_talk import anthropic_client, openai_client
from tests.integration.proxy.translating_manifest import MODELS, NARROW
from tests.support.fake_provider import Behaviour, Cut, Cuts

PIXEL = base64.b64encode(b"\x89PNG pixels").decode()
IMAGES = {"created": 1, "data": [{"b64_json": PIXEL}], "usage": {"input_tokens": 7, "output_tokens": 50}}
# Every byte, line ends, and something that looks like a boundary.
FILE = (
    bytes(range(256))
    + b'\r\n--boundary--\r\n------WebKitFormBoundary\r\nname="model"\r\n\r\n'
    + os.urandom(2048)
)


# Moderations, images.


def test_moderations_pass_with_and_without_a_model(translating: Gateway) -> None:
    result = {"id": "modr-1", "model": "omni", "results": [{"flagged": False, "categories": {}}]}
    script(translating, "omni-moderation-latest", Behaviour(body=result), Behaviour(body=result))
    with openai_client(translating) as client:
        named = client.moderations.create(model="omni-moderation-latest", input="hi")
        assert named.results[0].flagged is False
        # Without one, OpenAI documents which is meant: ours to look up; its provider's name goes out.
        assert client.moderations.create(input=["hi", "é"]).results[0].flagged is False
    for attempt, given in zip(translating.attempts(2), ("hi", ["hi", "é"]), strict=True):
        assert attempt.path == "/v1/moderations"
        assert attempt.document() == {"model": "omni-moderation-2024-09-26", "input": given}


def test_images_are_generated_and_billed_by_their_tokens(translating: Gateway) -> None:
    script(translating, "painter", Behaviour(body=IMAGES))
    with openai_client(translating) as client:
        raw = client.images.with_raw_response.generate(model="painter", prompt="a dot", size="1024x1024")
    assert [image.b64_json for image in raw.parse().data or ()] == [PIXEL]
    [attempt] = translating.attempts(1)
    assert attempt.document() == {"model": "gpt-image-1", "prompt": "a dot", "size": "1024x1024"}
    row = translating.call(raw.headers["x-request-id"]).attempt_list[0]
    assert (row.input_tokens, row.output_tokens) == (7, 50)


def test_images_come_as_events(translating: Gateway) -> None:
    documents: list[dict[str, Any]] = [
        {"type": "image_generation.partial_image", "b64_json": PIXEL, "partial_image_index": 0},
        {"type": "image_generation.completed", "b64_json": PIXEL, "usage": IMAGES["usage"]},
    ]
    body = "".join(f"event: {d['type']}\ndata: {json.dumps(d)}\n\n" for d in documents).encode()
    script(translating, "painter", Behaviour(body=body, stream=True))
    with openai_client(translating) as client:
        stream = client.images.generate(model="painter", prompt="a dot", stream=True, partial_images=1)
        kinds = [event.type for event in stream]
    assert kinds == [document["type"] for document in documents]
    [attempt] = translating.attempts(1)
    assert translating.row_of(attempt).output_tokens == 50


@pytest.mark.parametrize("operation", ["edits", "variations"])
def test_a_picture_in_a_form_arrives_as_it_left(translating: Gateway, operation: str) -> None:
    script(translating, "painter", Behaviour(body=IMAGES))
    with openai_client(translating) as client:
        picture = ("dot.png", FILE, "image/png")
        if operation == "edits":
            answer = client.images.edit(model="painter", image=[picture, picture], prompt="redder é")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                answer = client.images.create_variation(model="painter", image=picture)
    assert answer.data is not None
    [attempt] = translating.attempts(1)
    assert attempt.path == f"/v1/images/{operation}"
    assert attempt.body.count(FILE) == (2 if operation == "edits" else 1)
    assert b'name="model"\r\n\r\ngpt-image-1\r\n' in attempt.body
    assert b"painter" not in attempt.body
    assert (operation == "edits") == ("redder é".encode() in attempt.body)


# Audio.


def test_speech_is_streamed_as_it_comes(translating: Gateway) -> None:
    sound = os.urandom(40_000)
    cuts = Cuts((4_000,), repeat=True, pause_seconds=0.01)
    headers = {"content-type": "audio/mpeg"}
    script(translating, "tts", Behaviour(body=sound, headers=headers, cuts=cuts, framing="chunked"))
    with (
        openai_client(translating) as client,
        client.audio.speech.with_streaming_response.create(model="tts", input="hi", voice="alloy") as answer,
    ):
        pieces = list(answer.iter_bytes(chunk_size=2_000))
        assert answer.headers["content-type"] == "audio/mpeg"
    assert b"".join(pieces) == sound
    assert translating.attempts(1)[0].document() == {"model": "tts-1", "input": "hi", "voice": "alloy"}


def test_the_first_of_a_sound_is_there_before_its_last(translating: Gateway) -> None:
    sound = b"\x00\xffbegin" + b"x" * 10_000
    stalled = Cut("body_bytes", 7, "stall")
    headers = {"content-type": "audio/mpeg"}
    script(translating, "tts", Behaviour(body=sound, headers=headers, cut=stalled, framing="chunked"))
    document = json.dumps({"model": "tts", "input": "hi", "voice": "alloy"}).encode()
    with translating.connect() as connection:
        connection.send(request_bytes(document, translating.key, "/v1/audio/speech"))
        connection.wait_for(b"begin")
        [attempt] = translating.provider.attempts()
        assert attempt.finished_at_seconds is None
    [attempt] = translating.attempts(1)
    assert not attempt.complete


@pytest.mark.parametrize("operation", ["transcriptions", "translations"])
def test_a_recording_arrives_as_it_left(translating: Gateway, operation: str) -> None:
    script(
        translating,
        "whisper",
        Behaviour(body={"text": "Grüezi", "usage": {"type": "duration", "seconds": 3}}),
    )
    with openai_client(translating) as client:
        door: Any = getattr(client.audio, operation)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            answer = door.create(model="whisper", file=("a.wav", FILE, "audio/wav"), prompt="é")
    assert answer.text == "Grüezi"
    [attempt] = translating.attempts(1)
    assert attempt.path == f"/v1/audio/{operation}"
    assert attempt.model == "whisper-1"
    assert attempt.body.count(FILE) == 1
    sent = attempt.header("content-type")
    assert sent is not None
    assert sent.startswith("multipart/form-data; boundary=")
    assert attempt.body.endswith(f"--{sent.partition('boundary=')[2]}--\r\n".encode())


def test_a_transcript_may_be_text_and_may_come_as_events(translating: Gateway) -> None:
    script(translating, "whisper", Behaviour(body="Grüezi\n", headers={"content-type": "text/plain"}))
    documents: list[dict[str, Any]] = [
        {"type": "transcript.text.delta", "delta": "Grü"},
        {"type": "transcript.text.done", "text": "Grüezi", "usage": {"input_tokens": 9, "output_tokens": 3}},
    ]
    body = "".join(f"data: {json.dumps(document)}\n\n" for document in documents).encode()
    script(translating, "whisper", Behaviour(body=body, stream=True))
    file = ("a.wav", FILE, "audio/wav")
    with openai_client(translating) as client:
        text: Any = client.audio.transcriptions.create(model="whisper", file=file, response_format="text")
        assert str(text) == "Grüezi\n"
        events = client.audio.transcriptions.create(model="whisper", file=file, stream=True)
        assert [event.type for event in events] == [document["type"] for document in documents]
    _, second = translating.attempts(2)
    assert translating.row_of(second).output_tokens == 3


def test_a_model_that_cannot_draw_is_passed_over_by_name(translating: Gateway) -> None:
    answer = translating.post({"model": "claude", "prompt": "a dot"}, "/v1/images/generations")
    assert (answer.status, answer.error()["code"]) == (400, "no_capable_model")
    assert "anthropic" in answer.error()["message"]
    translating.attempts(0)


# Counting.


@pytest.mark.parametrize(
    ("model", "path", "counted"),
    [
        ("claude", "/v1/messages/count_tokens", {"input_tokens": 42}),
        ("gemini", "/v1beta/models/gemini-3-flash-preview:countTokens", {"totalTokens": 42}),
        ("pro", "/v1/responses/input_tokens", {"object": "response.input_tokens", "input_tokens": 42}),
    ],
)
def test_tokens_are_counted_by_who_would_answer(
    translating: Gateway, model: str, path: str, counted: dict[str, Any]
) -> None:
    tools: list[Any] = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    for _ in range(2):
        script(translating, model, Behaviour(body=counted))
    with anthropic_client(translating) as client:
        raw = client.messages.with_raw_response.count_tokens(
            model=model, messages=[{"role": "user", "content": "Hi"}], system="Be brief.", tools=tools
        )
    assert raw.parse().input_tokens == 42
    assert "estimated" not in json.loads(raw.text())
    by_openai = translating.post({"model": model, "input": "Hi"}, "/v1/responses/input_tokens")
    assert by_openai.document() == {"object": "response.input_tokens", "input_tokens": 42}
    first, second = translating.attempts(2)
    assert first.path == second.path == path
    document = first.document()
    if model == "gemini":
        assert set(document) == {"generateContentRequest"}
        assert document["generateContentRequest"]["model"] == f"models/{MODELS[model][1]}"
    assert "max_tokens" not in document
    assert "look" in json.dumps(document)
    assert translating.call(raw.headers["x-request-id"]).cost_usd == "0"


def test_where_nobody_counts_the_count_is_an_estimate_that_says_so(translating: Gateway) -> None:
    words = "word " * 400
    with anthropic_client(translating) as client:
        raw = client.messages.with_raw_response.count_tokens(
            model="server", messages=[{"role": "user", "content": words}]
        )
    document = json.loads(raw.text())
    assert document["estimated"] is True
    assert 300 < document["input_tokens"] < 700
    by_openai = translating.post({"model": "server", "input": words}, "/v1/responses/input_tokens").document()
    assert (by_openai["object"], by_openai["estimated"]) == ("response.input_tokens", True)
    translating.attempts(0)


# Embeddings of Gemini.


@pytest.mark.parametrize("form", ["float", "base64"])
def test_gemini_embeds_for_openais_sdk(translating: Gateway, form: Any) -> None:
    vectors = {"embeddings": [{"values": [0.5, -1.25]}, {"values": [2.0, 3.0]}]}
    script(translating, "vectors", Behaviour(body={**vectors, "usageMetadata": {"promptTokenCount": 8}}))
    with openai_client(translating) as client:
        answer = client.embeddings.create(
            model="vectors", input=["a", "b"], dimensions=2, encoding_format=form
        )
    if form == "float":
        assert [item.embedding for item in answer.data] == [[0.5, -1.25], [2.0, 3.0]]
    assert answer.usage.prompt_tokens == 8
    [attempt] = translating.attempts(1)
    assert attempt.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    one = attempt.document()["requests"][0]
    assert one == {
        "model": "models/gemini-embedding-001",
        "outputDimensionality": 2,
        "content": {"parts": [{"text": "a"}]},
    }


# Models and probes.


def test_the_list_of_models_has_both_forms(translating: Gateway) -> None:
    with openai_client(translating) as client:
        names = [model.id for model in client.models.list()]
        assert client.models.retrieve("claude").id == "claude"
    with anthropic_client(translating) as other:
        page = other.models.list()
        found = other.models.retrieve("claude")
    assert {"claude", "gemini", "claude-then-gpt"} <= set(names)
    assert [model.id for model in page.data] == names
    assert (found.id, found.type, page.has_more) == ("claude", "model", False)


def test_a_narrow_key_sees_what_it_may_call_in_both_forms(translating: Gateway) -> None:
    for headers in ({}, ANTHROPIC):
        listed = translating.get("/v1/models", key=NARROW, headers=headers).document()["data"]
        assert [model["id"] for model in listed] == ["only-gpt"]


@pytest.mark.parametrize("path", ["/", "/v1/messages", "/v1/models"])
def test_probes_by_head_get_an_answer_without_a_body(translating: Gateway, path: str) -> None:
    """Claude Code asks so whether anybody is there; the connection goes on."""
    with translating.connect() as connection:
        probe = request_bytes(b"", translating.key, path, "HEAD", {"content-length": ""})
        connection.send(probe)
        status = connection.answer(head_only=True).status
        assert status in ((200,) if path != "/v1/messages" else (200, 405))
        connection.send(probe)
        assert connection.answer(head_only=True).status == status
    translating.attempts(0)


# Versions.


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
def test_version_and_betas_go_to_anthropic_as_they_came(translating: Gateway, version: str) -> None:
    script(
        translating, "claude", Behaviour(body={"type": "message", "content": [], "stop_reason": "end_turn"})
    )
    betas = {"anthropic-version": version, "anthropic-beta": "context-1m-2025-08-07,fine:x.y"}
    assert ask(translating, "messages", "claude", headers=betas).status == 200
    [attempt] = translating.attempts(1)
    assert attempt.header("anthropic-version") == version
    assert attempt.header("anthropic-beta") == "context-1m-2025-08-07,fine:x.y"
    assert attempt.header("authorization") is None
    assert attempt.header("x-api-key") == "pk-claude"


def test_the_version_is_pinned_where_we_write_the_request(translating: Gateway) -> None:
    message = {"type": "message", "content": [], "stop_reason": "end_turn"}
    script(translating, "claude", Behaviour(body=message))
    headers = {"anthropic-version": "2026-10-21", "anthropic-beta": "x-2026-01-01"}
    assert ask(translating, "chat", "claude", headers=headers).status == 200
    [attempt] = translating.attempts(1)
    assert attempt.header("anthropic-version") == "2023-06-01"
    assert attempt.header("anthropic-beta") is None


@pytest.mark.parametrize(
    ("name", "value"), [("anthropic-version", "new"), ("anthropic-beta", "a\x01b"), ("anthropic-beta", "é")]
)
def test_a_malformed_version_or_beta_goes_nowhere(translating: Gateway, name: str, value: str) -> None:
    answer = ask(translating, "messages", "claude", headers={name: value})
    assert answer.status == 400
    translating.attempts(0)


def test_what_was_left_out_is_named(translating: Gateway) -> None:
    message = {"type": "message", "content": [{"type": "text", "text": "x"}], "stop_reason": "end_turn"}
    script(translating, "claude", Behaviour(body=message))
    answer = ask(translating, "chat", "claude", store=True, metadata={"a": "b"}, verbosity="low")
    assert sorted((answer.header("x-headgate-left-out") or "").split(", ")) == [
        "metadata",
        "store",
        "verbosity",
    ]
    assert "store" not in translating.attempts(1)[0].document()
    script(translating, "claude", Behaviour(body=message))
    assert ask(translating, "chat", "claude").header("x-headgate-left-out") is None


@pytest.mark.parametrize(
    ("client", "model", "fields", "param"),
    [
        ("chat", "claude", {"seed": 1}, "seed"),
        ("chat", "gemini", {"logit_bias": {"5": 1}}, "logit_bias"),
        ("messages", "gpt", {"top_k": 3}, "top_k"),
        ("messages", "gemini", {"mcp_servers": [{}]}, "mcp_servers"),
        ("responses", "claude", {"previous_response_id": "resp_1"}, "previous_response_id"),
        ("responses", "gemini", {"tools": [{"type": "file_search"}]}, "tools[0]"),
    ],
)
def test_what_no_candidate_can_do_is_refused_by_its_name(
    translating: Gateway, client: str, model: str, fields: dict[str, Any], param: str
) -> None:
    answer = ask(translating, client, model, **fields)
    assert answer.status == 400
    assert answer.header("x-headgate-error") == "no_capable_model"
    error = answer.document()["error"]
    assert (error["code"], error["param"]) == ("no_capable_model", param)
    assert param in error["message"]
    translating.attempts(0)


def test_a_candidate_that_cannot_is_passed_over_for_one_that_can(translating: Gateway) -> None:
    whole = {"id": "c", "choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": {}}
    script(translating, "gpt-plain", Behaviour(body=whole))
    answer = ask(translating, "chat", "claude-then-gpt", seed=7)
    assert answer.status == 200
    assert answer.header("x-headgate-model") == "at-gpt-plain/gpt-4.1"
    assert [row.model for row in rows(translating, answer)] == ["gpt-plain"]
    assert translating.attempts(1)[0].document()["seed"] == 7


def test_a_transient_failure_is_not_hidden_behind_a_candidate_that_cannot(translating: Gateway) -> None:
    """The capable one failed: asking again later may help, so it is no mistake of the client's."""
    script(translating, "pro", Behaviour(status=500))
    answer = ask(translating, "responses", "pro-then-claude", previous_response_id="resp_1")
    assert answer.status == 502
