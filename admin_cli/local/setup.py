"""What a fresh or returning local system is given through the admin API: tokens, resources, a key.

Every step looks first at what is there, so that a start that was interrupted anywhere is completed
by the next one.
"""

from __future__ import annotations

import re
import secrets
import socket
import time
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from admin_cli.address import Address
from admin_cli.apply import SOURCE_DEFAULT, submit
from admin_cli.change import new_request_id
from admin_cli.client import APPLY_DEADLINE_SECONDS, AdminClient, Connection
from admin_cli.errors import CliError, Conflict, NotFound, PermissionDenied, Refused
from admin_cli.local.first_run import KEY_NAME, environment_keys, first_run
from admin_cli.manifest import Manifest
from admin_cli.state import StateFolder, read_json, read_secret, write_private
from headgate.rules.credentials import Secret
from headgate.rules.names import DEFAULT_TENANT
from headgate.v1 import admin_pb2, identity_pb2, resources_pb2

# A certificate that has ended for no longer than this can be renewed; the control plane allows a week.
RENEWABLE_SECONDS = 6 * 86_400


def admin_token(state: StateFolder, address: Address, environment: Mapping[str, str]) -> Secret:
    """The token of the state folder; on the first start, the first one of the database."""
    token = read_secret(state.admin_token)
    if token:
        return token
    with AdminClient(Connection(address), quiet=True) as client:
        try:
            answer = client.call(
                "BootstrapToken", admin_pb2.BootstrapTokenRequest(), admin_pb2.BootstrapTokenResponse
            )
        except Conflict:
            token = Secret(environment.get("HEADGATE_TOKEN", "").strip())
            if not token:
                raise Conflict(
                    f"the database has admin tokens already, and none of them is in {state.admin_token}",
                    "put an owner token into HEADGATE_TOKEN, or into that file",
                ) from None
        else:
            token = Secret(answer.minted.secret)
    write_private(state.admin_token, token.text + "\n")
    return token


@dataclass(frozen=True, slots=True)
class LocalProxy:
    """What the local proxy is started with. `join_token` None: it has joined before, and is still known."""

    name: str
    join_token: Secret | None


def local_proxy(client: AdminClient, state: StateFolder, region: str) -> LocalProxy:
    """Its name, and a join token where it needs one: at the first start, and with another database."""
    joined = read_json(state.proxy_certificate) or {}
    request, answer = admin_pb2.ListTokensRequest(), admin_pb2.ListTokensResponse
    try:
        tokens = client.pages("ListTokens", request, answer, lambda page: page.tokens)
        taken = {token.name for token in tokens if not token.HasField("revoked_at")}
    except PermissionDenied as error:
        raise PermissionDenied(
            error.message, f"{state.admin_token} must hold an owner token of this database"
        ) from None
    name = str(joined.get("name", ""))
    certificate = joined.get("certificate")
    ends = certificate.get("expires_at", 0) if isinstance(certificate, dict) else 0
    if name in taken and joined.get("region") == region and ends + RENEWABLE_SECONDS > time.time():
        return LocalProxy(name, None)
    name = _own_name(taken)
    create = identity_pb2.CreateJoinTokenRequest(region=region, uses=1, request_id=new_request_id())
    made = client.call_repeatable("CreateJoinToken", create, identity_pb2.CreateJoinTokenResponse)
    return LocalProxy(name, Secret(made.minted.secret))


def _own_name(taken: Container[str]) -> str:
    """After this machine; another `up` on the same database may have that name already."""
    host = re.sub(r"[^a-z0-9._-]", "-", socket.gethostname().lower()).strip("-._")[:40] or "up"
    name = f"{host}-local"
    return name if name not in taken else f"{name}-{secrets.token_hex(3)}"


def is_first_run(client: AdminClient) -> tuple[bool, int]:
    """Whether no provider is declared; and the revision at which the config stands."""
    request = admin_pb2.ListResourcesRequest(kind="provider", page_size=1)
    answer = client.call("ListResources", request, admin_pb2.ListResourcesResponse)
    return not answer.resources, answer.revision


def declare(
    client: AdminClient, manifest: Manifest, environment: Mapping[str, str], first: bool
) -> tuple[int, list[str]]:
    """Applies what a first run needs, then the user's manifest. Returns the revision, and notes."""
    revision = 0
    notes: list[str] = []
    if first:
        plan = first_run(environment_keys(environment), {one.id for one in manifest.declared})
        notes += plan.notes
        if plan.resources:
            revision = _apply_first_run(client, plan.resources)
    if manifest.declared:
        try:
            answer: Any = submit(client, manifest, SOURCE_DEFAULT)
        except Conflict as error:
            raise Conflict(
                error.message,
                "if another source declares it: use `headgate apply -f`, or change it there",
            ) from None
        revision = answer.revision
        count = len(manifest.declared)
        notes.append(f"manifest: {count} resource{'' if count == 1 else 's'} declared, revision {revision}")
    return revision, notes


def quickstart_key(client: AdminClient, state: StateFolder, first: bool) -> tuple[Secret, int]:
    """The key that the printed call uses, and the revision with which it came (0: it was there)."""
    secret = read_secret(state.quickstart_key)
    get = admin_pb2.GetResourceRequest(kind="key", tenant=DEFAULT_TENANT, name=KEY_NAME)
    try:
        client.call("GetResource", get, admin_pb2.GetResourceResponse)
        exists = True
    except NotFound:
        exists = False
    if secret and (exists or not first):
        return secret, 0
    answer: Any
    if exists:  # its secret got lost
        rotate = admin_pb2.RotateKeyRequest(tenant=DEFAULT_TENANT, name=KEY_NAME, request_id=new_request_id())
        answer = client.call_repeatable("RotateKey", rotate, admin_pb2.RotateKeyResponse)
    else:
        key = resources_pb2.Key(name=KEY_NAME, tenant=DEFAULT_TENANT)
        key.allow.of.append("*")
        create = admin_pb2.CreateKeyRequest(key=key, request_id=new_request_id())
        answer = client.call_repeatable("CreateKey", create, admin_pb2.CreateKeyResponse)
    write_private(state.quickstart_key, answer.minted.secret + "\n")
    return Secret(answer.minted.secret), answer.revision


def _apply_first_run(client: AdminClient, resources: list[resources_pb2.Resource]) -> int:
    request = admin_pb2.ApplyResourcesRequest(
        resources=resources, source=SOURCE_DEFAULT, request_id=new_request_id()
    )
    answer = admin_pb2.ApplyResourcesResponse
    try:
        return client.call_repeatable("ApplyResources", request, answer, APPLY_DEADLINE_SECONDS).revision
    except Refused as error:
        raise CliError(f"the first resources were refused: {error.message}", lines=error.lines) from None
