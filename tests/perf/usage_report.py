"""Reports usage records to a control plane as one proxy would, for the ingest measure.

Records look like those of a busy day: 20 keys, 10 models, six hours, every fourth streamed, each with its own
id and counts. They are encoded before the clock starts.
"""

import os
import random
import time
from collections import deque
from collections.abc import Iterator

import grpc

from headgate.v1 import admin_pb2, admin_pb2_grpc, usage_pb2, usage_pb2_grpc

_HOURS = 6
# Batches on the wire that are not acknowledged yet, as in the proxy's shipper.
_UNACKED = 4


def proxy_token(address: str, admin_token: str) -> str:
    """A token of role proxy, minted for the bench."""
    with grpc.insecure_channel(address) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]
        request = admin_pb2.CreateTokenRequest(name=f"bench-{os.urandom(4).hex()}", role="proxy")
        metadata = (("authorization", f"Bearer {admin_token}"),)
        answer: admin_pb2.CreateTokenResponse = stub.CreateToken(request, metadata=metadata, timeout=10)
        return answer.minted.secret


def make_batches(records: int, batch_records: int, seed: int = 1) -> list[usage_pb2.UsageBatch]:
    chance = random.Random(seed)
    now_ms = int(time.time() * 1000)
    batches = []
    for sequence, start in enumerate(range(0, records, batch_records), 1):
        payloads = [_record(chance, now_ms) for _ in range(min(batch_records, records - start))]
        batches.append(usage_pb2.UsageBatch(sequence=sequence, records=payloads))
    return batches


def _record(chance: random.Random, now_ms: int) -> bytes:
    ms = now_ms - chance.randrange(_HOURS * 3_600_000)
    stream = chance.random() < 0.25
    record = usage_pb2.UsageRecord(
        id=ms.to_bytes(6, "big") + bytes((0x70,)) + os.urandom(1) + bytes((0x80,)) + os.urandom(7),
        request_id=os.urandom(16),
        attempt_number=1,
        tenant="default",
        key=f"key-{chance.randrange(20)}",
        route="chat",
        model=f"model-{chance.randrange(10)}",
        provider="bench",
        upstream_model="chat",
        provider_key="default",
        region="local",
        operation="chat.completions",
        stream=stream,
        outcome=usage_pb2.OUTCOME_OK,
        status=200,
        final=True,
        client_status=200,
        latency_ms=chance.randrange(100, 9_000),
        request_latency_ms=chance.randrange(100, 9_000),
        input_tokens=chance.randrange(20, 4_000),
        output_tokens=chance.randrange(1, 900),
        cost_picousd=chance.randrange(10**6, 10**10),
        price_version="manifest@1",
        cache=usage_pb2.CACHE_RESULT_OFF,
    )
    if stream:
        record.first_token_ms = chance.randrange(50, 900)
    return record.SerializeToString()


def report(address: str, token: str, batches: list[usage_pb2.UsageBatch]) -> int:
    """Sends all batches; returns how many records were acknowledged as new."""
    unsent = deque(batches)
    inserted = 0
    open_batches = 0

    with grpc.insecure_channel(address) as channel:
        stub = usage_pb2_grpc.UsageServiceStub(channel)  # type: ignore[no-untyped-call]

        def requests() -> Iterator[usage_pb2.ReportRequest]:
            yield usage_pb2.ReportRequest(hello=usage_pb2.UsageHello(proxy="bench", region="local"))
            nonlocal open_batches
            while unsent:
                if open_batches >= _UNACKED:
                    time.sleep(0.001)
                    continue
                open_batches += 1
                yield usage_pb2.ReportRequest(batch=unsent.popleft())

        for response in stub.Report(
            requests(), metadata=(("authorization", f"Bearer {token}"),), timeout=300
        ):
            inserted += response.inserted
            open_batches -= 1
            if response.acked_sequence == batches[-1].sequence:
                break
    return inserted
