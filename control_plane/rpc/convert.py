"""Between values of the services and messages of the contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.errors import InvalidField
from control_plane.experiments.state import Decided
from control_plane.resources.model import Applied, ChangeType, Ref, State, Stored, make_ref
from control_plane.revisions.model import Version
from control_plane.tokens.model import Principal
from headgate.rules.names import KINDS, singular
from headgate.rules.spec import parse
from headgate.v1 import admin_pb2, config_pb2, resources_pb2

SPEC_TYPES: dict[str, type[Message]] = {name: getattr(resources_pb2, name.capitalize()) for name in KINDS}
_CHANGES = {
    ChangeType.CREATED: admin_pb2.CHANGE_TYPE_CREATED,
    ChangeType.CHANGED: admin_pb2.CHANGE_TYPE_CHANGED,
    ChangeType.UNCHANGED: admin_pb2.CHANGE_TYPE_UNCHANGED,
    ChangeType.PRUNED: admin_pb2.CHANGE_TYPE_PRUNED,
}


def kind_of(text: str) -> str:
    kind = singular(text)
    if kind not in KINDS:
        raise InvalidField("kind", f"unknown kind {text[:64]!r}; known are {', '.join(KINDS)}")
    return str(kind)


# Of the audit trail, beside the kinds of resources.
OTHER_KINDS = ("token", "kek", "usage", "rollout")


def kind_of_change(text: str) -> str:
    """The audit trail knows more than resources."""
    return text if text in OTHER_KINDS else kind_of(text)


def ref_of(kind: str, tenant: str, name: str, caller: Principal) -> Ref:
    """An empty tenant is the token's own, else `default`."""
    if not name:
        raise InvalidField("name", "is missing")
    return make_ref(kind_of(kind), tenant or caller.tenant or "", name)


def set_time(target: Timestamp, value: datetime | None) -> None:
    if value is not None:
        target.FromDatetime(value)


def time_of(message: Timestamp, field: str) -> datetime:
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidField(field, "is not a time") from None


def timedelta_of(message: Duration, field: str) -> timedelta:
    try:
        return message.ToTimedelta()
    except (ValueError, OverflowError):
        raise InvalidField(field, "is not a duration") from None


def version_message(version: Version) -> config_pb2.Version:
    return config_pb2.Version(epoch=version.epoch, revision=version.revision)


def resource_view(stored: Stored) -> resources_pb2.ResourceView:
    view = resources_pb2.ResourceView(source=stored.source, revision=stored.revision)
    getattr(view.resource, stored.ref.kind).CopyFrom(parse(SPEC_TYPES[stored.ref.kind], stored.spec))
    set_time(view.updated_at, stored.updated_at)
    _fill_state(view.state, stored.state)
    if stored.ref.kind == "experiment" and stored.state.detail:
        decided_message(view.state.experiment, Decided.of(view.resource.experiment, stored.state.detail))
    return view


def _fill_state(message: resources_pb2.ResourceState, state: State) -> None:
    message.SetInParent()
    message.disabled = state.disabled
    message.disabled_reason = state.disabled_reason
    for key in state.provider_keys:
        set_time(message.provider_keys.add(name=key.name, origin=key.origin).updated_at, key.updated_at)
    for credential in state.credentials:
        added = message.credentials.add(public_id=credential.public_id)
        set_time(added.created_at, credential.created_at)
        set_time(added.expires_at, credential.expires_at)
        set_time(added.revoked_at, credential.revoked_at)


def decided_message(message: resources_pb2.ExperimentState, decided: Decided) -> None:
    message.winner, message.evidence, message.would_win = decided.winner, decided.evidence, decided.would_win
    set_time(message.decided_at, datetime.fromisoformat(decided.decided_at) if decided.decided_at else None)
    for one in decided.stopped:
        added = message.stopped.add(variant=one.variant, evidence=one.evidence)
        set_time(added.stopped_at, datetime.fromisoformat(one.stopped_at))


def applied_message(applied: Applied, with_secrets: bool) -> admin_pb2.ApplyResourcesResponse:
    answer = admin_pb2.ApplyResourcesResponse(revision=applied.revision, changes=changes_of(applied))
    if with_secrets:
        for ref, minted in applied.minted:
            answer.minted.append(minted_message(ref.kind, ref.tenant, ref.name, minted.secret.text))
    return answer


def changes_of(applied: Applied) -> list[admin_pb2.ResourceChange]:
    return [
        admin_pb2.ResourceChange(
            kind=change.ref.kind,
            tenant=change.ref.shown_tenant,
            name=change.ref.name,
            change=_CHANGES[change.type],
            differences=change.differences,
            overrides=change.overrides,
        )
        for change in applied.changes
    ]


def minted_message(kind: str, tenant: str, name: str, secret: str) -> admin_pb2.MintedSecret:
    return admin_pb2.MintedSecret(kind=kind, tenant=tenant, name=name, secret=secret)
