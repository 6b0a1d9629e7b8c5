"""`usage quarantine`: records that were set aside, and what becomes of them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from admin_cli.options import OutputOption
from admin_cli.render import Result

app = typer.Typer(help="Usage records that were set aside: list them (no command), take in, dismiss.")
COLUMNS = ("id", "received_at", "proxy", "why", "tenant", "key", "model", "cost_usd")
MAX_ROWS = 100_000

IdsArgument = Annotated[
    list[int],
    typer.Argument(metavar="ID…", min=1, help="From `headgate usage quarantine`.", show_default=False),
]


@app.callback(invoke_without_command=True)
def quarantine(context: typer.Context, output: OutputOption = None) -> Result | None:
    """List the records that were set aside, newest first: they contradict others, or could not be read."""
    if context.invoked_subcommand is not None:
        return None
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import quarantine_pb2

    request, answer = quarantine_pb2.ListQuarantinedRequest(), quarantine_pb2.ListQuarantinedResponse
    with AdminClient(Connection.from_environment()) as client:
        views = client.pages("ListQuarantined", request, answer, lambda page: page.records, MAX_ROWS)
        items = [_item(view) for view in views]
    return Result("QuarantinedRecord", COLUMNS, items, output)


@app.command()
def retry(ids: IdsArgument, output: OutputOption = None) -> Result:
    """Take records in as if they had just come: after a clock was mended, or by a newer control plane."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import quarantine_pb2

    request, answer = quarantine_pb2.RetryQuarantinedRequest(ids=ids), quarantine_pb2.RetryQuarantinedResponse
    with AdminClient(Connection.from_environment()) as client:
        done = client.call("RetryQuarantined", request, answer, 60.0)
    items = [{"kind": "usage", "name": str(one), "change": "taken"} for one in done.taken]
    items += [{"kind": "usage", "name": str(one), "change": "still aside"} for one in done.still_aside]
    return Result("Change", ("kind", "name", "change"), items, output)


@app.command()
def dismiss(
    ids: IdsArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="For the audit trail.", show_default=False)
    ],
    output: OutputOption = None,
) -> Result:
    """Leave records out of the usage for good. The audit trail keeps what they said, and why."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import quarantine_pb2

    request = quarantine_pb2.DismissQuarantinedRequest(ids=ids, reason=reason)
    with AdminClient(Connection.from_environment()) as client:
        answer = client.call("DismissQuarantined", request, quarantine_pb2.DismissQuarantinedResponse)
    items = [{"kind": "usage", "name": str(one), "change": "dismissed"} for one in sorted(set(ids))]
    return Result("Change", ("kind", "name", "change"), items, output, {"revision": answer.revision})


def _item(view: Any) -> dict[str, Any]:
    from admin_cli.views import time_text

    return {
        "id": int(view.id),
        "received_at": time_text(view.received_at),
        "proxy": view.proxy,
        "why": view.why,
        "record_id": view.record_id or None,
        "request_id": view.request_id or None,
        "tenant": view.tenant,
        "key": view.key,
        "model": view.model,
        "input_tokens": int(view.input_tokens),
        "output_tokens": int(view.output_tokens),
        "cost_usd": view.cost_usd or None,
    }
