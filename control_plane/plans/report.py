"""What a replay comes to: two accounts of the same calls, side by side, and what was assumed."""

from __future__ import annotations

from dataclasses import dataclass, field

ASSUMPTIONS = (
    "an answer of another model than the recorded one is as long as that model's answers to the route are,"
    " next to the recorded model's (at least 10 of each), else as long as the recorded one",
    "another model than the recorded one finds nothing in its provider's cache; the same one what it found",
    "a model fails as often as it did in the recorded time, in its region if it was called there; each"
    " target is tried once; failed attempts cost nothing and take no time",
    "another model takes as long as one of its own recorded calls, drawn by chance (seeded); one that was"
    " never called is left out of the latencies",
    "tools, images and formats that requests asked for are not recorded: nobody is left out for lacking one",
    "speeds are learned from the recorded calls as they came; circuits, resting keys and load are left out",
)


@dataclass(slots=True)
class Account:
    """Of the calls, as they were or as they would have been."""

    cost_picousd: int = 0
    # Answers that nothing prices.
    unpriced: int = 0
    # Expected, where it would have been.
    failed: float = 0.0
    total_ms: list[int] = field(default_factory=list)
    first_ms: list[int] = field(default_factory=list)

    def latency(self, percentile: float) -> int | None:
        return quantile(self.total_ms, percentile)

    def first_token(self, percentile: float) -> int | None:
        return quantile(self.first_ms, percentile)


@dataclass(slots=True)
class ModelShare:
    recorded_calls: int = 0
    replayed_calls: int = 0
    recorded_picousd: int = 0
    replayed_picousd: int = 0


@dataclass(slots=True)
class Report:
    calls: int = 0
    attempts: int = 0
    one_in: int = 1
    recorded: Account = field(default_factory=Account)
    replayed: Account = field(default_factory=Account)
    models: dict[str, ModelShare] = field(default_factory=dict)
    # Calls that another model would have answered.
    moved: int = 0
    # Whose expected latency nobody knows.
    unmeasured: int = 0
    # (name, why) → calls that were not replayed.
    skipped: dict[tuple[str, str], int] = field(default_factory=dict)
    # reason → calls that nobody would have answered.
    nobody: dict[str, int] = field(default_factory=dict)

    def model(self, name: str) -> ModelShare:
        return self.models.setdefault(name, ModelShare())

    def skip(self, name: str, why: str) -> None:
        self.skipped[name, why] = self.skipped.get((name, why), 0) + 1


def quantile(values: list[int], share: float) -> int | None:
    """The nearest rank."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
