"""`experiment`: what each variant came to and how far that may be off; decisions about it; its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from admin_cli import render
from admin_cli.options import NoWaitOption, OutputOption, TenantOption, UsageOutputOption
from admin_cli.render import Result
from headgate.rules.money import usd_text
from headgate.rules.names import DEFAULT_TENANT

if TYPE_CHECKING:
    from headgate.v1 import experiments_pb2

app = typer.Typer(no_args_is_help=True, help="Results of experiments, and decisions about them.")

# What is shown in any case; others where they were seen.
PREFERENCE = "preference"
METRICS = ("error_rate", "cost_usd", "latency_ms", "first_token_ms")
EXPORTED = (
    *("request_id", "variant", "unit", "error", "cost_usd", "latency_ms", "first_token_ms", "outside"),
    *("quality", "feedback", "success"),
)
MAX_REMARKS = 4
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Of the experiment.", show_default=False)]
SinceOption = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="How far back, like 7d. Default: its last change."),
]


@app.command()
def show(
    name: NameArgument,
    since: SinceOption = None,
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
    names = list(dict.fromkeys(metric.name for variant in found.variants for metric in variant.metrics))
    names = [*(name for name in names if name not in METRICS), *METRICS]
    columns = ("variant", "units", "calls", *names)
    if render.chosen(output) != "table":
        items = [_item(variant) for variant in found.variants]
        return Result("Variant", columns, items, output, _beside(found, verdicts))
    rows = [
        {
            "variant": variant.name + (" (shadow)" if variant.shadow else ""),
            "units": variant.units,
            "calls": variant.calls,
            **{metric.name: _text(metric) for metric in variant.metrics},
        }
        for variant in found.variants
    ]
    return Result("Variant", columns, rows, output, notes=tuple(verdicts))


@app.command()
def promote(
    name: NameArgument,
    variant: Annotated[str, typer.Argument(metavar="VARIANT", help="Who gets all calls.")],
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Give a variant all traffic. The manifest stays as it is, and no apply undoes this."""
    from headgate.v1 import experiments_pb2

    request = experiments_pb2.PromoteExperimentRequest(tenant=tenant, name=name, variant=variant)
    answer = experiments_pb2.PromoteExperimentResponse
    what = f"{variant} promoted"
    return _change("PromoteExperiment", request, answer, lambda _: what, no_wait, output)


@app.command()
def stop(
    name: NameArgument,
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="VARIANT", help="Only this variant: it gets no more calls."),
    ] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """End the experiment: the first variant that is left gets all calls. `start` begins it anew."""
    from headgate.v1 import experiments_pb2

    request = experiments_pb2.StopExperimentRequest(tenant=tenant, name=name, variant=variant or "")

    def what(done: experiments_pb2.StopExperimentResponse) -> str:
        return f"{variant} stopped" if variant else f"stopped, {done.winner} gets all calls"

    return _change("StopExperiment", request, experiments_pb2.StopExperimentResponse, what, no_wait, output)


@app.command()
def start(
    name: NameArgument,
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Begin anew: what was decided is forgotten, and only calls from now on count."""
    from headgate.v1 import experiments_pb2

    request = experiments_pb2.StartExperimentRequest(tenant=tenant, name=name)
    answer = experiments_pb2.StartExperimentResponse
    return _change("StartExperiment", request, answer, lambda _: "started", no_wait, output)


@app.command()
def export(
    name: NameArgument,
    since: SinceOption = None,
    tenant: TenantOption = DEFAULT_TENANT,
    output: UsageOutputOption = None,
) -> Result:
    """Write its calls one by one, for figures of your own: `headgate experiment export NAME -o csv`."""
    from admin_cli import times
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import experiments_pb2

    request = experiments_pb2.ExportExperimentRequest(tenant=tenant, name=name)
    if since is not None:
        getattr(request, "from").CopyFrom(times.since(since, times.utc_now()))
    with AdminClient(Connection.from_environment()) as client:
        answer = experiments_pb2.ExportExperimentResponse
        found = client.pages("ExportExperiment", request, answer, lambda page: page.calls)
        items = [{name: _value(call, name) for name in EXPORTED} for call in found]
    return Result("ExperimentCall", EXPORTED, items, output)


def _change(
    method: str,
    request: Any,
    answer: Any,
    what: Callable[[Any], str],
    no_wait: bool,
    output: render.Output | None,
) -> Result:
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection

    with AdminClient(Connection.from_environment()) as client:
        done = client.call(method, request, answer)
        notes = await_proxies(client, done.revision, no_wait)
    return changed("experiment", request.tenant, request.name, what(done), done.revision, notes, output)


def _value(message: Any, name: str) -> Any:
    """None where an optional field is absent."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return getattr(message, name) if not field.has_presence or message.HasField(name) else None


def _beside(found: experiments_pb2.ShowExperimentResponse, verdicts: list[str]) -> dict[str, Any]:
    start = getattr(found, "from")
    return {
        "experiment": found.name,
        "unit": found.unit,
        "from": start.ToJsonString(),
        "to": found.to.ToJsonString(),
        "confidence": found.confidence,
        "decided_by": found.decided_by,
        "winner": found.state.winner or None,
        "would_win": found.state.would_win or None,
        "evidence": found.state.evidence or None,
        "shares_are_off": found.shares_are_off,
        "judges_agreement": found.judges_agreement if found.HasField("judges_agreement") else None,
        "background_usd": {one.variant or "judge": usd_text(one.cost_picousd) for one in found.background},
        "verdicts": verdicts,
    }


def _item(variant: experiments_pb2.VariantView) -> dict[str, Any]:
    return {
        "variant": variant.name,
        "share": variant.share,
        "shadow": variant.shadow,
        "stopped": variant.stopped or None,
        "units": variant.units,
        "calls": variant.calls,
        "unpriced": variant.unpriced,
        "outside": variant.outside,
        "judged": variant.judged,
        "unscored": variant.unscored,
        "remarks": {_remark(one): one.count for one in variant.remarks},
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
    if metric.name == PREFERENCE:  # it is a difference already
        return f"{metric.difference:+.2g} ± {metric.half_width:.2g}"
    return f"{metric.mean:.4g} ({metric.difference:+.2g} ± {metric.half_width:.2g})"


def _verdicts(found: experiments_pb2.ShowExperimentResponse) -> Iterator[str]:
    """What there is to know, in plain sentences: decisions, alarms, and each difference that can be told."""
    yield from _decided(found)
    if found.shares_are_off:
        yield (
            "units are not shared out by the weights: something keeps them out of a variant, and no figure"
            " here can be trusted before it is found"
        )
    if not found.state.winner:
        yield from _differences(found)
    for variant in found.variants:
        if variant.remarks:
            reasons = [f"{_remark(one)} {one.count}" for one in variant.remarks[:MAX_REMARKS]]
            yield f"judges say of {variant.name}: {', '.join(reasons)}"
    for one in found.background:
        who = f"the shadow {one.variant}" if one.variant else "judging"
        yield f"{who} has cost {usd_text(one.cost_picousd)} USD"
    if found.HasField("judges_agreement"):
        yield f"the judges agree to {found.judges_agreement:.2f} (1: always, 0: as chance would)"
    judged, unscored = (sum(getattr(v, name) for v in found.variants) for name in ("judged", "unscored"))
    if unscored:
        yield f"of {judged} answers that were to be judged, {unscored} were not by every judge"


def _differences(found: experiments_pb2.ShowExperimentResponse) -> Iterator[str]:
    """Of those that are left, beside the first of them; preferences are beside the first of all."""
    units = sum(variant.units for variant in found.variants)
    seconds = (found.to.ToMilliseconds() - getattr(found, "from").ToMilliseconds()) / 1000
    seen = [variant for variant in found.variants if not variant.shadow]
    first = seen[0].name if seen else ""
    baseline = next((variant.name for variant in seen if not variant.stopped), first)
    for variant in found.variants:
        if variant.stopped:
            continue
        differences = [metric for metric in variant.metrics if metric.HasField("difference")]
        if not differences and variant.name != baseline:
            yield f"{variant.name}: too few units yet to say anything"
        for metric in differences:
            if not metric.difference:
                continue
            how = _how(metric, variant.name, first if metric.name == PREFERENCE else baseline)
            if abs(metric.difference) > metric.half_width:
                yield f"{how}: a real difference"
            elif metric.name in METRICS or metric.name == found.decided_by:
                yield f"{how}: not decided{_when(metric, units, seconds)}"


def _remark(one: experiments_pb2.RemarkCount) -> str:
    from headgate.v1 import usage_pb2

    return usage_pb2.Remark.Name(one.remark).removeprefix("REMARK_").lower()


def _decided(found: experiments_pb2.ShowExperimentResponse) -> Iterator[str]:
    if found.state.winner:
        yield f"{found.state.winner} gets all calls: {found.state.evidence}"
    elif found.state.would_win:
        yield f"decided, and nothing done (`then: notify`): {found.state.evidence}"
    for variant in found.variants:
        if variant.stopped:
            yield f"{variant.name} gets no more calls: {variant.stopped}"


def _how(metric: experiments_pb2.MetricView, variant: str, baseline: str) -> str:
    size = abs(metric.difference)
    if metric.name == PREFERENCE:
        better = "better than" if metric.difference > 0 else "worse than"
        return f"answers of {variant} are found {better} {baseline}'s by {size:.2g} ± {metric.half_width:.2g}"
    higher = "higher" if metric.difference > 0 else "lower"
    return f"{metric.name} of {variant} is {higher} than {baseline}'s by {size:.2g} ± {metric.half_width:.2g}"


def _when(metric: experiments_pb2.MetricView, units: int, seconds: float) -> str:
    if not metric.HasField("decided_at_units") or not units or seconds <= 0:
        return ""
    missing = metric.decided_at_units - units
    days = missing * seconds / units / timedelta(days=1).total_seconds()
    if days > 365:
        return ", and at this rate not within a year"
    if days >= 1:
        return f"; at current traffic decided in about {days:.1f} days"
    return f"; at current traffic decided in about {days * 24:.0f} hours"
