"""Variants that are alike: how often a winner is named all the same, however often one looks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from control_plane.experiments.decisions import Rule
from tests.perf.experiments import draws
from tests.perf.experiments.looks import Case, ours, peeked, run
from tests.perf.experiments.parts import (
    NEVER,
    Job,
    Part,
    Promise,
    Setting,
    Table,
    happened,
    share_text,
)

PROMISED = 0.05
UNITS = 2_000  # per variant
COUNTS = (100, 500, 1_000, UNITS)


def _two(name: str, draw: draws.Draw, **more: object) -> Case:
    return Case(name, (draw, draw), 2 * UNITS, **more)  # type: ignore[arg-type]


SCORES = _two("scores", draws.grades())
CASES = (
    SCORES,
    _two("costs", draws.lognormal(draws.COST_SIGMA)),
    _two("error rate of 3 %", draws.errors()),
    Case("preferences", (draws.preferences(),), UNITS, preferences=True),
    Case("preferences, three variants", (draws.preferences(),) * 2, 2 * UNITS, preferences=True, every=2),
    Case("scores, three variants", (draws.grades(),) * 3, 3 * UNITS, (1, 1, 1), every=3),
    _two("scores of sessions, 1 to 60 calls", draws.sessions),
    _two("scores at 9 : 1", draws.grades(), weights=(9.0, 1.0)),
    _two("costs at 9 : 1", draws.lognormal(draws.COST_SIGMA), weights=(9.0, 1.0)),
    _two("error rate of 3 % at 9 : 1", draws.errors(), weights=(9.0, 1.0)),
)
BY_CALL = _two("the same, each call counted as a unit", draws.sessions, by_call=True)


def jobs(setting: Setting) -> list[Job]:
    found: list[Job] = [partial(_ours, case, setting) for case in CASES]
    return [*found, partial(_ours, BY_CALL, setting), partial(_peeked, setting)]


def _ours(case: Case, setting: Setting) -> list[float]:
    """Per run: units per variant when a winner was named."""
    chance = setting.chance(f"alike {case.name}")
    look = ours(Rule(), case.preferences)
    ends = [run(case, look, chance) for _ in range(setting.runs)]
    return [end.units / len(case.draws) if end.found else NEVER for end in ends]


def _peeked(setting: Setting) -> list[float]:
    """Of the very same experiments as those of `SCORES`, up to the first alarm of either."""
    chance = setting.chance(f"alike {SCORES.name}")
    ends = [run(SCORES, peeked, chance) for _ in range(setting.runs)]
    return [end.units / 2 if end.found else NEVER for end in ends]


def part(results: Sequence[list[float]], setting: Setting) -> Part:
    names = [case.name for case in CASES]
    others = [BY_CALL.name, "scores, test for one fixed moment, looked at all the time"]
    rows = [
        [name, *(share_text(happened(times, count), len(times)) for count in COUNTS)]
        for name, times in zip([*names, *others], results, strict=True)
    ]
    promises = []
    for name, times in zip(names, results, strict=False):
        wrong = happened(times)
        promises.append(
            Promise(
                f"{name}: a winner among variants that are alike in {share_text(wrong, len(times))} of "
                f"{len(times):,} experiments (at most {PROMISED:.0%})",
                wrong <= PROMISED * len(times),
            )
        )
    about = (
        f"{setting.runs:,} experiments of each kind, looked at after every new unit (three variants: after "
        "as "
        f"many new units as get some), up to {UNITS:,} units per variant on average. Share in which "
        "a winner was named until then:"
    )
    heads = ["", *(f"{count:,} units" for count in COUNTS)]
    series = {"ours": results[0], "fixed": results[-1]}
    return Part("Variants that are alike", [Table(heads, rows, about)], promises, series)
