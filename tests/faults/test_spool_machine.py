"""Any order of writing, dying, reading, acknowledging and forgetting: what was final arrives, once.

The model is the control plane's view: an id it knows may come again with the same bytes (it is then
repeated), never with others (it would be set aside), and an orphan only if its final never was.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from pathlib import Path
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.usage.record import Recorder, unknown_from
from proxy.usage.spool import Spool, SpoolFull
from proxy.usage.spool_reader import SpooledRecord, SpoolReader
from tests.faults.scale import FULL
from tests.faults.spools import LIMIT_BYTES, account, attempt_id, final_of, kill_writer
from tests.support.ledgers import read_spool

SEGMENT_BYTES = 600
MAX_BYTES = 10 * SEGMENT_BYTES

_ID = slice(2, 18)


class SpoolMachine(RuleBasedStateMachine):
    """One proxy: at most one living writer, readers for all its folders, several lives of each."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Path(tempfile.mkdtemp(prefix="headgate-spool-"))
        self.root = self.state / "spool"
        self.lives = 0
        self.numbers = 0
        self.open: dict[bytes, bytes] = {}  # of the living writer: id to intent
        self.finals: dict[bytes, bytes] = {}
        self.orphans: dict[bytes, bytes] = {}
        self.known: dict[bytes, bytes] = {}  # to the control plane
        self.acked: set[bytes] = set()
        self.given: set[bytes] = set()  # out by these readers
        self.readers: dict[Path, SpoolReader] = {}
        self.unacked: deque[tuple[SpoolReader, list[SpooledRecord]]] = deque()

    @initialize()
    def start(self) -> None:
        self.start_writer()

    def start_writer(self) -> None:
        self.lives += 1
        self.folder = self.root / f"{self.lives:04d}-life"
        self.writer: Spool | None = Spool(self.folder, MAX_BYTES, SEGMENT_BYTES)
        self.readers[self.folder] = SpoolReader(self.folder)

    # The writer.

    @precondition(lambda self: self.writer is not None)
    @rule(padding=st.integers(0, 150))
    def an_attempt_begins(self, padding: int) -> None:
        writer = self.writer
        if writer is None or not writer.has_room():
            return
        self.numbers += 1
        identity = attempt_id(self.numbers)
        try:
            self.open[identity] = Recorder(writer).intent(identity, identity, account(padding))
        except SpoolFull:
            return

    @precondition(lambda self: self.writer is not None and self.open)
    @rule(data=st.data())
    def an_attempt_ends(self, data: st.DataObject) -> None:
        if self.writer is not None:
            self.end(self.writer, data.draw(st.sampled_from(sorted(self.open))))

    def end(self, writer: Spool, identity: bytes) -> None:
        final = final_of(self.open[identity], len(self.finals))
        try:
            Recorder(writer).final(final)
        except SpoolFull:
            return  # its intent stays, and becomes an orphan
        del self.open[identity]
        self.finals[identity] = final

    @precondition(lambda self: self.writer is not None)
    @rule(calls=st.integers(2, 12), padding=st.integers(0, 150))
    def calls_come_and_go(self, calls: int, padding: int) -> None:
        """Enough to go on in the next segments, while older attempts are still under way."""
        writer = self.writer
        for _ in range(calls):
            if writer is None or not writer.has_room():
                return
            before = self.open.keys() | ()
            self.an_attempt_begins(padding)
            for identity in self.open.keys() - before:
                self.end(writer, identity)

    @precondition(lambda self: self.writer is not None)
    @rule(torn_share=st.none() | st.floats(0.0, 0.99))
    def the_writer_dies(self, torn_share: float | None) -> None:
        """Also in the middle of writing a final."""
        torn = b""
        if torn_share is not None and self.open:
            torn = final_of(next(iter(self.open.values())), 7)
        if self.writer is not None:
            kill_writer(self.writer, torn, torn_share or 0.0)
        self.writer_is_gone()

    @precondition(lambda self: self.writer is not None)
    @rule()
    def the_writer_ends_in_order(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer_is_gone()

    def writer_is_gone(self) -> None:
        self.writer = None
        self.orphans |= self.open
        self.open = {}

    @precondition(lambda self: self.writer is None)
    @rule(told=st.booleans())
    def another_writer_starts(self, told: bool) -> None:
        if told:
            self.readers_hear_of_the_death()
        self.start_writer()

    @rule(also_of_the_living=st.booleans())
    def readers_hear_of_the_death(self, also_of_the_living: bool = False) -> None:
        """A new supervisor believes the same of a worker that has outlived the old one."""
        for folder, reader in self.readers.items():
            if also_of_the_living or self.writer is None or folder != self.folder:
                reader.writer_died()

    # The readers.

    @rule(limit=st.integers(1, 12), limit_bytes=st.sampled_from([1, 300, LIMIT_BYTES]))
    def a_batch_is_sent(self, limit: int, limit_bytes: int) -> None:
        for reader in self.readers.values():
            records = reader.read(limit, limit_bytes)
            if not records:
                orphans = reader.orphans(limit, limit_bytes)
                records = [SpooledRecord(unknown_from(r.payload), r.segment) for r in orphans]
            assert len(records) <= limit
            for record in records:
                identity = record.payload[_ID]
                assert identity not in self.given, "given out twice in one life"
                self.given.add(identity)
                assert self.known.setdefault(identity, record.payload) == record.payload
            if records:
                self.unacked.append((reader, records))

    @precondition(lambda self: self.unacked)
    @rule()
    def a_batch_is_acknowledged(self) -> None:
        reader, records = self.unacked.popleft()
        reader.acknowledge(records)
        self.acked |= {record.payload[_ID] for record in records}

    @rule()
    def all_is_acknowledged(self) -> None:
        self.a_batch_is_sent(1_000, LIMIT_BYTES)
        while self.unacked:
            self.a_batch_is_acknowledged()

    @rule()
    def the_readers_die(self) -> None:
        """With every acknowledgement that was still to come."""
        self.unacked.clear()
        self.given.clear()
        folders = [folder for folder in sorted(self.root.iterdir()) if any(folder.iterdir())]
        self.readers = {folder: SpoolReader(folder) for folder in folders}
        if self.writer is not None:
            self.readers.setdefault(self.folder, SpoolReader(self.folder))

    # What always holds.

    @invariant()
    def nothing_unacknowledged_is_deleted(self) -> None:
        spooled = read_spool(self.state)
        waiting = {UUID(bytes=one) for one in self.finals if one not in self.acked}
        assert waiting <= spooled.finals
        orphans = {UUID(bytes=one) for one in (*self.open, *self.orphans) if one not in self.acked}
        assert orphans <= spooled.intents

    @invariant()
    def the_bytes_are_bounded(self) -> None:
        for folder in self.root.iterdir() if self.root.exists() else ():
            assert sum(path.stat().st_size for path in folder.glob("*.seg")) <= MAX_BYTES

    def teardown(self) -> None:
        """The last supervisor adopts everything; then all is known, and no segment is left."""
        try:
            if self.writer is not None:
                kill_writer(self.writer)
                self.writer_is_gone()
            self.the_readers_die()
            self.readers_hear_of_the_death()
            for _ in range(4):  # finals, orphans, then the empty rest
                self.all_is_acknowledged()
            assert all(reader.finished for reader in self.readers.values())
            assert self.known == self.finals | {
                identity: unknown_from(intent) for identity, intent in self.orphans.items()
            }
            assert [*self.root.glob("*/*.seg")] == []
        finally:
            shutil.rmtree(self.state)


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(
    max_examples=1_000 if FULL else 60,
    stateful_step_count=60 if FULL else 40,
    deadline=None,
    derandomize=not FULL,
    phases=list(Phase) if FULL else [Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
