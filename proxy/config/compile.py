"""From config entries (proto) to a Snapshot. The second check of P2: what does not fit is refused here.

The only module of the call path's config that reads generated messages. Entries that did not change
keep their compiled form, so that one new key among 10,000 costs one key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import ParamSpec, TypeVar

from headgate.policy.compile import PolicyCompiler, own_or_shared, prices_of
from headgate.policy.nodes import Fixed
from headgate.rules.credentials import Secret
from headgate.rules.money import DISCOUNT_UNIT
from headgate.v1 import config_pb2, resources_pb2
from proxy.config.model import (
    FAILURES_TO_OPEN,
    Credential,
    Key,
    Provider,
    ProviderKey,
    Route,
    SandboxSettings,
    Snapshot,
    Target,
    Timeouts,
    Version,
)
from proxy.config.secret_files import FileProblem, SecretFiles
from proxy.providers.kinds import KINDS
from proxy.upstream.pool import tls_with
from proxy.upstream.reach import Reach, split_url

P = ParamSpec("P")
T = TypeVar("T")

# Of tenants that say nothing about regions.
ANYWHERE: frozenset[str] = frozenset()
# (kind, tenant, name)
EntryName = tuple[str, str, str]
Entries = Mapping[EntryName, config_pb2.ConfigEntry]


@dataclass(slots=True)
class ConfigRefused(Exception):
    """Why an update cannot be served: goes into the nack."""

    resource: str
    reason: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.reason}" if self.resource else self.reason


def entry_name(entry: config_pb2.ConfigEntry) -> EntryName:
    kind = entry.WhichOneof("entry")
    if kind is None:
        raise ConfigRefused("", "an entry of a kind that this proxy does not know; upgrade the proxy")
    message = getattr(entry, kind)
    spec = message if kind in ("tenant", "route", "experiment") else message.spec
    return kind, "" if kind == "tenant" else spec.tenant or "default", spec.name


class Compiler:
    """Compiles successive versions; remembers keys by entry and the health of provider keys by name."""

    def __init__(self, secrets_dir: Path | None = None) -> None:
        self._secrets_dir = secrets_dir
        self._files = SecretFiles(secrets_dir)
        self._keys: dict[EntryName, tuple[config_pb2.ConfigEntry, Key, list[tuple[bytes, Credential]]]] = {}
        self._provider_keys: dict[tuple[str, str, str], ProviderKey] = {}
        # Of what was compiled last: what some provider cannot be called for. No reason to refuse a config.
        self.problems: list[str] = []

    @property
    def files_changed(self) -> bool:
        """Whether a file that the compiled version names is another now."""
        return self._files.changed()

    def compile(self, version: Version, entries: Entries) -> Snapshot:
        """Raises ConfigRefused, and then remembers nothing of the refused version."""
        files = SecretFiles(self._secrets_dir)
        problems: list[str] = []
        by_kind: dict[str, list[tuple[EntryName, config_pb2.ConfigEntry]]] = {}
        for name, entry in entries.items():
            by_kind.setdefault(name[0], []).append((name, entry))

        provider_keys: dict[tuple[str, str, str], ProviderKey] = {}
        providers: dict[str, dict[str, Provider]] = {}
        for name, entry in by_kind.get("provider", ()):
            provider = _guarded(name, self._provider, name, entry, provider_keys, files, problems)
            providers.setdefault(name[1], {})[name[2]] = provider
        targets: dict[str, dict[str, Target]] = {}
        models: dict[str, dict[str, Route]] = {}
        for name, entry in by_kind.get("model", ()):
            target = _guarded(name, _target, name, entry, providers)
            if target is None:
                continue  # its provider is not sent to this region
            targets.setdefault(name[1], {})[name[2]] = target
            models.setdefault(name[1], {})[name[2]] = Route(name[2], Fixed((target,)))
        routes: dict[str, dict[str, Route]] = {}
        for name, entry in by_kind.get("route", ()):
            route = _guarded(name, _route, name, entry, targets, entries)
            routes.setdefault(name[1], {})[name[2]] = route

        residency = {name[2]: frozenset(e.tenant.residency) for name, e in by_kind.get("tenant", ())}
        keys, credentials = self._compile_keys(by_kind.get("key", ()), residency)
        self._keys = keys
        self._files = files
        self.problems = problems
        self._provider_keys = provider_keys
        return Snapshot(
            version=version,
            credentials=credentials,
            routes=routes,
            models=models,
            providers=providers,
            max_staleness={
                name[2]: entry.tenant.max_config_staleness.ToNanoseconds() / 1e9
                for name, entry in by_kind.get("tenant", ())
                if entry.tenant.HasField("max_config_staleness")
            },
            disabled_tenants=frozenset(n[2] for n, e in by_kind.get("tenant", ()) if e.disabled),
        )

    def _compile_keys(
        self,
        entries: Iterable[tuple[EntryName, config_pb2.ConfigEntry]],
        residency: Mapping[str, frozenset[str]],
    ) -> tuple[
        dict[EntryName, tuple[config_pb2.ConfigEntry, Key, list[tuple[bytes, Credential]]]],
        dict[bytes, Credential],
    ]:
        compiled = {}
        credentials: dict[bytes, Credential] = {}
        for name, entry in entries:
            known = self._keys.get(name)
            if known is not None and known[0] is entry:
                # What it resolved to, and where its tenant's calls may go, belong to one snapshot.
                key = replace(known[1], resolved={}, residency=residency.get(name[1], ANYWHERE))
                pairs = [(sha, replace(credential, key=key)) for sha, credential in known[2]]
            else:
                key, pairs = _guarded(name, _key, name, entry, residency.get(name[1], ANYWHERE))
            compiled[name] = (entry, key, pairs)
            for sha, credential in pairs:
                if sha in credentials:
                    raise ConfigRefused("/".join(name), "its secret opens another key as well")
                credentials[sha] = credential
        return compiled, credentials

    def _provider(
        self,
        name: EntryName,
        entry: config_pb2.ConfigEntry,
        provider_keys: dict[tuple[str, str, str], ProviderKey],
        files: SecretFiles,
        problems: list[str],
    ) -> Provider:
        spec = entry.provider.spec
        kind = KINDS.get(spec.kind)
        if kind is None:
            raise ValueError(f"provider kind {spec.kind!r} is not known to this proxy")
        keys: list[ProviderKey] = []
        secrets = {secret.name: secret.value for secret in entry.provider.secrets}
        missing = ""
        for key in spec.keys:
            if key.file and key.name not in secrets:
                try:
                    secrets[key.name] = files.read(key.file).strip()
                    _check_visible(key.name, secrets[key.name])
                except (FileProblem, ValueError) as problem:
                    secrets.pop(key.name, None)
                    missing = missing or str(problem)
        for key_name, value in secrets.items():
            _check_visible(key_name, value)
            identity = (name[1], name[2], key_name)
            text = value.decode("ascii")
            known = self._provider_keys.get(identity)
            if known is None or known.secret.text != text:
                known = ProviderKey(key_name, Secret(text))
            provider_keys[identity] = known
            keys.append(known)
        # One of several keys that cannot be read leaves the others.
        unusable = "" if keys else missing
        ca = ""
        if spec.tls.ca_file:
            try:
                ca = files.read(spec.tls.ca_file).decode("ascii")
                tls_with(ca)
            except FileProblem as problem:
                unusable = unusable or str(problem)
            except ValueError as problem:
                unusable = unusable or f"{spec.tls.ca_file}: {problem}"
        egress = split_url(spec.egress_proxy)[0] if spec.egress_proxy else None
        for reason in {missing, unusable} - {""}:
            problems.append(f"provider {name[1]}/{name[2]}: {reason}")
        sandbox = spec.sandbox
        return Provider(
            name=spec.name,
            tenant=name[1],
            kind=kind,
            base_url=(spec.base_url or kind.base_url).rstrip("/"),
            region=spec.region,
            reach=Reach(spec.private_network, egress, ca),
            headers=tuple(sorted((k.lower(), v) for k, v in spec.headers.items())),
            keys=tuple(keys),
            sandbox=SandboxSettings(
                latency_seconds=sandbox.latency.ToNanoseconds() / 1e9,
                tokens_per_second=sandbox.tokens_per_second,
                error_rate=sandbox.error_rate,
                error_status=sandbox.error_status or 503,
                output_tokens=sandbox.output_tokens or 24,
            ),
            disabled=entry.disabled,
            circuit_failures=(
                spec.circuit_failures if spec.HasField("circuit_failures") else FAILURES_TO_OPEN
            ),
            unusable=unusable,
        )


def _check_visible(name: str, value: bytes) -> None:
    if not value or any(byte < 33 or byte > 126 for byte in value):
        raise ValueError(f"key {name!r} is empty, or holds characters that cannot stand in a header")


def _guarded(name: EntryName, build: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return build(*args, **kwargs)
    except (ValueError, ArithmeticError, KeyError) as error:
        raise ConfigRefused("/".join(name), str(error)) from error


def _key(
    name: EntryName, entry: config_pb2.ConfigEntry, residency: frozenset[str]
) -> tuple[Key, list[tuple[bytes, Credential]]]:
    spec = entry.key.spec
    key = Key(
        name=spec.name,
        tenant=name[1],
        allow=tuple(spec.allow.of) if spec.HasField("allow") else None,
        passthrough=tuple(_passthrough(pattern) for pattern in spec.passthrough),
        metadata=tuple(sorted(spec.metadata.items())),
        disabled=entry.disabled,
        residency=residency,
    )
    pairs = []
    for credential in entry.key.credentials:
        if len(credential.sha256) != 32:
            raise ValueError("a credential without a SHA-256")
        expires = (
            credential.expires_at.ToNanoseconds() / 1e9 if credential.HasField("expires_at") else math.inf
        )
        pairs.append((credential.sha256, Credential(key, credential.public_id, expires)))
    return key, pairs


def _passthrough(pattern: str) -> tuple[str, str, str]:
    parts = pattern.split(" ")
    if len(parts) != 3:
        raise ValueError(f"passthrough {pattern!r} is not PROVIDER METHOD PATH")
    return parts[0], parts[1], parts[2]


def _target(
    name: EntryName, entry: config_pb2.ConfigEntry, providers: Mapping[str, Mapping[str, Provider]]
) -> Target | None:
    spec = entry.model.spec
    provider = own_or_shared(providers, name[1], spec.provider)
    if provider is None:
        return None
    return Target(
        model=spec.name,
        provider=provider,
        upstream_model=spec.upstream_model or spec.name,
        prices=prices_of(entry.model.prices),
        price_version=entry.model.prices.version,
        discount_ppm=int(Decimal(spec.discount or "0") * DISCOUNT_UNIT),
        disabled=entry.disabled,
        declared_dialects=tuple(spec.dialects),
        capabilities=frozenset(spec.capabilities) if spec.capabilities else None,
        max_output_tokens=spec.max_output_tokens,
        context_window=entry.model.context_window or spec.context_window,
        quality=tuple(sorted(spec.quality.items())),
        fit=tuple((fit.task, (fit.lower, fit.upper)) for fit in entry.model.fit),
    )


def _route(
    name: EntryName,
    entry: config_pb2.ConfigEntry,
    targets: Mapping[str, Mapping[str, Target]],
    entries: Entries,
) -> Route:
    spec = entry.route
    node = PolicyCompiler(name[1], targets, entries).node(spec.policy, (spec.name,))
    return Route(
        name=spec.name,
        node=node,
        task=spec.task,
        attempts_per_target=spec.retry.attempts or 2,
        timeouts=_timeouts(spec.timeouts),
        hold_whole=spec.hold == "whole",
        resume_exact=spec.resume == "exact",
        client_strategies=frozenset(spec.client_strategies),
        refusal="is disabled" if entry.disabled else "",
    )


def _timeouts(spec: resources_pb2.Timeouts) -> Timeouts:
    default = Timeouts()
    return Timeouts(
        connect_seconds=spec.connect.ToNanoseconds() / 1e9 or default.connect_seconds,
        first_token_seconds=spec.first_token.ToNanoseconds() / 1e9 or default.first_token_seconds,
        idle_seconds=spec.idle.ToNanoseconds() / 1e9 or default.idle_seconds,
        total_seconds=spec.total.ToNanoseconds() / 1e9 or default.total_seconds,
    )
