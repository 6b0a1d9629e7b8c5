"""The gRPC channel to the control plane: one address at a time, the next after a loss.

Plain text only to loopback; anything else is TLS. A token goes as call metadata, so that it is in no argument
and no log; a proxy that joined shows its certificate instead.
"""

from __future__ import annotations

import asyncio
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from headgate.rules.credentials import Secret

if TYPE_CHECKING:
    from proxy.identity import Identity

# Both ends must be set, or the server's default answers pings with `too_many_pings` (F19).
KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
# An update's messages are chunked at 1 MiB; a single resource can be larger.
MAX_MESSAGE_BYTES = 16 * 2**20

# Channels of earlier certificates that open streams may still use; what loses one
# so comes again on the next.
MAX_STALE = 8

# What the listener for certificates is called, whatever its address is.
LISTENER_NAME = "control-plane.headgate"

_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    # By itself a ping may stay unanswered for a minute, whatever the line above says (grpcio 1.85).
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Ours is the only backoff: this one is over by the time ours is.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 250),
]


def is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_cancelled() -> bool:
    """Of a CancelledError: whether it is this task's. grpc.aio raises it too, of a call that ended on its own
    side, as when its channel is closed; let through, it would end the task, and a task group not notice.
    """
    task = asyncio.current_task()
    return task is None or bool(task.cancelling())


class Channels:
    """`identity`: of a proxy that joins; without one, the token is what it shows."""

    def __init__(
        self,
        addresses: tuple[str, ...],
        token: Secret,
        ca_file: Path | None,
        identity: Identity | None = None,
    ) -> None:
        self._addresses = addresses
        self._token = token
        self._ca = ca_file.read_bytes() if ca_file is not None else None
        self._identity = identity
        self._index = 0
        # By address: made once each, or every try at a control plane that is away would leave one behind.
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._stale: list[grpc.aio.Channel] = []
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return self._addresses[self._index]

    def channel(self) -> grpc.aio.Channel:
        """For the streams."""
        channel = self._channels.get(self.address)
        if channel is None:
            identity = self._identity
            if identity is None or identity.current is None:
                channel = self._open()
            else:
                host = self.address.rpartition(":")[0]
                name = ("grpc.ssl_target_name_override", LISTENER_NAME)
                channel = grpc.aio.secure_channel(
                    f"{host}:{identity.current.port}", identity.credentials(), [*_OPTIONS, name]
                )
            self._channels[self.address] = channel
        return channel

    def first_contact(self) -> grpc.aio.Channel:
        """Where a proxy joins and renews: the listener that asks for no certificate."""
        return self._open()

    def _open(self) -> grpc.aio.Channel:
        if self._ca is None and is_loopback(self.address):
            return grpc.aio.insecure_channel(self.address, _OPTIONS)
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(self._ca), _OPTIONS)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        if self._identity is not None:
            return ()
        return (("authorization", f"Bearer {self._token.text}"),)

    def next(self) -> None:
        """Goes on to the next address, if there is another."""
        self._index = (self._index + 1) % len(self._addresses)

    def renewed(self) -> None:
        """What is opened from now on is a new channel; streams that are open stay on theirs."""
        self._stale += self._channels.values()
        self._channels.clear()
        while len(self._stale) > MAX_STALE:
            closing = asyncio.get_running_loop().create_task(self._stale.pop(0).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        for channel in [*self._stale, *self._channels.values()]:
            await channel.close()
