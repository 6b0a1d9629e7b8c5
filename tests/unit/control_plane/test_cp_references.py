"""The walk over policies."""

from __future__ import annotations

from headgate.rules.errors import path_text
from headgate.rules.references import node_count, references
from headgate.rules.spec import parse
from headgate.v1 import policy_pb2

POLICY = {
    "fallback": [
        "a",
        {"weighted": [{"use": "b", "weight": 3}, {"use": {"fallback": ["c"]}}]},
        {"cheapest": {"of": ["d"], "min_quality": 0.5}},
        {"race": {"of": ["e"]}},
        {"fastest": {"of": ["f"]}},
        {"cases": [{"when": "request.stream", "use": "g"}, {"use": {"route": "other"}}]},
        {"semantic": {"of": [{"about": "code", "use": "h"}], "embedder": "embed", "else": "i"}},
        {"experiment": "trial"},
    ]
}


def test_every_name_is_found_with_the_path_that_a_manifest_shows() -> None:
    policy = parse(policy_pb2.Policy, POLICY)
    found = {(reference.kind, reference.name): path_text(reference.path) for reference in references(policy)}
    assert found == {
        ("model", "a"): "policy.fallback[0]",
        ("model", "b"): "policy.fallback[1].weighted[0].use",
        ("model", "c"): "policy.fallback[1].weighted[1].use.fallback[0]",
        ("model", "d"): "policy.fallback[2].cheapest.of[0]",
        ("model", "e"): "policy.fallback[3].race.of[0]",
        ("model", "f"): "policy.fallback[4].fastest.of[0]",
        ("model", "g"): "policy.fallback[5].cases[0].use",
        ("route", "other"): "policy.fallback[5].cases[1].use",
        ("model", "embed"): "policy.fallback[6].semantic.embedder",
        ("model", "h"): "policy.fallback[6].semantic.of[0].use",
        ("model", "i"): "policy.fallback[6].semantic.else",
        ("experiment", "trial"): "policy.fallback[7]",
    }


def test_all_nodes_are_counted() -> None:
    assert node_count(parse(policy_pb2.Policy, "a")) == 1
    assert node_count(parse(policy_pb2.Policy, {"fallback": ["a", "b"]})) == 3
