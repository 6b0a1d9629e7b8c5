"""`token bootstrap|create|revoke`: the credentials of people, automation and proxies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from admin_cli.options import AnyTenantOption, OutputOption
from admin_cli.render import Output, Result

app = typer.Typer(no_args_is_help=True, help="Admin tokens: the first one, more of them, and their end.")


class Role(StrEnum):
    OWNER = "owner"
    EDITOR = "editor"
    VIEWER = "viewer"
    PROXY = "proxy"


@app.command()
def bootstrap(
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the token is called.")] = "owner",
    output: OutputOption = None,
) -> Result:
    """Mint the first owner token, against an empty database, from the control plane's own machine."""
    from admin_cli.client import AdminClient, Connection
    from admin_cli.minted import minted_result
    from headgate.v1 import admin_pb2

    with AdminClient(Connection.from_environment()) as client:
        request = admin_pb2.BootstrapTokenRequest(name=name)
        minted = client.call("BootstrapToken", request, admin_pb2.BootstrapTokenResponse).minted
    return minted_result(minted, 0, ("other commands take it from HEADGATE_TOKEN",), output)


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the token is called.", show_default=False)
    ],
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            metavar="owner|editor|viewer|proxy",
            help="What it may do: everything, change things, look, or run a proxy.",
            show_default=False,
        ),
    ],
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant", metavar="TENANT", help="Only for this tenant. Default: for all.", show_default=False
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="TIME", help="How long it works, like 90d. Default: for ever."),
    ] = None,
    output: OutputOption = None,
) -> Result:
    """Create a token. Its secret is shown this once; only a hash of it is kept."""
    from admin_cli.change import new_request_id
    from admin_cli.client import AdminClient, Connection
    from admin_cli.minted import minted_result
    from admin_cli.times import duration
    from headgate.v1 import admin_pb2

    request = admin_pb2.CreateTokenRequest(
        name=name, role=role.value, tenant=tenant or "", request_id=new_request_id()
    )
    if expires is not None:
        request.expires.CopyFrom(duration(expires, "--expires"))
    with AdminClient(Connection.from_environment()) as client:
        minted = client.call_repeatable("CreateToken", request, admin_pb2.CreateTokenResponse).minted
    return minted_result(minted, 0, (), output)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.", show_default=False)],
    tenant: AnyTenantOption = None,
    output: OutputOption = None,
) -> Result:
    """End a token, now."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    with AdminClient(Connection.from_environment()) as client:
        client.call("RevokeToken", admin_pb2.RevokeTokenRequest(name=name), admin_pb2.RevokeTokenResponse)
    return revoked(name, output)


def revoked(name: str, output: Output | None) -> Result:
    item = {"kind": "token", "name": name, "change": "revoked"}
    return Result("Change", ("kind", "name", "change"), [item], output)
