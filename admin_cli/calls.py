"""`calls`, `calls --follow` and `calls show`: which calls there were, and how each was answered."""

from __future__ import annotations

from typing import Annotated

import typer

from admin_cli import render
from admin_cli.options import AnyTenantOption, OutputOption
from admin_cli.render import Result

app = typer.Typer(help="Recent calls, calls as they come, or one call with all its attempts.")

# What fits on a terminal; JSON and YAML have everything.
TABLE = (
    "time",
    "request_id",
    "key",
    "route",
    "model",
    "status",
    "outcome",
    "attempts",
    "cost_usd",
    "latency_ms",
)


@app.callback(invoke_without_command=True)
def calls(
    context: typer.Context,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on, and show calls as they come.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many, newest first.")
    ] = 50,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="How far back, like 1h. Default: any time.")
    ] = None,
    key: Annotated[str, typer.Option("--key", metavar="NAME", help="Only calls with this key.")] = "",
    tenant: AnyTenantOption = None,
    output: OutputOption = None,
) -> Result | None:
    """Show recent calls, newest first."""
    if context.invoked_subcommand is not None:
        return None
    from admin_cli import times
    from admin_cli.client import AdminClient, Connection
    from admin_cli.views import call_item
    from headgate.v1 import admin_pb2

    with AdminClient(Connection.from_environment()) as client:
        if follow:
            tail = admin_pb2.TailCallsRequest(tenant=tenant or "", key=key)
            for answer in client.stream("TailCalls", tail, admin_pb2.TailCallsResponse):
                render.show_one(call_item(answer.call), TABLE, output)
            return None
        request = admin_pb2.ListCallsRequest(tenant=tenant or "", key=key)
        if since is not None:
            getattr(request, "from").CopyFrom(times.since(since, times.utc_now()))
        views = client.pages(
            "ListCalls", request, admin_pb2.ListCallsResponse, lambda page: page.calls, limit
        )
        items = [call_item(view) for view in views]
    return Result("Call", TABLE, items, output)


@app.command()
def show(
    request_id: Annotated[
        str,
        typer.Argument(
            metavar="REQUEST_ID", help="From the answer's x-request-id, or from `calls`.", show_default=False
        ),
    ],
    tenant: AnyTenantOption = None,
    output: OutputOption = None,
) -> Result:
    """Show one call with all its attempts."""
    from admin_cli.client import AdminClient, Connection
    from admin_cli.views import attempt_item, call_item
    from headgate.v1 import admin_pb2

    with AdminClient(Connection.from_environment()) as client:
        request = admin_pb2.GetCallRequest(request_id=request_id, tenant=tenant or "")
        call = client.call("GetCall", request, admin_pb2.GetCallResponse).call
    item = call_item(call)
    attempts = [attempt_item(attempt) for attempt in call.attempt_list]
    if render.chosen(output) != "table":
        return Result("Call", TABLE, [{**item, "attempts": attempts}], output)
    # On a terminal: the call as lines, its attempts as the table.
    beside = {name: value for name, value in item.items() if value is not None}
    columns = ("model", "provider", "outcome", "status", "reason", "started_ms", "latency_ms", "cost_usd")
    return Result("Call", columns, attempts, output, beside)
