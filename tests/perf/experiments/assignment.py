"""Who gets which variant, over a million units: shares, changes of weights, namespaces, independence."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from headgate.policy.experiments import Experiment, Variant
from tests.perf.experiments.parts import Job, Part, Promise, Setting, Table

Weights = tuple[float, ...]
SPLITS: tuple[Weights, ...] = ((1, 1), (9, 1), (5, 3, 2))
TIMES = 3
NAMESPACE = (("one", 3.0), ("other", 1.0))
# Standard deviations from what is expected: beyond it once in 15,000 times.
BOUND = 4.0
Counted = list[tuple[str, float, int, int]]  # what, expected share, how many, of how many


class Nothing:
    """Stands where a variant's policy does; nobody plans here."""

    def plan(self, facts: Any) -> Sequence[Any]:
        return ()

    def targets(self) -> Iterator[Any]:
        return iter(())


def experiment(name: str, weights: Weights, namespace: bool = False) -> Experiment[Any]:
    variants: list[Variant[Any]] = [
        Variant(f"v{number}", Nothing(), weight) for number, weight in enumerate(weights)
    ]
    return Experiment(
        "tenant",
        name,
        "session",
        variants,
        namespace="shared" if namespace else "",
        shares=NAMESPACE if namespace else (),
    )


def jobs(setting: Setting) -> list[Job]:
    once: list[Job] = [partial(_split, weights, setting) for weights in SPLITS]
    again: list[Job] = [partial(_digest, setting) for _ in range(TIMES)]
    return [*once, *again, *(partial(job, setting) for job in (_moved, _namespaced, _independent))]


def _place(one: Experiment[Any]) -> Callable[[str], int]:
    def place(unit: str) -> int:
        variant = one.assigned(unit)
        return int(variant.name[1:]) if variant is not None else -1

    return place


def _split(weights: Weights, setting: Setting) -> Counted:
    place = _place(experiment("split", weights))
    counts = [0] * len(weights)
    for number in range(setting.hashed):
        counts[place(f"session-{number}")] += 1
    name = " : ".join(f"{weight:g}" for weight in weights)
    return [
        (name, weight / sum(weights), count, setting.hashed)
        for weight, count in zip(weights, counts, strict=True)
    ]


def _digest(setting: Setting) -> str:
    """Of who gets what; each job builds its own experiment, in whichever process it runs."""
    place = _place(experiment("same", (5, 3, 2)))
    return hashlib.sha256(bytes(place(f"session-{number}") for number in range(setting.hashed))).hexdigest()


def _moved(setting: Setting) -> tuple[int, int]:
    """From 1 : 1 to 2 : 1: those who moved to the one that got more, and those who moved away from it."""
    before, after = _place(experiment("moved", (1, 1))), _place(experiment("moved", (2, 1)))
    there = back = 0
    for number in range(setting.hashed):
        was, now = before(f"session-{number}"), after(f"session-{number}")
        there += was > now
        back += was < now
    return there, back


def _namespaced(setting: Setting) -> tuple[int, int, Counted]:
    """Units that take part in both, in none, and how they are shared out."""
    one, other = (experiment(name, (1, 1), namespace=True) for name, _ in NAMESPACE)
    first = _place(one)
    both = none = taken = variant = 0
    for number in range(setting.hashed):
        unit = f"session-{number}"
        here, there = one.takes_part(unit), other.takes_part(unit)
        both += here and there
        none += not here and not there
        if here:
            taken += 1
            variant += first(unit)
    share = NAMESPACE[0][1] / sum(weight for _, weight in NAMESPACE)
    return (
        both,
        none,
        [
            ("namespace 3 : 1", share, taken, setting.hashed),
            ("1 : 1 of those in it", 0.5, variant, taken),
        ],
    )


def _independent(setting: Setting) -> Counted:
    """Of two experiments with the same weights: who is in the first variant of both."""
    one, other = _place(experiment("a", (1, 1))), _place(experiment("b", (1, 1)))
    together = sum(
        not one(unit) and not other(unit) for unit in map("session-{}".format, range(setting.hashed))
    )
    return [("1 : 1 and 1 : 1, first of both", 0.25, together, setting.hashed)]


def part(results: Sequence[Any], setting: Setting) -> Part:
    splits: list[Counted] = list(results[: len(SPLITS)])
    digests = set(results[len(SPLITS) : len(SPLITS) + TIMES])
    (there, back), (both, none, namespaced), independent = results[len(SPLITS) + TIMES :]
    moved: Counted = [("1 : 1 → 2 : 1, moved", 1 / 6, there, setting.hashed)]
    groups = [*splits, moved, namespaced, independent]
    rows = [
        [what, f"{share:.2%}", f"{count:,}", f"{count / whole:.2%}", f"{_off(share, count, whole):+.1f}"]
        for group in groups
        for what, share, count, whole in group
    ]
    worst = max(abs(_off(share, count, whole)) for group in groups for _, share, count, whole in group)
    units = f"{setting.hashed:,} units"
    promises = [
        Promise(
            f"all shares of {units} are as the weights say, within {worst:.1f} standard deviations "
            f"(at most {BOUND:g})",
            worst <= BOUND,
        ),
        Promise(
            f"{TIMES} experiments, built apart, gave each of {units} the same variant", len(digests) == 1
        ),
        Promise(f"1 : 1 → 2 : 1: {there:,} moved there, {back:,} back (none may)", back == 0),
        Promise(f"one namespace: {both:,} units took part in both, {none:,} in none", both == none == 0),
    ]
    heads = ("weights", "expected", "units", "share", "standard deviations off")
    return Part("Who gets which variant", [Table(heads, rows)], promises)


def _off(share: float, count: int, whole: int) -> float:
    return (count - whole * share) / math.sqrt(whole * share * (1 - share))
