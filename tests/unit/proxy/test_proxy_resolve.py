"""What a client's `model` means: the look-up order and the permissions of interface.md, 3."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.policy.nodes import targets_of
from proxy.config.compile import Compiler, entry_name
from proxy.config.model import Key, Route, Snapshot, Version
from proxy.config.resolve import MAX_NAME_LENGTH, MAX_RESOLVED_PER_KEY, callable_names, resolve
from proxy.errors import CallError
from tests.unit.proxy import entries
from tests.unit.proxy.asking import facts
from tests.unit.proxy.entries import Entry


def snapshot_of(*chosen: Entry) -> Snapshot:
    return Compiler().compile(Version(1, 1), {entry_name(entry): entry for entry in chosen})


def key_of(snapshot: Snapshot, name: str) -> Key:
    return next(c.key for c in snapshot.credentials.values() if c.key.name == name)


def upstream(route: Route) -> list[str]:
    return [target.label for target in targets_of(route.node.plan(facts()))]


SHARED = [
    entries.provider("shared-provider", "*"),
    entries.model("shared-model", "shared-provider", "*"),
    entries.route("shared-route", "shared-model", "*"),
]
# One name, `x`, at every place where it can be looked up.
PLACES = {
    "the tenant's route": entries.route("x", "own-a", "acme"),
    "a shared route": entries.route("x", "shared-b", "*"),
    "the tenant's model": entries.model("x", "own", "acme", upstream_model="c"),
    "a shared model": entries.model("x", "all", "*", upstream_model="d"),
}
GROUND = [
    entries.provider("own", "acme"),
    entries.provider("all", "*"),
    entries.model("own-a", "own", "acme", upstream_model="a"),
    entries.model("shared-b", "all", "*", upstream_model="b"),
    entries.key("all-allowed", "acme", allow=["*"]),
]


@pytest.mark.parametrize("first", range(4))
def test_names_are_looked_up_in_the_documented_order(first: int) -> None:
    snapshot = snapshot_of(*GROUND, *list(PLACES.values())[first:])
    route = resolve(snapshot, key_of(snapshot, "all-allowed"), "x")
    assert upstream(route) == [["own/a", "all/b", "own/c", "all/d"][first]]


def test_a_name_with_a_slash_is_a_route_or_model_only_by_provider() -> None:
    snapshot = snapshot_of(*GROUND)
    key = key_of(snapshot, "all-allowed")
    assert upstream(resolve(snapshot, key, "own/any/thing-at:all")) == ["own/any/thing-at:all"]
    assert upstream(resolve(snapshot, key, "all/b")) == ["all/b"]


def test_a_declared_model_is_found_by_its_upstream_name_with_its_own_settings() -> None:
    declared = entries.model("nice-name", "own", "acme", upstream_model="vendor/big-1", discount="0.5")
    snapshot = snapshot_of(*GROUND, declared)
    route = resolve(snapshot, key_of(snapshot, "all-allowed"), "own/vendor/big-1")
    (target,) = targets_of(route.node.plan(facts()))
    assert (target.model, target.discount_ppm) == ("nice-name", 500_000)


def test_a_tenant_s_own_provider_comes_before_a_shared_one() -> None:
    snapshot = snapshot_of(
        entries.provider("p", "acme", base_url="https://own.example/v1"),
        entries.provider("p", "*", base_url="https://shared.example/v1"),
        entries.key("k", "acme", allow=["*"]),
    )
    (target,) = targets_of(resolve(snapshot, key_of(snapshot, "k"), "p/m").node.plan(facts()))
    assert target.provider.base_url == "https://own.example/v1"


def refusal(snapshot: Snapshot, key: str, name: str) -> tuple[int, str]:
    with pytest.raises(CallError) as refused:
        resolve(snapshot, key_of(snapshot, key), name)
    return refused.value.status, refused.value.code


NOT_ALLOWED = (403, "model_not_allowed")
NOT_FOUND = (404, "model_not_found")


def permitted(name: str, allow: list[str] | None) -> bool:
    spec: dict[str, Any] = {} if allow is None else {"allow": allow}
    snapshot = snapshot_of(
        *GROUND, entries.route("chat", "own-a", "acme"), *SHARED, entries.key("k", "acme", **spec)
    )
    try:
        resolve(snapshot, key_of(snapshot, "k"), name)
    except CallError as refused:
        return (refused.status, refused.code) != NOT_ALLOWED
    return True


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [
        (None, {"chat", "shared-route"}),
        ([], set()),
        (["*"], {"chat", "shared-route", "own-a", "own/a", "own/new", "all/new"}),
        (["chat"], {"chat"}),
        (["own-a"], {"own-a"}),
        (["own/*"], {"own/a", "own/new"}),
        (["own/a"], {"own/a"}),
        (["own/n?w", "shared-*"], {"own/new", "shared-route"}),
        (["OWN/*", "Chat"], set()),
    ],
)
def test_a_key_may_call_what_its_patterns_cover_and_nothing_else(
    allow: list[str] | None, allowed: set[str]
) -> None:
    asked = {"chat", "shared-route", "own-a", "own/a", "own/new", "all/new"}
    assert {name for name in asked if permitted(name, allow)} == allowed


def test_a_route_s_permission_reaches_the_models_behind_it_but_not_beside_it() -> None:
    snapshot = snapshot_of(
        *GROUND, entries.route("chat", "own-a", "acme"), entries.key("k", "acme", allow=["chat"])
    )
    assert upstream(resolve(snapshot, key_of(snapshot, "k"), "chat")) == ["own/a"]
    assert refusal(snapshot, "k", "own-a") == NOT_ALLOWED
    assert refusal(snapshot, "k", "own/a") == NOT_ALLOWED


def test_another_tenant_s_names_do_not_exist() -> None:
    snapshot = snapshot_of(
        *GROUND,
        entries.route("chat", "own-a", "acme"),
        entries.key("stranger", "other", allow=["*"]),
    )
    for name in ("chat", "own-a", "own/a", "own/new"):
        assert refusal(snapshot, "stranger", name) == NOT_FOUND
    assert [name for name, _ in callable_names(snapshot, key_of(snapshot, "stranger"))] == ["shared-b"]


@pytest.mark.parametrize("name", ["nothing", "no-such/model", "own/", "/", "/a", "x" * (MAX_NAME_LENGTH + 1)])
def test_what_is_nowhere_is_not_found(name: str) -> None:
    assert refusal(snapshot_of(*GROUND), "all-allowed", name) == NOT_FOUND


@pytest.mark.parametrize("name", ["cheapest", "fastest"])
def test_a_built_in_route_chooses_among_all_that_the_key_may_call(name: str) -> None:
    snapshot = snapshot_of(*GROUND)
    route = resolve(snapshot, key_of(snapshot, "all-allowed"), name)
    assert {target.label for target in route.node.targets()} == {"own/a", "all/b"}


def test_a_built_in_route_must_be_allowed_by_its_name() -> None:
    snapshot = snapshot_of(
        *GROUND,
        entries.key("routes-only", "acme"),
        entries.key("some", "acme", allow=["own-a", "fastest"]),
    )
    assert refusal(snapshot, "routes-only", "cheapest") == NOT_ALLOWED
    assert refusal(snapshot, "some", "cheapest") == NOT_ALLOWED
    route = resolve(snapshot, key_of(snapshot, "some"), "fastest")
    assert {target.label for target in route.node.targets()} == {"own/a"}


@pytest.mark.parametrize("strategy", ["cheapest", "fastest", "race"])
def test_a_suffix_is_taken_where_the_route_names_it(strategy: str) -> None:
    chat = entries.route("chat", "own-a", "acme")
    chat.route.client_strategies.append(strategy)
    snapshot = snapshot_of(*GROUND, chat)
    route = resolve(snapshot, key_of(snapshot, "all-allowed"), f"chat:{strategy}")
    assert [target.label for target in route.node.targets()] == ["own/a"]
    assert route.name == f"chat:{strategy}"


@pytest.mark.parametrize("name", ["chat:cheapest", "chat:fastest", "chat:race", "own-a:race"])
def test_a_suffix_that_the_route_does_not_name_is_refused(name: str) -> None:
    snapshot = snapshot_of(*GROUND, entries.route("chat", "own-a", "acme"))
    assert refusal(snapshot, "all-allowed", name) == NOT_ALLOWED


def test_a_disabled_route_answers_nothing_and_says_so() -> None:
    snapshot = snapshot_of(*GROUND, entries.route("chat", "own-a", "acme", disabled=True))
    assert refusal(snapshot, "all-allowed", "chat") == (400, "no_capable_model")


def test_what_was_resolved_is_remembered_within_a_bound() -> None:
    snapshot = snapshot_of(*GROUND)
    key = key_of(snapshot, "all-allowed")
    first = resolve(snapshot, key, "own/m0")
    assert resolve(snapshot, key, "own/m0") is first
    for number in range(MAX_RESOLVED_PER_KEY + 50):
        resolve(snapshot, key, f"own/m{number}")
    assert len(key.resolved) == MAX_RESOLVED_PER_KEY


def test_the_list_names_each_callable_thing_once_with_its_owner() -> None:
    snapshot = snapshot_of(*GROUND, *PLACES.values(), entries.key("routes-only", "acme"))
    listed = list(callable_names(snapshot, key_of(snapshot, "all-allowed")))
    assert sorted(listed) == [("own-a", "own"), ("shared-b", "all"), ("x", "headgate")]
    assert list(callable_names(snapshot, key_of(snapshot, "routes-only"))) == [("x", "headgate")]
