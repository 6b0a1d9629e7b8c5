"""Policy nodes: which targets, in which order, for which request and which number."""

from __future__ import annotations

import collections
import random
from dataclasses import replace
from typing import Any

import pytest

from headgate.policy.choosing import Race
from headgate.policy.eligible import exclusion
from headgate.policy.nodes import Fallback, Fixed, Heat, Node, Weighted, fallback, targets_of
from proxy.config.model import Target
from tests.unit.proxy.asking import chat, facts
from tests.unit.proxy.targets import target

A, B, C = target("a"), target("b"), target("c")
IMAGE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}


CHANCE: Weighted[Target] = Weighted([(Fixed((A,)), 1), (Fixed((B,)), 1)])


def plan(node: Any, number: float = 0.0) -> list[Target]:
    return targets_of(node.plan(facts(random=lambda: number)))


def test_a_fallback_of_models_is_their_order_and_needs_no_chance() -> None:
    node: Any = fallback([Fixed((A,)), fallback([Fixed((B,)), Fixed((C,))])])
    assert isinstance(node, Fixed)
    assert list(node.plan(facts())) == [A, B, C]
    assert node.fixed == (A, B, C)


def test_a_fallback_with_chance_in_it_draws_anew_for_each_plan() -> None:
    node: Node[Target] = fallback([Fixed((C,)), CHANCE])
    assert isinstance(node, Fallback)
    assert plan(node, 0.1) == [C, A]
    assert plan(node, 0.9) == [C, B]
    assert list(node.targets()) == [C, A, B]


@pytest.mark.parametrize(("number", "chosen"), [(0.0, A), (0.2499, A), (0.25, B), (0.9999, B)])
def test_a_weighted_node_chooses_by_weight_and_the_others_do_not_stand_in(
    number: float, chosen: object
) -> None:
    node = Weighted([(Fixed((A,)), 1.0), (Fixed((B,)), 3.0)])
    assert plan(node, number) == [chosen]


def test_a_weight_of_zero_gets_nothing_and_is_no_target() -> None:
    node = Weighted([(Fixed((A,)), 0.0), (Fixed((B,)), 1.0)])
    assert {found for number in range(100) for found in plan(node, number / 100)} == {B}
    assert list(node.targets()) == [B]


def test_nothing_but_zero_weights_is_an_empty_plan() -> None:
    assert plan(Weighted([(Fixed((A,)), 0.0)]), 0.5) == []
    assert plan(Weighted([]), 0.5) == []


def test_shares_come_out_as_the_weights_say() -> None:
    node = Weighted([(Fixed((A,)), 1.0), (Fixed((B,)), 2.0), (Fixed((C,)), 7.0)])
    draw = random.Random(7)
    asked = facts(random=draw.random)
    counts = collections.Counter(targets_of(node.plan(asked))[0].model for _ in range(10_000))
    assert counts["a"] == pytest.approx(1_000, abs=150)
    assert counts["b"] == pytest.approx(2_000, abs=200)


@pytest.mark.parametrize(
    ("able", "asked", "reason"),
    [
        ({"tools"}, {"messages": [{"role": "user", "content": IMAGE}]}, "no_vision"),
        ({"vision"}, {"messages": [{"role": "user", "content": IMAGE}]}, ""),
        ({"vision"}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, "no_tools"),
        ({"tools"}, {"response_format": SCHEMA}, "no_json_schema"),
        ({"tools", "json_schema"}, {"response_format": SCHEMA}, ""),
        (set(), {}, ""),
    ],
)
def test_who_declares_what_it_can_is_left_out_for_what_it_cannot(
    able: set[str], asked: dict[str, Any], reason: str
) -> None:
    able_target = replace(A, capabilities=frozenset(able))
    request = facts(chat(**asked))
    assert exclusion(able_target, request) == reason
    assert exclusion(A, request) == "", "a model that declares nothing is believed to know it all"
    assert targets_of(Fixed((able_target, B)).plan(request)) == ([B] if reason else [able_target, B])


def test_a_word_about_images_is_no_image() -> None:
    assert facts(chat('say "image_url" and "input_image"')).needs == frozenset()


def test_a_prompt_that_does_not_fit_goes_to_a_larger_window() -> None:
    small, large = replace(A, context_window=1_000), replace(B, context_window=100_000)
    node = Fixed((small, large))
    assert targets_of(node.plan(facts(chat("x" * 400)))) == [small, large]
    assert targets_of(node.plan(facts(chat("x " * 10_000)))) == [large]


def test_a_picture_counts_as_a_picture_and_not_as_its_bytes() -> None:
    url = "data:image/png;base64," + "A" * 400_000
    picture = [{"type": "image_url", "image_url": {"url": url}}]
    request = facts(chat(messages=[{"role": "user", "content": picture}]))
    assert 1_500 <= request.input_tokens < 2_000


def test_a_disabled_model_is_left_out() -> None:
    assert exclusion(replace(A, disabled=True), facts()) == "disabled"
    off = replace(A, provider=replace(A.provider, disabled=True))
    assert exclusion(off, facts()) == "provider_disabled"


def test_a_race_starts_as_many_as_it_is_wide_and_keeps_the_others_behind() -> None:
    node = Race([Fixed((A,)), Fixed((B,)), Fixed((C,))], width=2, stagger_seconds=0.05)
    heat, rest = node.plan(facts())
    assert isinstance(heat, Heat)
    assert (heat.targets, heat.stagger_seconds) == ((A, B), 0.05)
    assert rest is C


def test_a_race_of_one_is_none() -> None:
    assert list(Race([Fixed((A,)), Fixed(())]).plan(facts())) == [A]
    assert list(Race([Fixed((A,)), Fixed((A,))]).plan(facts())) == [A, A]
