"""The fleet, the history and the control plane's own health over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from sqlmodel import Session

from control_plane.db.database import Database
from control_plane.db.roles import scoped
from control_plane.db.status import server_version
from control_plane.errors import DatabaseAway
from control_plane.fleet.model import NOTHING, Proxy
from control_plane.fleet.service import Fleet
from control_plane.revisions.model import Version
from control_plane.revisions.service import Revisions
from control_plane.revisions.store import read_head
from control_plane.rpc import convert, pages
from control_plane.secrets.vault import Vault
from control_plane.snapshots.service import Publisher
from control_plane.tokens.model import Principal
from control_plane.usage.quarantine import count_quarantined
from headgate.v1 import admin_pb2

MAX_PAGE = 1_000
DEFAULT_REVISIONS = 50
DEFAULT_AWAIT_SECONDS, MAX_AWAIT_SECONDS = 5.0, 30.0


class FleetCalls:
    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        revisions: Revisions,
        publisher: Publisher,
        vault: Vault,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._fleet = fleet
        self._revisions = revisions
        self._publisher = publisher
        self._vault = vault
        self._now = now

    async def list_proxies(
        self, request: admin_pb2.ListProxiesRequest, caller: Principal
    ) -> admin_pb2.ListProxiesResponse:
        place = pages.decode(request.page_token, str)
        size = pages.page_size(request.page_size, MAX_PAGE, MAX_PAGE)
        found = await self._fleet.list(str(place[0]) if place else "", size + 1)
        answer = admin_pb2.ListProxiesResponse(proxies=[self._view(proxy) for proxy in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].name)
        return answer

    def _view(self, proxy: Proxy) -> admin_pb2.ProxyView:
        stale = (self._now() - proxy.stale_since).total_seconds() if proxy.stale_since else 0.0
        view = admin_pb2.ProxyView(
            name=proxy.name,
            region=proxy.region,
            labels=proxy.labels,
            version=proxy.software_version,
            connected=proxy.connected,
            staleness_seconds=max(stale, 0.0),
            last_nack=proxy.last_nack,
            spool_bytes=proxy.spool_bytes,
            usage_lag_seconds=proxy.usage_lag_seconds,
        )
        if proxy.acked != NOTHING:
            view.config_version.CopyFrom(convert.version_message(proxy.acked))
        convert.set_time(view.last_seen, proxy.last_seen)
        return view

    async def await_revision(
        self, request: admin_pb2.AwaitRevisionRequest, caller: Principal
    ) -> admin_pb2.AwaitRevisionResponse:
        seconds = DEFAULT_AWAIT_SECONDS
        if request.HasField("timeout"):
            seconds = convert.timedelta_of(request.timeout, "timeout").total_seconds()
        seconds = min(max(seconds, 0.0), MAX_AWAIT_SECONDS)
        with scoped(None):  # proxies are nobody's
            version = Version(await self._epoch(), request.revision)
            acknowledged, pending, refused = await self._fleet.wait_for(version, seconds)
        if caller.tenant is not None:  # how many, but not who they are
            pending, refused = ["a proxy"] * len(pending), ["a proxy"] * len(refused)
        return admin_pb2.AwaitRevisionResponse(
            acknowledged=len(acknowledged), pending=pending, refused=refused
        )

    async def _epoch(self) -> int:
        """The database's: what is published may lag behind, or be nothing."""
        try:
            return (await self._database.read(read_head)).epoch
        except DatabaseAway:
            published = self._publisher.current
            return published.version.epoch if published is not None else 2**62

    async def list_revisions(
        self, request: admin_pb2.ListRevisionsRequest, caller: Principal
    ) -> admin_pb2.ListRevisionsResponse:
        place = pages.decode(request.page_token, int)
        before = int(place[0]) if place else 2**62
        size = pages.page_size(request.page_size, DEFAULT_REVISIONS, MAX_PAGE)
        found = await self._database.read(
            lambda session: self._revisions.page(session, caller.tenant, before, size + 1)
        )
        answer = admin_pb2.ListRevisionsResponse()
        for one in found[:size]:
            view = answer.revisions.add(
                revision=one.revision, actor=one.actor, source=one.source, changes=one.changes
            )
            convert.set_time(view.time, one.time)
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].revision)
        return answer

    async def get_status(
        self, request: admin_pb2.GetStatusRequest, caller: Principal
    ) -> admin_pb2.GetStatusResponse:
        def work(session: Session) -> admin_pb2.GetStatusResponse:
            head = read_head(session)
            return admin_pb2.GetStatusResponse(
                software_version=_software_version(),
                database_version=server_version(session),
                version=convert.version_message(head),
                # Set aside are records of nobody in particular: a tenant's token does not see them.
                quarantined_records=count_quarantined(session) if caller.tenant is None else 0,
            )

        answer = await self._database.read(work)
        sealed = self._vault.sealed_because
        problem = self._publisher.problem
        if problem and caller.tenant is not None:
            problem = "the newest revision is not published"  # why names whose secret or resource it is
        answer.secrets = f"sealed: {sealed}" if sealed else problem or "ok"
        answer.connected_proxies = self._fleet.connected_count
        return answer


def _software_version() -> str:
    try:
        return version("headgate")
    except PackageNotFoundError:
        return "unknown"
