"""The control plane's messages as the items that scripts read. Field names are the interface's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from headgate.rules import spec
from headgate.rules.names import DEFAULT_TENANT
from headgate.v1 import admin_pb2, config_pb2, resources_pb2, routing_pb2, usage_pb2

CALL_COLUMNS = (
    "request_id", "time", "tenant", "key", "user", "route", "model", "provider", "status", "outcome",
    "attempts", "cost_usd", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "latency_ms", "first_token_ms", "task", "experiment", "cache", "region",
)  # fmt: skip
USAGE_COLUMNS = (
    "calls", "attempts", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens",
    "output_tokens", "reasoning_tokens", "cost_usd", "unpriced_attempts", "p50_ms", "p95_ms",
    "first_token_p50_ms",
)  # fmt: skip
PROXY_COLUMNS = (
    "name", "region", "version", "connected", "config_version", "staleness_seconds", "last_nack",
    "spool_bytes", "usage_lag_seconds",
)  # fmt: skip
TOKEN_COLUMNS = ("name", "role", "tenant", "public_id", "created_at", "expires_at", "revoked_at")
_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def time_text(time: Timestamp) -> str | None:
    """RFC 3339, or None where it is not set."""
    return time.ToJsonString() if time.seconds or time.nanos else None


def spec_of(resource: resources_pb2.Resource) -> tuple[str, dict[str, Any]]:
    """The kind of a resource and its spec as a manifest writes it."""
    kind = resource.WhichOneof("spec") or ""
    message = getattr(resource, kind)
    rendered: dict[str, Any] = spec.render(message)
    if "tenant" not in message.DESCRIPTOR.fields_by_name:
        return kind, rendered
    return kind, {"name": message.name, "tenant": message.tenant or DEFAULT_TENANT, **rendered}


def resource_item(view: resources_pb2.ResourceView) -> dict[str, Any]:
    """The spec, and beside it what verbs wrote (`state`) and who declared it when."""
    kind, item = spec_of(view.resource)
    state: dict[str, Any] = {"disabled": view.state.disabled}
    if view.state.disabled:
        state["disabled_reason"] = view.state.disabled_reason
    if kind == "provider":
        state["provider_keys"] = [
            {"name": key.name, "origin": key.origin, "updated_at": time_text(key.updated_at)}
            for key in view.state.provider_keys
        ]
    if kind == "key":
        state["credentials"] = [
            {
                "public_id": credential.public_id,
                "created_at": time_text(credential.created_at),
                "expires_at": time_text(credential.expires_at),
                "revoked_at": time_text(credential.revoked_at),
            }
            for credential in view.state.credentials
        ]
    if kind == "experiment":
        decided = view.state.experiment
        state["winner"] = decided.winner or None
        state["evidence"] = decided.evidence or None
        state["stopped"] = [{"variant": one.variant, "evidence": one.evidence} for one in decided.stopped]
    return {
        **item,
        "state": state,
        "source": view.source,
        "revision": view.revision,
        "updated_at": time_text(view.updated_at),
    }


def proxy_item(view: admin_pb2.ProxyView) -> dict[str, Any]:
    return {
        "name": view.name,
        "region": view.region,
        "labels": {key: view.labels[key] for key in sorted(view.labels)},
        "version": view.version,
        "connected": view.connected,
        # (epoch, revision), the epoch only where the database was restored.
        "config_version": view.config_version.revision if view.HasField("config_version") else None,
        "config_epoch": view.config_version.epoch if view.HasField("config_version") else None,
        "staleness_seconds": view.staleness_seconds,
        "last_nack": view.last_nack or None,
        "spool_bytes": view.spool_bytes,
        "usage_lag_seconds": view.usage_lag_seconds,
        "last_seen": time_text(view.last_seen),
    }


def health_items(view: routing_pb2.ProxyStandings) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """((tenant, provider), item) of circuits that are not closed and of keys that rest, as one proxy says."""
    beside = {"proxy": view.proxy or None, "region": view.region}
    for one in view.standings.standings:
        for circuit in one.circuits:
            state = _enum(config_pb2.CircuitState, "CIRCUIT_STATE_", circuit.state)
            if state not in ("closed", None):
                yield (
                    (one.tenant, one.provider),
                    {"model": one.upstream_model, "key": circuit.key or None, "state": state, **beside},
                )
    for rest in view.standings.resting_keys:
        yield (
            (rest.tenant, rest.provider),
            {"key": rest.key, "state": rest.reason or "resting", "seconds": round(rest.seconds, 1), **beside},
        )


def token_item(view: admin_pb2.TokenView) -> dict[str, Any]:
    return {
        "name": view.name,
        "role": view.role,
        "tenant": view.tenant or None,
        "public_id": view.public_id,
        "created_at": time_text(view.created_at),
        "expires_at": time_text(view.expires_at),
        "revoked_at": time_text(view.revoked_at),
    }


def call_item(view: admin_pb2.CallView) -> dict[str, Any]:
    return {
        "request_id": view.request_id,
        "time": time_text(view.time),
        "tenant": view.tenant,
        "key": view.key,
        "user": view.user or None,
        "route": view.route or None,
        "model": view.model,
        "provider": view.provider,
        "status": view.status,
        "outcome": _enum(usage_pb2.Outcome, "OUTCOME_", view.outcome),
        "attempts": view.attempts,
        "cost_usd": _optional(view, "cost_usd"),
        **{name: getattr(view, name) for name in _TOKENS},
        "latency_ms": view.latency_ms,
        "first_token_ms": _optional(view, "first_token_ms"),
        "task": view.task or None,
        "experiment": view.experiment or None,
        "cache": (_enum(usage_pb2.CacheResult, "CACHE_RESULT_", view.cache) or "off").replace("_", "-"),
        "region": view.region,
    }


def attempt_item(view: admin_pb2.AttemptView) -> dict[str, Any]:
    return {
        "id": view.id,
        "model": view.model,
        "provider": view.provider,
        "upstream_model": view.upstream_model,
        "upstream_request_id": view.upstream_request_id or None,
        "outcome": _enum(usage_pb2.Outcome, "OUTCOME_", view.outcome),
        "status": view.status,
        "reason": _enum(usage_pb2.Reason, "REASON_", view.reason),
        "started_ms": view.started_ms,
        "latency_ms": view.latency_ms,
        "first_token_ms": _optional(view, "first_token_ms"),
        **{name: getattr(view, name) for name in _TOKENS},
        "cost_usd": _optional(view, "cost_usd"),
        "estimated": view.estimated,
    }


def usage_item(by: list[str], row: admin_pb2.UsageRow) -> dict[str, Any]:
    optional = ("cost_usd", "p50_ms", "p95_ms", "first_token_p50_ms")
    figures = {n: _optional(row, n) if n in optional else getattr(row, n) for n in USAGE_COLUMNS}
    return {**dict(zip(by, row.group, strict=False)), **figures}


def revision_item(view: admin_pb2.RevisionView) -> dict[str, Any]:
    return {
        "revision": view.revision,
        "time": time_text(view.time),
        "actor": view.actor,
        "source": view.source,
        "changes": list(view.changes),
    }


def _optional(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _enum(enum: Any, prefix: str, value: int) -> str | None:
    """`OUTCOME_RACE_LOST` as `race_lost`; None if unspecified. A newer server's value stays a number."""
    if value == 0:
        return None
    if value not in enum.values():
        return str(value)
    return str(enum.Name(value)).removeprefix(prefix).lower()
