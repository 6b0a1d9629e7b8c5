"""What one spec may say."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.resources.declare import declare_all
from control_plane.resources.errors import BadSpecs, ResourceNotFound
from control_plane.tokens.errors import NotAllowed
from control_plane.tokens.model import Principal
from headgate.rules.spec import parse
from headgate.v1 import resources_pb2

OWNER = Principal("owner", "owner", None, b"")
URL = {"kind": "openai-compatible", "keys": ["sk-1"]}


def resource(kind: str, fields: dict[str, Any]) -> resources_pb2.Resource:
    made = resources_pb2.Resource()
    message = getattr(made, kind)
    message.CopyFrom(parse(type(message), fields))
    return made


def problems(kind: str, fields: dict[str, Any]) -> list[str]:
    try:
        declare_all([resource(kind, {"name": "x", **fields})], OWNER)
    except BadSpecs as error:
        return [f"{problem.path}: {problem.message}" for problem in error.problems]
    return []


VARIANT = {"name": "a", "use": "m"}
OTHER = {"name": "b", "use": "n"}


def judged(**judge: Any) -> dict[str, Any]:
    return {"variants": [VARIANT, OTHER], "judge": judge}


@pytest.mark.parametrize(
    ("kind", "fields", "path"),
    [
        ("tenant", {"name": "Upper"}, "name"),
        ("tenant", {"name": "*"}, "name"),
        ("tenant", {"residency": ["Not a name"]}, "residency[0]"),
        ("tenant", {"labels": ["team"]}, "labels"),
        ("provider", {"kind": "openia"}, "kind"),
        ("provider", {"kind": "openai-compatible"}, "base_url"),
        ("provider", {**URL, "base_url": "ftp://example.com"}, "base_url"),
        ("provider", {**URL, "base_url": "https://user:pw@example.com"}, "base_url"),
        ("provider", {**URL, "base_url": "https://example.com/?x=1"}, "base_url"),
        ("provider", {**URL, "base_url": "https://example.com/#f"}, "base_url"),
        ("provider", {**URL, "base_url": "https://exa mple.com"}, "base_url"),
        ("provider", {**URL, "base_url": "https://example.com:99999"}, "base_url"),
        ("provider", {**URL, "base_url": "https://"}, "base_url"),
        ("provider", {**URL, "base_url": "http://example.com"}, "base_url"),
        ("provider", {**URL, "base_url": "https://127.0.0.1"}, "base_url"),
        ("provider", {**URL, "base_url": "https://[::1]"}, "base_url"),
        ("provider", {**URL, "base_url": "https://localhost"}, "base_url"),
        ("provider", {"kind": "sandbox", "base_url": "https://example.com"}, "base_url"),
        ("provider", {"kind": "openai", "keys": [{"name": "A", "value": "sk"}]}, "keys[0].name"),
        ("provider", {"kind": "openai", "keys": [{"name": "a", "value": "s k"}]}, "keys[0].value"),
        ("provider", {"kind": "openai", "keys": ["hg-abc"]}, "keys[0].value"),
        ("provider", {"kind": "openai", "keys": [{"name": "a", "file": "../f"}]}, "keys[0].file"),
        ("provider", {"kind": "openai", "keys": [{"name": "a", "value": "1"}] * 2}, "keys[1].name"),
        ("provider", {"kind": "openai", "headers": {"Host": "x"}}, "headers.Host"),
        ("provider", {"kind": "openai", "headers": {"authorization": "x"}}, "headers.authorization"),
        ("provider", {"kind": "openai", "headers": {"X-API-Key": "x"}}, "headers.X-API-Key"),
        ("provider", {"kind": "openai", "headers": {"transfer-encoding": "x"}}, "headers.transfer-encoding"),
        ("provider", {"kind": "openai", "headers": {"a b": "x"}}, "headers.a b"),
        ("provider", {"kind": "openai", "headers": {"x-a": "x\r\nhost: y"}}, "headers.x-a"),
        ("provider", {"kind": "openai", "egress_proxy": "https://x"}, "egress_proxy"),
        ("provider", {"kind": "openai", "sandbox": {}}, "sandbox"),
        ("provider", {"kind": "openai", "serve_regions": ["EU"]}, "serve_regions[0]"),
        ("provider", {"kind": "sandbox", "sandbox": {"error_rate": 1.5}}, "sandbox.error_rate"),
        ("provider", {"kind": "sandbox", "sandbox": {"error_status": 200}}, "sandbox.error_status"),
        ("provider", {"kind": "sandbox", "sandbox": {"latency": "1h"}}, "sandbox.latency"),
        ("model", {}, "provider"),
        ("model", {"name": "cheapest", "provider": "p"}, "name"),
        ("model", {"provider": "p", "discount": "1.1"}, "discount"),
        ("model", {"provider": "p", "quality": {"default": 1.1}}, "quality.default"),
        ("model", {"provider": "p", "price": {}}, "price"),
        ("model", {"provider": "p", "price": {"output": 1}}, "price"),
        ("model", {"provider": "p", "capabilities": ["tool"]}, "capabilities[0]"),
        ("model", {"provider": "p", "upstream_model": "a b"}, "upstream_model"),
        ("route", {}, "policy"),
        ("route", {"name": "fastest", "policy": "m"}, "name"),
        ("route", {"policy": {"fallback": []}}, "policy.fallback"),
        ("route", {"policy": {"fallback": ["m", "M"]}}, "policy.fallback[1]"),
        ("route", {"policy": {"weighted": [{"use": "m", "weight": -1}]}}, "policy.weighted[0].weight"),
        ("route", {"policy": {"weighted": [{"use": "m", "weight": 0}]}}, "policy.weighted"),
        ("route", {"policy": {"semantic": {"of": []}}}, "policy.semantic"),
        ("route", {"policy": {"cases": []}}, "policy.cases"),
        ("route", {"policy": {"cases": [{"when": "true"}]}}, "policy.cases[0]"),
        ("route", {"policy": {"cases": [{"use": "m"}, {"use": "n"}]}}, "policy.cases[0]"),
        (
            "route",
            {"policy": {"cases": [{"when": "request.taks == 'a'", "use": "m"}]}},
            "policy.cases[0].when",
        ),
        ("route", {"policy": {"cheapest": {"of": []}}}, "policy.cheapest.of"),
        ("route", {"policy": {"cheapest": {"of": ["m"], "min_quality": 1.5}}}, "policy.cheapest.min_quality"),
        ("route", {"policy": {"fastest": {"of": ["m"], "by": "speed"}}}, "policy.fastest.by"),
        ("route", {"policy": {"race": {"of": ["m", "n"], "width": 1}}}, "policy.race.width"),
        ("route", {"policy": {"race": {"of": ["m", "n"], "stagger": "soon"}}}, "policy.race.stagger"),
        ("route", {"policy": {"race": {"of": ["m", "n"], "stagger": "90s"}}}, "policy.race.stagger"),
        ("route", {"policy": {"race": {"of": [{"experiment": "e"}, "m"]}}}, "policy.race.of[0]"),
        (
            "route",
            {"policy": {"race": {"of": ["m", {"fallback": [{"race": {"of": ["n", "o"]}}, "p"]}]}}},
            "policy.race.of[1].fallback[0]",
        ),
        (
            "experiment",
            {"variants": [VARIANT, {"name": "b", "use": {"race": {"of": ["m", {"experiment": "e"}]}}}]},
            "variants[1].use.race.of[1]",
        ),
        ("route", {"policy": "m", "client_strategies": ["cheap"]}, "client_strategies[0]"),
        ("route", {"policy": {"fallback": ["m"] * 200}}, "policy"),
        ("route", {"policy": "m", "retry": {"attempts": 11}}, "retry.attempts"),
        ("route", {"policy": "m", "timeouts": {"connect": "0s"}}, "timeouts.connect"),
        ("route", {"policy": "m", "hold": "half"}, "hold"),
        ("route", {"policy": "m", "resume": "roughly"}, "resume"),
        ("route", {"policy": "m", "hold": "whole", "resume": "exact"}, "resume"),
        ("route", {"policy": "m", "cache": {"mode": "exact"}}, "cache"),
        ("key", {"allow": ["a b"]}, "allow[0]"),
        ("key", {"allow": [""]}, "allow[0]"),
        ("key", {"sha256": "abc"}, "sha256"),
        ("key", {"expires": "0s"}, "expires"),
        ("key", {"guards": ["g"]}, "guards"),
        ("experiment", {"variants": []}, "variants"),
        ("experiment", {"variants": [VARIANT, VARIANT]}, "variants[1].name"),
        ("experiment", {"variants": [VARIANT, {"name": "b"}]}, "variants[1]"),
        (
            "experiment",
            {"variants": [VARIANT, {"name": "b", "use": {"fallback": []}}]},
            "variants[1].use.fallback",
        ),
        ("experiment", {"variants": [VARIANT, {**OTHER, "weight": -1}]}, "variants[1].weight"),
        ("experiment", {"variants": [{**VARIANT, "weight": 0}, {**OTHER, "weight": 0}]}, "variants"),
        (
            "experiment",
            {"variants": [VARIANT, {**OTHER, "parameters": {"top": 1}}]},
            "variants[1].parameters.top",
        ),
        (
            "experiment",
            {"variants": [VARIANT, {**OTHER, "parameters": {"temperature": 9}}]},
            "variants[1].parameters.temperature",
        ),
        ("experiment", {"variants": [VARIANT, OTHER], "unit": "cookie"}, "unit"),
        ("experiment", {"variants": [VARIANT, OTHER], "unit": "metadata."}, "unit"),
        ("experiment", {"variants": [{**VARIANT, "shadow": True}, {**OTHER, "shadow": True}]}, "variants"),
        (
            "experiment",
            {"variants": [VARIANT, {**OTHER, "shadow": True, "weight": 1}]},
            "variants[1].weight",
        ),
        ("experiment", {"variants": [VARIANT, {**OTHER, "sample": 0.5}]}, "variants[1].sample"),
        (
            "experiment",
            {"variants": [VARIANT, {**OTHER, "shadow": True, "sample": 2}]},
            "variants[1].sample",
        ),
        (
            "experiment",
            {"variants": [VARIANT, {**OTHER, "max_usd_per_day": "1"}]},
            "variants[1].max_usd_per_day",
        ),
        ("experiment", {"variants": [VARIANT, OTHER], "judge": {"sample": 0.5}}, "judge"),
        ("experiment", judged(model="m", sample=0), "judge.sample"),
        ("experiment", judged(model="m", mode="pairwice"), "judge.mode"),
        ("experiment", judged(models=["m", "m"]), "judge.models"),
        ("experiment", judged(mode="pairwise", checks=[{"json": True}]), "judge.mode"),
        ("experiment", judged(model="m", success=1.5), "judge.success"),
        ("experiment", judged(model="m", max_usd_per_day="0"), "judge.max_usd_per_day"),
        ("experiment", judged(model="m", rubric_name="Very Good"), "judge.rubric_name"),
        (
            "experiment",
            {"variants": [{**VARIANT, "weight": 0}, OTHER], "judge": {"model": "m", "mode": "pairwise"}},
            "variants[0].weight",
        ),
        ("experiment", judged(checks=[{"json": True}, {"json": True}]), "judge.checks[1]"),
        ("experiment", judged(checks=[{"regex": "(a"}]), "judge.checks[0].regex"),
        ("experiment", judged(checks=[{"regex": "(?=a)"}]), "judge.checks[0].regex"),
        ("experiment", judged(checks=[{"schema": {"type": "objekt"}}]), "judge.checks[0].schema"),
        (
            "experiment",
            judged(checks=[{"schema": {"$ref": "https://example.com/schema"}}]),
            "judge.checks[0].schema",
        ),
        ("experiment", judged(checks=[{"length": {"min": 5, "max": 2}}]), "judge.checks[0].length"),
        ("experiment", judged(checks=[{"http": {"url": "ftp://x"}}]), "judge.checks[0].http.url"),
        ("experiment", judged(checks=[{"http": {"url": "http://10.0.0.1/"}}]), "judge.checks[0].http.url"),
        ("experiment", {"variants": [VARIANT, OTHER], "stop": {"confidence": 1}}, "stop.confidence"),
        (
            "experiment",
            {"variants": [VARIANT, OTHER], "stop": {"min_samples": 9, "max_samples": 5}},
            "stop.max_samples",
        ),
        ("experiment", {"variants": [VARIANT, OTHER], "stop": {"then": "cheer"}}, "stop.then"),
        ("experiment", {"variants": [VARIANT, OTHER], "stop": {"eliminate": True}}, "stop.eliminate"),
        ("experiment", {"variants": [VARIANT, OTHER], "stop": {"by": "luck"}}, "stop.by"),
        ("experiment", {"variants": [VARIANT, OTHER], "stop": {"by": "quality"}}, "stop.by"),
        (
            "experiment",
            {"variants": [VARIANT, OTHER], "guardrails": {"error_rate": 2}},
            "guardrails.error_rate",
        ),
        (
            "experiment",
            {"variants": [VARIANT, OTHER], "guardrails": {"cost_ratio": 0.5}},
            "guardrails.cost_ratio",
        ),
        ("experiment", {"variants": [VARIANT, OTHER], "guardrails": {}}, "guardrails"),
        ("experiment", {"variants": [VARIANT, OTHER], "share": 0.5}, "share"),
        ("experiment", {"variants": [VARIANT, OTHER], "namespace": "a b"}, "namespace"),
        ("limit", {"usd": 5}, ""),
        ("guard", {}, ""),
    ],
)
def test_it_is_refused_at_its_path(kind: str, fields: dict[str, Any], path: str) -> None:
    found = problems(kind, fields)
    assert found
    assert found[0].startswith(f"{path}: "), found


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("provider", {**URL, "base_url": "https://example.com:8443/v1"}),
        ("provider", {**URL, "base_url": "http://127.0.0.1:9/v1", "private_network": True}),
        ("provider", {"kind": "openai", "keys": ["sk-1", "sk-2"], "headers": {"x-org": "42"}}),
        ("provider", {"kind": "sandbox", "sandbox": {"latency": "50ms", "error_rate": 0.1}}),
        ("model", {"provider": "p", "price": {"input": 0.15, "output": "0.60"}, "discount": 0.1}),
        ("model", {"provider": "p", "price": {"request": 0.01}}),
        ("route", {"policy": {"fallback": ["a", {"weighted": [{"use": "b", "weight": 0.5}]}]}}),
        ("key", {"allow": ["chat", "openai/*", "*", "openrouter/meta-llama/llama-3:free"]}),
        ("key", {"allow": []}),
        ("key", {"sha256": "AB" * 32, "expires": "90d"}),
    ],
)
def test_it_is_accepted(kind: str, fields: dict[str, Any]) -> None:
    assert problems(kind, fields) == []


def test_a_key_value_is_never_in_a_problem_or_in_what_is_stored() -> None:
    assert "s3cret" not in str(problems("provider", {"kind": "openai", "keys": ["hg-s3cret"]}))
    made = resource("provider", {"name": "x", "kind": "openai", "keys": ["sk-s3cret"]})
    (declared,) = declare_all([made], OWNER)
    assert "s3cret" not in str(declared)
    assert declared.rendered["keys"] == [{"name": "default"}]


def test_bare_keys_are_named() -> None:
    made = resource(
        "provider", {"name": "x", "kind": "openai", "keys": ["a", {"name": "b", "value": "c"}, "d"]}
    )
    (declared,) = declare_all([made], OWNER)
    assert list(declared.provider_keys) == ["key-1", "b", "key-3"]


def test_the_same_resource_twice_is_a_problem_of_the_second() -> None:
    twice = [resource("tenant", {"name": "x"}), resource("tenant", {"name": "x"})]
    with pytest.raises(BadSpecs) as caught:
        declare_all(twice, OWNER)
    assert [problem.index for problem in caught.value.problems] == [1]


def test_absent_and_empty_allow_lists_differ() -> None:
    absent, empty = resource("key", {"name": "a"}), resource("key", {"name": "b", "allow": []})
    rendered = [one.rendered for one in declare_all([absent, empty], OWNER)]
    assert "allow" not in rendered[0]
    assert rendered[1]["allow"] == []


def test_a_token_of_one_tenant_declares_for_that_tenant_only() -> None:
    acme = Principal("a", "editor", "acme", b"")
    (mine,) = declare_all([resource("route", {"name": "x", "policy": "m"})], acme)
    assert mine.ref.tenant == "acme"
    for other in ("default", "*", "missing"):
        with pytest.raises(ResourceNotFound):
            declare_all([resource("route", {"name": "x", "tenant": other, "policy": "m"})], acme)
    with pytest.raises(NotAllowed):
        declare_all([resource("tenant", {"name": "acme"})], acme)
    with pytest.raises(ResourceNotFound):
        declare_all([resource("tenant", {"name": "other"})], acme)


def test_more_than_a_hundred_problems_are_not_listed() -> None:
    with pytest.raises(BadSpecs) as caught:
        declare_all([resource("tenant", {"name": f"T{i}"}) for i in range(300)], OWNER)
    assert len(caught.value.problems) == 100
