"""A client of the Report stream that keeps a list of what was acknowledged, and resends what was not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import grpc

from headgate.v1 import usage_pb2
from tests.faults.system import REPORTER
from tests.integration.control_plane.records import make_id, make_record


def batch_of(records: int) -> dict[UUID, bytes]:
    """Fresh records by id."""
    made = {}
    for _ in range(records):
        identity = make_id()
        made[UUID(bytes=identity)] = make_record(id=identity, input_tokens=3, output_tokens=2)
    return made


class Reporter:
    """One stream at a time, one batch at a time. Closes when told, also before an ack is read."""

    def __init__(self, address: str, token: str, name: str = REPORTER) -> None:
        self._channel = grpc.insecure_channel(address, [("grpc.max_reconnect_backoff_ms", 200)])
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._name = name
        self._sequence = 0
        self._call: Any = None
        self._outgoing: queue.SimpleQueue[usage_pb2.ReportRequest | None] = queue.SimpleQueue()

    def close(self) -> None:
        self.drop()
        self._channel.close()

    def drop(self) -> None:
        """Ends the stream, whatever is on its way."""
        if self._call is not None:
            self._call.cancel()
            self._outgoing.put(None)
            self._call = None

    def send(self, records: list[bytes], scores: Sequence[bytes] = ()) -> None:
        """Sends a batch over the open stream, or a new one; its ack is not waited for."""
        if self._call is None:
            self._outgoing = queue.SimpleQueue()
            hello = usage_pb2.UsageHello(proxy=self._name, region="local")
            self._outgoing.put(usage_pb2.ReportRequest(hello=hello))
            method = self._channel.stream_stream(
                "/headgate.v1.UsageService/Report",
                request_serializer=usage_pb2.ReportRequest.SerializeToString,
                response_deserializer=usage_pb2.ReportResponse.FromString,
            )
            self._call = method(_until_none(self._outgoing), metadata=self._metadata)
        self._sequence += 1
        batch = usage_pb2.UsageBatch(sequence=self._sequence, records=records, scores=scores)
        self._outgoing.put(usage_pb2.ReportRequest(batch=batch))

    def deliver(self, records: list[bytes], stop: threading.Event) -> bool:
        """Until it is acknowledged, over as many streams as it takes; False if told to stop before."""
        while not stop.is_set():
            self.send(records)
            if self.acked():
                return True
            self.drop()
            stop.wait(0.05)
        return False

    def acks(self, count: int) -> list[usage_pb2.ReportResponse]:
        """The next so many; raises what the stream ended with, if it does."""
        return [next(self._call) for _ in range(count)]

    def acked(self) -> bool:
        """Waits for the ack of the batch that was sent last; False if the stream broke."""
        try:
            for response in self._call:
                if response.acked_sequence == self._sequence:
                    return True
        except grpc.RpcError:
            pass
        return False


def _until_none(
    outgoing: queue.SimpleQueue[usage_pb2.ReportRequest | None],
) -> Iterator[usage_pb2.ReportRequest]:
    while (request := outgoing.get()) is not None:
        yield request
