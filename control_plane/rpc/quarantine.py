"""Dead letters over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from control_plane.db.database import Database
from control_plane.errors import InvalidField
from control_plane.revisions.service import Revisions
from control_plane.rpc import convert, pages
from control_plane.tokens.model import Principal
from control_plane.usage import quarantine
from control_plane.usage.ingest import Ingest
from headgate.v1 import quarantine_pb2

DEFAULT_PAGE, MAX_PAGE = 100, 1_000
MAX_IDS = 1_000


class QuarantineCalls:
    def __init__(
        self, database: Database, ingest: Ingest, revisions: Revisions, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._ingest = ingest
        self._revisions = revisions
        self._now = now

    async def list(
        self, request: quarantine_pb2.ListQuarantinedRequest, caller: Principal
    ) -> quarantine_pb2.ListQuarantinedResponse:
        size = pages.page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        place = pages.decode(request.page_token, int)
        before = int(place[0]) if place else 2**63 - 1
        found = await self._database.read(lambda session: quarantine.page(session, before, size + 1))
        answer = quarantine_pb2.ListQuarantinedResponse(records=[_view(letter) for letter in found[:size]])
        if len(found) > size:
            answer.next_page_token = pages.encode(found[size - 1].id)
        return answer

    async def retry(
        self, request: quarantine_pb2.RetryQuarantinedRequest, caller: Principal
    ) -> quarantine_pb2.RetryQuarantinedResponse:
        ids = _ids(request.ids)
        letters = await self._database.run(lambda session: quarantine.find(session, ids))
        answer = quarantine_pb2.RetryQuarantinedResponse()
        for letter in letters:
            done = await self._ingest.submit(letter.batch())
            outcome = await done
            (answer.still_aside if outcome.quarantined else answer.taken).append(letter.id)
        taken = list(answer.taken)
        await self._database.run(lambda session: quarantine.remove(session, taken))
        return answer

    async def dismiss(
        self, request: quarantine_pb2.DismissQuarantinedRequest, caller: Principal
    ) -> quarantine_pb2.DismissQuarantinedResponse:
        ids, now = _ids(request.ids), self._now()
        revision = await self._database.run(
            lambda session: quarantine.dismiss(session, self._revisions, caller, ids, request.reason, now)
        )
        return quarantine_pb2.DismissQuarantinedResponse(revision=revision)


def _ids(ids: Sequence[int]) -> list[int]:
    if not 1 <= len(ids) <= MAX_IDS:
        raise InvalidField("ids", f"from 1 to {MAX_IDS} are wanted")
    return sorted(set(ids))


def _view(letter: quarantine.DeadLetter) -> quarantine_pb2.QuarantinedView:
    record = letter.record()
    view = quarantine_pb2.QuarantinedView(
        id=letter.id,
        proxy=letter.proxy,
        why=letter.why,
        record_id=str(letter.record_id or ""),
        request_id=quarantine.request_id_of(record),
        tenant=record.tenant,
        key=record.key,
        model=record.model,
        input_tokens=min(record.input_tokens, 2**63 - 1),
        output_tokens=min(record.output_tokens, 2**63 - 1),
        cost_usd=quarantine.cost_of(record),
    )
    convert.set_time(view.received_at, letter.received_at)
    return view
