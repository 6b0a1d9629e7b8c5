"""A snapshot as the call path reads it: immutable, indexed, with everything computed beforehand.

Built by `compile.py`, swapped by one assignment, shared by all calls that began under it.
Only the health of provider keys lives longer than a snapshot and is carried over by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import orjson

from headgate.policy import nodes
from headgate.policy.candidate import surely
from headgate.policy.nodes import Node, fixed_plan
from headgate.rules.credentials import Secret
from headgate.rules.money import Price
from proxy.http.values import header_value
from proxy.providers.kinds import Kind
from proxy.upstream.reach import Reach

# Errors in a row that open a model's circuit: a single one is bad luck, two may be.
FAILURES_TO_OPEN = 3


@dataclass(frozen=True, slots=True, order=True)
class Version:
    epoch: int
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"


@dataclass(slots=True, eq=False)
class ProviderKey:
    """The tenant's own secret for a provider, and whether it is resting after a refusal."""

    name: str
    secret: Secret
    # Loop time until which the provider asked us to leave this key alone.
    cooling_until: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    latency_seconds: float
    tokens_per_second: float
    error_rate: float
    error_status: int
    output_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    name: str
    tenant: str
    kind: Kind
    base_url: str
    region: str
    reach: Reach
    headers: tuple[tuple[str, str], ...]
    keys: tuple[ProviderKey, ...]
    sandbox: SandboxSettings
    disabled: bool
    # In a row, until a model's circuit opens; 0: never.
    circuit_failures: int = FAILURES_TO_OPEN
    # Why no call can be made to it from here (a file that it needs is missing); empty: one can.
    unusable: str = ""
    # Next key to use; a list so that the frozen provider can count. Spreads load over the keys.
    turn: list[int] = field(default_factory=lambda: [0], compare=False)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One model at one provider: what an attempt is made against."""

    model: str
    provider: Provider
    upstream_model: str
    prices: tuple[Price, ...]
    price_version: str
    discount_ppm: int
    disabled: bool
    # What the manifest says; empty and None: what is known of the provider and the model's family.
    declared_dialects: tuple[str, ...] = ()
    capabilities: frozenset[str] | None = None
    max_output_tokens: int = 0
    context_window: int = 0
    # Prior belief by task; "default" for the others.
    quality: tuple[tuple[str, float], ...] = ()
    # What was judged: by task, the quality that it surely has, and the one that it has at most.
    fit: tuple[tuple[str, tuple[float, float]], ...] = ()

    @property
    def label(self) -> str:
        """As `x-headgate-model` shows it."""
        return f"{self.provider.name}/{self.upstream_model}"

    # Prepared when the target is made, not per call: the answer's header line, the model in JSON.
    identity: tuple[str, str, str] = field(init=False, default=("", "", ""))
    header: bytes = field(init=False, default=b"")
    upstream_json: bytes = field(init=False, default=b"")
    # Dialects it can be spoken to in, the preferred one first.
    dialects: tuple[str, ...] = field(init=False, default=())
    # Something about it may exclude it, request by request.
    selective: bool = field(init=False, default=False)
    # What the provider says it charged comes before the catalogue's price.
    stated_cost_counts: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        own_price = self.price_version.startswith("manifest")
        object.__setattr__(self, "stated_cost_counts", self.provider.kind.states_cost and not own_price)
        dialects = self.declared_dialects or self.provider.kind.dialects
        only = self.provider.kind.by_responses
        if not self.declared_dialects and only is not None and only.search(self.upstream_model):
            dialects = ("responses",)
        object.__setattr__(self, "dialects", dialects)
        identity = self.provider.tenant, self.provider.name, self.upstream_model
        object.__setattr__(self, "identity", identity)
        selective = self.disabled or self.provider.disabled or self.capabilities is not None
        object.__setattr__(self, "selective", selective or bool(self.context_window))
        object.__setattr__(self, "upstream_json", orjson.dumps(self.upstream_model))
        line = f"x-headgate-model: {header_value(self.label)}\r\n"
        object.__setattr__(self, "header", line.encode("latin-1"))

    def quality_for(self, task: str) -> float | None:
        """See Candidate."""
        return surely(self.quality, self.fit, task)

    def may_be_worth(self, task: str, quality: float) -> bool:
        bounds = dict(self.fit).get(task)
        return bounds is not None and bounds[1] >= quality

    def can(self, capability: str) -> bool | None:
        """What the manifest says about it; None if it says nothing about capabilities."""
        return None if self.capabilities is None else capability in self.capabilities


# What a policy gives: a target, or several that race.
Step: TypeAlias = nodes.Step[Target]


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_seconds: float = 5.0
    first_token_seconds: float = 60.0
    idle_seconds: float = 60.0
    total_seconds: float = 900.0


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """What an application sends as `model`: a declared route, or a model called directly."""

    name: str
    node: Node[Target]
    task: str = ""
    attempts_per_target: int = 2
    timeouts: Timeouts = Timeouts()
    # Streams: kept until they are complete; after a cut, put together with another target's.
    hold_whole: bool = False
    resume_exact: bool = False
    # Suffixes that a client may add: cheapest, fastest, race.
    client_strategies: frozenset[str] = frozenset()
    # Why it answers nothing (disabled, or it leads to something that is gone); "" = it answers.
    refusal: str = ""
    header: bytes = field(init=False, default=b"")
    # The plan, where it is the same for every request.
    fixed_plan: Sequence[Target] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed_plan", fixed_plan(self.node))
        line = f"x-headgate-route: {header_value(self.name)}\r\n"
        object.__setattr__(self, "header", line.encode("latin-1"))


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A virtual key. `resolved` caches what its callers asked for under this snapshot."""

    name: str
    tenant: str
    # None: the tenant's routes.
    allow: tuple[str, ...] | None
    # (provider, method, path) patterns of what may be called natively.
    passthrough: tuple[tuple[str, str, str], ...]
    metadata: tuple[tuple[str, str], ...]
    disabled: bool
    # Labels of the regions whose providers its tenant's calls may reach; empty: all.
    residency: frozenset[str] = frozenset()
    resolved: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credential:
    key: Key
    public_id: str
    # Unix seconds; infinity = does not end.
    expires_at: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: Version
    # By SHA-256 of the whole secret.
    credentials: dict[bytes, Credential]
    # tenant → name → …; the shared ones under "*".
    routes: dict[str, dict[str, Route]]
    models: dict[str, dict[str, Route]]
    providers: dict[str, dict[str, Provider]]
    disabled_tenants: frozenset[str]
    # Seconds for which a tenant's calls are answered without news of the control plane; not in it: for ever.
    max_staleness: Mapping[str, float] = field(default_factory=dict)
