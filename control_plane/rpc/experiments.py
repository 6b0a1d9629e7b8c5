"""Results of experiments over gRPC."""

from __future__ import annotations

import math

from control_plane.db.database import Database
from control_plane.experiments.errors import ExperimentNotFound
from control_plane.experiments.service import Experiments, Metric, Results
from control_plane.rpc import convert
from control_plane.tokens.model import Principal
from headgate.rules.names import DEFAULT_TENANT
from headgate.v1 import experiments_pb2


class ExperimentCalls:
    def __init__(self, database: Database, experiments: Experiments) -> None:
        self._database = database
        self._experiments = experiments

    async def show(
        self, request: experiments_pb2.ShowExperimentRequest, caller: Principal
    ) -> experiments_pb2.ShowExperimentResponse:
        tenant = request.tenant or caller.tenant or DEFAULT_TENANT
        if not caller.sees(tenant):
            raise ExperimentNotFound(request.name)
        since = convert.time_of(getattr(request, "from"), "from") if request.HasField("from") else None
        found = await self._database.read(
            lambda session: self._experiments.results(session, tenant, request.name, since)
        )
        return _view(found)


def _view(found: Results) -> experiments_pb2.ShowExperimentResponse:
    view = experiments_pb2.ShowExperimentResponse(
        name=found.experiment,
        unit=found.unit,
        confidence=found.confidence,
        share_p_value=found.share_p_value,
        shares_are_off=found.shares_are_off,
    )
    convert.set_time(getattr(view, "from"), found.start)
    convert.set_time(view.to, found.end)
    for variant in found.variants:
        view.variants.add(
            name=variant.name,
            share=variant.share,
            units=variant.units,
            calls=variant.calls,
            unpriced=variant.unpriced,
            outside=variant.outside,
            metrics=[_metric(metric) for metric in variant.metrics],
        )
    return view


def _metric(metric: Metric) -> experiments_pb2.MetricView:
    versus = metric.versus
    known = versus is not None and math.isfinite(versus.half_width)
    return experiments_pb2.MetricView(
        name=metric.name,
        mean=metric.mean,
        difference=versus.difference if versus is not None and known else None,
        half_width=versus.half_width if versus is not None and known else None,
        decided_at_units=metric.decided_at_units if known else None,
    )
