"""`usage`: money, tokens, calls, errors and latency, grouped."""

from __future__ import annotations

from typing import Annotated

import typer

from admin_cli import quarantine
from admin_cli.errors import UsageProblem
from admin_cli.options import AnyTenantOption, UsageOutputOption
from admin_cli.render import Result
from headgate.rules.names import did_you_mean

GROUPS = (
    *("tenant", "key", "user", "route", "model", "provider", "task", "region", "purpose", "day", "hour"),
)
# More rows than anybody reads; a narrower question is the answer.
MAX_ROWS = 100_000


app = typer.Typer(help="Money, tokens, calls, errors, latency (visible within 2 s); what was set aside.")
app.add_typer(quarantine.app, name="quarantine")


@app.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="NAME[,NAME…]",
            help=f"Group by {', '.join(GROUPS)} or metadata.X. Default: model.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="How far back, like 24h (the default) or 7d."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Instead of --since: first moment (RFC 3339)."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Last moment. Default: now.")] = None,
    tenant: AnyTenantOption = None,
    output: UsageOutputOption = None,
) -> Result | None:
    """Show what was used: money, tokens, calls, errors, latency. Calls appear within two seconds."""
    if context.invoked_subcommand is not None:
        return None
    from admin_cli import times
    from admin_cli.client import AdminClient, Connection
    from admin_cli.views import USAGE_COLUMNS, usage_item
    from headgate.v1 import admin_pb2

    groups = _groups(by)
    if since is not None and from_ is not None:
        raise UsageProblem("--since and --from exclude each other", "keep one of them")
    request = admin_pb2.QueryUsageRequest(by=groups, tenant=tenant or "")
    if from_ is not None:
        request_from = times.moment(from_, "--from")
    else:
        request_from = times.since(since or "24h", times.utc_now())
    getattr(request, "from").CopyFrom(request_from)
    if to is not None:
        request.to.CopyFrom(times.moment(to, "--to"))
    with AdminClient(Connection.from_environment()) as client:
        rows = client.pages(
            "QueryUsage", request, admin_pb2.QueryUsageResponse, lambda page: page.rows, MAX_ROWS
        )
        items = [usage_item(groups, row) for row in rows]
    return Result("Usage", (*groups, *USAGE_COLUMNS), items, output)


def _groups(by: list[str] | None) -> list[str]:
    words = [word.strip() for text in by or ["model"] for word in text.split(",")]
    groups = list(dict.fromkeys(word for word in words if word))
    for word in groups:
        known = word in GROUPS or (word.startswith("metadata.") and len(word) > len("metadata."))
        if not known:
            raise UsageProblem(
                f"--by: unknown group {word!r}{did_you_mean(word, GROUPS)}",
                f"groups are {', '.join(GROUPS)} and metadata.X",
            )
    return groups
