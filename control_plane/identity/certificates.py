"""X.509 as far as we use it: one authority, certificates of proxies and of the listener that takes them.

ECDSA on P-256 throughout (RFC 5480). Names in certificate requests are not read: the certificate says
what the control plane knows, and a request only proves who holds the key. Pure.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
PROXY_LIFE = timedelta(hours=24)
LISTENER_LIFE = timedelta(days=30)
# Clocks differ.
SKEW = timedelta(minutes=5)
# What proxies expect the listener to be called, whatever its address is.
LISTENER_NAME = "control-plane.headgate"
MAX_CSR_BYTES = 4_096
_SPKI = b"headgate proxy key\0"


class BadRequest(ValueError):
    """It is no certificate request, or not signed by its own key."""


@dataclass(frozen=True, slots=True, repr=False)
class Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    def sealed_form(self) -> bytes:
        """The key, to be sealed by the vault."""
        return self.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_authority(now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Headgate proxies")
    builder = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def open_authority(pem: str, key: bytes) -> Authority:
    """Raises ValueError where the certificate is not of this key: proxies would trust somebody else's."""
    private = serialization.load_der_private_key(key, None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is of another kind")
    certificate = x509.load_pem_x509_certificate(pem.encode())
    if certificate.public_key() != private.public_key():
        raise ValueError("the certificate is of another key")
    return Authority(certificate, private)


def for_proxy(
    authority: Authority, public_key: ec.EllipticCurvePublicKey, name: str, region: str, now: datetime
) -> str:
    """PEM. The subject is the proxy's name, the alternative name says the region as well."""
    uri = x509.UniformResourceIdentifier(f"headgate://proxy/{region}/{name}")
    builder = _leaf(authority, public_key, name, now, PROXY_LIFE, ExtendedKeyUsageOID.CLIENT_AUTH)
    builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
    return _pem(builder.sign(authority.key, hashes.SHA256()))


def for_listener(authority: Authority, now: datetime) -> tuple[bytes, bytes]:
    """(key, certificate) in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(LISTENER_NAME), x509.DNSName("localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    builder = _leaf(
        authority, key.public_key(), LISTENER_NAME, now, LISTENER_LIFE, ExtendedKeyUsageOID.SERVER_AUTH
    ).add_extension(x509.SubjectAlternativeName(names), critical=False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret, _pem(builder.sign(authority.key, hashes.SHA256())).encode()


def requested_key(csr: bytes) -> ec.EllipticCurvePublicKey:
    """The key of a PKCS #10 request that is signed with it. Raises BadRequest."""
    if len(csr) > MAX_CSR_BYTES:
        raise BadRequest(f"is larger than {MAX_CSR_BYTES} bytes")
    try:
        request = x509.load_der_x509_csr(csr)
        key = request.public_key()
        signed = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, TypeError):
        raise BadRequest("is no certificate request (PKCS #10 in DER)") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ec.SECP256R1.name:
        raise BadRequest("is of another kind of key than ECDSA on P-256")
    if not signed:
        raise BadRequest("is not signed with its own key")
    return key


def key_digest(key: ec.EllipticCurvePublicKey) -> bytes:
    """What a proxy's key is looked up by; no bearer token has such a digest."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(_SPKI + key.public_bytes(serialization.Encoding.DER, form)).digest()


def digest_of_certificate(pem: bytes) -> bytes | None:
    """Of its key; None: it is none of ours."""
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key_digest(key) if isinstance(key, ec.EllipticCurvePublicKey) else None


def _leaf(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    name: str,
    now: datetime,
    life: timedelta,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    issuer = authority.certificate.subject
    return (
        _builder(_name(name), issuer, public_key, now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
