"""Join tokens, joining and renewing. A joined proxy is a token of role proxy whose secret is its private key.

So revoking, expiry, listing and the audit trail are those of tokens, and a stream ends when its proxy is
revoked as it does with a token.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import Session

from control_plane.errors import InvalidField
from control_plane.fleet.service import MAX_LABELS, MAX_TEXT
from control_plane.identity import certificates, store
from control_plane.identity.certificates import PROXY_LIFE, Authority, BadRequest
from control_plane.identity.errors import JoinTokenNotFound, NoListener, WrongRegion
from control_plane.identity.model import AUTHORITY_PLACE, Issued, JoinTokenRow, NewJoinToken
from control_plane.revisions.service import Revisions
from control_plane.secrets.vault import Vault
from control_plane.tokens import store as token_store
from control_plane.tokens.errors import NotAuthenticated
from control_plane.tokens.model import PROXY, Principal, TokenRow
from headgate.rules.credentials import JOIN_PREFIX, MAX_CREDENTIAL_BYTES, Minted, digest, mint
from headgate.rules.names import is_name, name_problem

DEFAULT_EXPIRES = timedelta(minutes=10)
MAX_EXPIRES = timedelta(days=365)
MAX_USES = 100_000
# After a certificate has ended: a proxy that was away for so long may still renew it.
GRACE = timedelta(days=7)


class Identities:
    """`port`: of the listener that takes certificates; 0: there is none."""

    def __init__(self, vault: Vault, revisions: Revisions, now: Callable[[], datetime]) -> None:
        self._vault = vault
        self._revisions = revisions
        self.now = now
        self._authority: Authority | None = None
        self.port = 0

    def authority(self, session: Session) -> Authority:
        """Made at the first time. Raises SecretsSealed, CannotOpen."""
        if self._authority is None:
            row = store.read_authority(session)
            if row is None:
                made = certificates.make_authority(self.now())
                sealed = self._vault.seal(session, made.sealed_form(), AUTHORITY_PLACE)
                row = store.write_authority_if_absent(session, made.pem, sealed, self.now())
            key = self._vault.unseal(row.sealed or b"", row.place)
            try:
                self._authority = certificates.open_authority(row.certificate, key)
            except ValueError:
                raise self._vault.cannot_open(row.place) from None
        return self._authority

    def create_token(self, session: Session, caller: Principal, new: NewJoinToken) -> tuple[Minted, datetime]:
        if problem := name_problem(new.region):
            raise InvalidField("region", problem)
        if not 1 <= new.uses <= MAX_USES:
            raise InvalidField("uses", f"must be from 1 to {MAX_USES}")
        if not timedelta(0) < new.expires <= MAX_EXPIRES:
            raise InvalidField("expires", f"must be more than 0s and at most {MAX_EXPIRES.days}d")
        if len(new.labels) > MAX_LABELS or any(len(k) + len(v) > MAX_TEXT for k, v in new.labels.items()):
            raise InvalidField("labels", f"more than {MAX_LABELS}, or too long ones")
        now = self.now()
        minted = mint(JOIN_PREFIX)
        row = JoinTokenRow(
            public_id=minted.public_id,
            sha256=minted.sha256,
            region=new.region,
            uses_left=new.uses,
            labels=new.labels,
            created_by=caller.name,
            created_at=now,
            expires_at=now + new.expires,
        )
        store.insert_join_token(session, row)
        after = {"region": new.region, "uses": new.uses, "expires_at": row.expires_at.isoformat()}
        self._record(session, caller.name, minted.public_id, "join token created", after)
        return minted, row.expires_at

    def revoke_token(self, session: Session, caller: Principal, public_id: str) -> None:
        if not store.remove(session, public_id):
            raise JoinTokenNotFound(public_id)
        self._record(session, caller.name, public_id, "join token revoked", None)

    def join(self, session: Session, token: str, csr: bytes, name: str, region: str) -> Issued:
        """Raises NotAuthenticated, WrongRegion, NoListener, InvalidField, SecretsSealed."""
        now = self.now()
        if not token or len(token) > MAX_CREDENTIAL_BYTES:
            raise NotAuthenticated
        sha256 = digest(token.strip())
        found = store.find(session, sha256, now)
        if found is None:
            return self._repeated(session, sha256, csr, (name, region))
        if not self.port:
            raise NoListener
        if region != found.region:
            raise WrongRegion(found.region)
        if not is_name(name):
            raise InvalidField("name", name_problem(name) or "")
        key = _key(csr)
        authority = self.authority(session)
        self._revisions.lock(session)
        if not store.use(session, sha256, now):
            raise NotAuthenticated
        row = token_store.by_digest(session, certificates.key_digest(key))
        if row is not None:
            return self._again(session, authority, key, row, (name, region), found)
        self._replace(session, name, region, now)
        row = TokenRow(
            public_id=mint(JOIN_PREFIX).public_id,
            name=name,
            role=PROXY,
            tenant=None,
            sha256=certificates.key_digest(key),
            created_by=f"join {found.public_id}",
            created_at=now,
            expires_at=now + PROXY_LIFE,
            region=region,
            labels=found.labels,
        )
        token_store.insert(session, row)
        self._record(session, row.created_by, name, "joined", {"region": region, "labels": found.labels})
        token_store.notify_changed(session)
        return self._issued(authority, key, row)

    def _repeated(self, session: Session, sha256: bytes, csr: bytes, as_what: tuple[str, str]) -> Issued:
        """Who had the last use and lost the answer shows the same key, as nobody else can."""
        used = store.find_used_up(session, sha256, self.now())
        if used is None:
            raise NotAuthenticated
        key = _key(csr)
        row = token_store.by_digest(session, certificates.key_digest(key))
        if row is None or row.revoked_at is not None or row.created_by != f"join {used.public_id}":
            raise NotAuthenticated
        if (row.name, row.region) != as_what:
            raise NotAuthenticated
        if not self.port:
            raise NoListener
        return self._issued(self.authority(session), key, row)

    def _again(
        self,
        session: Session,
        authority: Authority,
        key: ec.EllipticCurvePublicKey,
        row: TokenRow,
        as_what: tuple[str, str],
        token: JoinTokenRow,
    ) -> Issued:
        """With a key that it had before, after too long an absence. What was revoked stays so."""
        if row.revoked_at is not None or (row.name, row.region) != as_what:
            raise NotAuthenticated
        row.expires_at, row.labels = self.now() + PROXY_LIFE, token.labels
        session.add(row)
        session.flush()
        after = {"region": row.region, "labels": row.labels}
        self._record(session, f"join {token.public_id}", row.name, "joined", after)
        token_store.notify_changed(session)
        return self._issued(authority, key, row)

    def renew(self, session: Session, csr: bytes) -> Issued:
        """Raises NotAuthenticated, NoListener, SecretsSealed."""
        now = self.now()
        key = _key(csr)
        row = token_store.joined(session, certificates.key_digest(key), now - GRACE)
        if row is None:
            raise NotAuthenticated
        if not self.port:
            raise NoListener
        authority = self.authority(session)
        row.expires_at = now + PROXY_LIFE
        session.add(row)
        session.flush()
        token_store.notify_changed(session)
        return self._issued(authority, key, row)

    def _issued(self, authority: Authority, key: ec.EllipticCurvePublicKey, row: TokenRow) -> Issued:
        now = self.now()
        certificate = certificates.for_proxy(authority, key, row.name, row.region or "", now)
        return Issued(certificate, authority.pem, self.port, row.expires_at or now)

    def _replace(self, session: Session, name: str, region: str, now: datetime) -> None:
        """A proxy that joins under a name that it had: what it was before ends."""
        before = token_store.active_by_name(session, name)
        if before is None:
            return
        if before.region is None:
            raise InvalidField("name", f"{name!r} is the name of an admin or proxy token; choose another")
        if before.region != region:
            raise InvalidField("name", f"{name!r} is a proxy of another region; choose another")
        before.revoked_at = now
        session.add(before)
        session.flush()
        self._record(session, before.created_by, name, "revoked", {"because": "it joined again"})

    def _record(
        self, session: Session, actor: str, name: str, verb: str, after: dict[str, Any] | None
    ) -> None:
        change = self._revisions.begin(session, actor, "identity", self.now())
        change.record("token", "", name, verb, None, after)
        change.finish()


def _key(csr: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return certificates.requested_key(csr)
    except BadRequest as error:
        raise InvalidField("csr", str(error)) from None
