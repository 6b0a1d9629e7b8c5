"""Where a provider's base URL may not lead (A8): refused at connect, on the address that it resolved to.

All names lead to the fake provider's port, so that a connection which should not be is counted there. The
names are resolved by `names/sitecustomize.py` in the proxy's own process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from headgate.v1 import admin_pb2, resources_pb2
from tests.abuse.addresses import AT_WRITE, NEVER, PRIVATE, RESOLVED_ODDLY
from tests.abuse.target import NATIVE
from tests.integration.proxy.gateway import Gateway, chat
from tests.integration.proxy.gateway_manifest import sha256
from tests.integration.proxy.raw_client import Answer
from tests.support.fake_provider import Behaviour, FakeProvider
from tests.support.processes import start_headgate

METADATA = "169.254.169.254"
LOOPBACK = "127.0.0.1"
NAMES_FOLDER = Path(__file__).parent / "names"


def kind_of(names: tuple[str, ...], prefix: str) -> dict[str, str]:
    """Provider name → host or address."""
    return {f"{prefix}-{number}": name for number, name in enumerate(names)}


ODD, INNOCENT, FORBIDDEN = (
    kind_of(RESOLVED_ODDLY, "odd"),
    kind_of(PRIVATE, "private"),
    kind_of(NEVER, "never"),
)
# Permitted on loopback, with answers of the resolver in turn.
TURNS: dict[str, list[list[str]]] = {
    "allowed": [[LOOPBACK]],
    "six": [["::1"]],
    "rebound": [[LOOPBACK], [METADATA], [LOOPBACK]],
    "mixed": [[METADATA, "0.0.0.0", LOOPBACK]],
    "second-look": [[METADATA], [LOOPBACK]],
}


def address_names() -> dict[str, list[list[str]]]:
    found = {f"{name}.test": [[address]] for name, address in (INNOCENT | FORBIDDEN).items()}
    return found | {f"{name}.test": turns for name, turns in TURNS.items()}


def manifest(port: int) -> dict[str, Any]:
    hosts = {**ODD, **{name: f"{name}.test" for name in INNOCENT}}
    providers: list[dict[str, Any]] = [
        {"name": name, "base_url": f"https://{host}:{port}/v1"} for name, host in hosts.items()
    ]
    providers += [
        {"name": name, "base_url": f"http://{name}.test:{port}/v1", "private_network": True}
        for name in (*FORBIDDEN, *TURNS)
    ]
    for provider in providers:
        provider |= {"kind": "openai-compatible", "keys": ["pk-secret"], "circuit_failures": 0}
    once = {"attempts": 1}
    names = [str(provider["name"]) for provider in providers]
    return {
        "providers": providers,
        "models": [{"name": f"m-{name}", "provider": name, "upstream_model": "any"} for name in names],
        "routes": [{"name": name, "policy": f"m-{name}", "retry": once} for name in names],
        "keys": [
            {
                "name": "native",
                "sha256": sha256(NATIVE),
                "allow": [],
                "passthrough": [f"{name} * /v1/*" for name in ("allowed", "private-0", "never-0")],
            }
        ],
    }


@pytest.fixture(scope="module")
def shared_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("names")
    file = folder / "names.json"
    file.write_text(json.dumps(address_names()))
    path = os.pathsep.join(filter(None, (str(NAMES_FOLDER), os.environ.get("PYTHONPATH"))))
    environment = {"PYTHONPATH": path, "ABUSE_NAMES": str(file)}
    with (
        FakeProvider() as provider,
        start_headgate(folder, manifest(provider.port), environment=environment) as headgate,
    ):
        gateway = Gateway(headgate, provider)
        yield gateway
        gateway.close()


@pytest.fixture
def names(shared_names: Gateway) -> Gateway:
    shared_names.provider.reset()
    shared_names.forget_connections()
    return shared_names


def opened(gateway: Gateway) -> int:
    return gateway.provider.counts()["connections_opened"]


def refused_at_connect(gateway: Gateway, answer: Answer) -> bool:
    """Said to the client without the address, and known from the receipt."""
    assert answer.status == 502, (answer.status, answer.body)
    assert b"pk-secret" not in answer.body
    [attempt] = gateway.tried(answer.request_id)
    return "address_refused" in json.dumps(attempt)


def test_there_are_enough_forms() -> None:
    assert len(set(AT_WRITE)) >= 40
    assert len(set(RESOLVED_ODDLY) | set(PRIVATE) | set(NEVER)) >= 60


def declared(gateway: Gateway, url: str) -> bool:
    spec = resources_pb2.Provider(name="plain", kind="openai-compatible", base_url=url)
    resource = resources_pb2.Resource(provider=spec)
    try:
        gateway.apply(admin_pb2.ApplyResourcesRequest(resources=[resource], dry_run=True))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        return False
    return True


def test_a_base_url_that_says_what_it_is_is_refused_where_it_is_declared(names: Gateway) -> None:
    assert declared(names, "https://api.openai.com/v1")
    assert [url for url in AT_WRITE if declared(names, url)] == []


@pytest.mark.parametrize("kind", ["odd", "private", "never"])
def test_whatever_a_host_resolves_to_is_checked_at_connect(names: Gateway, kind: str) -> None:
    forms = {"odd": ODD, "private": INNOCENT, "never": FORBIDDEN}[kind]
    before = opened(names)
    connected = [
        form for name, form in forms.items() if not refused_at_connect(names, names.post(chat(name)))
    ]
    assert connected == []
    assert opened(names) == before
    assert names.provider.attempts() == []


@pytest.mark.parametrize("name", ["allowed", "six"])
def test_loopback_is_reached_by_a_provider_that_may(names: Gateway, name: str) -> None:
    """Or else the refusals above would prove nothing."""
    before = opened(names)
    answer = names.post(chat(name))
    if name == "allowed":
        assert answer.status == 200
        assert opened(names) == before + 1
    else:
        # Nobody listens on ::1 here: tried, and not refused by us.
        assert not refused_at_connect(names, answer)


def test_a_name_that_is_bound_anew_is_checked_anew(names: Gateway) -> None:
    assert names.post(chat("rebound")).status == 200
    names.forget_connections()
    assert refused_at_connect(names, names.post(chat("rebound")))
    assert names.post(chat("rebound")).status == 200
    names.attempts(2)


def test_a_name_is_looked_up_once_for_check_and_connect(names: Gateway) -> None:
    """With a second look-up between the two, the second answer would be connected to."""
    before = opened(names)
    assert refused_at_connect(names, names.post(chat("second-look")))
    assert opened(names) == before
    assert names.post(chat("second-look")).status == 200


def test_of_several_addresses_only_the_permitted_are_tried(names: Gateway) -> None:
    for _ in range(3):
        assert names.post(chat("mixed")).status == 200
        names.forget_connections()
    names.attempts(3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(names: Gateway, status: int, stream: bool) -> None:
    with FakeProvider() as elsewhere:
        target = {"location": f"{elsewhere.url}/v1/chat/completions", "refresh": f"0; url={elsewhere.url}"}
        redirect = Behaviour(status=status, headers=target, body="{}")
        names.provider.script("any", redirect)
        answer = names.post(chat("allowed", stream=stream))
        assert answer.status == 502
        assert answer.header("location") is None
        names.attempts(1)
        names.provider.script("*", redirect)
        native = names.post(chat("any"), "/providers/allowed/v1/chat/completions", key=NATIVE)
        assert native.status in (status, 502)
        assert native.header("location") is None
        assert native.header("refresh") is None
        names.attempts(2)
        assert elsewhere.counts()["connections_opened"] == 0


@pytest.mark.parametrize("name", ["private-0", "never-0"])
def test_a_providers_own_api_is_no_way_around_the_check(names: Gateway, name: str) -> None:
    before = opened(names)
    answer = names.post(chat("any"), f"/providers/{name}/v1/chat/completions", key=NATIVE)
    assert answer.status == 502
    assert opened(names) == before
