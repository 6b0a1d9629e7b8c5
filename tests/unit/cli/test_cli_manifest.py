from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admin_cli import manifest
from admin_cli.errors import ManifestError, NotFound, ServerProblem
from headgate.rules import spec

Write = Callable[..., Path]


def load(*paths: object, tenant: str = "default", **environment: str) -> manifest.Manifest:
    return manifest.load([str(path) for path in paths], tenant, environment)


def problems(*paths: object, **environment: str) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(*paths, **environment)
    return [line.removeprefix(f"{Path(line.partition(':')[0]).parent}/") for line in caught.value.lines]


def test_an_unknown_field_is_told_with_file_line_path_and_the_nearest_name(written: Write) -> None:
    path = written(
        "routes:\n- name: chat\n  policy:\n    fallback:\n    - a\n    - modle: b\n      # here\n",
        "routes.yaml",
    )
    assert problems(path) == [
        "routes.yaml:6: routes[0].policy.fallback[1]: unknown field 'modle' (did you mean 'model'?)"
    ]


def test_every_broken_resource_is_told_in_one_run(written: Write) -> None:
    path = written(
        "models:\n- {name: a, provider: p, price: {input: much}}\n- {name: B, provider: p}\n- oops\n"
        "routes:\n- name: c\n  retry: {attempts: -1}\nrotes: []\n"
    )
    assert [line.split(": ")[:2] for line in problems(path)] == [
        ["m.yaml:2", "models[0].price.input"],
        ["m.yaml:3", "models[1].name"],
        ["m.yaml:4", "models[2]"],
        ["m.yaml:7", "routes[0].retry.attempts"],
        ["m.yaml:8", "unknown kind 'rotes' (did you mean 'routes'?)"],
    ]


def test_references_come_from_the_environment_and_dollars_can_be_written(written: Write) -> None:
    path = written(
        "providers:\n- name: p\n  kind: openai\n  keys: ['${KEY}']\n  headers: {x: 'a$$b$', y: \"$${KEY}\"}\n"
        "routes:\n- name: r\n  policy: p\n  retry:\n    attempts: ${N}\n"
    )
    provider, route = load(path, KEY="sk-1: [not yaml]", N="3").resources
    assert provider.provider.keys[0].value == "sk-1: [not yaml]"
    assert dict(provider.provider.headers) == {"x": "a$b$", "y": "${KEY}"}
    assert route.route.retry.attempts == 3


def test_an_unset_reference_is_an_error_with_its_line(written: Write) -> None:
    path = written(
        "providers:\n- name: p\n  kind: openai\n  keys:\n  - ${ABSENT}\n  headers: {x: '${', y: '${9}'}\n"
    )
    malformed = "'${' begins a reference like ${NAME}; a dollar sign itself is written $$"
    assert problems(path) == [
        "m.yaml:5: providers[0].keys[0]: ${ABSENT} is not set in the environment",
        f"m.yaml:6: providers[0].headers.x: {malformed}",
        f"m.yaml:6: providers[0].headers.y: {malformed}",
    ]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_doubling_dollars_protects_any_text(text: str) -> None:
    assert manifest.substitute(text.replace("$", "$$"), {}) == text


def test_the_tenant_of_the_command_is_filled_in_where_none_is_named(written: Write) -> None:
    path = written(
        "tenants: [{name: acme}]\nmodels:\n- {name: a, provider: p}\n- {name: b, provider: p, tenant: '*'}"
    )
    tenant, first, second = load(path, tenant="acme").resources
    assert tenant.tenant.name == "acme"
    assert (first.model.tenant, second.model.tenant) == ("acme", "*")


def test_a_resource_that_is_declared_twice_is_refused_across_files(written: Write, tmp_path: Path) -> None:
    written("keys:\n- {name: a}\n", "d/one.yaml")
    written(
        "---\n\n---\nkeys:\n- {name: b}\n- {name: a, tenant: default}\n- {name: a, tenant: '*'}\n",
        "d/two.yml",
    )
    written("this is: [not read", "d/notes.txt")
    written("nor: [this", "d/.hidden/x.yaml")
    first = tmp_path / "d" / "one.yaml"
    assert problems(tmp_path / "d") == [f"two.yml:6: keys[1]: key 'a' is declared twice (first at {first}:2)"]


def test_an_absent_list_and_an_empty_one_stay_apart(written: Write) -> None:
    absent, empty = load(written("keys:\n- {name: a}\n- {name: b, allow: []}\n")).resources
    assert not absent.key.HasField("allow")
    assert empty.key.HasField("allow")


def test_stdin_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"keys: [{name: a}]")))
    assert [one.id for one in load("-").declared] == [("key", "default", "a")]


def test_an_envelope_is_taken_back_without_what_get_added_and_with_its_dollars(written: Write) -> None:
    item = {"name": "p", "tenant": "acme", "kind": "openai", "headers": {"x": "$${HOME} ${HOME}"}}
    envelope = {
        "api": "headgate.v1",
        "kind": "ProviderList",
        "items": [{**item, "state": {"disabled": True}, "source": "x", "revision": 3, "updated_at": "2026"}],
    }
    (resource,) = load(written(json.dumps(envelope), "p.json")).resources
    assert spec.render(resource.provider) == item


def test_an_envelope_of_something_else_is_refused(written: Write) -> None:
    text = '{"api": "headgate.v1", "kind": "ChangeList", "items": []}'
    assert problems(written(text)) == ["m.yaml:1: kind: a ChangeList holds no resources"]


def test_a_problem_of_the_control_plane_finds_its_line_again(written: Write) -> None:
    loaded = load(
        written(
            "models: [{name: a, provider: p}]\nroutes:\n- name: r\n  policy:\n    fallback: [a,\n      b]\n"
        )
    )
    problem = ServerProblem("routes/default/r", 1, "policy.fallback[1]", "there is no model 'b'")
    assert loaded.locate(problem).endswith("m.yaml:6: routes[0].policy.fallback[1]: there is no model 'b'")
    assert loaded.locate(ServerProblem("", -1, "", "too many")) == "too many"


def test_a_missing_file_an_empty_folder_and_no_text_are_told(tmp_path: Path, written: Write) -> None:
    with pytest.raises(NotFound, match="no such file"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(Exception, match="no manifest in this folder"):
        load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ManifestError, match=r"binary.yaml:2: not UTF-8"):
        load(tmp_path / "binary.yaml")


def test_a_large_file_is_refused_before_it_is_parsed(written: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(ManifestError, match="larger than 1 MiB"):
        load(written("#" * 2**21))


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
policies: Any = st.recursive(
    names,
    lambda inner: st.one_of(
        st.builds(lambda nodes: {"fallback": nodes}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda nodes: {"weighted": [{"use": node, "weight": weight} for node, weight in nodes]},
            st.lists(st.tuples(inner, st.integers(0, 9)), min_size=1, max_size=3),
        ),
    ),
    max_leaves=8,
)
routes = st.fixed_dictionaries(
    {"name": names, "tenant": names | st.just("*"), "policy": policies},
    optional={
        "task": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9),
        "timeouts": st.fixed_dictionaries({"connect": st.sampled_from(["5s", "1500ms", "15m"])}),
        "retry": st.fixed_dictionaries({"attempts": st.integers(1, 5)}),
    },
)


@settings(deadline=None)
@given(st.lists(routes, unique_by=lambda route: (route["tenant"], route["name"]), min_size=1, max_size=4))
def test_what_is_exported_applies_as_the_same_resources(declared: list[dict[str, Any]]) -> None:
    from admin_cli import manifest_dump

    text = manifest_dump.dump(manifest_dump.escape_dollars({"routes": declared}))
    reader = manifest._Reader("default", {})
    reader.read("x", text)
    assert reader.problems == []
    assert [spec.render(one.resource.route) for one in reader.declared] == declared
