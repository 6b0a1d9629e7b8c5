"""What the rounds came to, beside its promise. Pure: nothing is measured here.

A difference is that of two cases in the same round, so that what disturbs a round disturbs both. Its interval
comes from drawing rounds again (bootstrap, 95 %); `split-again` is the same as `split`, and shows the noise.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from statistics import fmean, median

from tests.perf.judging.rounds import KINDS, SATURATED, Found, Grown
from tests.perf.judging.world import AGAIN, CHOSEN, HANGING, JUDGES, PLAIN, SPLIT
from tests.perf.routing.verdicts import Verdict

RESAMPLES = 4_000
P50_LIMIT_MS = 0.15
# Of the calls a second that a proxy answers without a judge, when it is loaded to its limit.
RATE_LIMIT = 0.85
GROWTH_LIMIT_MB = 128.0
_TITLES = {
    PLAIN: "a route to one model",
    CHOSEN: "`weighted` over two models",
    SPLIT: "an experiment over the two, no judge",
    AGAIN: "the same once more (the noise)",
    "pointwise": "a judge of one call in five",
    "pairwise": "a pairwise judge of one call in five",
    HANGING: "a judge that never answers, queue full",
    "failing": "a judge that fails",
}


def interval(differences: Sequence[float]) -> tuple[float, float]:
    dice = random.Random(1)
    means = sorted(fmean(dice.choices(differences, k=len(differences))) for _ in range(RESAMPLES))
    return means[int(RESAMPLES * 0.025)], means[int(RESAMPLES * 0.975)]


def verdicts(found: Mapping[str, Found], grown: Mapping[str, Grown]) -> list[Verdict]:
    rows = [_failed(found)]
    for name in (CHOSEN, PLAIN, AGAIN, *JUDGES):
        rows += [_latency(found, name, kind) for kind in KINDS]
    rows.append(
        Verdict(f"CPU per call at a steady load, {_TITLES[SPLIT]}", f"{_middle(found[SPLIT].cpu_us)} µs")
    )
    for name in (PLAIN, CHOSEN, AGAIN, *JUDGES):
        added = _added(found[name].cpu_us, found[SPLIT].cpu_us)
        rows.append(Verdict(f"· {_TITLES[name]}", f"{_difference(added, 0)} µs"))
    rows += [_saturated(found, name) for name in SATURATED]
    rows.append(_memory(grown))
    return rows


def _failed(found: Mapping[str, Found]) -> Verdict:
    calls, failed = (sum(getattr(one, what) for one in found.values()) for what in ("calls", "failed"))
    return Verdict(f"failed calls (of {calls:,})", str(failed), "0", failed == 0)


def _latency(found: Mapping[str, Found], name: str, kind: str) -> Verdict:
    p50 = _added(found[name].p50_ms[kind], found[SPLIT].p50_ms[kind])
    p99 = _added(found[name].p99_ms[kind], found[SPLIT].p99_ms[kind])
    noise = max(0.0, *interval(_added(found[AGAIN].p99_ms[kind], found[SPLIT].p99_ms[kind])))
    figure = f"p50 {_difference(p50, 2)}, p99 {_difference(p99, 2)} ms"
    what = f"{kind}, {_TITLES[name]}: beside no judge"
    if name not in JUDGES:
        return Verdict(what, figure)
    kept = interval(p50)[0] <= P50_LIMIT_MS and interval(p99)[0] <= noise
    return Verdict(what, figure, f"p50 ≤ +{P50_LIMIT_MS}, p99 within the noise", kept)


def _saturated(found: Mapping[str, Found], name: str) -> Verdict:
    one, base = found[name], found[SPLIT]
    ratio = median(a / b for a, b in zip(one.saturated_rate, base.saturated_rate, strict=True))
    added = _added(one.saturated_cpu_us, base.saturated_cpu_us)
    figure = f"{median(one.saturated_rate):,.0f} calls/s, {_middle(one.saturated_cpu_us)} µs a call"
    if name != SPLIT:
        figure += f" ({ratio:.2f} ×; {_difference(added, 0)} µs)"
    what = f"at the limit, {_TITLES[name]}"
    if name not in JUDGES:
        return Verdict(what, figure)
    return Verdict(what, figure, f"≥ {RATE_LIMIT} × the calls/s without a judge", ratio >= RATE_LIMIT)


def _memory(grown: Mapping[str, Grown]) -> Verdict:
    growth = {name: max(one.during) - one.before for name, one in grown.items()}
    more = growth[HANGING] - growth[SPLIT]
    late = grown[HANGING].during
    figure = (
        f"+{growth[HANGING]:.0f} MB, of it {late[-1] - late[len(late) // 2]:+.0f} in the second half "
        f"(without a judge +{growth[SPLIT]:.0f})"
    )
    what = f"RSS in {len(late)} s of 100 KB requests, {_TITLES[HANGING]}"
    return Verdict(what, figure, f"≤ {GROWTH_LIMIT_MB:.0f} MB more than without", more <= GROWTH_LIMIT_MB)


def _added(values: Sequence[float], base: Sequence[float]) -> list[float]:
    return [value - other for value, other in zip(values, base, strict=True)]


def _difference(differences: Sequence[float], digits: int) -> str:
    low, high = interval(differences)
    return f"{fmean(differences):+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def _middle(values: Sequence[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f}–{max(values):,.0f})"


def background(found: Mapping[str, Found]) -> str:
    """What was judged meanwhile, so that nobody takes a judge that never ran for a cheap one."""
    parts = []
    for name in JUDGES:
        done = ", ".join(
            f"{what} {outcome} {count:,}" for (what, outcome), count in sorted(found[name].background.items())
        )
        parts.append(f"{name}, {found[name].calls:,} calls: {done or 'nothing'}")
    return "in the background of the steady load: " + "; ".join(parts)
