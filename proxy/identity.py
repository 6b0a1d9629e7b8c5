"""Who this proxy is: a key that never leaves its state folder, and a certificate for it.

A join token buys the first certificate; it is renewed at half of its life by whoever holds the key, and
for some days after it has ended. Streams that are open keep the certificate that they began with; new
ones take the newest.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from headgate.rules.credentials import Secret
from headgate.v1 import identity_pb2, identity_pb2_grpc
from proxy.identity_folder import CERTIFICATE, JOINING, key_in, write_whole
from proxy.logs import Log

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from proxy.processes.channel import Channels

FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0
RPC_SECONDS = 10.0
# Between looks at the clock; a suspended machine wakes up to an old certificate.
LOOK_SECONDS = 60.0
# Without a stream, on average between looks for another way to one.
MEND_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM, and where it is taken. Times in Unix seconds."""

    certificate: str
    authority: str
    port: int
    issued_at: float
    expires_at: float

    @property
    def renew_at(self) -> float:
        return (self.issued_at + self.expires_at) / 2


class JoinRefused(Exception):
    """The control plane does not want this proxy; the text says why."""


class Identity:
    """`name` and `region`: as the proxy was started. `token`: for the first contact, where it is to come."""

    def __init__(
        self, folder: Path, name: str, region: str, token: Secret, log: Log, random: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._name = name
        self._region = region
        self._token = token
        self._log = log
        self._random = random
        self._certificate_path = folder / CERTIFICATE
        self._joining_path = folder / JOINING
        self._key: EllipticCurvePrivateKey | None = None
        self.current: Certificate | None = None

    def load(self) -> None:
        """What an earlier life left behind; nothing if it was of another name or region."""
        for path in (self._certificate_path, self._joining_path):
            try:
                document = json.loads(path.read_text("utf-8"))
                if (document["name"], document["region"]) != (self._name, self._region):
                    self._log.event(
                        "identity_of_another_name", name=document["name"], region=document["region"]
                    )
                    continue
                self._key = _key_of(key_in(document, self._folder))
                if "certificate" in document:
                    self.current = Certificate(**document["certificate"])
                return
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError) as error:
                self._log.event("identity_not_read", reason=f"{type(error).__name__}: {error}")

    def credentials(self) -> grpc.ChannelCredentials:
        if self.current is None or self._key is None:
            raise JoinRefused("it has not joined yet")
        return grpc.ssl_channel_credentials(
            self.current.authority.encode(), _pem(self._key).encode(), self.current.certificate.encode()
        )

    async def obtain(self, channels: Channels) -> None:
        """Until there is a certificate that is valid: joins, or renews what has ended, by turns."""
        backoff = FIRST_BACKOFF_SECONDS
        told: set[str] = set()
        # The control plane may know the key: that of a certificate, or of a join that nobody wrote down.
        renews = self._key is not None
        while self.current is None or self.current.expires_at <= time.time():
            try:
                await (self._renew(channels) if renews else self._join(channels))
                return
            except grpc.aio.AioRpcError as error:
                reason = f"{error.code().name}: {error.details()}"
                if error.code() == grpc.StatusCode.UNAUTHENTICATED:
                    # Revoked, or away for too long, and only a join token helps; or what answered was
                    # another database, and the key will be known again.
                    self.current = None
                    renews = not renews
            except (JoinRefused, OSError) as error:
                reason = str(error)
                renews = self._key is not None
            if reason not in told:
                self._log.event("not_joined", reason=reason)
                told.add(reason)
            channels.next()
            await asyncio.sleep(backoff * (0.5 + 0.5 * self._random()))
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)

    async def renew_forever(self, channels: Channels) -> None:
        """At half of each certificate's life; until it works."""
        while True:
            current = self.current
            left = current.renew_at - time.time() if current is not None else 0.0
            if left > 0:
                await asyncio.sleep(min(left + 0.1, LOOK_SECONDS))
                continue
            try:
                await self._renew(channels)
                self._log.event("certificate_renewed", expires_at=self.current and self.current.expires_at)
            except (grpc.aio.AioRpcError, OSError, JoinRefused) as error:
                reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
                self._log.event("certificate_not_renewed", reason=reason)
                await asyncio.sleep(LOOK_SECONDS * (0.5 + 0.5 * self._random()))

    async def mend_forever(self, channels: Channels, is_connected: Callable[[], bool]) -> None:
        """While there is no stream: a listener may have moved, or another database not know this proxy.

        Renewing says where it is now; a refusal leaves joining, if there is a token for it.
        """
        while True:
            await asyncio.sleep(MEND_SECONDS * (0.5 + self._random()))
            if is_connected():
                continue
            try:
                await self._renew(channels)
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.UNAUTHENTICATED and self._token:
                    self.current = None
                    await self.obtain(channels)
                    channels.renewed()
            except (OSError, JoinRefused) as error:
                self._log.event("identity_not_mended", reason=str(error))

    async def _join(self, channels: Channels) -> None:
        if not self._token:
            raise JoinRefused(
                "there is no valid certificate and no join token: `headgate join-token create --region "
                f"{self._region}` makes one"
            )
        if self._key is None:
            key = _new_key()
            write_whole(self._joining_path, self._document(key))
            self._key = key
        key = self._key
        request = identity_pb2.JoinRequest(
            token=self._token.text, csr=_request_of(key), name=self._name, region=self._region
        )
        async with channels.first_contact() as channel:
            stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)  # type: ignore[no-untyped-call]
            answer = await stub.Join(request, timeout=RPC_SECONDS)
        self._keep(answer)
        self._log.event("joined", name=self._name, region=self._region)

    async def _renew(self, channels: Channels) -> None:
        if self._key is None:
            raise JoinRefused("there is no key to renew a certificate for")
        request = identity_pb2.RenewRequest(csr=_request_of(self._key))
        async with channels.first_contact() as channel:
            stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)  # type: ignore[no-untyped-call]
            answer = await stub.Renew(request, timeout=RPC_SECONDS)
        self._keep(answer)
        channels.renewed()

    def _keep(self, answer: identity_pb2.JoinResponse | identity_pb2.RenewResponse) -> None:
        self.current = Certificate(
            answer.certificate,
            answer.authority,
            answer.port,
            time.time(),
            answer.expires_at.ToNanoseconds() / 1e9,
        )
        fields = {name: getattr(self.current, name) for name in Certificate.__slots__}
        if self._key is not None:
            write_whole(self._certificate_path, self._document(self._key, certificate=fields))
        self._joining_path.unlink(missing_ok=True)

    def _document(self, key: EllipticCurvePrivateKey, **more: Any) -> bytes:
        return json.dumps({"name": self._name, "region": self._region, "key": _pem(key), **more}).encode()


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _key_of(pem: str) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the key is of another kind")
    return key


def _request_of(key: EllipticCurvePrivateKey) -> bytes:
    """PKCS #10 in DER; it proves that we hold the key, and says nothing else."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)
