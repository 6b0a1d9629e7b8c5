"""`replay`: what recorded traffic would have cost under another policy, and who would have answered."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from admin_cli import render
from admin_cli.errors import CliError, Refused, UsageProblem
from admin_cli.options import FilesOption, OutputOption, TenantOption
from admin_cli.progress import working
from admin_cli.render import Result
from headgate.rules.names import DEFAULT_TENANT

if TYPE_CHECKING:
    from headgate.v1 import routing_pb2

COLUMNS = ("model", "recorded_calls", "replayed_calls", "recorded_cost_usd", "replayed_cost_usd")


def replay(
    file: FilesOption,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="How far back, like 24h. Default: 7d.")
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Instead of --since: first moment (RFC 3339)."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Last moment. Default: now.")] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    output: OutputOption = None,
) -> Result:
    """Run recorded calls (their metadata, never their content) through the policies of a manifest.

    The manifest is put over the declared config; nothing is changed and nobody is called. Prints cost,
    model mix, latency and failures beside those that were recorded, and what was assumed.
    """
    from admin_cli import manifest, times
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import routing_pb2

    if since is not None and from_ is not None:
        raise UsageProblem("--since and --from exclude each other", "keep one of them")
    loaded = manifest.load(file, tenant, os.environ)
    request = routing_pb2.ReplayRequest(tenant=tenant, resources=loaded.resources)
    start = times.moment(from_, "--from") if from_ else times.since(since or "7d", times.utc_now())
    getattr(request, "from").CopyFrom(start)
    if to is not None:
        request.to.CopyFrom(times.moment(to, "--to"))
    report = None
    with AdminClient(Connection.from_environment()) as client, working("replaying") as work:
        try:
            for answer in client.stream("Replay", request, routing_pb2.ReplayResponse):
                share = 100 * answer.done // max(1, answer.total)
                work.now(f"replaying: {answer.done:,} attempts read, {share} %")
                report = answer.report if answer.HasField("report") else None
        except Refused as error:
            error.lines = tuple(loaded.locate(problem) for problem in error.problems)
            raise
    if report is None:
        raise CliError("the control plane ended the replay before it was done", "try again")
    return _result(report, output)


def _result(report: routing_pb2.ReplayReport, output: render.Output | None) -> Result:
    recorded, replayed = _account(report.recorded), _account(report.replayed)
    items = [{name: getattr(model, name) for name in COLUMNS} for model in report.models]
    skipped = [{"name": one.name, "why": one.why, "calls": one.calls} for one in report.skipped]
    notes = [f"assumed: {text}" for text in report.assumptions]
    if report.one_in > 1:
        notes.insert(0, f"sampled: every {report.one_in}th request; all figures are of those")
    if not report.calls:
        notes.insert(0, "no recorded call of this time could be replayed")
    beside: dict[str, Any]
    if render.chosen(output) == "table":
        beside = {
            "calls": f"{report.calls:,}, of which {report.moved:,} would go to another model",
            "cost_usd": _change(recorded["cost_usd"], replayed["cost_usd"]),
            **{name: _change(recorded[name], replayed[name]) for name in recorded if name != "cost_usd"},
            **{f"not replayed: {one['name']}": f"{one['calls']:,} calls: {one['why']}" for one in skipped},
            **{f"nobody would answer ({why})": f"{n:,} calls" for why, n in sorted(report.nobody.items())},
        }
        if report.unmeasured:
            beside["latency unknown"] = f"{report.unmeasured:,} calls"
    else:
        beside = {
            "calls": report.calls,
            "attempts": report.attempts,
            "one_in": report.one_in,
            "moved": report.moved,
            "unmeasured": report.unmeasured,
            "recorded": recorded,
            "replayed": replayed,
            "skipped": skipped,
            "nobody": dict(sorted(report.nobody.items())),
            "assumptions": list(report.assumptions),
        }
        notes = notes[: len(notes) - len(report.assumptions)]
    return Result("Replay", COLUMNS, items, output, beside, tuple(notes))


def _account(account: routing_pb2.ReplayAccount) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cost_usd": account.cost_usd,
        "unpriced": account.unpriced,
        "failed": round(account.failed, 1),
    }
    for name in ("p50_ms", "p95_ms", "first_token_p50_ms", "first_token_p95_ms"):
        found[name] = getattr(account, name) if account.HasField(name) else None
    return found


def _change(before: Any, after: Any) -> str:
    """`0.40 → 0.30 (-25.0 %)`"""
    text = f"{_shown(before)} → {_shown(after)}"
    if before is None or after is None or not Decimal(before):
        return text
    return f"{text} ({float((Decimal(after) - Decimal(before)) / Decimal(before)) * 100:+.1f} %)"


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
