"""The listener that takes proxies' certificates: mutual TLS with an authority of our own.

Its own certificate is made at start and again long before it ends; connections that are open keep theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import grpc

from control_plane.identity import certificates
from control_plane.identity.certificates import LISTENER_LIFE, Authority
from control_plane.settings import Address, SettingsError


class ProxiesPort:
    def __init__(self, authority: Authority, now: Callable[[], datetime]) -> None:
        self._authority = authority
        self._now = now
        self._made_at = now()

    def listen(self, server: grpc.aio.Server, address: Address) -> int:
        """The port. Raises SettingsError."""
        credentials = grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._renewed,  # type: ignore[arg-type]  # None is one of the answers that it documents
            require_client_authentication=True,
        )
        try:
            port = server.add_secure_port(str(address), credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            raise SettingsError(f"cannot listen on {address}: the port is taken, or the address is not ours")
        return port

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked at each new connection; None: the old one is good."""
        if self._now() - self._made_at < LISTENER_LIFE / 2:
            return None
        self._made_at = self._now()
        return self._configuration()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        pair = certificates.for_listener(self._authority, self._now())
        return grpc.ssl_server_certificate_configuration(
            [pair], root_certificates=self._authority.pem.encode()
        )
