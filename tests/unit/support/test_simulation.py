"""The simulated day: it repeats itself, its oracles are bounds, and nothing is billed twice or not at all."""

from __future__ import annotations

import math

import pytest

from tests.perf.simulation import plots, table
from tests.perf.simulation.answers import Answer
from tests.perf.simulation.days import Day, Result, Setting, incidents
from tests.perf.simulation.figures import Figures, at_rank, figures
from tests.perf.simulation.moments import Clock, Waits
from tests.perf.simulation.oracles import ORACLES, Oracle
from tests.perf.simulation.policies import Contender, contenders
from tests.perf.simulation.series import series

SETTING = Setting(seed=3, calls_per_minute=4, begins=12 * 3600, ends=13 * 3600)
Answers = dict[str, list[Answer]]


@pytest.fixture(scope="module")
def day() -> Day:
    return Day(SETTING)


@pytest.fixture(scope="module")
def answers(day: Day) -> Answers:
    everyone: list[Contender | Oracle] = [*contenders(day.market), *ORACLES]
    return {one.name: day.under(one) for one in everyone}


@pytest.fixture(scope="module")
def policies(day: Day, answers: Answers) -> Answers:
    return {one.name: answers[one.name] for one in contenders(day.market)}


def found(answers: Answers) -> dict[str, Figures]:
    return {name: figures(name, "", given) for name, given in answers.items()}


def test_the_same_seed_gives_the_same_figures(day: Day, answers: Answers) -> None:
    again = Day(SETTING)
    for one in contenders(day.market):
        assert figures(one.name, "", again.under(one)) == figures(one.name, "", answers[one.name])


def test_another_seed_is_another_day(day: Day) -> None:
    other = Day(Setting(seed=4, calls_per_minute=4, begins=12 * 3600, ends=13 * 3600))
    assert [call.at for call in other.calls[0]] != [call.at for call in day.calls[0]]


def test_every_policy_and_oracle_gets_the_same_calls(day: Day, answers: Answers) -> None:
    asked = [call.number for calls in day.calls for call in calls]
    assert len(asked) > 500
    assert len(set(asked)) == len(asked)
    assert all([answer.call.number for answer in given] == asked for given in answers.values())


def test_no_call_is_faster_than_the_oracle(policies: Answers, answers: Answers) -> None:
    """For calls that were answered by the first they asked: a second try may meet better minutes."""
    for given in policies.values():
        for answer, best in zip(given, answers["oracle: total"], strict=True):
            if not answer.failed and len(answer.billed) == 1:
                assert answer.seconds >= best.seconds - 1e-6


def test_no_policy_is_cheaper_than_the_oracle_on_the_calls_that_both_answered(
    policies: Answers, answers: Answers
) -> None:
    for name, given in policies.items():
        oracle = "oracle: cost" if any(answer.too_bad for answer in given) else "oracle: cost, good enough"
        both = [
            pair for pair in zip(given, answers[oracle], strict=True) if not any(one.failed for one in pair)
        ]
        assert sum(a.picousd for a, _ in both) >= sum(b.picousd for _, b in both), name


def test_random_is_dearer_than_whoever_looks_at_prices(answers: Answers) -> None:
    of = found(answers)
    for name in ("cheapest", "cheapest, good enough", "cases"):
        assert of["random"].usd_per_thousand > of[name].usd_per_thousand
    assert of["random"].first_p50 > of["fastest, first token"].first_p50


def test_every_call_is_billed_once_for_its_answer(day: Day, policies: Answers) -> None:
    for name, given in policies.items():
        for answer in given:
            if answer.failed:
                continue
            paid = [model for model, picousd in answer.billed if picousd]
            assert answer.model in paid
            if not name.startswith("race") and len(answer.billed) == 1:
                assert len(paid) == 1
            least = day.world.price(
                answer.call,
                answer.model,
                answer.call.at,
                answer.call.input_tokens if answer.call.conversation else 0,
                day.world.output_tokens(answer.call, answer.model),
            )
            assert answer.picousd >= least


def test_a_race_is_billed_for_all_who_started(answers: Answers) -> None:
    given = answers["race of two"]
    assert {len(answer.billed) for answer in given} >= {1, 2}
    started = [answer for answer in given if len(answer.billed) == 2 and not answer.failed]
    assert any(all(picousd for _, picousd in answer.billed) for answer in started)


def test_a_floor_is_kept_by_who_has_one(answers: Answers) -> None:
    assert not any(answer.too_bad for answer in answers["cheapest, good enough"])
    assert not any(answer.too_bad for answer in answers["oracle: cost, good enough"])
    assert any(answer.too_bad for answer in answers["cheapest"])


def test_what_waits_is_resumed_in_the_order_of_time() -> None:
    clock, seen = Clock(), list[tuple[str, float]]()

    def waits(name: str, *seconds: float) -> Waits:
        for wait in seconds:
            yield wait
            seen.append((name, clock.now))

    clock.run([(10.0, waits("a", 5, 5)), (12.0, waits("b", 1)), (16.0, waits("c", 1))])
    assert seen == [("b", 13.0), ("a", 15.0), ("c", 17.0), ("a", 20.0)]


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert at_rank([1, 2, 3, 4], 0.5) == 2
    assert at_rank([1, 2, 3, 4], 0.95) == 4
    assert math.isnan(at_rank([], 0.5))


def test_the_table_and_the_plots_show_everybody(day: Day, answers: Answers) -> None:
    kinds = {one.name: one.kind for one in contenders(day.market)}
    results = [
        Result(figures(name, kinds.get(name, "oracle"), given), series(given), 1.0)
        for name, given in answers.items()
    ]
    section, plot = table.section(results, SETTING), plots.cost_and_speed(results)
    assert all(f"| {name} |" in section and f">{name}<" in plot for name in answers)
    assert "nan" not in plots.one_day(results, incidents(SETTING), SETTING)
