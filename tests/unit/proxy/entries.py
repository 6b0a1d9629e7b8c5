"""Config entries and updates as a control plane sends them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from headgate.rules.spec import parse
from headgate.v1 import config_pb2, resources_pb2

Entry = config_pb2.ConfigEntry


def provider(
    name: str, tenant: str = "default", secrets: Mapping[str, str] | None = None, **spec: Any
) -> Entry:
    message = parse(resources_pb2.Provider, {"name": name, "tenant": tenant, "kind": "openai", **spec})
    kept = [
        config_pb2.ProviderSecret(name=key, value=value.encode()) for key, value in (secrets or {}).items()
    ]
    return Entry(provider=config_pb2.ProviderConfig(spec=message, secrets=kept))


def model(name: str, provider: str, tenant: str = "default", disabled: bool = False, **spec: Any) -> Entry:
    message = parse(resources_pb2.Model, {"name": name, "tenant": tenant, "provider": provider, **spec})
    return Entry(model=config_pb2.ModelConfig(spec=message), disabled=disabled)


def route(name: str, policy: Any, tenant: str = "default", disabled: bool = False, **spec: Any) -> Entry:
    message = parse(resources_pb2.Route, {"name": name, "tenant": tenant, "policy": policy, **spec})
    return Entry(route=message, disabled=disabled)


def key(name: str, tenant: str = "default", secret: str = "", **spec: Any) -> Entry:
    message = parse(resources_pb2.Key, {"name": name, "tenant": tenant, **spec})
    credential = config_pb2.Credential(
        sha256=hashlib.sha256((secret or f"secret of {name}").encode()).digest(), public_id=name
    )
    return Entry(key=config_pb2.KeyConfig(spec=message, credentials=[credential]))


def tenant(name: str, disabled: bool = False) -> Entry:
    return Entry(tenant=resources_pb2.Tenant(name=name), disabled=disabled)


def version(revision: int, epoch: int = 1) -> config_pb2.Version:
    return config_pb2.Version(epoch=epoch, revision=revision)


def update(
    revision: int,
    *entries: Entry,
    base: int | None = None,
    removals: Iterable[tuple[str, str, str]] = (),
    last: bool = True,
    nonce: str = "",
    epoch: int = 1,
) -> config_pb2.ConfigUpdate:
    return config_pb2.ConfigUpdate(
        version=version(revision, epoch),
        nonce=nonce or f"n{revision}",
        base=None if base is None else version(base, epoch),
        upserts=entries,
        removals=[config_pb2.ConfigName(kind=k, tenant=t, name=n) for k, t, n in removals],
        last=last,
    )
