"""`models fit`: how good each model is at each task, by what was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from admin_cli import render
from admin_cli.options import AnyTenantOption, OutputOption
from admin_cli.render import Result

if TYPE_CHECKING:
    from headgate.v1 import experiments_pb2

app = typer.Typer(no_args_is_help=True, help="What models are good at.")
COLUMNS = (
    "task",
    "model",
    "quality",
    "surely",
    "units",
    "cost_per_success_usd",
    "latency_ms",
    "rubric",
    "tenant",
)


@app.command()
def fit(
    task: Annotated[str | None, typer.Option("--task", metavar="X", help="Only this task.")] = None,
    tenant: AnyTenantOption = None,
    output: OutputOption = None,
) -> Result:
    """Show quality, cost per success and latency, task by task. `min_quality` goes by the lower bound."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import experiments_pb2

    request = experiments_pb2.ListTaskFitRequest(tenant=tenant or "", task=task)
    with AdminClient(Connection.from_environment()) as client:
        answer = experiments_pb2.ListTaskFitResponse
        found = list(client.pages("ListTaskFit", request, answer, lambda page: page.fits))
    if render.chosen(output) != "table":
        return Result("TaskFit", COLUMNS, [_item(one) for one in found], output)
    notes = () if found else ("no answer was judged yet; docs/experiments.md says how",)
    return Result("TaskFit", COLUMNS, [_row(one) for one in found], output, notes=notes)


def _item(one: experiments_pb2.TaskFitView) -> dict[str, Any]:
    return {
        "tenant": one.tenant,
        "task": one.task or None,
        "model": one.model,
        "rubric": one.rubric or None,
        "quality": one.quality,
        "lower": one.lower,
        "upper": one.upper,
        "units": one.units,
        "answers": one.answers,
        "cost_per_success_usd": one.cost_per_success_usd if one.HasField("cost_per_success_usd") else None,
        "latency_ms": one.latency_ms if one.HasField("latency_ms") else None,
        "is_evidence": one.is_evidence,
    }


def _row(one: experiments_pb2.TaskFitView) -> dict[str, Any]:
    item = _item(one)
    cost = item["cost_per_success_usd"]
    return {
        **item,
        "task": one.task or "–",
        "quality": f"{one.quality:.2f}",
        "surely": f"{one.lower:.2f} to {one.upper:.2f}" if one.is_evidence else "no evidence yet",
        "units": f"{one.units:.0f}",
        "cost_per_success_usd": "" if cost is None else f"{cost:.3g}",
        "latency_ms": "" if item["latency_ms"] is None else f"{one.latency_ms:.0f}",
    }
