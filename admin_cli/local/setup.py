"""What a fresh or returning local system is given through the admin API: tokens, resources, a key.

Every step looks first at what is there, so that a start that was interrupted anywhere is completed
by the next one.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from admin_cli.address import Address
from admin_cli.apply import SOURCE_DEFAULT, submit
from admin_cli.change import new_request_id
from admin_cli.client import APPLY_DEADLINE_SECONDS, AdminClient, Connection
from admin_cli.errors import CliError, Conflict, NotFound, PermissionDenied, Refused
from admin_cli.local.first_run import KEY_NAME, environment_keys, first_run
from admin_cli.manifest import Manifest
from admin_cli.state import StateFolder, read_secret, write_private
from headgate.rules.credentials import Secret, public_part
from headgate.rules.names import DEFAULT_TENANT
from headgate.v1 import admin_pb2, resources_pb2


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


def proxy_token(client: AdminClient, state: StateFolder) -> Secret:
    """The token of the local proxy; a new one if this database does not know it (any more)."""
    token = read_secret(state.proxy_token)
    public_id = public_part(token.text) if token else None
    request, answer = admin_pb2.ListTokensRequest(), admin_pb2.ListTokensResponse
    try:
        known = client.pages("ListTokens", request, answer, lambda page: page.tokens)
        if token and any(t.public_id == public_id and not t.HasField("revoked_at") for t in known):
            return token
    except PermissionDenied as error:
        raise PermissionDenied(
            error.message, f"{state.admin_token} must hold an owner token of this database"
        ) from None
    minted = client.call_repeatable(
        "CreateToken",
        admin_pb2.CreateTokenRequest(
            name=f"up-proxy-{secrets.token_hex(4)}", role="proxy", request_id=new_request_id()
        ),
        admin_pb2.CreateTokenResponse,
    ).minted
    write_private(state.proxy_token, minted.secret + "\n")
    return Secret(minted.secret)


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
