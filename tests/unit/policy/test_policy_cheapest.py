"""The cheapest by hand calculation: prices, predicted answers, cached prompts, ceilings and quality.

Prices are USD per million tokens, so a token at price 1 costs a million pico-dollars.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.policy.choosing import Cheapest
from headgate.policy.estimates import CACHE_SECONDS, Estimates
from headgate.policy.facts import StatedFacts
from headgate.policy.nodes import Fixed, Heat, targets_of, within
from headgate.rules.money import ATTO_PER_USD_PER_MILLION, Price, Tokens
from proxy.config.model import Target
from tests.unit.proxy.asking import Clock, chat, facts, no_chance
from tests.unit.proxy.targets import target

PICO_PER_TOKEN = 10**6


def priced(name: str, input_usd: float, output_usd: float, cached_usd: float | None = None) -> Target:
    def atto(usd: float) -> int:
        return int(usd * ATTO_PER_USD_PER_MILLION)

    cached = input_usd if cached_usd is None else cached_usd
    price = Price(atto(input_usd), atto(output_usd), atto(cached), 0, 0, 0, 0)
    return target(name, prices=(price,))


def cheapest(targets: list[Target], asked_facts: object) -> list[str]:
    node = Cheapest([Fixed((one,)) for one in targets])
    return [found.model for found in targets_of(node.plan(asked_facts))]  # type: ignore[arg-type]


# Worked out by hand, in millionths of a dollar: tokens × USD per million. Of a prompt that went to a model
# lately four fifths are taken for cached; an answer of unknown length for 300 tokens.
# (input, limit of output, {model: prices in, out and cached}, who has the prompt in its cache, {model: cost})
BY_HAND: list[tuple[int, int, dict[str, tuple[float, ...]], str, dict[str, float]]] = [
    # Prices alone.
    (1_000, 0, {"a": (1, 1), "b": (2, 2)}, "", {"a": 1_300, "b": 2_600}),
    (1_000, 0, {"a": (2, 2), "b": (1, 1)}, "", {"b": 1_300, "a": 2_600}),
    (1_000, 0, {"a": (0.15, 0.6), "b": (0.1, 1)}, "", {"a": 330, "b": 400}),
    (1_000, 0, {"a": (3, 15), "b": (2.5, 10)}, "", {"b": 5_500, "a": 7_500}),
    (1_000, 0, {"a": (1, 1), "b": (1, 1)}, "", {"a": 1_300, "b": 1_300}),
    (0, 0, {"a": (9, 1), "b": (1, 1.1)}, "", {"a": 300, "b": 330}),
    (1_000, 0, {"a": (0, 0), "b": (0.01, 0)}, "", {"a": 0, "b": 10}),
    # A short prompt: the output decides; a long one: the input.
    (100, 0, {"a": (5, 1), "b": (1, 5)}, "", {"a": 800, "b": 1_600}),
    (10_000, 0, {"a": (5, 1), "b": (1, 5)}, "", {"b": 11_500, "a": 50_300}),
    (75, 0, {"a": (5, 1), "b": (1, 2.5)}, "", {"a": 675, "b": 825}),
    # The client's limit cuts the expected answer; a limit beyond it does not lengthen it.
    (1_000, 1, {"a": (1, 100), "b": (2, 1)}, "", {"a": 1_100, "b": 2_001}),
    (1_000, 200, {"a": (1, 100), "b": (2, 1)}, "", {"b": 2_200, "a": 21_000}),
    (1_000, 100, {"a": (0, 10), "b": (1, 1)}, "", {"a": 1_000, "b": 1_100}),
    (1_000, 111, {"a": (0, 10), "b": (1, 1)}, "", {"a": 1_110, "b": 1_111}),
    (1_000, 112, {"a": (0, 10), "b": (1, 1)}, "", {"b": 1_112, "a": 1_120}),
    (1_000, 9_999, {"a": (0, 10), "b": (1, 1)}, "", {"b": 1_300, "a": 3_000}),
    # Long prompts that a provider has in its cache: 80,000 of 100,000 tokens at the cached price.
    (100_000, 10, {"a": (1, 1, 0.1), "b": (2, 1, 0.2)}, "b", {"b": 56_010, "a": 100_010}),
    (100_000, 10, {"a": (1, 1, 0.1), "b": (2, 1, 1)}, "b", {"a": 100_010, "b": 120_010}),
    (100_000, 10, {"a": (1, 1, 0.1), "b": (2, 1, 0.75)}, "b", {"b": 100_010, "a": 100_010}),
    (100_000, 0, {"a": (3, 15, 0.3), "b": (2.5, 10, 1.25)}, "a", {"a": 88_500, "b": 253_000}),
    (100_000, 0, {"a": (3, 15, 0.3), "b": (2.5, 10, 1.25)}, "b", {"b": 153_000, "a": 304_500}),
    (100_000, 0, {"a": (3, 15, 0.3), "b": (2.5, 10, 1.25)}, "", {"b": 253_000, "a": 304_500}),
    # A cache without a price of its own changes nothing.
    (100_000, 10, {"a": (1, 1, 1), "b": (0.9, 1, 0.9)}, "a", {"b": 90_010, "a": 100_010}),
    # Three and four to choose from.
    (2_000, 500, {"a": (5, 5), "b": (1, 8), "c": (2, 2)}, "", {"b": 4_400, "c": 4_600, "a": 11_500}),
    (
        2_000,
        50,
        {"a": (1, 4), "b": (0.5, 20), "c": (1.1, 1), "d": (0.9, 8)},
        "",
        {"b": 2_000, "d": 2_200, "a": 2_200, "c": 2_250},
    ),
]


@pytest.mark.parametrize(("tokens", "limit", "prices", "cached", "costs"), BY_HAND)
def test_the_expected_cost_of_this_request_decides(
    tokens: int, limit: int, prices: dict[str, tuple[float, ...]], cached: str, costs: dict[str, float]
) -> None:
    estimates = Estimates(Clock())
    asked = StatedFacts(
        input_tokens=tokens,
        max_tokens=limit,
        prefix=b"the prompt's beginning",
        route="r",
        random=no_chance,
        estimates=estimates,
        now=1_760_000_000.0,
    )
    found = {name: priced(name, *price) for name, price in prices.items()}
    if cached:
        estimates.sent(found[cached], asked.prefix)
    for name, millionths in costs.items():
        assert estimates.cost_picousd(asked, found[name]) == round(millionths * 10**6)
    order = cheapest(list(found.values()), asked)
    assert [costs[name] for name in order] == sorted(costs.values()), "the dearer stand behind, as a fallback"
    # At the same cost: the order of the manifest.
    assert order == sorted(found, key=lambda name: (costs[name], list(found).index(name)))


@pytest.mark.parametrize(
    ("said", "answers", "expected"),
    [(50, 1, 275), (50, 10, 50), (2_000, 10, 2_000), (2_000, 5, 1_150), (0, 20, 0)],
)
def test_the_length_of_answers_is_learned_by_route_and_model(said: int, answers: int, expected: int) -> None:
    clock = Clock()
    estimates = Estimates(clock)
    one = priced("a", 0, 1)
    for _ in range(answers):
        estimates.answered("r", one, Tokens(10, output=said), first_token_seconds=None, seconds=1)
    asked = facts(chat("x"), estimates=estimates)
    assert estimates.output_tokens(asked, one) == pytest.approx(expected)
    assert estimates.cost_picousd(asked, one) == pytest.approx(expected * PICO_PER_TOKEN)


def test_another_route_of_the_same_model_is_another_length() -> None:
    estimates = Estimates(Clock())
    one = priced("a", 0, 1)
    for _ in range(10):
        estimates.answered("long", one, Tokens(1, output=900), first_token_seconds=None, seconds=1)
        estimates.answered("short", one, Tokens(1, output=3), first_token_seconds=None, seconds=1)
    assert estimates.output_tokens(facts(estimates=estimates, route="short"), one) == pytest.approx(3)
    assert estimates.output_tokens(facts(estimates=estimates, route="long"), one) == pytest.approx(900)


def test_a_long_prompt_that_is_likely_cached_costs_the_cached_price() -> None:
    clock = Clock()
    estimates = Estimates(clock)
    plain, caching = priced("plain", 1.0, 1), priced("caching", 2.0, 1, cached_usd=0.2)
    asked = facts(chat("long prompt " * 2_000, max_tokens=10), estimates=estimates)
    assert cheapest([plain, caching], asked)[0] == "plain"
    estimates.sent(caching, asked.prefix)
    cached = int(asked.input_tokens * 0.8)
    by_hand = (asked.input_tokens - cached) * 2.0 + cached * 0.2 + 10
    assert estimates.cost_picousd(asked, caching) == pytest.approx(by_hand * PICO_PER_TOKEN)
    assert cheapest([plain, caching], asked)[0] == "caching"
    clock.now += CACHE_SECONDS + 1
    assert cheapest([plain, caching], asked)[0] == "plain", "by now the provider has forgotten it"


def test_a_short_prompt_is_never_taken_for_cached() -> None:
    estimates = Estimates(Clock())
    one = priced("a", 1, 1, cached_usd=0)
    asked = facts(chat("short"), estimates=estimates)
    estimates.sent(one, asked.prefix)
    assert estimates.cached_tokens(asked, one) == 0


def test_what_the_answers_say_about_the_cache_is_believed() -> None:
    estimates = Estimates(Clock())
    one = priced("a", 1, 1, cached_usd=0)
    asked = facts(chat("long prompt " * 2_000), estimates=estimates)
    estimates.sent(one, asked.prefix)
    for _ in range(100):
        tokens = Tokens(asked.input_tokens, cache_read=asked.input_tokens // 2, output=1)
        estimates.answered("r", one, tokens, first_token_seconds=None, seconds=1)
    assert estimates.cached_tokens(asked, one) == pytest.approx(asked.input_tokens / 2, rel=0.01)


def test_an_unpriced_model_comes_last_and_under_a_ceiling_not_at_all() -> None:
    nobody_knows, dear = target("unknown"), priced("dear", 100, 100)
    nodes = [Fixed((nobody_knows,)), Fixed((dear,))]
    asked = facts(chat("x" * 400))
    assert [t.model for t in targets_of(Cheapest(nodes).plan(asked))] == ["dear", "unknown"]
    assert not asked.excluded
    assert Cheapest(nodes, max_picousd=1).plan(asked) == []
    assert asked.excluded == [("unknown", "unpriced"), ("dear", "over_price_ceiling")]


def test_a_floor_of_quality_leaves_out_what_is_worse_and_what_nobody_judged() -> None:
    good = replace(priced("good", 5, 5), quality=(("default", 0.9), ("code", 0.4)))
    fair = replace(priced("fair", 1, 1), quality=(("default", 0.7),))
    unjudged = priced("unjudged", 0, 0)
    node = Cheapest([Fixed((one,)) for one in (good, fair, unjudged)], min_quality=0.6)
    assert [t.model for t in targets_of(node.plan(facts()))] == ["fair", "good"]
    asked = facts(task="code")
    assert [t.model for t in targets_of(node.plan(asked))] == ["fair"]
    assert asked.excluded == [("good", "quality_too_low"), ("unjudged", "no_evidence_yet")]


def test_a_ceiling_leaves_out_what_is_dearer_or_unpriced_and_adds_up_what_races() -> None:
    asked = facts(chat(max_tokens=100))
    one, two, dear, unknown = (
        priced("one", 0, 1),
        priced("two", 0, 1),
        priced("dear", 0, 2),
        target("unknown"),
    )
    hundred_tokens = 100 * PICO_PER_TOKEN
    assert within([dear, one, unknown], asked, hundred_tokens) == [one]
    assert within([dear], asked, 2 * hundred_tokens) == [dear]
    (heat,) = within([Heat((one, two))], asked, 2 * hundred_tokens)
    assert isinstance(heat, Heat)
    assert heat.targets == (one, two)
    # What is left of a race by itself does not race.
    assert within([Heat((one, two))], asked, 2 * hundred_tokens - 1) == [one]
    assert within([Heat((one, two))], asked, hundred_tokens - 1) == []
