"""What a policy chooses among: a model at a provider, as far as choosing needs to know it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from headgate.rules.money import Price

CandidateKey = tuple[str, str, str]


class CandidateProvider(Protocol):
    @property
    def tenant(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def region(self) -> str:
        """Its data-residency label; "" if it has none."""
        ...

    @property
    def disabled(self) -> bool: ...


class Candidate(Protocol):
    @property
    def model(self) -> str: ...
    @property
    def provider(self) -> CandidateProvider: ...
    @property
    def upstream_model(self) -> str: ...
    @property
    def prices(self) -> Sequence[Price]: ...
    @property
    def discount_ppm(self) -> int: ...
    @property
    def disabled(self) -> bool: ...
    @property
    def capabilities(self) -> frozenset[str] | None:
        """None: nobody declared any, and it is believed to have them all."""
        ...

    @property
    def context_window(self) -> int:
        """Tokens; 0: not known."""
        ...

    @property
    def selective(self) -> bool:
        """Something about it may exclude it, request by request."""
        ...

    @property
    def identity(self) -> CandidateKey:
        """(tenant and name of the provider, upstream model): outlives a snapshot."""
        ...

    def quality_for(self, task: str) -> float | None:
        """How good it surely is, 0 to 1: by what was judged, else as declared. None: nobody knows."""
        ...

    def may_be_worth(self, task: str, quality: float) -> bool:
        """Whether it was judged at this task, and may still turn out to be that good."""
        ...


C = TypeVar("C", bound=Candidate, covariant=True)


def surely(
    prior: Sequence[tuple[str, float]], fit: Sequence[tuple[str, tuple[float, float]]], task: str
) -> float | None:
    """The lower bound of what was judged; where nothing was, what was declared for the task or `default`."""
    judged = dict(fit).get(task)
    if judged is not None:
        return judged[0]
    known = dict(prior)
    return known.get(task, known.get("default"))
