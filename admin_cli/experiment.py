"""`experiment show`: what each variant came to, how far that may be off, and when it will be decided."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from admin_cli import planned, render
from admin_cli.options import OutputOption, TenantOption
from admin_cli.render import Result
from headgate.rules.names import DEFAULT_TENANT

if TYPE_CHECKING:
    from headgate.v1 import experiments_pb2

app = typer.Typer(no_args_is_help=True, help="Results of experiments.")
planned.add_verbs(app, "experiment", ("promote", "stop"))

METRICS = ("error_rate", "cost_usd", "latency_ms", "first_token_ms")
COLUMNS = ("variant", "units", "calls", *METRICS)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the experiment.", show_default=False)],
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="How far back, like 7d. Default: its last change."),
    ] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    output: OutputOption = None,
) -> Result:
    """Show each variant beside the first one. The intervals hold however often they are looked at."""
    from admin_cli import times
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import experiments_pb2

    request = experiments_pb2.ShowExperimentRequest(tenant=tenant, name=name)
    if since is not None:
        getattr(request, "from").CopyFrom(times.since(since, times.utc_now()))
    with AdminClient(Connection.from_environment()) as client:
        found = client.call("ShowExperiment", request, experiments_pb2.ShowExperimentResponse)
    verdicts = list(_verdicts(found))
    start = getattr(found, "from")
    beside: dict[str, Any] = {
        "experiment": found.name,
        "unit": found.unit,
        "from": start.ToJsonString(),
        "to": found.to.ToJsonString(),
        "confidence": found.confidence,
        "shares_are_off": found.shares_are_off,
        "verdicts": verdicts,
    }
    if render.chosen(output) != "table":
        return Result("Variant", COLUMNS, [_item(variant) for variant in found.variants], output, beside)
    rows = [
        {
            "variant": variant.name,
            "units": variant.units,
            "calls": variant.calls,
            **{metric.name: _text(metric) for metric in variant.metrics},
        }
        for variant in found.variants
    ]
    return Result("Variant", COLUMNS, rows, output, notes=tuple(verdicts))


def _item(variant: experiments_pb2.VariantView) -> dict[str, Any]:
    return {
        "variant": variant.name,
        "share": variant.share,
        "units": variant.units,
        "calls": variant.calls,
        "unpriced": variant.unpriced,
        "outside": variant.outside,
        **{
            metric.name: {
                "mean": metric.mean if metric.HasField("mean") else None,
                "difference": metric.difference if metric.HasField("difference") else None,
                "half_width": metric.half_width if metric.HasField("half_width") else None,
            }
            for metric in variant.metrics
        },
    }


def _text(metric: experiments_pb2.MetricView) -> str:
    """`0.0012 (-0.0003 ± 0.0001)`"""
    if not metric.HasField("mean"):
        return ""
    if not metric.HasField("difference"):
        return f"{metric.mean:.4g}"
    return f"{metric.mean:.4g} ({metric.difference:+.2g} ± {metric.half_width:.2g})"


def _verdicts(found: experiments_pb2.ShowExperimentResponse) -> Iterator[str]:
    """One plain sentence for each variant and metric that can be told apart, or will be."""
    if found.shares_are_off:
        yield (
            "units are not shared out by the weights: something keeps them out of a variant, and no figure"
            " here can be trusted before it is found"
        )
    units = sum(variant.units for variant in found.variants)
    seconds = (found.to.ToMilliseconds() - getattr(found, "from").ToMilliseconds()) / 1000
    baseline = found.variants[0].name if found.variants else ""
    for variant in found.variants[1:]:
        told = False
        for metric in variant.metrics:
            if not metric.HasField("difference"):
                continue
            told = True
            how = f"{metric.name} of {variant.name} is {abs(metric.difference):.2g} "
            how += f"{'higher' if metric.difference > 0 else 'lower'} than {baseline}'s"
            if abs(metric.difference) > metric.half_width:
                yield f"{how}, to within {metric.half_width:.2g}: a real difference"
            else:
                yield f"{how}, to within {metric.half_width:.2g}: not decided{_when(metric, units, seconds)}"
        if not told:
            yield f"{variant.name}: too few units yet to say anything"


def _when(metric: experiments_pb2.MetricView, units: int, seconds: float) -> str:
    if not metric.HasField("decided_at_units") or not units or seconds <= 0:
        return ""
    missing = metric.decided_at_units - units
    days = missing * seconds / units / timedelta(days=1).total_seconds()
    if days > 365:
        return ", and at this rate not within a year"
    return f"; if it stays so, in about {days:.1f} days" if days >= 1 else f"; in about {days * 24:.0f} hours"
