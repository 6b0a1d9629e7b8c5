"""HTTP for the operator: /livez, /readyz and /metrics. Nothing here needs or shows a secret."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from control_plane.ops.metrics import Metrics
from control_plane.settings import Address, SettingsError


class OpsListener:
    def __init__(self, metrics: Metrics, not_ready_because: Callable[[], str]) -> None:
        self._metrics = metrics
        self._not_ready_because = not_ready_because
        self._runner: web.ServerRunner | None = None

    async def start(self, address: Address) -> int:
        """The port."""
        runner = self._runner = web.ServerRunner(web.Server(self._answer))
        await runner.setup()
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(f"cannot listen on {address}: {error.strerror}") from None
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405)
        if request.path == "/livez":
            return web.Response(text="alive\n")
        if request.path == "/readyz":
            reason = self._not_ready_because()
            return web.Response(text=f"{reason or 'ready'}\n", status=503 if reason else 200)
        if request.path == "/metrics":
            return web.Response(
                body=self._metrics.text(), headers={"content-type": "text/plain; version=0.0.4"}
            )
        return web.Response(status=404)
