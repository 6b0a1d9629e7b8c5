"""Candidates as a policy sees them, the question that is put to it, and its answer."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.policy.candidate import surely
from headgate.rules.money import Price


@dataclass(frozen=True, slots=True)
class PlanProvider:
    tenant: str
    name: str
    region: str
    disabled: bool
    # Of its keys; "" where it has none.
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PlanCandidate:
    model: str
    provider: PlanProvider
    upstream_model: str
    prices: tuple[Price, ...]
    discount_ppm: int
    disabled: bool
    capabilities: frozenset[str] | None
    context_window: int
    quality: tuple[tuple[str, float], ...]
    fit: tuple[tuple[str, tuple[float, float]], ...] = ()
    selective: bool = True

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.provider.tenant, self.provider.name, self.upstream_model

    def quality_for(self, task: str) -> float | None:
        return surely(self.quality, self.fit, task)

    def may_be_worth(self, task: str, quality: float) -> bool:
        bounds = dict(self.fit).get(task)
        return bounds is not None and bounds[1] >= quality


@dataclass(frozen=True, slots=True)
class Question:
    """`model`: as a client would write it. `region`: of the proxy; "" = wherever one reported last."""

    tenant: str
    model: str
    region: str = ""
    key: str = ""
    task: str = ""
    user: str = ""
    session: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    stream: bool = False
    input_tokens: int = 0
    max_tokens: int = 0
    needs: frozenset[str] = frozenset()
    wants_json: bool = False
    max_picousd: int | None = None


@dataclass(slots=True)
class Explained:
    """One candidate. `place`: its turn in the plan, from 1; 0: not in it, and `reason` says why."""

    model: str
    provider: str = ""
    upstream_model: str = ""
    place: int = 0
    reason: str = ""
    # Of many such requests: how many it would be asked first for.
    share: float = 0.0
    expected_cost_picousd: int | None = None
    expected_output_tokens: float | None = None
    first_token_seconds: float | None = None
    total_seconds: float | None = None
    quality: float | None = None
    # closed, half_open, open; resting: all its keys are; unknown: never called lately.
    health: str = "unknown"


@dataclass(frozen=True, slots=True)
class Explanation:
    route: str
    region: str
    candidates: list[Explained]

    @property
    def chosen(self) -> str:
        return next((found.model for found in self.candidates if found.place == 1), "")
