"""The certificate of the admin and token listener, taken anew when its files change.

gRPC asks at each new connection. A pair that does not fit (half of it was replaced) or cannot be read is
passed over, and said once; connections that are open keep theirs.
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import grpc

from control_plane.settings import SettingsError

log = logging.getLogger(__name__)


class ListenerCertificate:
    def __init__(self, cert: Path, key: Path, ca_file: Path | None) -> None:
        self._files = tuple(path for path in (cert, key, ca_file) if path is not None)
        self._cert, self._key, self._ca = cert, key, ca_file
        self._seen = self._marks()

    def credentials(self) -> grpc.ServerCredentials:
        """Raises SettingsError if what is there now is no good."""
        try:
            first = self._configuration()
        except OSError as error:
            raise SettingsError(f"{error.filename or self._cert}: {error.strerror or error}") from None
        # Proxies' certificates have a listener of their own: gRPC asks all clients of a port, or none.
        return grpc.dynamic_ssl_server_credentials(
            first,
            self._renewed,  # type: ignore[arg-type]  # None is one of the answers that it documents
            require_client_authentication=False,
        )

    def _renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """None: the old one is good."""
        marks = self._marks()
        if marks == self._seen:
            return None
        self._seen = marks
        try:
            renewed = self._configuration()
        except OSError as error:
            log.warning(
                "a changed certificate is passed over",
                extra={"data": {"file": str(self._cert), "reason": error.strerror or str(error)}},
            )
            return None
        log.info("certificate taken anew", extra={"data": {"file": str(self._cert)}})
        return renewed

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        """Raises OSError (ssl.SSLError is one) where files are missing or do not belong together."""
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._cert, self._key)
        pair = (self._key.read_bytes(), self._cert.read_bytes())
        roots = self._ca.read_bytes() if self._ca is not None else None
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=roots)

    def _marks(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(path) for path in self._files)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
