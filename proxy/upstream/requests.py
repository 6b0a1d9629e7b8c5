"""Puts an attempt on the wire: heads made once per provider key, connections from the pools.

Only what is listed here goes upstream (P9, A5): none of the client's headers, none of its credentials.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote

from headgate.v1 import usage_pb2
from proxy.config.model import ProviderKey, Target
from proxy.dialects.bridge import Bridge
from proxy.dialects.multipart import MULTIPART
from proxy.upstream.exchange import Exchange
from proxy.upstream.failure import AttemptFailed
from proxy.upstream.pool import Pool, Pools
from proxy.upstream.reach import split_url
from proxy.upstream.sandbox import Sandbox

# A base URL that names the API's version already.
_VERSIONED = re.compile(r"/v\d+(alpha|beta)?\d*$")
# Prepared heads remembered; (provider key, operation) pairs of one snapshot are far fewer.
MAX_PREPARED = 10_000


class UpstreamRequests:
    def __init__(self, pools: Pools, sandbox: Callable[[], Sandbox]) -> None:
        self._pools = pools
        self._sandbox = sandbox
        self._prepared: dict[tuple[Target, str | None, str], tuple[Pool, bytes]] = {}

    def forget(self) -> None:
        """A new snapshot: secrets and addresses may have changed."""
        self._prepared.clear()

    async def send(
        self,
        exchange: Exchange,
        target: Target,
        key: ProviderKey | None,
        bridge: Bridge,
        attempt_id: bytes,
        connect_seconds: float,
        *,
        fresh: bool = False,
    ) -> None:
        """Starts the exchange. Raises AttemptFailed when no connection can be had."""
        operation, body = bridge.operation, bridge.body
        if target.provider.kind.name == "sandbox":
            link = self._sandbox()
            exchange.link = link
            exchange.was_sent = True
            link.start(target, operation, body, exchange)
            return
        identity = (target, key.name if key is not None else None, operation)
        prepared = self._prepared.get(identity)
        if prepared is None:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
            prepared = self._prepared[identity] = self._prepare(target, key, operation)
        pool, head = prepared
        connection = None if fresh else pool.take()
        if connection is None:
            connection = await pool.connect(connect_seconds)
        exchange.link = connection
        exchange.was_sent = True
        connection.start(
            b"%b%bcontent-length: %d\r\nx-client-request-id: %b\r\n\r\n"
            % (head, bridge.headers, len(body), attempt_id.hex().encode()),
            body,
            exchange,
        )

    async def send_native(
        self,
        exchange: Exchange,
        target: Target,
        key: ProviderKey | None,
        attempt_id: bytes,
        head: bytes,
        connect_seconds: float,
    ) -> None:
        """Sends a head that names its own path below the provider's root (`{prefix}`); the body follows."""
        provider = target.provider
        _check_usable(target)
        origin, prefix = split_url(provider.base_url)
        # The paths of the provider's own documentation begin at its host: /v1/files, /v1beta/files.
        prefix = _VERSIONED.sub("", prefix)
        lines = [f"host: {origin.authority}", "user-agent: headgate", "accept-encoding: identity"]
        lines.append(f"x-client-request-id: {attempt_id.hex()}")
        lines += _credential(target, key)
        lines += [f"{name}: {value}" for name, value in provider.headers]
        pool = self._pools.pool(origin, provider.reach)
        connection = await pool.connect(connect_seconds)
        exchange.link = connection
        exchange.was_sent = True
        whole = head.replace(b"{prefix}", prefix.encode("latin-1"), 1)
        connection.start(whole + ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), b"", exchange)

    def _prepare(self, target: Target, key: ProviderKey | None, operation: str) -> tuple[Pool, bytes]:
        provider = target.provider
        _check_usable(target)
        origin, prefix = split_url(provider.base_url)
        kind = provider.kind
        if kind.version and not _VERSIONED.search(prefix):
            prefix += kind.version
        path = kind.paths[operation].format(model=_path_model(target.upstream_model))
        lines = [
            f"POST {prefix}{path} HTTP/1.1",
            f"host: {origin.authority}",
            "user-agent: headgate",
            "accept: application/json",
            "accept-encoding: identity",
        ]
        if operation not in MULTIPART:  # which bring a boundary of their own
            lines.append("content-type: application/json")
        lines += _credential(target, key, path)
        lines += [f"{name}: {value}" for name, value in provider.headers]
        pool = self._pools.pool(origin, provider.reach)
        return pool, ("\r\n".join(lines) + "\r\n").encode("latin-1")


def _check_usable(target: Target) -> None:
    if target.provider.unusable:  # which files, says the log
        raise AttemptFailed(
            usage_pb2.REASON_CONNECT_FAILED, message="a file that the provider needs is missing on this proxy"
        )


def _credential(target: Target, key: ProviderKey | None, path: str = "") -> list[str]:
    if key is None:
        return []
    name, front = target.provider.kind.key_header
    if path.startswith("/openai/"):  # Gemini's door for OpenAI's dialect takes OpenAI's header
        name, front = "authorization", "Bearer "
    return [f"{name}: {front}{key.secret.text}"]


def _path_model(model: str) -> str:
    """A model's name as a path segment: Google's own lists say `models/…`, tuned ones `tunedModels/…`."""
    return quote(model.removeprefix("models/"), safe="/:@")
