"""Errors as gRPC status: the only place where either knows of the other.

Problems of specs go as data into the trailing metadata `headgate-problems-bin`: a JSON list of
{"resource", "index", "path", "message"}; the first ones are also in the status message, in words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import grpc
from grpc import StatusCode as Code

from control_plane.errors import DatabaseAway, InvalidField, QueryTooLong
from control_plane.experiments.errors import ExperimentNotFound
from control_plane.fleet.errors import BadHello, NotItself
from control_plane.identity.errors import JoinTokenNotFound, NoListener, WrongRegion
from control_plane.keys.errors import HashInUse
from control_plane.minted.errors import RequestIdReused
from control_plane.plans.errors import NoSuchKey, NoSuchRoute, NotCallable, ReplayRunning
from control_plane.providers.errors import ProviderKeyNotFound
from control_plane.resources.errors import (
    BadSpecs,
    DanglingReferences,
    OwnedByOthers,
    ResourceExists,
    ResourceNotFound,
    SpecProblem,
    StillReferenced,
)
from control_plane.revisions.errors import NoSuchRevision, RevisionMismatch
from control_plane.rollouts.errors import (
    AnotherRollout,
    ChangedMeanwhile,
    NoRollout,
    NothingToRollOut,
    RolloutUnderWay,
)
from control_plane.secrets.errors import CannotOpen, SecretsSealed
from control_plane.snapshots.errors import NoSnapshot
from control_plane.tokens.errors import (
    BootstrapClosed,
    NotAllowed,
    NotAuthenticated,
    TokenExists,
    TokenNotFound,
    TooManyAtOnce,
)
from control_plane.usage.errors import BatchTooLarge, CallNotFound, NotQuarantined
from headgate.rules.names import did_you_mean

PROBLEMS_METADATA = "headgate-problems-bin"
MAX_PROBLEMS_IN_WORDS = 3
# Trailing metadata beyond 8 KiB is refused by many peers.
MAX_PROBLEMS_BYTES = 7_000


@dataclass(frozen=True, slots=True)
class Status:
    code: grpc.StatusCode
    message: str
    trailing: tuple[tuple[str, str | bytes], ...] = ()


def status_of(error: Exception) -> Status | None:
    """None: not one of ours, a bug."""
    make = _STATUS.get(type(error))
    return make(error) if make else None


def _problems(code: grpc.StatusCode) -> Callable[[Any], Status]:
    def make(error: BadSpecs | DanglingReferences) -> Status:
        shown = [_in_words(problem) for problem in error.problems[:MAX_PROBLEMS_IN_WORDS]]
        if (more := len(error.problems) - len(shown)) > 0:
            shown.append(f"and {more} more")
        return Status(code, "; ".join(shown), ((PROBLEMS_METADATA, _as_json(error.problems)),))

    return make


def _no_route(error: NoSuchRoute) -> str:
    known = f"; there are {', '.join(error.known)}" if error.known else ""
    return f"there is no route or model {error.name[:256]!r}{did_you_mean(error.name, error.known)}{known}"


def _in_words(problem: SpecProblem) -> str:
    return ": ".join(part for part in (problem.resource, problem.path, problem.message) if part)


def _as_json(problems: Sequence[SpecProblem]) -> bytes:
    """As many as fit."""
    listed = [asdict(problem) for problem in problems]
    while (
        len(data := json.dumps(listed, ensure_ascii=False).encode()) > MAX_PROBLEMS_BYTES and len(listed) > 1
    ):
        listed = listed[: max(1, len(listed) * MAX_PROBLEMS_BYTES // len(data))]
    return data


def _owned(error: OwnedByOthers) -> Status:
    words = ", ".join(f"{ref} belongs to source {source!r}" for ref, source in error.owned)
    problems = [SpecProblem(str(ref), -1, "", f"belongs to source {source!r}") for ref, source in error.owned]
    return Status(Code.FAILED_PRECONDITION, words, ((PROBLEMS_METADATA, _as_json(problems)),))


def _not_found(error: ResourceNotFound) -> Status:
    place = f"{error.tenant}/{error.name}" if error.tenant else error.name
    return Status(Code.NOT_FOUND, f"there is no {error.kind} {place}")


_STATUS: dict[type[Exception], Callable[[Any], Status]] = {
    NotAuthenticated: lambda e: Status(Code.UNAUTHENTICATED, "no valid token"),
    NotItself: lambda e: Status(
        Code.PERMISSION_DENIED, f"the certificate is of proxy {e.name} in region {e.region}"
    ),
    NotAllowed: lambda e: Status(Code.PERMISSION_DENIED, f"this needs the role {e.needed}"),
    TooManyAtOnce: lambda e: Status(Code.RESOURCE_EXHAUSTED, f"more than {e.limit} at once"),
    DatabaseAway: lambda e: Status(Code.UNAVAILABLE, f"the database is away ({e.detail})"),
    NoSnapshot: lambda e: Status(Code.UNAVAILABLE, f"there is no snapshot to send: {e.reason}"),
    QueryTooLong: lambda e: Status(
        Code.DEADLINE_EXCEEDED, f"the query took longer than {e.seconds:g} s; ask for less"
    ),
    InvalidField: lambda e: Status(Code.INVALID_ARGUMENT, f"{e.field}: {e.problem}"),
    BadHello: lambda e: Status(Code.FAILED_PRECONDITION, e.problem),
    BatchTooLarge: lambda e: Status(Code.RESOURCE_EXHAUSTED, e.problem),
    BadSpecs: _problems(Code.INVALID_ARGUMENT),
    DanglingReferences: _problems(Code.FAILED_PRECONDITION),
    OwnedByOthers: _owned,
    ResourceNotFound: _not_found,
    ResourceExists: lambda e: Status(Code.ALREADY_EXISTS, f"{e.ref} is there already"),
    StillReferenced: lambda e: Status(
        Code.FAILED_PRECONDITION, f"{e.ref} is still used by {', '.join(map(str, e.by))}"
    ),
    NoSuchRevision: lambda e: Status(
        Code.NOT_FOUND, f"there is no revision {e.revision}; the newest is {e.head}"
    ),
    RevisionMismatch: lambda e: Status(
        Code.ABORTED, f"the revision is {e.found}, not {e.expected}: somebody changed the config"
    ),
    HashInUse: lambda e: Status(Code.ALREADY_EXISTS, f"keys/{e.tenant}/{e.key}: sha256 is in use"),
    ProviderKeyNotFound: lambda e: Status(
        Code.NOT_FOUND, f"there is no key {e.key} of provider {e.tenant}/{e.provider}"
    ),
    JoinTokenNotFound: lambda e: Status(Code.NOT_FOUND, f"there is no join token {e.public_id[:64]!r}"),
    NoListener: lambda e: Status(
        Code.FAILED_PRECONDITION,
        "no listener takes certificates here; start the control plane with --proxies HOST:PORT",
    ),
    WrongRegion: lambda e: Status(
        Code.PERMISSION_DENIED, f"this join token is for proxies of region {e.region}"
    ),
    TokenNotFound: lambda e: Status(Code.NOT_FOUND, f"there is no token {e.name}"),
    TokenExists: lambda e: Status(Code.ALREADY_EXISTS, f"there is a token {e.name} already"),
    BootstrapClosed: lambda e: Status(
        Code.FAILED_PRECONDITION, "there are tokens already; ask an owner for one"
    ),
    RequestIdReused: lambda e: Status(
        Code.INVALID_ARGUMENT, f"request_id {e.request_id!r} was used for another call"
    ),
    SecretsSealed: lambda e: Status(Code.FAILED_PRECONDITION, f"sealed: {e.reason}"),
    CannotOpen: lambda e: Status(Code.FAILED_PRECONDITION, f"a stored secret cannot be opened: {e.place}"),
    NoSuchRoute: lambda e: Status(Code.NOT_FOUND, _no_route(e)),
    ReplayRunning: lambda e: Status(
        Code.RESOURCE_EXHAUSTED, "another replay is running; start this one when it has ended"
    ),
    NoSuchKey: lambda e: Status(Code.NOT_FOUND, f"there is no key {e.name[:80]!r}"),
    NotCallable: lambda e: Status(Code.FAILED_PRECONDITION, f"{e.name!r} would not answer: {e.why}"),
    ExperimentNotFound: lambda e: Status(Code.NOT_FOUND, f"there is no experiment {e.name[:80]!r}"),
    RolloutUnderWay: lambda e: Status(
        Code.ABORTED, f"rollout {e.revision} is under way; promote or halt it first"
    ),
    NoRollout: lambda e: Status(Code.NOT_FOUND, "no rollout is under way"),
    AnotherRollout: lambda e: Status(Code.ABORTED, f"rollout {e.found} is under way, not {e.expected}"),
    ChangedMeanwhile: lambda e: Status(
        Code.FAILED_PRECONDITION, f"{e.ref} was declared otherwise or deleted since the rollout began"
    ),
    NothingToRollOut: lambda e: Status(Code.FAILED_PRECONDITION, "all of it is declared like this already"),
    NotQuarantined: lambda e: Status(Code.NOT_FOUND, f"there is no record {e.id} in quarantine"),
    CallNotFound: lambda e: Status(Code.NOT_FOUND, f"there is no call {e.request_id}"),
}
