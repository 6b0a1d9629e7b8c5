"""`key create|rotate|revoke`: the credentials of applications."""

from __future__ import annotations

from typing import Annotated

import typer

from admin_cli.options import NoWaitOption, OutputOption, TenantOption
from admin_cli.render import Result
from headgate.rules.names import DEFAULT_TENANT

app = typer.Typer(no_args_is_help=True, help="Create, rotate and revoke the keys that applications use.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.", show_default=False)]


@app.command()
def create(
    name: NameArgument,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="PATTERN",
            help="A route, a model or a provider/model pattern that it may call. Repeatable. "
            "Default: the tenant's routes.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="How long it works, like 30d. Default: for ever."),
    ] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Create a key. Its secret is shown this once; only a hash of it is kept."""
    from admin_cli.change import await_proxies, new_request_id
    from admin_cli.client import AdminClient, Connection
    from admin_cli.minted import minted_result
    from admin_cli.times import duration
    from headgate.v1 import admin_pb2, resources_pb2

    key = resources_pb2.Key(name=name, tenant=tenant)
    if allow:
        key.allow.of.extend(allow)
    if expires is not None:
        key.expires.CopyFrom(duration(expires, "--expires"))
    request = admin_pb2.CreateKeyRequest(key=key, request_id=new_request_id())
    with AdminClient(Connection.from_environment()) as client:
        answer = client.call_repeatable("CreateKey", request, admin_pb2.CreateKeyResponse)
        notes = await_proxies(client, answer.revision, no_wait)
    return minted_result(answer.minted, answer.revision, notes, output)


@app.command()
def rotate(
    name: NameArgument,
    grace: Annotated[
        str,
        typer.Option(
            "--grace", metavar="TIME", help="How long the old secret goes on working; 0s ends it now."
        ),
    ] = "24h",
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Mint a new secret for a key. It is shown this once."""
    from admin_cli.change import await_proxies, new_request_id
    from admin_cli.client import AdminClient, Connection
    from admin_cli.minted import minted_result
    from admin_cli.times import duration
    from headgate.v1 import admin_pb2

    request = admin_pb2.RotateKeyRequest(
        tenant=tenant, name=name, grace=duration(grace, "--grace"), request_id=new_request_id()
    )
    with AdminClient(Connection.from_environment()) as client:
        answer = client.call_repeatable("RotateKey", request, admin_pb2.RotateKeyResponse)
        notes = await_proxies(client, answer.revision, no_wait)
    return minted_result(answer.minted, answer.revision, notes, output)


@app.command()
def revoke(
    name: NameArgument,
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """End every secret of a key, now. No manifest brings it back."""
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    request = admin_pb2.RevokeKeyRequest(tenant=tenant, name=name)
    with AdminClient(Connection.from_environment()) as client:
        revision = client.call("RevokeKey", request, admin_pb2.RevokeKeyResponse).revision
        notes = await_proxies(client, revision, no_wait)
    return changed("key", tenant, name, "revoked", revision, notes, output)
