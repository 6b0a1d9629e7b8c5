"""Whether a call would succeed: a real HTTP request through the proxy, as an application would send it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from admin_cli.address import Address
from admin_cli.errors import CliError
from headgate.rules.credentials import Secret

PROBE_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_ANSWER_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Probe:
    """Status 200 with the names that the key may call, or 401 for a key that opens nothing any more."""

    status: int
    models: tuple[str, ...]


def local_address(url: str) -> Address:
    """The address behind a base URL, reachable from this machine."""
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or 80).reachable


def wait_answering(address: Address, key: Secret, watch: Callable[[], None]) -> Probe:
    """GET /v1/models until the proxy answers it. `watch` is called in between, and may raise."""
    deadline = time.monotonic() + PROBE_SECONDS
    last = ""
    while True:
        try:
            probe = _ask(address, key)
            # 401 may mean that the key has not arrived yet; it is final only at the end.
            if probe.status == 200 or (
                probe.status == 401 and time.monotonic() > deadline - PROBE_SECONDS + 3
            ):
                return probe
            last = f"status {probe.status}"
        except (OSError, http.client.HTTPException) as error:
            last = str(error) or type(error).__name__
        if time.monotonic() > deadline:
            raise CliError(f"the proxy at {address} does not answer /v1/models: {last}")
        watch()
        time.sleep(_PAUSE_SECONDS)


def _ask(address: Address, key: Secret) -> Probe:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    try:
        connection.request("GET", "/v1/models", headers={"authorization": f"Bearer {key.text}"})
        answer = connection.getresponse()
        body = answer.read(_ANSWER_BYTES)
    finally:
        connection.close()
    models: tuple[str, ...] = ()
    if answer.status == 200:
        try:
            models = tuple(str(model["id"]) for model in json.loads(body)["data"])
        except (ValueError, KeyError, TypeError) as error:
            raise http.client.HTTPException(f"/v1/models is not a list of models: {error}") from None
    return Probe(answer.status, models)
