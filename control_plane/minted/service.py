"""Repeats the first answer of a call for ten minutes, minted secrets included.

The head's lock is taken before looking, so that two copies of one call cannot both be the first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.minted import store
from control_plane.minted.errors import RequestIdReused
from control_plane.minted.model import MintedRow
from control_plane.revisions.service import Revisions
from control_plane.secrets.vault import Vault
from control_plane.tokens.model import Principal

KEPT = timedelta(minutes=10)
MAX_REQUEST_ID_CHARACTERS = 128


class FirstAnswers:
    def __init__(self, vault: Vault, revisions: Revisions) -> None:
        self._vault = vault
        self._revisions = revisions

    def once(
        self,
        session: Session,
        caller: Principal,
        method: str,
        request_id: str,
        now: datetime,
        work: Callable[[], bytes],
    ) -> bytes:
        """`work()`, or what it answered the first time. Without a request_id: always `work()`."""
        if not request_id:
            return work()
        if len(request_id) > MAX_REQUEST_ID_CHARACTERS:
            raise InvalidField("request_id", f"is longer than {MAX_REQUEST_ID_CHARACTERS} characters")
        self._revisions.lock(session)
        actor = f"{caller.name}/{caller.sha256.hex()[:16]}"
        first = store.find(session, request_id, actor)
        if first is not None and first.created_at > now - KEPT:
            if first.method != method:
                raise RequestIdReused(request_id)
            return self._vault.unseal(first.sealed or b"", first.place)
        answer = work()
        row = MintedRow(
            request_id=request_id,
            actor=actor,
            tenant=caller.tenant or "",
            method=method,
            created_at=now,
        )
        row.sealed = self._vault.seal(session, answer, row.place)
        store.write(session, row)
        return answer
