"""Experiments over gRPC: results, decisions, and what models are good at."""

from __future__ import annotations

import math
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.experiments import fit
from control_plane.experiments.errors import ExperimentNotFound
from control_plane.experiments.model import Metric, Results, VariantResult
from control_plane.experiments.service import Experiments
from control_plane.experiments.steering import Steering
from control_plane.rpc import convert, pages
from control_plane.tokens.model import Principal
from headgate.rules.names import DEFAULT_TENANT
from headgate.v1 import experiments_pb2

EXPORT_PAGE = 2_000
MAX_FITS = 1_000


class ExperimentCalls:
    def __init__(self, database: Database, experiments: Experiments, steering: Steering) -> None:
        self._database = database
        self._experiments = experiments
        self._steering = steering

    async def show(
        self, request: experiments_pb2.ShowExperimentRequest, caller: Principal
    ) -> experiments_pb2.ShowExperimentResponse:
        tenant = _tenant(request.tenant, request.name, caller)
        since = _since(request)
        found = await self._database.read(
            lambda session: self._experiments.results(session, tenant, request.name, since)
        )
        return _view(found)

    async def export(
        self, request: experiments_pb2.ExportExperimentRequest, caller: Principal
    ) -> experiments_pb2.ExportExperimentResponse:
        tenant = _tenant(request.tenant, request.name, caller)
        since = _since(request)
        place = pages.decode(request.page_token, str)
        after = UUID(str(place[0])) if place else None
        rows = await self._database.read(
            lambda session: self._experiments.exported(
                session, tenant, request.name, since, after, EXPORT_PAGE
            )
        )
        answer = experiments_pb2.ExportExperimentResponse()
        for row in rows:
            call = answer.calls.add(
                request_id=row["request_id"].hex,  # type: ignore[attr-defined]
                variant=row["variant"],
                unit=row["unit"],
                error=bool(row["error_rate"]),
                outside=row["outside"],
            )
            for name in ("cost_usd", "latency_ms", "first_token_ms", "quality", "feedback"):
                if (value := row[name]) is not None:
                    setattr(call, name, float(value))  # type: ignore[arg-type]
            if row["success"] is not None:
                call.success = bool(row["success"])
        if len(rows) == EXPORT_PAGE:
            answer.next_page_token = pages.encode(str(rows[-1]["request_id"]))
        return answer

    async def promote(
        self, request: experiments_pb2.PromoteExperimentRequest, caller: Principal
    ) -> experiments_pb2.PromoteExperimentResponse:
        tenant = _tenant(request.tenant, request.name, caller)

        def work(session: Session) -> int:
            return self._steering.promote(session, caller, tenant, request.name, request.variant)

        return experiments_pb2.PromoteExperimentResponse(revision=await self._database.run(work))

    async def stop(
        self, request: experiments_pb2.StopExperimentRequest, caller: Principal
    ) -> experiments_pb2.StopExperimentResponse:
        tenant = _tenant(request.tenant, request.name, caller)

        def work(session: Session) -> tuple[int, str]:
            return self._steering.stop(session, caller, tenant, request.name, request.variant)

        revision, winner = await self._database.run(work)
        return experiments_pb2.StopExperimentResponse(revision=revision, winner=winner)

    async def start(
        self, request: experiments_pb2.StartExperimentRequest, caller: Principal
    ) -> experiments_pb2.StartExperimentResponse:
        tenant = _tenant(request.tenant, request.name, caller)

        def work(session: Session) -> int:
            return self._steering.start(session, caller, tenant, request.name)

        return experiments_pb2.StartExperimentResponse(revision=await self._database.run(work))

    async def list_fit(
        self, request: experiments_pb2.ListTaskFitRequest, caller: Principal
    ) -> experiments_pb2.ListTaskFitResponse:
        tenant = request.tenant or caller.tenant
        if tenant is not None and not caller.sees(tenant):
            return experiments_pb2.ListTaskFitResponse()
        task = request.task if request.HasField("task") else None
        found = await self._database.read(
            lambda session: fit.fits(session, self._experiments.now(), tenant, task)
        )
        place = pages.decode(request.page_token, int)
        size = pages.page_size(request.page_size, MAX_FITS, MAX_FITS)
        start = int(place[0]) if place else 0
        answer = experiments_pb2.ListTaskFitResponse(fits=[_fit(one) for one in found[start : start + size]])
        if start + size < len(found):
            answer.next_page_token = pages.encode(start + size)
        return answer


def _tenant(named: str, name: str, caller: Principal) -> str:
    tenant = named or caller.tenant or DEFAULT_TENANT
    if not caller.sees(tenant):
        raise ExperimentNotFound(name)
    return tenant


def _since(
    request: experiments_pb2.ShowExperimentRequest | experiments_pb2.ExportExperimentRequest,
) -> datetime | None:
    return convert.time_of(getattr(request, "from"), "from") if request.HasField("from") else None


def _view(found: Results) -> experiments_pb2.ShowExperimentResponse:
    view = experiments_pb2.ShowExperimentResponse(
        name=found.experiment,
        unit=found.unit,
        confidence=found.confidence,
        share_p_value=found.share_p_value,
        shares_are_off=found.shares_are_off,
        judges_agreement=found.agreement,
        decided_by=found.by,
        variants=[_variant(variant) for variant in found.variants],
        background=[
            experiments_pb2.BackgroundCost(variant=one.variant, cost_picousd=one.picousd)
            for one in found.spent
        ],
    )
    convert.set_time(getattr(view, "from"), found.start)
    convert.set_time(view.to, found.end)
    convert.decided_message(view.state, found.decided)
    return view


def _variant(variant: VariantResult) -> experiments_pb2.VariantView:
    return experiments_pb2.VariantView(
        name=variant.name,
        share=variant.share,
        shadow=variant.is_shadow,
        stopped=variant.stopped,
        units=variant.units,
        calls=variant.calls,
        unpriced=variant.unpriced,
        outside=variant.outside,
        judged=variant.judged,
        unscored=variant.unscored,
        metrics=[_metric(metric) for metric in variant.metrics],
        remarks=[
            experiments_pb2.RemarkCount(remark=remark, count=count)  # type: ignore[arg-type]
            for remark, count in variant.remarks
        ],
    )


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


def _fit(found: fit.Fit) -> experiments_pb2.TaskFitView:
    return experiments_pb2.TaskFitView(
        tenant=found.tenant,
        model=found.model,
        task=found.task,
        rubric=found.rubric,
        quality=found.quality,
        lower=found.lower,
        upper=found.upper,
        units=found.units,
        answers=found.answers,
        cost_per_success_usd=found.cost_per_success_usd,
        latency_ms=found.latency_ms,
        is_evidence=found.is_evidence,
    )
