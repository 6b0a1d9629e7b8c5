"""`join-token`: what a proxy shows at its first contact, to get a certificate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from admin_cli.errors import UsageProblem
from admin_cli.options import OutputOption
from admin_cli.render import Result

app = typer.Typer(no_args_is_help=True, help="Join tokens: how a proxy gets its certificate.")
COLUMNS = ("public_id", "region", "uses_left", "labels", "created_by", "expires_at")


@app.command()
def create(
    region: Annotated[
        str, typer.Option("--region", metavar="R", help="Only proxies of this region.", show_default=False)
    ],
    uses: Annotated[int, typer.Option("--uses", metavar="N", min=1, help="How many proxies may join.")] = 1,
    expires: Annotated[str, typer.Option("--expires", metavar="TIME", help="How long it works.")] = "10m",
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="K=V", help="A label of every proxy that joins with it. Repeatable."),
    ] = None,
    output: OutputOption = None,
) -> Result:
    """Create a join token: `headgate proxy --join-token-file FILE`. Its secret is shown this once.

    For autoscaling, one for many: `--uses 1000 --expires 90d`.
    """
    from admin_cli.change import new_request_id
    from admin_cli.client import AdminClient, Connection
    from admin_cli.minted import minted_result
    from admin_cli.times import duration
    from headgate.v1 import identity_pb2

    request = identity_pb2.CreateJoinTokenRequest(
        region=region, uses=uses, labels=_labels(label or []), request_id=new_request_id()
    )
    request.expires.CopyFrom(duration(expires, "--expires"))
    with AdminClient(Connection.from_environment()) as client:
        answer = client.call_repeatable("CreateJoinToken", request, identity_pb2.CreateJoinTokenResponse)
    return minted_result(answer.minted, 0, (), output)


@app.command("list")
def list_(output: OutputOption = None) -> Result:
    """List those that can still be used."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import identity_pb2

    request, answer = identity_pb2.ListJoinTokensRequest(), identity_pb2.ListJoinTokensResponse
    with AdminClient(Connection.from_environment()) as client:
        views = client.pages("ListJoinTokens", request, answer, lambda page: page.join_tokens)
        items = [_item(view) for view in views]
    return Result("JoinToken", COLUMNS, items, output)


@app.command()
def revoke(
    public_id: Annotated[
        str, typer.Argument(metavar="ID", help="The 12 characters that `list` shows.", show_default=False)
    ],
    output: OutputOption = None,
) -> Result:
    """End a join token. Proxies that joined stay: `headgate token revoke NAME` ends one of them."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import identity_pb2

    request = identity_pb2.RevokeJoinTokenRequest(public_id=public_id)
    with AdminClient(Connection.from_environment()) as client:
        client.call("RevokeJoinToken", request, identity_pb2.RevokeJoinTokenResponse)
    item = {"kind": "join-token", "name": public_id, "change": "revoked"}
    return Result("Change", ("kind", "name", "change"), [item], output)


def _item(view: Any) -> dict[str, Any]:
    from admin_cli.views import time_text

    return {
        "public_id": view.public_id,
        "region": view.region,
        "uses_left": view.uses_left,
        "labels": dict(view.labels),
        "created_by": view.created_by,
        "created_at": time_text(view.created_at),
        "expires_at": time_text(view.expires_at),
    }


def _labels(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageProblem(f"--label {text!r} is not K=V", "write name=value")
        found[name] = value
    return found
