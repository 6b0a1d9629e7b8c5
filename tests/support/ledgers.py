"""The three ledgers side by side: what the fake provider served, what lies in spools, what was billed.

Reads only: the provider's ledger file, segment files byte by byte (a second, independent reader of their
format), and PostgreSQL by a connection of its own. `Ledgers.problems` is the list of everything on which
they, or the clients that called, disagree; "no errors seen" proves nothing (reliability.md, the method).
"""

from __future__ import annotations

import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg

from headgate.v1 import usage_pb2
from tests.support.load import CallSeen
from tests.support.provider.ledger import Attempt

OK = usage_pb2.OUTCOME_OK
UNKNOWN = usage_pb2.OUTCOME_UNKNOWN
# The price of the models in these tests, per token: 1 and 2 USD per million.
INPUT_PICOUSD = 1_000_000
OUTPUT_PICOUSD = 2_000_000
PRICE = {"input": 1, "output": 2}

SHOWN_PROBLEMS = 10
# Without a new row for so long, a doubled one would have come.
QUIET_SECONDS = 0.4


# PostgreSQL.


@dataclass(frozen=True, slots=True)
class Row:
    id: UUID
    request_id: UUID
    proxy: str
    outcome: int
    final: bool
    client_status: int
    input_tokens: int
    output_tokens: int
    cost_picousd: int | None
    estimated: bool


def embedded_url(state: Path) -> str:
    """Of the PostgreSQL that `headgate up` runs below this state folder."""
    lock = next(iter(state.glob("**/postmaster.pid")), None)
    if lock is None:
        raise FileNotFoundError(f"no PostgreSQL runs below {state}")
    lines = lock.read_text().splitlines()
    return f"postgresql://postgres@/postgres?host={lines[4]}&port={lines[3]}"


class Billed:
    """The third ledger. `url` is asked at every look: an embedded server that was killed comes back."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url

    def _ask(self, statement: str, timeout_seconds: float = 20.0) -> list[tuple[object, ...]]:
        """Waits for a server that is just coming back."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                with psycopg.connect(self._url(), connect_timeout=5) as connection:
                    return list(connection.execute(statement.encode()))
            except (psycopg.OperationalError, OSError, IndexError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def rows(self) -> list[Row]:
        columns = "id, request_id, proxy, outcome, final, client_status, input_tokens, output_tokens"
        found = self._ask(f"SELECT {columns}, cost_picousd, estimated FROM usage_record")
        return [Row(*values) for values in found]  # type: ignore[arg-type]

    def has_any(self, ids: Iterable[UUID]) -> bool:
        listed = ",".join(f"'{one}'" for one in ids)
        return bool(self._ask(f"SELECT 1 FROM usage_record WHERE id IN ({listed}) LIMIT 1"))

    def quarantined(self) -> list[str]:
        return [str(row[0]) for row in self._ask("SELECT why FROM usage_quarantine")]

    def unlike_rollups(self) -> list[str]:
        """Groups whose hourly roll-up is not the sum of their records."""
        key = "tenant, key, route, model, provider, task, region"
        sums = "count(*)::numeric, count(*) FILTER (WHERE final), sum(input_tokens), sum(output_tokens)"
        records = f"SELECT date_trunc('hour', time, 'UTC') h, {key}, {sums}, sum(cost_picousd::numeric)"
        records += " FROM usage_record GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
        hours = (
            f"SELECT hour, {key}, attempts, calls, input_tokens, output_tokens, cost_picousd FROM usage_hour"
        )
        found = self._ask(f"({records} EXCEPT {hours}) UNION ALL ({hours} EXCEPT {records})")
        return [str(row) for row in found]


# The spool.


@dataclass(frozen=True, slots=True)
class Spooled:
    """What lies in a proxy's spool folders: ids of intents, and of final records."""

    intents: frozenset[UUID] = frozenset()
    finals: frozenset[UUID] = frozenset()


_SEGMENT_HEAD_BYTES = 16
_FRAME_HEAD = struct.Struct("<IIB")


def read_spool(state: Path) -> Spooled:
    """All segments below a proxy's state folder, whoever wrote them; stops at a torn frame."""
    found: dict[int, set[UUID]] = {1: set(), 2: set()}
    for path in sorted(state.glob("**/spool/*/*.seg")):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        at = _SEGMENT_HEAD_BYTES
        while at + _FRAME_HEAD.size <= len(data):
            length, crc, kind = _FRAME_HEAD.unpack_from(data, at)
            end = at + _FRAME_HEAD.size + length
            if length == 0 or zlib.crc32(data[at + 8 : end]) != crc:
                break
            if kind in found:
                record = usage_pb2.UsageRecord.FromString(data[at + _FRAME_HEAD.size : end])
                found[kind].add(UUID(bytes=record.id))
            at = end
    return Spooled(frozenset(found[1]), frozenset(found[2]))


# The comparison.


@dataclass(frozen=True, slots=True)
class Ledgers:
    served: Sequence[Attempt]
    rows: Sequence[Row]
    seen: Sequence[CallSeen] = ()
    quarantined: Sequence[str] = ()
    unlike_rollups: Sequence[str] = ()
    spooled: Spooled = field(default_factory=Spooled)

    @classmethod
    def of(
        cls,
        served: Callable[[], Sequence[Attempt]],
        billed: Billed,
        seen: Sequence[CallSeen] = (),
        spool_state: Path | None = None,
        without: str = "",
        timeout_seconds: float = 30.0,
    ) -> Ledgers:
        """As soon as they agree and nothing more comes; at the latest after the timeout, as they are then.

        `without`: rows of proxies whose names begin so are left out; no provider ever saw them.
        """
        deadline = time.monotonic() + timeout_seconds
        count, quiet_since = -1, 0.0
        while True:
            rows = [row for row in billed.rows() if not (without and row.proxy.startswith(without))]
            spooled = read_spool(spool_state) if spool_state is not None else Spooled()
            ledgers = cls(served(), rows, seen, billed.quarantined(), billed.unlike_rollups(), spooled)
            now = time.monotonic()
            if len(rows) != count:
                count, quiet_since = len(rows), now
            quiet = now - quiet_since >= QUIET_SECONDS
            if now > deadline or (quiet and not ledgers.problems()):
                return ledgers
            time.sleep(0.1)

    def problems(self) -> list[str]:
        """Empty when the ledgers agree."""
        found = [f"set aside: {why}" for why in self.quarantined]
        found += [f"not the sum of its records: {group}" for group in self.unlike_rollups]
        rows = {row.id: row for row in self.rows}
        found += [
            f"{count} rows of attempt {identity}"
            for identity, count in Counter(row.id for row in self.rows).items()
            if count > 1
        ]
        served: dict[UUID, Attempt] = {}
        for attempt in self.served:
            identity = UUID(attempt.client_request_id)
            # A connection that died unanswered is tried again under the same id: the answered one counts.
            if identity not in served or attempt.complete:
                served[identity] = attempt
        found += [f"served and not billed: {one}" for one in served if one not in rows]
        found += [
            f"billed as answered and never served: {row.id}"
            for row in self.rows
            if row.outcome == OK and row.id not in served
        ]
        for identity, attempt in served.items():
            if identity in rows:
                found += _unlike(attempt, rows[identity])
        found += self._unlike_seen()
        found += [f"in the spool and not billed: {one}" for one in self.spooled.finals if one not in rows]
        return found

    def _unlike_seen(self) -> list[str]:
        """Nothing that a client saw complete goes unrecorded; no request has two last attempts."""
        finals: dict[UUID, list[Row]] = {}
        for row in self.rows:
            if row.final:
                finals.setdefault(row.request_id, []).append(row)
        found = [f"{len(last)} last attempts of {one}" for one, last in finals.items() if len(last) > 1]
        for call in self.seen:
            if call.complete and call.request_id is not None:
                last = finals.get(call.request_id, [])
                if not last:
                    found.append(f"complete for its client and not billed: call {call}")
                elif last[0].outcome != OK or last[0].client_status != 200:
                    found.append(f"complete for its client and billed as {last[0]}")
        return found

    def check(self) -> None:
        """Raises AssertionError that says where they disagree."""
        problems = self.problems()
        if problems:
            shown = "\n  ".join(problems[:SHOWN_PROBLEMS])
            raise AssertionError(
                f"{len(problems)} disagreements between {len(self.served)} served attempts, "
                f"{len(self.rows)} rows and {len(self.seen)} calls:\n  {shown}"
            )


def _unlike(attempt: Attempt, row: Row) -> list[str]:
    """Tokens and money of one attempt that has a row."""
    if row.outcome == UNKNOWN:
        return [] if row.estimated and not row.output_tokens else [f"unknown, but with tokens: {row}"]
    if row.outcome != OK:
        return []
    found = []
    said = (attempt.served.prompt_tokens, attempt.served.completion_tokens)
    if (row.input_tokens, row.output_tokens) != said:
        found.append(f"served {said} tokens, billed {(row.input_tokens, row.output_tokens)}: {row.id}")
    cost = said[0] * INPUT_PICOUSD + said[1] * OUTPUT_PICOUSD
    if row.cost_picousd != cost:
        found.append(f"worth {cost} pico-dollars, billed {row.cost_picousd}: {row.id}")
    return found
