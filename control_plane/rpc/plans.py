"""What policies would do, and how models stand, over gRPC."""

from __future__ import annotations

from control_plane.errors import InvalidField
from control_plane.plans.errors import NoSuchRoute
from control_plane.plans.model import Explained, Question
from control_plane.plans.service import Plans
from control_plane.rpc import convert, pages
from control_plane.standings.service import Standings
from control_plane.tokens.model import Principal
from headgate.rules.money import PICO_PER_USD, usd_text
from headgate.rules.names import DEFAULT_TENANT, SHARED_TENANT
from headgate.rules.units import parse_decimal
from headgate.v1 import config_pb2, routing_pb2

NEEDS = ("tools", "vision", "json_schema", "audio")
MAX_TOKENS = 100_000_000
# A thousand models of each are 20 MB.
MAX_PAGE = 100


class PlanCalls:
    def __init__(self, plans: Plans, standings: Standings) -> None:
        self._plans = plans
        self._standings = standings

    async def explain_route(
        self, request: routing_pb2.ExplainRouteRequest, caller: Principal
    ) -> routing_pb2.ExplainRouteResponse:
        tenant = request.tenant or caller.tenant or DEFAULT_TENANT
        if not caller.sees(tenant):
            raise NoSuchRoute(request.model, ())
        found = self._plans.explain(_question(request, tenant))
        return routing_pb2.ExplainRouteResponse(
            chosen=found.chosen,
            route=found.route,
            region=found.region,
            candidates=[_candidate(explained) for explained in found.candidates],
        )

    async def list_standings(
        self, request: routing_pb2.ListStandingsRequest, caller: Principal
    ) -> routing_pb2.ListStandingsResponse:
        if request.tenant and not caller.sees(request.tenant):
            return routing_pb2.ListStandingsResponse()
        tenant = request.tenant or caller.tenant
        place = pages.decode(request.page_token, str)
        after = str(place[0]) if place else ""
        size = pages.page_size(request.page_size, MAX_PAGE, MAX_PAGE)
        found = sorted((r for r in self._standings.reports() if r.proxy > after), key=lambda r: r.proxy)
        answer = routing_pb2.ListStandingsResponse()
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].proxy)
        for report in found[:size]:
            # Who runs what is not a tenant's to know.
            name = report.proxy if caller.tenant is None else ""
            view = answer.proxies.add(proxy=name, region=report.region)
            view.standings.CopyFrom(_seen(report.standings, tenant))
            convert.set_time(view.reported_at, report.reported_at)
        return answer


def _seen(standings: config_pb2.Standings, tenant: str | None) -> config_pb2.Standings:
    if tenant is None:
        return standings
    seen = (tenant, SHARED_TENANT)
    mine = config_pb2.Standings(
        standings=[one for one in standings.standings if one.tenant in seen],
        resting_keys=[rest for rest in standings.resting_keys if rest.tenant in seen],
    )
    for one in mine.standings:
        if one.tenant != tenant:  # of a shared model, other tenants' routes are their own affair
            del one.lengths[1:]
    return mine


def _question(request: routing_pb2.ExplainRouteRequest, tenant: str) -> Question:
    for need in request.needs:
        if need not in NEEDS:
            raise InvalidField("needs", f"{need[:40]!r} is none of {', '.join(NEEDS)}")
    for name in ("input_tokens", "max_tokens"):
        if getattr(request, name) > MAX_TOKENS:
            raise InvalidField(name, f"is over {MAX_TOKENS}")
    max_picousd = None
    if request.max_cost_usd:
        try:
            max_picousd = int(parse_decimal(request.max_cost_usd) * PICO_PER_USD)
        except ValueError as error:
            raise InvalidField("max_cost_usd", str(error)) from None
    return Question(
        tenant=tenant,
        model=request.model,
        region=request.region,
        key=request.key,
        task=request.task,
        user=request.user,
        session=request.session,
        metadata=tuple(sorted(request.metadata.items())),
        stream=request.stream,
        input_tokens=request.input_tokens,
        max_tokens=request.max_tokens,
        needs=frozenset(request.needs),
        wants_json=request.wants_json,
        max_picousd=max_picousd,
    )


def _candidate(found: Explained) -> routing_pb2.ExplainedCandidate:
    cost = found.expected_cost_picousd
    return routing_pb2.ExplainedCandidate(
        model=found.model,
        provider=found.provider,
        upstream_model=found.upstream_model,
        place=found.place,
        reason=found.reason,
        share=found.share,
        expected_cost_usd=usd_text(cost) if cost is not None else None,
        expected_output_tokens=found.expected_output_tokens or 0.0,
        first_token_ms=_milliseconds(found.first_token_seconds),
        total_ms=_milliseconds(found.total_seconds),
        quality=found.quality,
        health=found.health,
    )


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else min(round(seconds * 1000), 2**32 - 1)
