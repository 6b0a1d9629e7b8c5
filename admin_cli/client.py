"""The way to the control plane: channel, credentials, deadlines, and gRPC's errors as ours.

Every call has a deadline. The token travels over TLS or to loopback, never in plain text elsewhere.
This is the only module of the command that knows gRPC; methods are called by name, so that no
generated stub has to be imported.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from admin_cli.address import Address, parse_address
from admin_cli.errors import (
    CliError,
    Conflict,
    ExitCode,
    NotFound,
    PermissionDenied,
    Refused,
    ServerProblem,
    Unavailable,
)
from admin_cli.progress import working
from admin_cli.state import ADDRESS_DEFAULT, StateFolder, read_json, read_secret
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2

A = TypeVar("A", bound=Message)

DEADLINE_SECONDS = 15.0
# Large manifests validate every reference in one transaction.
APPLY_DEADLINE_SECONDS = 60.0
# How long commands that change something wait for the proxies, by the interface.
AWAIT_SECONDS = 5.0
# A thousand resources of the largest sensible size.
MAX_MESSAGE_BYTES = 64 * 2**20
REPEAT_AFTER_SECONDS = 0.3
PROBLEMS_KEY = "headgate-problems-bin"


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the control plane is and how to speak to it."""

    address: Address
    token: Secret | None = None
    ca_file: Path | None = None

    @classmethod
    def from_environment(cls) -> Connection:
        """HEADGATE_CONTROL_PLANE, HEADGATE_TOKEN and HEADGATE_CA_FILE, else what `up` left behind."""
        state = StateFolder.from_environment()
        text = os.environ.get("HEADGATE_CONTROL_PLANE", "").strip()
        if not text:
            text = str((read_json(state.up_file) or {}).get("grpc") or ADDRESS_DEFAULT)
        token = Secret(os.environ.get("HEADGATE_TOKEN", "").strip()) or read_secret(state.admin_token)
        ca_file = os.environ.get("HEADGATE_CA_FILE")
        # Several addresses are allowed where a proxy takes them; the command uses the first.
        first = text.replace(",", " ").split()[0]
        return cls(parse_address(first, "HEADGATE_CONTROL_PLANE"), token, Path(ca_file) if ca_file else None)


# Methods of other services than AdminService.
_SERVICES = {
    **dict.fromkeys(("ExplainRoute", "ListStandings", "Replay"), "RoutingService"),
    "CreateJoinToken": "IdentityService",
    "ListJoinTokens": "IdentityService",
    "RevokeJoinToken": "IdentityService",
    **dict.fromkeys(("ListQuarantined", "RetryQuarantined", "DismissQuarantined"), "QuarantineService"),
    **dict.fromkeys(("StartRollout", "ListRollouts", "PromoteRollout", "HaltRollout"), "RolloutService"),
    "GetSealing": "SealingService",
    "RotateKek": "SealingService",
    "Rollback": "HistoryService",
    "ListChanges": "HistoryService",
    "ShowExperiment": "ExperimentService",
    "ExportExperiment": "ExperimentService",
    "PromoteExperiment": "ExperimentService",
    "StopExperiment": "ExperimentService",
    "StartExperiment": "ExperimentService",
    "ListTaskFit": "ExperimentService",
}


def _path(method: str) -> str:
    return f"/headgate.v1.{_SERVICES.get(method, 'AdminService')}/{method}"


class AdminClient:
    """headgate.v1's services for administration. Use as a context manager."""

    def __init__(self, connection: Connection, *, quiet: bool = False) -> None:
        """`quiet`: somebody else shows progress."""
        self._connection = connection
        self._quiet = quiet
        # No HTTP proxy between this machine and its own loopback.
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.enable_http_proxy", 0 if connection.address.is_loopback else 1),
        ]
        target = str(connection.address)
        if connection.ca_file is not None:
            roots = connection.ca_file.read_bytes()
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(roots), options)
        elif connection.address.is_loopback:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def call(
        self, method: str, request: Message, answer: type[A], deadline_seconds: float = DEADLINE_SECONDS
    ) -> A:
        """One unary call. Raises a CliError whose exit code is the interface's for its status."""
        with nullcontext() if self._quiet else working(f"waiting for the control plane ({method})"):
            return self._call(method, request, answer, deadline_seconds)

    def call_repeatable(
        self, method: str, request: Message, answer: type[A], deadline_seconds: float = DEADLINE_SECONDS
    ) -> A:
        """A call with a `request_id`: an answer that got lost is asked for once more."""
        try:
            return self.call(method, request, answer, deadline_seconds)
        except Unavailable:
            time.sleep(REPEAT_AFTER_SECONDS)
            return self.call(method, request, answer, deadline_seconds)

    def _call(self, method: str, request: Message, answer: type[A], deadline_seconds: float) -> A:
        invoke: Any = self._channel.unary_unary(
            _path(method),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            reply: A = invoke(request, timeout=deadline_seconds, metadata=self._metadata())
        except grpc.RpcError as error:
            raise self._error(error) from None
        return reply

    def stream(self, method: str, request: Message, answer: type[A]) -> Iterator[A]:
        """A server stream, until it ends or the caller stops reading."""
        invoke: Any = self._channel.unary_stream(
            _path(method),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        try:
            yield from invoke(request, metadata=self._metadata())
        except grpc.RpcError as error:
            raise self._error(error) from None

    def pages(
        self,
        method: str,
        request: Any,
        answer: type[A],
        items: Callable[[A], Any],
        limit: int | None = None,
    ) -> Iterator[Any]:
        """All items of a paginated list, at most `limit`."""
        count = 0
        while True:
            if limit is not None:
                request.page_size = min(1000, limit - count)
            reply = self.call(method, request, answer)
            for item in items(reply):
                if limit is not None and count >= limit:
                    return
                count += 1
                yield item
            request.page_token = reply.next_page_token  # type: ignore[attr-defined]
            if not request.page_token or (limit is not None and count >= limit):
                return

    def await_revision(
        self, revision: int, seconds: float = AWAIT_SECONDS
    ) -> admin_pb2.AwaitRevisionResponse:
        """Waits until the connected proxies acknowledged `revision`, at most `seconds`."""
        request = admin_pb2.AwaitRevisionRequest(
            revision=revision, timeout=Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
        )
        return self.call("AwaitRevision", request, admin_pb2.AwaitRevisionResponse, seconds + 5)

    def _metadata(self) -> list[tuple[str, str]]:
        token = self._connection.token
        return [("authorization", f"Bearer {token.text}")] if token else []

    def _error(self, error: grpc.RpcError) -> CliError:
        return from_rpc(error, self._connection)


def from_rpc(error: Any, connection: Connection) -> CliError:
    """A gRPC error as the command's own: the one place where statuses become exit codes."""
    status = error.code()
    details = (error.details() or "").strip() or status.name
    problems = _problems(error)
    code = grpc.StatusCode
    if problems:
        conflict = status in (code.ALREADY_EXISTS, code.ABORTED, code.FAILED_PRECONDITION)
        return Refused(details, problems, ExitCode.CONFLICT if conflict else ExitCode.FAILED)
    if status == code.NOT_FOUND:
        return NotFound(details, "`headgate get KIND` lists what there is; another tenant's needs --tenant")
    if status in (code.ALREADY_EXISTS, code.FAILED_PRECONDITION):
        return Conflict(details)
    if status == code.ABORTED:
        return Conflict(details, "somebody changed it meanwhile: look (`headgate diff`), then try again")
    if status == code.UNAUTHENTICATED:
        if not connection.token:
            hint = "set HEADGATE_TOKEN to an admin token, or start everything with `headgate up`"
            return PermissionDenied("no admin token was found", hint)
        return PermissionDenied(
            f"the admin token was refused: {details}",
            "check HEADGATE_TOKEN, or the file admin-token in the state folder",
        )
    if status == code.PERMISSION_DENIED:
        return PermissionDenied(details, "use a token with a role that reaches this (HEADGATE_TOKEN)")
    if status == code.UNAVAILABLE:
        return Unavailable(
            f"the control plane at {connection.address} cannot be reached or used: {details}",
            _reach_hint(connection),
        )
    if status == code.DEADLINE_EXCEEDED:
        return Unavailable(
            f"the control plane at {connection.address} did not answer in time",
            "try again; see `headgate doctor`",
        )
    if status == code.UNIMPLEMENTED:
        return CliError(f"not supported by this control plane: {details}")
    return CliError(details)


def _reach_hint(connection: Connection) -> str:
    if not connection.address.is_loopback and connection.ca_file is None:
        return "is HEADGATE_CONTROL_PLANE right? HEADGATE_CA_FILE names the CA if it is not a public one"
    return "is it running (`headgate up`)? HEADGATE_CONTROL_PLANE=HOST:PORT names another"


def _problems(error: Any) -> tuple[ServerProblem, ...]:
    """The field violations that came along, as JSON in the trailing metadata."""
    for key, value in error.trailing_metadata() or ():
        if key != PROBLEMS_KEY:
            continue
        try:
            return tuple(
                ServerProblem(
                    str(item.get("resource", "")),
                    int(item.get("index", -1)),
                    str(item.get("path", "")),
                    str(item.get("message", "")),
                )
                for item in json.loads(value)
            )
        except (ValueError, TypeError, AttributeError):
            return ()
    return ()
