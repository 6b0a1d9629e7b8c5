from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from admin_cli.errors import UsageProblem
from admin_cli.local.first_run import KEY_VARIABLES, environment_keys, first_run, model_name
from headgate.rules.credentials import Secret

CATALOGUE = {
    "openai": ["gpt-4o-mini", "GPT-X", "gpt-4o-mini"],
    "openrouter": ["openai/gpt-4o-mini", "meta/llama:free", "gpt-x", "bad name!", "x" * 80],
}


@pytest.fixture(autouse=True)
def catalogue(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = ModuleType("headgate.rules.catalogue")
    module.catalogue_models = lambda kind: [  # type: ignore[attr-defined]
        SimpleNamespace(upstream_model=name) for name in CATALOGUE.get(kind, [])
    ]
    monkeypatch.setitem(sys.modules, "headgate.rules.catalogue", module)
    return iter(())


def planned(*kinds: str, declared: set[tuple[str, str, str]] | None = None) -> list[str]:
    plan = first_run({kind: Secret(f"sk-{kind}") for kind in kinds}, declared or set())
    found = []
    for resource in plan.resources:
        kind = resource.WhichOneof("spec")
        found.append(f"{kind} {getattr(resource, kind).name}")
    return found


def test_every_variable_of_the_interface_is_known_and_empty_ones_count_as_unset() -> None:
    environment = dict.fromkeys(KEY_VARIABLES, "sk-1")
    assert list(environment_keys(environment)) == list(KEY_VARIABLES.values())
    assert environment_keys({"OPENAI_API_KEY": " ", "HOME": "/"}) == {}


def test_a_headgate_key_in_a_provider_variable_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageProblem, match="OPENAI_API_KEY is one of Headgate's own") as caught:
        environment_keys({"OPENAI_API_KEY": "hg-abcdef"})
    assert "abcdef" not in caught.value.message
    assert caught.value.hint


def test_providers_come_with_their_models_and_no_name_twice() -> None:
    assert planned("openai", "openrouter") == [
        "provider openai",
        "model gpt-4o-mini",
        "model gpt-x",
        "provider openrouter",
        "model openai-gpt-4o-mini",
        "model meta-llama-free",
    ]


def test_the_upstream_name_is_kept_where_the_model_needs_another() -> None:
    plan = first_run({"openai": Secret("sk")}, set())
    assert [(r.model.name, r.model.upstream_model) for r in plan.resources[1:]] == [
        ("gpt-4o-mini", ""),
        ("gpt-x", "GPT-X"),
    ]


def test_with_no_key_the_sandbox_answers_and_says_so() -> None:
    plan = first_run({}, set())
    assert planned() == ["provider sandbox", "model sandbox", "route chat"]
    assert plan.resources[2].route.policy.model == "sandbox"
    assert "sandbox" in plan.notes[0]


def test_a_provider_without_catalogue_is_kept_and_the_sandbox_answers() -> None:
    assert planned("nvidia") == ["provider nvidia", "provider sandbox", "model sandbox", "route chat"]


def test_the_users_manifest_comes_first() -> None:
    assert planned(declared={("provider", "default", "mine")}) == []
    assert planned("openai", declared={("provider", "*", "openai")}) == []
    assert planned(declared={("route", "default", "chat")}) == ["provider sandbox", "model sandbox"]
    assert planned("openai", declared={("model", "default", "gpt-x")}) == [
        "provider openai",
        "model gpt-4o-mini",
    ]


@pytest.mark.parametrize(
    ("upstream", "name"),
    [
        ("meta-llama/Llama-3.3:free", "meta-llama-llama-3.3-free"),
        ("-x", None),
        ("a b", None),
        ("x" * 64, None),
    ],
)
def test_an_upstream_model_becomes_a_valid_name(upstream: str, name: str | None) -> None:
    assert model_name(upstream) == name
