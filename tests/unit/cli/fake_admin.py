"""An AdminService that lives in memory: enough of the control plane for the command to talk to.

Run as a program (`fake_admin.py --grpc … --ready-file …`) it stands in for `python -m control_plane`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from headgate.rules.credentials import JOIN_PREFIX, KEY_PREFIX, TOKEN_PREFIX, mint, public_part
from headgate.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    resources_pb2,
    rollout_pb2,
    rollout_pb2_grpc,
    routing_pb2,
    routing_pb2_grpc,
    usage_pb2,
)

KINDS = ("tenant", "provider", "model", "route", "key")


# As `up` calls its proxy on a machine called so.
LOCAL_PROXY = f"{socket.gethostname().lower()}-local"


class FakeAdmin(admin_pb2_grpc.AdminServiceServicer):
    def __init__(self) -> None:
        self.resources: dict[tuple[str, str, str], resources_pb2.Resource] = {}
        self.states: dict[tuple[str, str, str], resources_pb2.ResourceState] = {}
        self.tokens: dict[str, tuple[str, str]] = {}
        self.revision = 0
        self.requests: list[Any] = []
        # Method name → (status, details, problems) with which it fails.
        self.failures: dict[str, tuple[grpc.StatusCode, str, list[dict[str, Any]]]] = {}
        self.lose_answers = 0
        self.await_answer = admin_pb2.AwaitRevisionResponse(acknowledged=1)
        self.calls: list[admin_pb2.CallView] = []

    def _enter(self, method: str, request: Any, context: Any, *, authenticated: bool = True) -> None:
        self.requests.append(request)
        if method in self.failures:
            status, details, problems = self.failures[method]
            if problems:
                context.set_trailing_metadata((("headgate-problems-bin", json.dumps(problems).encode()),))
            context.abort(status, details)
        sent = dict(context.invocation_metadata()).get("authorization", "").removeprefix("Bearer ")
        if authenticated and sent not in [token for token, _ in self.tokens.values()]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no valid token")
        if self.lose_answers:
            self.lose_answers -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "the answer got lost")

    def _mint_token(self, name: str, role: str, context: Any) -> admin_pb2.MintedSecret:
        if name in self.tokens:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"token {name!r} exists")
        secret = mint(TOKEN_PREFIX).secret.text
        self.tokens[name] = (secret, role)
        return admin_pb2.MintedSecret(kind="token", name=name, secret=secret)

    def BootstrapToken(self, request: Any, context: Any) -> Any:
        self._enter("BootstrapToken", request, context, authenticated=False)
        if self.tokens:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "there are tokens already")
        return admin_pb2.BootstrapTokenResponse(
            minted=self._mint_token(request.name or "owner", "owner", context)
        )

    def CreateToken(self, request: Any, context: Any) -> Any:
        self._enter("CreateToken", request, context)
        return admin_pb2.CreateTokenResponse(minted=self._mint_token(request.name, request.role, context))

    def RevokeToken(self, request: Any, context: Any) -> Any:
        self._enter("RevokeToken", request, context)
        if self.tokens.pop(request.name, None) is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no token {request.name!r}")
        return admin_pb2.RevokeTokenResponse()

    def ListTokens(self, request: Any, context: Any) -> Any:
        self._enter("ListTokens", request, context)
        views = [
            admin_pb2.TokenView(name=name, role=role, public_id=public_part(secret))
            for name, (secret, role) in self.tokens.items()
        ]
        return admin_pb2.ListTokensResponse(tokens=views)

    def ApplyResources(self, request: Any, context: Any) -> Any:
        self._enter("ApplyResources", request, context)
        changes, minted = [], []
        staged = dict(self.resources)
        for resource in request.resources:
            kind, one = self.identity(resource)
            before = staged.get((kind, *one))
            change = admin_pb2.CHANGE_TYPE_CREATED if before is None else admin_pb2.CHANGE_TYPE_CHANGED
            if before == resource:
                change = admin_pb2.CHANGE_TYPE_UNCHANGED
            staged[kind, *one] = resource
            changes.append(admin_pb2.ResourceChange(kind=kind, tenant=one[0], name=one[1], change=change))
            if kind == "key" and before is None and not request.dry_run:
                secret = mint(KEY_PREFIX).secret.text
                minted.append(admin_pb2.MintedSecret(kind="key", tenant=one[0], name=one[1], secret=secret))
        if not request.dry_run and any(c.change != admin_pb2.CHANGE_TYPE_UNCHANGED for c in changes):
            self.resources = staged
            self.revision += 1
        return admin_pb2.ApplyResourcesResponse(changes=changes, revision=self.revision, minted=minted)

    def GetResource(self, request: Any, context: Any) -> Any:
        self._enter("GetResource", request, context)
        return admin_pb2.GetResourceResponse(
            resource=self._view(self._known(request.kind, request.tenant, request.name, context))
        )

    def ListResources(self, request: Any, context: Any) -> Any:
        self._enter("ListResources", request, context)
        found = [
            key
            for key in sorted(self.resources, key=lambda key: (KINDS.index(key[0]), key))
            if request.kind in ("", key[0]) and request.tenant in ("", key[1])
        ]
        first = int(request.page_token or 0)
        last = first + (request.page_size or 1000)
        return admin_pb2.ListResourcesResponse(
            resources=[self._view(key) for key in found[first:last]],
            next_page_token=str(last) if last < len(found) else "",
            revision=self.revision,
        )

    def DeleteResource(self, request: Any, context: Any) -> Any:
        self._enter("DeleteResource", request, context)
        del self.resources[self._known(request.kind, request.tenant, request.name, context)]
        self.revision += 1
        return admin_pb2.DeleteResourceResponse(revision=self.revision)

    def SetDisabled(self, request: Any, context: Any) -> Any:
        self._enter("SetDisabled", request, context)
        key = self._known(request.kind, request.tenant, request.name, context)
        self.states[key] = resources_pb2.ResourceState(
            disabled=request.disabled, disabled_reason=request.reason
        )
        self.revision += 1
        return admin_pb2.SetDisabledResponse(revision=self.revision)

    def CreateKey(self, request: Any, context: Any) -> Any:
        self._enter("CreateKey", request, context)
        key = ("key", request.key.tenant, request.key.name)
        if key in self.resources:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"key {request.key.name!r} exists")
        self.resources[key] = resources_pb2.Resource(key=request.key)
        self.revision += 1
        return admin_pb2.CreateKeyResponse(minted=self._mint_key(key), revision=self.revision)

    def RotateKey(self, request: Any, context: Any) -> Any:
        self._enter("RotateKey", request, context)
        key = self._known("key", request.tenant, request.name, context)
        self.revision += 1
        return admin_pb2.RotateKeyResponse(minted=self._mint_key(key), revision=self.revision)

    def RevokeKey(self, request: Any, context: Any) -> Any:
        self._enter("RevokeKey", request, context)
        self._known("key", request.tenant, request.name, context)
        self.revision += 1
        return admin_pb2.RevokeKeyResponse(revision=self.revision)

    def SetProviderKey(self, request: Any, context: Any) -> Any:
        self._enter("SetProviderKey", request, context)
        self._known("provider", request.tenant, request.provider, context)
        self.revision += 1
        return admin_pb2.SetProviderKeyResponse(revision=self.revision)

    def AwaitRevision(self, request: Any, context: Any) -> Any:
        self._enter("AwaitRevision", request, context)
        return self.await_answer

    def ListProxies(self, request: Any, context: Any) -> Any:
        self._enter("ListProxies", request, context)
        view = admin_pb2.ProxyView(name="p1", region="local", version="0.1.0", connected=True, spool_bytes=7)
        view.config_version.revision = 3
        return admin_pb2.ListProxiesResponse(proxies=[view])

    def ListRevisions(self, request: Any, context: Any) -> Any:
        self._enter("ListRevisions", request, context)
        views = [
            admin_pb2.RevisionView(revision=n, actor="owner", changes=["created route/default/chat"])
            for n in (2, 1)
        ]
        return admin_pb2.ListRevisionsResponse(revisions=views)

    def QueryUsage(self, request: Any, context: Any) -> Any:
        self._enter("QueryUsage", request, context)
        rows = [
            admin_pb2.UsageRow(group=["m"] * len(request.by), calls=2, attempts=3, cost_usd="0.0001707"),
            admin_pb2.UsageRow(group=["u"] * len(request.by), calls=1, attempts=1, unpriced_attempts=1),
        ]
        return admin_pb2.QueryUsageResponse(rows=rows)

    def ListCalls(self, request: Any, context: Any) -> Any:
        self._enter("ListCalls", request, context)
        return admin_pb2.ListCallsResponse(calls=self.calls)

    def GetCall(self, request: Any, context: Any) -> Any:
        self._enter("GetCall", request, context)
        for call in self.calls:
            if call.request_id == request.request_id:
                return admin_pb2.GetCallResponse(call=call)
        return context.abort(grpc.StatusCode.NOT_FOUND, f"there is no call {request.request_id!r}")

    def TailCalls(self, request: Any, context: Any) -> Any:
        self._enter("TailCalls", request, context)
        for call in self.calls:
            yield admin_pb2.TailCallsResponse(call=call)

    def GetStatus(self, request: Any, context: Any) -> Any:
        self._enter("GetStatus", request, context)
        return admin_pb2.GetStatusResponse(software_version="0.1.0", secrets="ok", connected_proxies=1)

    def identity(self, resource: Any) -> tuple[str, tuple[str, str]]:
        kind = resource.WhichOneof("spec")
        message = getattr(resource, kind)
        return kind, (getattr(message, "tenant", ""), message.name)

    def _known(self, kind: str, tenant: str, name: str, context: Any) -> tuple[str, str, str]:
        if (kind, tenant, name) not in self.resources:
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {kind} {name!r}")
        return kind, tenant, name

    def _view(self, key: tuple[str, str, str]) -> resources_pb2.ResourceView:
        return resources_pb2.ResourceView(
            resource=self.resources[key],
            state=self.states.get(key),
            source="manifest",
            revision=self.revision,
        )

    def _mint_key(self, key: tuple[str, str, str]) -> admin_pb2.MintedSecret:
        return admin_pb2.MintedSecret(
            kind="key", tenant=key[1], name=key[2], secret=mint(KEY_PREFIX).secret.text
        )


def call_view(request_id: str) -> admin_pb2.CallView:
    return admin_pb2.CallView(
        request_id=request_id,
        tenant="default",
        key="backend",
        model="m",
        provider="p",
        status=200,
        outcome=usage_pb2.OUTCOME_OK,
        attempts=1,
        cost_usd="0.1",
        cache=usage_pb2.CACHE_RESULT_SEMANTIC_HIT,
        attempt_list=[
            admin_pb2.AttemptView(
                id="a1", model="m", outcome=usage_pb2.OUTCOME_RACE_LOST, reason=usage_pb2.REASON_RATE_LIMITED
            )
        ],
    )


class FakeIdentity(identity_pb2_grpc.IdentityServiceServicer):
    """Whoever is given a token has joined with it."""

    def __init__(self, admin: FakeAdmin) -> None:
        self._admin = admin

    def CreateJoinToken(self, request: Any, context: Any) -> Any:
        secret = mint(JOIN_PREFIX).secret.text
        self._admin.tokens[LOCAL_PROXY] = (secret, "proxy")
        minted = admin_pb2.MintedSecret(kind="join-token", name=public_part(secret), secret=secret)
        return identity_pb2.CreateJoinTokenResponse(minted=minted)


class FakeRollouts(rollout_pb2_grpc.RolloutServiceServicer):
    """One is under way."""

    def __init__(self, admin: FakeAdmin) -> None:
        self._admin = admin

    def ListRollouts(self, request: Any, context: Any) -> Any:
        return rollout_pb2.ListRolloutsResponse(
            rollouts=[rollout_pb2.RolloutView(revision=7, state="canary")]
        )

    def PromoteRollout(self, request: Any, context: Any) -> Any:
        self._admin.requests.append(request)
        return rollout_pb2.PromoteRolloutResponse(revision=9)

    def HaltRollout(self, request: Any, context: Any) -> Any:
        self._admin.requests.append(request)
        return rollout_pb2.HaltRolloutResponse(revision=9)


class FakeRouting(routing_pb2_grpc.RoutingServiceServicer):
    """Nothing was ever measured."""

    def ListStandings(self, request: Any, context: Any) -> Any:
        return routing_pb2.ListStandingsResponse()


def serve(admin: FakeAdmin, address: str) -> tuple[grpc.Server, int]:
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    admin_pb2_grpc.add_AdminServiceServicer_to_server(admin, server)  # type: ignore[no-untyped-call]
    identity = FakeIdentity(admin)
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(identity, server)  # type: ignore[no-untyped-call]
    rollouts = FakeRollouts(admin)
    rollout_pb2_grpc.add_RolloutServiceServicer_to_server(rollouts, server)  # type: ignore[no-untyped-call]
    routing_pb2_grpc.add_RoutingServiceServicer_to_server(FakeRouting(), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port(address)
    server.start()
    return server, port


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in ("--grpc", "--ops", "--proxies", "--ready-file", "--embedded-postgres"):
        parser.add_argument(option)
    arguments = parser.parse_args()
    folder = Path(arguments.embedded_postgres)
    with (folder.parent / "starts").open("a") as starts:
        starts.write(" ".join([arguments.grpc, arguments.ops]) + "\n")
    admin = FakeAdmin()
    tokens = folder / "tokens.json"
    if tokens.exists():  # what a database would keep
        admin.tokens = {name: tuple(pair) for name, pair in json.loads(tokens.read_text()).items()}
    kept = folder / "resources"
    if kept.exists():
        for resource in admin_pb2.ApplyResourcesRequest.FromString(kept.read_bytes()).resources:
            kind, one = admin.identity(resource)
            admin.resources[kind, *one] = resource
    if os.environ.get("FAKE_CONTROL_PLANE_FAILS"):
        raise SystemExit("cannot open the database: it is on fire")
    _, port = serve(admin, arguments.grpc)
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    ready = {
        "grpc": f"127.0.0.1:{port}",
        "ops": "http://127.0.0.1:65001",
        "proxies": arguments.proxies,
        "pid": os.getpid(),
    }
    temporary = Path(arguments.ready_file + ".new")
    temporary.write_text(json.dumps(ready))
    temporary.rename(arguments.ready_file)
    while not stopping.wait(0.05):
        folder.mkdir(exist_ok=True)
        tokens.write_text(json.dumps(admin.tokens))
        everything = admin_pb2.ApplyResourcesRequest(resources=list(admin.resources.values()))
        kept.write_bytes(everything.SerializeToString())
    with (folder.parent / "ends").open("a") as ends:
        ends.write(f"control-plane {time.monotonic()}\n")


if __name__ == "__main__":
    main()
