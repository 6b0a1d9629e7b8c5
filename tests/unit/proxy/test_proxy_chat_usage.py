"""Tokens by class from every provider's usage, and what is made of impossible counts (A17)."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.rules.money import MAX_TOKENS, Tokens
from proxy.dialects.chat.usage import estimated_tokens, reported_picousd, tokens_of


def usage(given: Any = 100, said: Any = 20, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": given, "completion_tokens": said, **more}


def details(**classes: Any) -> dict[str, Any]:
    return {"prompt_tokens_details": classes}


def said_details(**classes: Any) -> dict[str, Any]:
    return {"completion_tokens_details": classes}


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        (usage(), Tokens(input=100, output=20)),
        ({"prompt_tokens": 7, "total_tokens": 7}, Tokens(input=7)),
        (
            usage(
                **details(cached_tokens=64, audio_tokens=8),
                **said_details(reasoning_tokens=5, audio_tokens=3),
            ),
            Tokens(input=100, cache_read=64, audio_input=8, output=20, reasoning=5, audio_output=3),
        ),
        (
            usage(**details(cached_tokens=10, cache_write_tokens=30)),
            Tokens(input=100, cache_read=10, cache_write_5m=30, output=20),
        ),
        (usage(num_cached_tokens=40), Tokens(input=100, cache_read=40, output=20)),
        (usage(prompt_tokens_details=None, completion_tokens_details=None), Tokens(input=100, output=20)),
        (usage(**details(cached_tokens=None)), Tokens(input=100, output=20)),
        (usage(12.0, 3.0), Tokens(input=12, output=3)),
    ],
    ids=["plain", "embeddings", "openai", "openrouter", "mistral", "nulls", "null class", "floats"],
)
def test_counts_are_taken_by_class(sent: dict[str, Any], counted: Tokens) -> None:
    assert tokens_of(sent) == (counted, False)


def test_reasoning_that_xai_counts_beside_the_completion_is_output() -> None:
    beside = usage(32, 9, total_tokens=241, **said_details(reasoning_tokens=200))
    assert tokens_of(beside) == (Tokens(input=32, output=209, reasoning=200), False)
    inside = usage(32, 209, total_tokens=241, **said_details(reasoning_tokens=200))
    assert tokens_of(inside) == (Tokens(input=32, output=209, reasoning=200), False)


def test_audio_that_mistral_counts_beside_the_prompt_is_input() -> None:
    beside = usage(9, 201, total_tokens=585, **details(audio_tokens=375))
    assert tokens_of(beside) == (Tokens(input=384, audio_input=375, output=201), False)
    inside = usage(384, 201, total_tokens=585, **details(audio_tokens=375))
    assert tokens_of(inside) == (Tokens(input=384, audio_input=375, output=201), False)


@pytest.mark.parametrize(
    ("sent", "mended"),
    [
        (usage(-5), Tokens(output=20)),
        (usage(10**30), Tokens(input=MAX_TOKENS, output=20)),
        (usage(1e300), Tokens(input=MAX_TOKENS, output=20)),
        (usage(1.5), Tokens(output=20)),
        (usage("100"), Tokens(output=20)),
        (usage(True), Tokens(output=20)),
        ({"completion_tokens": 20}, Tokens(output=20)),
        ({}, Tokens()),
        (usage(**details(cached_tokens=150)), Tokens(input=100, cache_read=100, output=20)),
        (
            usage(**details(cached_tokens=80, cache_write_tokens=80)),
            Tokens(input=100, cache_read=80, cache_write_5m=20, output=20),
        ),
        (usage(**details(audio_tokens=150)), Tokens(input=100, audio_input=100, output=20)),
        (usage(**said_details(audio_tokens=50)), Tokens(input=100, output=20, audio_output=20)),
        (usage(**said_details(reasoning_tokens=21)), Tokens(input=100, output=20, reasoning=20)),
    ],
)
def test_an_impossible_count_is_mended_and_flagged(sent: dict[str, Any], mended: Tokens) -> None:
    assert tokens_of(sent) == (mended, True)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
)
classes = st.one_of(
    anything,
    st.dictionaries(
        st.sampled_from(["cached_tokens", "audio_tokens", "cache_write_tokens", "reasoning_tokens"]), anything
    ),
)


@given(
    st.dictionaries(
        st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "num_cached_tokens"]), anything
    ),
    classes,
    classes,
)
def test_whatever_is_sent_no_part_exceeds_its_whole(
    sent: dict[str, Any], prompt: Any, completion: Any
) -> None:
    tokens, _ = tokens_of({**sent, "prompt_tokens_details": prompt, "completion_tokens_details": completion})
    for count in dataclasses.astuple(tokens):
        assert isinstance(count, int)
        assert 0 <= count <= 2 * MAX_TOKENS
    assert tokens.cache_read + tokens.cache_write_5m <= tokens.input
    assert tokens.audio_input <= tokens.input
    assert max(tokens.reasoning, tokens.audio_output) <= tokens.output


@pytest.mark.parametrize(
    ("sent", "pico"),
    [
        ({"estimated_cost": 1.26e-05}, 12_600_000),  # DeepInfra, synthetic from its documentation
        ({"cost": 0.00014}, 140_000_000),
        ({"cost": 0}, 0),
        (
            {"cost": 0.0001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.002}},
            2_100_000_000,
        ),
        ({"cost": 0.0001, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.002}}, 100_000_000),
        ({"cost_in_usd_ticks": 1_724_000}, 172_400_000),
        ({}, None),
        ({"cost": None}, None),
        ({"cost": "0.1"}, None),
        ({"cost": True}, None),
        ({"cost": -1}, None),
        ({"cost": float("inf")}, None),
        ({"cost": float("nan")}, None),
        ({"cost": 1e9}, None),
        ({"cost_in_usd_ticks": -1}, None),
    ],
)
def test_a_reported_cost_is_taken_where_it_can_be_true(sent: dict[str, Any], pico: int | None) -> None:
    assert reported_picousd(usage(**sent)) == pico


def test_an_estimate_counts_the_request_by_its_size_and_the_answer_by_its_events() -> None:
    assert estimated_tokens(4_000, 25) == Tokens(input=1_000, output=25)
