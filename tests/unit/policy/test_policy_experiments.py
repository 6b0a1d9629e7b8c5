"""Assignment: one unit, one variant; shares by weight; no more moves than a changed weight asks for."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from headgate.policy.choosing import Race
from headgate.policy.experiments import Experiment, Variant, chance
from headgate.policy.nodes import Arm, Fallback, Fixed, Heat, Node, first_target, plain, targets_of, within
from proxy.config.model import Target
from tests.unit.proxy.asking import chat, facts
from tests.unit.proxy.targets import target

A, B, C = target("a"), target("b"), target("c")
# docs/experiments.md has a million; as many here as a second allows.
UNITS = 40_000


def variant(name: str, weight: float = 1.0, node: Any = None, **changes: Any) -> Variant[Target]:
    chosen = {"a": A, "b": B, "c": C}[name[0]]
    return Variant(name, node if node is not None else Fixed((chosen,)), weight, **changes)


def experiment(*variants: Variant[Target], name: str = "e", unit: str = "session") -> Experiment[Target]:
    return Experiment("default", name, unit, variants)


def race(*nodes: Node[Target]) -> Race[Target]:
    return Race(nodes)


def shares(found: Experiment[Target]) -> dict[str, str]:
    drawn = {}
    for number in range(UNITS):
        chosen = found.assigned(f"unit-{number}")
        assert chosen is not None
        drawn[f"unit-{number}"] = chosen.name
    return drawn


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 1, 2), (99, 1), (0.5, 0.25, 0.25)])
def test_units_are_shared_out_by_weight(weights: tuple[float, ...]) -> None:
    names = "abc"[: len(weights)]
    drawn = Counter(shares(experiment(*map(variant, names, weights))).values())
    for name, weight in zip(names, weights, strict=True):
        share = weight / sum(weights)
        deviation = math.sqrt(UNITS * share * (1 - share))
        assert abs(drawn[name] - UNITS * share) < 4.5 * deviation


def test_the_same_unit_gets_the_same_variant_whoever_asks_and_in_whatever_order_they_stand() -> None:
    one = shares(experiment(variant("a"), variant("b"), variant("c")))
    assert one == shares(experiment(variant("c"), variant("a"), variant("b")))
    # What a proxy of another day, or in another language, must come to as well.
    assert [one[f"unit-{number}"] for number in range(12)] == list(EXPECTED)


EXPECTED = "aacbabbbcbac"


def test_a_heavier_variant_takes_units_from_others_and_the_others_swap_none() -> None:
    before = shares(experiment(variant("a"), variant("b"), variant("c")))
    after = shares(experiment(variant("a", 2.0), variant("b"), variant("c")))
    moves = Counter((before[unit], after[unit]) for unit in before if before[unit] != after[unit])
    assert set(moves) == {("b", "a"), ("c", "a")}
    # From a third to a half: a sixth of all must move, and no more do.
    assert sum(moves.values()) == pytest.approx(UNITS / 6, rel=0.05)


def test_a_variant_that_is_taken_out_moves_its_own_units_alone() -> None:
    before = shares(experiment(variant("a"), variant("b"), variant("c")))
    after = shares(experiment(variant("a"), variant("b"), variant("c", 0.0)))
    assert all(after[unit] == name for unit, name in before.items() if name != "c")
    assert set(after.values()) == {"a", "b"}


def test_experiments_do_not_interfere_and_neither_do_tenants() -> None:
    one = shares(experiment(variant("a"), variant("b"), name="one"))
    two = shares(experiment(variant("a"), variant("b"), name="two"))
    other = shares(Experiment("acme", "one", "session", (variant("a"), variant("b"))))
    for other_draw in (two, other):
        both = sum(one[unit] == other_draw[unit] for unit in one)
        assert abs(both - UNITS / 2) < 4.5 * math.sqrt(UNITS / 4)


def test_a_draw_is_never_zero_or_one() -> None:
    assert all(0 < chance(str(number)) < 1 for number in range(10_000))


@pytest.mark.parametrize(
    ("unit", "who"),
    [
        ("session", {"session": "s"}),
        ("user", {"user": "u"}),
        ("key", {"key": "k", "tenant": "t"}),
        ("metadata.team", {"metadata": (("team", "core"),)}),
        ("request", {"request_id": "r"}),
    ],
)
def test_the_unit_is_what_the_request_says(unit: str, who: dict[str, Any]) -> None:
    found = experiment(variant("a"), variant("b"), unit=unit)
    chosen = set()
    for request in range(20):
        asked = facts(**{"request_id": f"request-{request}", **who})
        (step,) = found.plan(asked)
        assert isinstance(step, Arm)
        chosen.add(step.variant.name)
        (assignment,) = asked.assignments
        assert (assignment.experiment, assignment.variant) == ("e", step.variant.name)
        assert not assignment.by_request
    assert len(chosen) == 1


def test_a_request_without_its_unit_is_assigned_by_itself_and_says_so() -> None:
    found = experiment(variant("a"), variant("b"))
    chosen = set()
    for request in range(50):
        asked = facts(request_id=f"request-{request}")
        found.plan(asked)
        assert asked.assignments[0].by_request
        chosen.add(asked.assignments[0].variant)
    assert chosen == {"a", "b"}


def test_a_test_may_choose_and_does_not_count() -> None:
    found = experiment(variant("a", 0.0), variant("b"))
    asked = facts(session="s", forced_variant="e/a")
    assert targets_of(found.plan(asked)) == [A]
    assert asked.assignments[0].by_request
    other = facts(session="s", forced_variant="other/a")
    assert targets_of(found.plan(other)) == [B]


def test_a_unit_takes_part_in_one_experiment_of_a_namespace_and_gets_the_others_first_variant() -> None:
    shares = [("one", 3.0), ("other", 1.0)]
    made = {
        name: Experiment(
            "default", name, "session", [variant("a"), variant("b", 999)], namespace="n", shares=shares
        )
        for name, _ in shares
    }
    taking: Counter[str] = Counter()
    for number in range(2_000):
        unit = f"unit-{number}"
        mine = [name for name, found in made.items() if found.takes_part(unit)]
        assert len(mine) == 1
        taking[mine[0]] += 1
    assert 1_400 < taking["one"] < 1_600
    outside = next(f"u{n}" for n in range(100) if not made["other"].takes_part(f"u{n}"))
    known = facts(chat(), session=outside)
    assert first_target(made["other"].plan(known)) is A
    assert known.assignments == [], "it is not counted there"


def test_the_first_variant_of_those_that_take_no_part_is_one_that_answers() -> None:
    shares = [("one", 0.0), ("other", 1.0)]
    stopped = Experiment(
        "default", "one", "session", [variant("a", 0), variant("b")], namespace="n", shares=shares
    )
    assert first_target(stopped.plan(facts(chat(), session="u"))) is B, "the other one was stopped"


def test_what_stands_behind_an_experiment_is_no_part_of_it() -> None:
    node: Fallback[Target] = Fallback([experiment(variant("a")), Fixed((B,))])
    first, second = node.plan(facts(session="s"))
    assert isinstance(first, Arm)
    assert second is B
    assert targets_of((first, second)) == [A, B]
    assert first_target((first,)) is A


def test_a_ceiling_looks_into_the_arms() -> None:
    heat = Fixed((A,))
    asked = facts(chat(max_tokens=1), session="s")
    node = experiment(variant("a", node=heat))
    assert within(node.plan(asked), asked, 10**12) == [], "nobody knows what it costs"


def test_arms_may_stand_in_arms() -> None:
    inner = experiment(variant("c", system="inner"), name="inner")
    asked = facts(session="s")
    (step,) = experiment(variant("a", node=inner, system="outer")).plan(asked)
    assert isinstance(step, Arm)
    assert isinstance(step.step, Arm)
    assert plain(step) is C
    assert not isinstance(plain(step), Heat)
    assert [one.label for one in asked.assignments] == ["e/a", "inner/c"]


def test_in_a_race_from_before_it_was_refused_an_experiment_keeps_its_arm_and_does_not_race() -> None:
    changed = experiment(variant("a", system="Be brief."))
    first, second = race(changed, Fixed((B,))).plan(facts(session="s"))
    assert isinstance(first, Arm)
    assert (plain(first), second) == (A, B)
    heat, behind = race(changed, Fixed((B,)), Fixed((C,))).plan(facts(session="s"))
    assert isinstance(heat, Heat)
    assert heat.targets == (B, C)
    assert isinstance(behind, Arm)


def test_in_a_race_from_before_it_was_refused_another_race_keeps_all_of_its_runners() -> None:
    (heat, last) = race(race(Fixed((A,)), Fixed((B,))), Fixed((C,))).plan(facts())
    assert isinstance(heat, Heat)
    assert (heat.targets, last) == ((A, B), C)
