"""What every call of one key, route, target and provider key has in common, prepared once.

The record's constant part (also the front of its intent), the constant part of its log line, and the
metric series it adds to: a call pays one dictionary look-up for the three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from headgate.policy.facts import Assignment
from headgate.v1 import usage_pb2
from proxy.config.model import Key, ProviderKey, Route, Target
from proxy.metrics import Metrics, Series

# Of the body's `user`, which has no limit of its own: the control plane refuses records over 64 KiB.
MAX_USER_CHARACTERS = 256
# Distinct combinations remembered under one snapshot.
MAX_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class Labels:
    """What a request says about itself."""

    user: str = ""
    session: str = ""
    task: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    purpose: usage_pb2.Purpose = usage_pb2.PURPOSE_UNSPECIFIED


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    # Serialised UsageRecord with everything that is known before the attempt.
    record: bytes
    # `"tenant":…,"key":…,"route":…,"model":…`
    log: bytes
    series: Series
    target: Target


# (…, operation, stream, assignment, outside_variant)
_Identity: TypeAlias = tuple[Key, Route, Target, ProviderKey | None, str, bool, Assignment | None, bool]


class Accounts:
    def __init__(self, metrics: Metrics, region: str) -> None:
        self._metrics = metrics
        self._region = region
        self._known: dict[_Identity, Account] = {}

    def forget(self) -> None:
        """A new snapshot: its keys and targets are other objects."""
        self._known.clear()

    def account(
        self,
        key: Key,
        route: Route,
        target: Target,
        provider_key: ProviderKey | None,
        operation: str,
        stream: bool,
        labels: Labels | None,
        assignment: Assignment | None = None,
        outside_variant: bool = False,
    ) -> Account:
        """`labels` None: the request says nothing about itself, which is the usual case.

        `assignment`: which variant of an experiment it got; `outside_variant`: this attempt is none of that
        variant's. There are few of these, so that they are prepared too.
        """
        identity = (key, route, target, provider_key, operation, stream, assignment, outside_variant)
        account = self._known.get(identity)
        if account is None:
            account = self._made(*identity)
            # What runs in the background has a route of its own each time.
            if labels is None or not labels.purpose:
                if len(self._known) >= MAX_ACCOUNTS:
                    self._known.clear()
                self._known[identity] = account
        if labels is None:
            return account
        # What follows in a serialised message counts, and maps are joined.
        said = usage_pb2.UsageRecord(
            user=labels.user[:MAX_USER_CHARACTERS],
            session=labels.session,
            task=labels.task,
            metadata=dict(labels.metadata),
            purpose=labels.purpose,
        ).SerializeToString()
        return Account(account.record + said, account.log, account.series, target)

    def _made(
        self,
        key: Key,
        route: Route,
        target: Target,
        provider_key: ProviderKey | None,
        operation: str,
        stream: bool,
        assignment: Assignment | None,
        outside_variant: bool,
    ) -> Account:
        record = usage_pb2.UsageRecord(
            tenant=key.tenant,
            key=key.name,
            route=route.name,
            model=target.model,
            provider=target.provider.name,
            upstream_model=target.upstream_model,
            provider_key=provider_key.name if provider_key is not None else "",
            region=self._region,
            operation=operation,
            stream=stream,
            task=route.task,
            metadata=dict(key.metadata),
            price_version=target.price_version,
            cache=usage_pb2.CACHE_RESULT_OFF,
            **_of_experiment(assignment, outside_variant),
        ).SerializeToString()
        said = {"tenant": key.tenant, "key": key.name, "route": route.name, "model": target.label}
        return Account(
            record,
            orjson.dumps(said)[1:-1],
            self._metrics.series(route.name, target.model, target.provider.name),
            target,
        )


def _of_experiment(assignment: Assignment | None, outside_variant: bool) -> dict[str, Any]:
    if assignment is None:
        return {}
    return {
        "experiment": assignment.experiment,
        "variant": assignment.variant,
        "variant_by_request": assignment.by_request,
        "outside_variant": outside_variant,
    }
