"""The cheapest by hand calculation: prices, predicted answers, cached prompts, ceilings and quality.

Prices are USD per million tokens, so a token at price 1 costs a million pico-dollars.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from headgate.policy.choosing import Cheapest
from headgate.policy.estimates import CACHE_SECONDS, PRIOR_OUTPUT_TOKENS, Estimates
from headgate.policy.nodes import Fixed, Heat, targets_of, within
from headgate.rules.money import ATTO_PER_USD_PER_MILLION, Price, Tokens
from proxy.config.model import Target
from tests.unit.proxy.asking import Clock, chat, facts
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


# (input price, output price) of a and b, characters of the prompt, max_tokens, who is cheaper and why.
CASES = [
    ((1, 1), (2, 2), 400, None, "a"),
    ((2, 2), (1, 1), 400, None, "b"),
    # A short prompt, a long answer: the output decides.
    ((5, 1), (1, 5), 400, None, "a"),
    # A long prompt, a short answer: the input decides.
    ((5, 1), (1, 5), 40_000, 10, "b"),
    ((1, 100), (2, 1), 400, 1, "a"),
    ((1, 100), (2, 1), 400, 200, "b"),
    # The same price: the order of the manifest.
    ((1, 1), (1, 1), 400, None, "a"),
    # The limit of the client cuts the predicted answer.
    ((0, 10), (1, 1), 4_000, 100, "a"),
    ((0, 10), (1, 1), 4_000, None, "b"),
    ((3, 3), (3, 2), 4_000, None, "b"),
]


@pytest.mark.parametrize(("a", "b", "characters", "limit", "chosen"), CASES)
def test_the_expected_cost_of_this_request_decides(
    a: tuple[float, float], b: tuple[float, float], characters: int, limit: int | None, chosen: str
) -> None:
    fields = {} if limit is None else {"max_tokens": limit}
    asked = facts(chat("x" * characters, **fields))
    found = [priced("a", *a), priced("b", *b)]
    output = PRIOR_OUTPUT_TOKENS if limit is None else min(limit, PRIOR_OUTPUT_TOKENS)
    by_hand = {one: asked.input_tokens * price[0] + output * price[1] for one, price in (("a", a), ("b", b))}
    for one in found:
        assert asked.estimates.cost_picousd(asked, one) == by_hand[one.model] * PICO_PER_TOKEN
    order = cheapest(found, asked)
    assert order[0] == chosen == min(by_hand, key=lambda name: (by_hand[name], name))
    assert sorted(order) == ["a", "b"], "the dearer one stands behind as a fallback"


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
    assert asked.excluded == [("good", "quality_too_low"), ("unjudged", "quality_unknown")]


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
