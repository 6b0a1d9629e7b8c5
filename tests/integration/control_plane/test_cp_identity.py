"""Joining, renewing and being only oneself, over gRPC: what a hostile proxy tries (A13, A14)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.protobuf.duration_pb2 import Duration

from control_plane.rpc.places import MAX_STREAMS_PER_PROXY
from control_plane.settings import Address
from headgate.rules.credentials import Secret
from headgate.v1 import admin_pb2, config_pb2, identity_pb2, usage_pb2
from tests.integration.control_plane.records import make_record
from tests.integration.control_plane.replica import Replica, query, refused

LISTENING: dict[str, Any] = {"proxies": Address("127.0.0.1", 0)}
Key = ec.EllipticCurvePrivateKey


def csr_of(key: Any) -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


async def token_of(replica: Replica, region: str = "eu", **more: Any) -> str:
    owner = await replica.owner()
    request = identity_pb2.CreateJoinTokenRequest(region=region, **more)
    return str((await owner.call("CreateJoinToken", request)).minted.secret)


async def join(replica: Replica, token: str, key: Key, **more: Any) -> identity_pb2.JoinResponse:
    fields = {"token": token, "csr": csr_of(key), "name": "edge", "region": "eu", **more}
    answer: identity_pb2.JoinResponse = await replica.client("").call(
        "Join", identity_pb2.JoinRequest(**fields)
    )
    return answer


async def renew(replica: Replica, key: Key) -> identity_pb2.RenewResponse:
    answer: identity_pb2.RenewResponse = await replica.client("").call(
        "Renew", identity_pb2.RenewRequest(csr=csr_of(key))
    )
    return answer


def channel(joined: Any, key: Key) -> grpc.aio.Channel:
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = grpc.ssl_channel_credentials(joined.authority.encode(), pem, joined.certificate.encode())
    options = [("grpc.ssl_target_name_override", "control-plane.headgate")]
    return grpc.aio.secure_channel(f"127.0.0.1:{joined.port}", credentials, options)


async def first_answer(over: grpc.aio.Channel, name: str, region: str) -> Any:
    """What a proxy that says it is `name` of `region` gets from the config stream."""
    call = over.stream_stream(
        "/headgate.v1.ConfigService/Watch",
        request_serializer=config_pb2.WatchRequest.SerializeToString,
        response_deserializer=config_pb2.WatchResponse.FromString,
    )()
    hello = config_pb2.ProxyHello(name=name, region=region, software_version="1")
    await call.write(config_pb2.WatchRequest(hello=hello))
    try:
        async with asyncio.timeout(5):
            answer = await call.read()
            if answer is grpc.aio.EOF:
                raise grpc.aio.AioRpcError(await call.code(), (), (), await call.details())  # type: ignore[arg-type]
            return answer
    finally:
        call.cancel()


async def reported(over: grpc.aio.Channel, name: str, region: str) -> Any:
    call = over.stream_stream(
        "/headgate.v1.UsageService/Report",
        request_serializer=usage_pb2.ReportRequest.SerializeToString,
        response_deserializer=usage_pb2.ReportResponse.FromString,
    )()
    await call.write(usage_pb2.ReportRequest(hello=usage_pb2.UsageHello(proxy=name, region=region)))
    batch = usage_pb2.UsageBatch(sequence=1, records=[make_record()])
    await call.write(usage_pb2.ReportRequest(batch=batch))
    try:
        async with asyncio.timeout(5):
            answer = await call.read()
            if answer is grpc.aio.EOF:
                raise grpc.aio.AioRpcError(await call.code(), (), (), await call.details())  # type: ignore[arg-type]
            return answer
    finally:
        call.cancel()


async def test_one_proxys_certificate_holds_few_streams_and_keeps_nobody_out(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        token, other = await token_of(replica), await token_of(replica)
        key, other_key = new_key(), new_key()
        joined = await join(replica, token, key)
        next_door = await join(replica, other, other_key, name="next-door")
        async with channel(joined, key) as over, channel(next_door, other_key) as beside:
            hello = config_pb2.ProxyHello(name="edge", region="eu", software_version="1")
            calls = [
                over.stream_stream(
                    "/headgate.v1.ConfigService/Watch",
                    request_serializer=config_pb2.WatchRequest.SerializeToString,
                    response_deserializer=config_pb2.WatchResponse.FromString,
                )()
                for _ in range(MAX_STREAMS_PER_PROXY + 8)
            ]
            for call in calls:
                await call.write(config_pb2.WatchRequest(hello=hello))
            answers = await asyncio.gather(*(call.read() for call in calls), return_exceptions=True)
            got = [answer for answer in answers if isinstance(answer, config_pb2.WatchResponse)]
            assert len(got) == MAX_STREAMS_PER_PROXY
            assert (await first_answer(beside, "next-door", "eu")).HasField("update")
            for call in calls:
                call.cancel()


async def test_of_fifty_that_join_at_once_with_one_token_one_does(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        token = await token_of(replica)
        tries = [join(replica, token, new_key(), name=f"edge-{n}") for n in range(50)]
        done = await asyncio.gather(*tries, return_exceptions=True)
        joined = [one for one in done if isinstance(one, identity_pb2.JoinResponse)]
        failed = {one.code().name for one in done if isinstance(one, grpc.aio.AioRpcError)}
        assert (len(joined), failed) == (1, {"UNAUTHENTICATED"})
        assert len(query(database, "SELECT 1 FROM token WHERE role = 'proxy'")) == 1


async def test_a_join_whose_answer_was_lost_is_answered_again_to_the_same_key_alone(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        token, key = await token_of(replica), new_key()
        await join(replica, token, key)
        again = await join(replica, token, key)
        async with channel(again, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.revision > 0
        for other_key, more in ((new_key(), {}), (key, {"name": "other"}), (key, {"region": "us"})):
            code, _ = await refused(join(replica, token, other_key, **more))
            assert code == "UNAUTHENTICATED"
        assert len(query(database, "SELECT 1 FROM token WHERE role = 'proxy'")) == 1
        query(database, "UPDATE token SET revoked_at = now() WHERE role = 'proxy'")
        assert (await refused(join(replica, token, key)))[0] == "UNAUTHENTICATED"


async def test_what_buys_no_certificate(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        good, key = await token_of(replica), new_key()
        short = await token_of(replica, expires=Duration(nanos=1_000_000))
        assert (await refused(join(replica, "hgj-unknown", key)))[0] == "UNAUTHENTICATED"
        assert (await refused(join(replica, "", key)))[0] == "UNAUTHENTICATED"
        assert (await refused(join(replica, "x" * 100_000, key)))[0] == "UNAUTHENTICATED"
        assert (await refused(join(replica, short, key)))[0] == "UNAUTHENTICATED"
        assert (await refused(join(replica, good, key, region="us")))[0] == "PERMISSION_DENIED"
        assert (await refused(join(replica, good, key, name="No Name")))[0] == "INVALID_ARGUMENT"
        assert (await refused(join(replica, good, key, csr=b"junk")))[0] == "INVALID_ARGUMENT"
        assert (await refused(join(replica, good, key, csr=b"x" * 100_000)))[0] == "INVALID_ARGUMENT"
        other = rsa.generate_private_key(65537, 2048)
        assert (await refused(join(replica, good, key, csr=csr_of(other))))[0] == "INVALID_ARGUMENT"
        broken = bytearray(csr_of(key))
        broken[-1] ^= 1
        assert (await refused(join(replica, good, key, csr=bytes(broken))))[0] == "INVALID_ARGUMENT"
        owner_name = query(database, "SELECT name FROM token WHERE role = 'owner'")[0][0]
        code, message = await refused(join(replica, good, key, name=owner_name))
        assert (code, owner_name in message) == ("INVALID_ARGUMENT", True)
        assert (await join(replica, good, key)).port > 0, "none of that has used it up"


async def test_a_proxy_is_only_itself(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        key = new_key()
        joined = await join(replica, await token_of(replica), key)
        async with channel(joined, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.epoch > 0
            for name, region in (("other", "eu"), ("edge", "us")):
                code, message = await refused(first_answer(over, name, region))
                assert (code, "proxy edge in region eu" in message) == ("PERMISSION_DENIED", True)
                code, _ = await refused(reported(over, name, region))
                assert code == "PERMISSION_DENIED"
            assert query(database, "SELECT 1 FROM usage_record") == []
            assert (await reported(over, "edge", "eu")).inserted == 1
            admin: Any = over.unary_unary("/headgate.v1.AdminService/ListTokens")
            assert (await refused(admin(b"")))[0] == "PERMISSION_DENIED", "it is a proxy and nothing else"


async def test_only_certificates_of_our_own_come_in(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        key = new_key()
        joined = await join(replica, await token_of(replica), key)
        bare = grpc.ssl_channel_credentials(joined.authority.encode())
        options = [("grpc.ssl_target_name_override", "control-plane.headgate")]
        async with grpc.aio.secure_channel(f"127.0.0.1:{joined.port}", bare, options) as over:
            assert (await refused(first_answer(over, "edge", "eu")))[0] == "UNAVAILABLE"
        stranger = new_key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "edge")])
        certificate = x509.load_pem_x509_certificate(joined.certificate.encode())
        forged = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(certificate.issuer)
            .public_key(stranger.public_key())
            .serial_number(1)
            .not_valid_before(certificate.not_valid_before_utc)
            .not_valid_after(certificate.not_valid_after_utc)
            .sign(stranger, hashes.SHA256())
        )
        fake = identity_pb2.JoinResponse()
        fake.CopyFrom(joined)
        fake.certificate = forged.public_bytes(serialization.Encoding.PEM).decode()
        async with channel(fake, stranger) as over:
            assert (await refused(first_answer(over, "edge", "eu")))[0] == "UNAVAILABLE"


async def test_a_certificate_is_renewed_within_its_grace_and_not_after(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        key = new_key()
        first = await join(replica, await token_of(replica), key)
        later = await renew(replica, key)
        assert later.expires_at.ToDatetime() >= first.expires_at.ToDatetime()
        async with channel(later, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.epoch > 0
        assert (await refused(renew(replica, new_key())))[0] == "UNAUTHENTICATED"

        def aged(days: int) -> None:
            query(
                database, f"UPDATE token SET expires_at = now() - interval '{days} days' WHERE name = 'edge'"
            )
            replica.control_plane.authenticator.forget()

        aged(6)
        async with channel(later, key) as over:
            assert (await refused(first_answer(over, "edge", "eu")))[0] == "UNAUTHENTICATED"
        again = await renew(replica, key)
        async with channel(again, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.epoch > 0
        aged(8)
        assert (await refused(renew(replica, key)))[0] == "UNAUTHENTICATED"


async def test_joining_again_ends_what_was_before(database: Secret) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        old_key, new = new_key(), new_key()
        token = await token_of(replica, uses=2)
        old = await join(replica, token, old_key)
        await join(replica, token, new)
        replica.control_plane.authenticator.forget()
        async with channel(old, old_key) as over:
            assert (await refused(first_answer(over, "edge", "eu")))[0] == "UNAUTHENTICATED"
        assert (await refused(renew(replica, old_key)))[0] == "UNAUTHENTICATED"
        abroad = await token_of(replica, "us")
        code, message = await refused(join(replica, abroad, new_key(), region="us"))
        assert (code, "another region" in message) == ("INVALID_ARGUMENT", True)
        assert (await renew(replica, new)).port > 0, "nobody takes a place from elsewhere"


@pytest.mark.parametrize("role", ["editor", "viewer", "proxy"])
async def test_only_an_owner_of_all_tenants_makes_join_tokens(database: Secret, role: str) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        await replica.owner()
        request = identity_pb2.CreateJoinTokenRequest(region="eu")
        for client in (replica.client(await replica.token(role)), replica.client("")):
            code, _ = await refused(client.call("CreateJoinToken", request))
            assert code in ("PERMISSION_DENIED", "UNAUTHENTICATED")


async def test_without_a_listener_or_a_key_nobody_joins(database: Secret) -> None:
    async with Replica.running(database) as replica:
        code, message = await refused(join(replica, await token_of(replica), new_key()))
        assert (code, "--proxies" in message) == ("FAILED_PRECONDITION", True)
    async with Replica.running(database, kek=None, **LISTENING) as replica:
        assert replica.control_plane.identities.port == 0, "sealed: there is no authority to know them by"


async def test_two_replicas_have_one_authority(database: Secret) -> None:
    async with (
        Replica.running(database, **LISTENING) as one,
        Replica.running(database, **LISTENING) as other,
    ):
        key = new_key()
        joined = await join(one, await token_of(one), key)
        joined.port = other.control_plane.identities.port
        async with channel(joined, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.epoch > 0
        assert query(database, "SELECT count(*) FROM authority") == [(1,)]
        assert b"PRIVATE" not in bytes(query(database, "SELECT sealed FROM authority")[0][0])


async def test_a_key_that_was_revoked_never_joins_again_and_one_that_was_away_for_long_does(
    database: Secret,
) -> None:
    async with Replica.running(database, **LISTENING) as replica:
        owner = await replica.owner()
        key = new_key()
        await join(replica, await token_of(replica), key)
        query(database, "UPDATE token SET expires_at = now() - interval '30 days' WHERE role = 'proxy'")
        joined = await join(replica, await token_of(replica), key)
        async with channel(joined, key) as over:
            assert (await first_answer(over, "edge", "eu")).update.version.epoch > 0
        assert query(database, "SELECT count(*) FROM token WHERE role = 'proxy'") == [(1,)]
        await owner.call("RevokeToken", admin_pb2.RevokeTokenRequest(name="edge"))
        token = await token_of(replica)
        assert (await refused(join(replica, token, key)))[0] == "UNAUTHENTICATED"
        assert query(database, "SELECT count(*) FROM token WHERE revoked_at IS NULL AND role = 'proxy'") == [
            (0,)
        ]
