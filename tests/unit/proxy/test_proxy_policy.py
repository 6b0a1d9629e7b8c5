"""Policy nodes: which targets, in which order, for which number."""

from __future__ import annotations

import collections
import random

import pytest

from proxy.policy.nodes import Fallback, Fixed, Weighted, fallback
from tests.unit.proxy.targets import target

A, B, C = target("a"), target("b"), target("c")


def no_chance() -> float:
    raise AssertionError("nothing here depends on chance")


def test_a_fallback_of_models_is_their_order_and_needs_no_chance() -> None:
    node = fallback([Fixed((A,)), fallback([Fixed((B,)), Fixed((C,))])])
    assert isinstance(node, Fixed)
    assert list(node.plan(no_chance)) == [A, B, C]


def test_a_fallback_with_chance_in_it_draws_anew_for_each_plan() -> None:
    node = fallback([Fixed((C,)), Weighted([(Fixed((A,)), 1), (Fixed((B,)), 1)])])
    assert isinstance(node, Fallback)
    assert list(node.plan(lambda: 0.1)) == [C, A]
    assert list(node.plan(lambda: 0.9)) == [C, B]
    assert list(node.targets()) == [C, A, B]


@pytest.mark.parametrize(("number", "chosen"), [(0.0, A), (0.2499, A), (0.25, B), (0.9999, B)])
def test_a_weighted_node_chooses_by_weight_and_the_others_do_not_stand_in(
    number: float, chosen: object
) -> None:
    node = Weighted([(Fixed((A,)), 1.0), (Fixed((B,)), 3.0)])
    assert list(node.plan(lambda: number)) == [chosen]


def test_a_weight_of_zero_gets_nothing_and_is_no_target() -> None:
    node = Weighted([(Fixed((A,)), 0.0), (Fixed((B,)), 1.0)])
    assert {plan for n in range(100) for plan in node.plan(lambda n=n: n / 100)} == {B}  # type: ignore[misc]
    assert list(node.targets()) == [B]


def test_nothing_but_zero_weights_is_an_empty_plan() -> None:
    assert list(Weighted([(Fixed((A,)), 0.0)]).plan(lambda: 0.5)) == []
    assert list(Weighted([]).plan(lambda: 0.5)) == []


def test_shares_come_out_as_the_weights_say() -> None:
    node = Weighted([(Fixed((A,)), 1.0), (Fixed((B,)), 2.0), (Fixed((C,)), 7.0)])
    draw = random.Random(7)
    counts = collections.Counter(node.plan(draw.random)[0].model for _ in range(10_000))
    assert counts["a"] == pytest.approx(1_000, abs=150)
    assert counts["b"] == pytest.approx(2_000, abs=200)
