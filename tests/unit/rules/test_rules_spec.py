"""What people write and what programs exchange: there and back, and errors that name the place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from headgate.rules.errors import SpecError, path_text
from headgate.rules.spec import MAX_DEPTH, differences, parse, planned_problems, render
from headgate.rules.units import format_duration_ns, parse_decimal, parse_duration_ns, parse_size_bytes
from headgate.v1 import policy_pb2, resources_pb2

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True)
amounts = st.decimals(0, 1_000, places=4).map(lambda number: format(number, "f"))
# As `render` writes them: whole units.
times = st.builds(
    lambda count, unit: f"{count}{unit}", st.integers(1, 59), st.sampled_from(["ms", "s", "m", "h", "d"])
).filter(lambda text: format_duration_ns(parse_duration_ns(text)) == text)
whole_or_not = st.one_of(st.integers(0, 100), st.sampled_from([0.5, 2.25]))


def tree(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fixed = st.fixed_dictionaries
    weighted = fixed({"use": inner}, optional={"weight": whole_or_not})
    race = fixed({"of": st.lists(inner, min_size=1, max_size=2)}, optional={"stagger": times})
    return st.one_of(
        fixed({"fallback": st.lists(inner, min_size=1, max_size=3)}),
        fixed({"weighted": st.lists(weighted, min_size=1, max_size=3)}),
        fixed({"race": race}),
        fixed({"experiment": names}),
        fixed({"route": names}),
    )


policies: st.SearchStrategy[Any] = st.recursive(names, tree, max_leaves=6)
routes = st.fixed_dictionaries(
    {"name": names, "policy": policies},
    optional={
        "tenant": st.sampled_from(["acme", "*"]),
        "task": names,
        "retry": st.fixed_dictionaries({"attempts": st.integers(1, 9)}),
        "timeouts": st.dictionaries(st.sampled_from(["connect", "first_token", "idle", "total"]), times),
    },
)
models = st.fixed_dictionaries(
    {"name": names, "provider": names},
    optional={
        "upstream_model": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10),
        "price": st.dictionaries(st.sampled_from(["input", "output", "cache_read", "request"]), amounts),
        "discount": amounts,
        "context_window": st.integers(1, 2**32 - 1),
        "capabilities": st.lists(names, min_size=1, max_size=3),
        "quality": st.dictionaries(names, st.sampled_from([0.25, 0.5]), min_size=1, max_size=3),
    },
)
keys = st.fixed_dictionaries(
    {"name": names},
    optional={
        "allow": st.lists(names, max_size=3),  # an empty list is not an absent one
        "metadata": st.dictionaries(names, names, min_size=1, max_size=3),
        "expires": times,
    },
)


def there_and_back(kind: type[Message], written: dict[str, Any]) -> None:
    message = parse(kind, written)
    rendered = render(message)
    assert rendered == written
    assert parse(kind, rendered) == message


@given(routes)
def test_a_route_comes_back_as_it_was_written(written: dict[str, Any]) -> None:
    there_and_back(resources_pb2.Route, written)


@given(models)
def test_a_model_comes_back_as_it_was_written(written: dict[str, Any]) -> None:
    there_and_back(resources_pb2.Model, written)


@given(keys)
def test_a_key_comes_back_as_it_was_written(written: dict[str, Any]) -> None:
    there_and_back(resources_pb2.Key, written)


def test_short_forms_stand_for_the_long_ones() -> None:
    assert parse(policy_pb2.Policy, "m") == policy_pb2.Policy(model="m")
    assert parse(policy_pb2.Policy, {"model": "m"}) == policy_pb2.Policy(model="m")
    short = parse(resources_pb2.Provider, {"name": "p", "keys": ["sk-1", {"name": "b", "value": "sk-2"}]})
    assert [(key.name, key.value) for key in short.keys] == [("", "sk-1"), ("b", "sk-2")]


def test_no_keys_allowed_is_not_the_same_as_nothing_said() -> None:
    assert parse(resources_pb2.Key, {"name": "k", "allow": []}).HasField("allow")
    assert not parse(resources_pb2.Key, {"name": "k"}).HasField("allow")


def test_amounts_never_pass_through_a_float() -> None:
    model = parse(resources_pb2.Model, {"price": {"input": Decimal("0.1"), "output": "0.30", "request": 3}})
    assert (model.price.input, model.price.output, model.price.request) == ("0.1", "0.30", "3")
    assert parse(resources_pb2.Model, {"discount": "1E-3"}).discount == "0.001"


@pytest.mark.parametrize(
    ("kind", "written", "where", "what"),
    [
        (resources_pb2.Route, {"polcy": "m"}, "polcy", "did you mean 'policy'?"),
        (resources_pb2.Route, {"policy": {"fallbck": []}}, "policy.fallbck", "did you mean 'fallback'?"),
        (
            resources_pb2.Route,
            {"policy": {"fallback": ["a", {"model": 7.5, "route": "x"}]}},
            "policy.fallback[1]",
            "exactly one",
        ),
        (resources_pb2.Route, {"policy": {}}, "policy", "exactly one"),
        (resources_pb2.Route, {"policy": None}, "policy", "has no value"),
        (resources_pb2.Route, {"policy": ["m"]}, "policy", "expected a map, found a list"),
        (resources_pb2.Route, {"policy": {"fallback": "m"}}, "policy.fallback", "expected a list"),
        (resources_pb2.Route, {"timeouts": {"connect": 5}}, "timeouts.connect", "has no unit"),
        (resources_pb2.Route, {"timeouts": {"connect": "soon"}}, "timeouts.connect", "is not a time"),
        (resources_pb2.Route, {"timeouts": {"total": "9999d"}}, "timeouts.total", "more than ten years"),
        (resources_pb2.Route, {"retry": {"attempts": "two"}}, "retry.attempts", "expected a number"),
        (resources_pb2.Route, {"retry": {"attempts": -1}}, "retry.attempts", "whole number"),
        (resources_pb2.Route, {"retry": {"attempts": 1.5}}, "retry.attempts", "whole number"),
        (resources_pb2.Route, {"name": True}, "name", "expected text, found true"),
        (resources_pb2.Provider, {"private_network": "yes"}, "private_network", "expected true or false"),
        (resources_pb2.Model, {"price": {"input": "cheap"}}, "price.input", "is not an amount"),
        (resources_pb2.Model, {"price": {"input": -1}}, "price.input", "is not an amount"),
        (resources_pb2.Model, {"quality": ["good"]}, "quality", "expected a map"),
        (resources_pb2.Key, {"metadata": {"team": {"a": 1}}}, "metadata.team", "expected text"),
        (resources_pb2.Route, "chat", "", "expected a map"),
    ],
)
def test_an_error_names_the_place_and_what_was_expected(
    kind: type[Message], written: Any, where: str, what: str
) -> None:
    with pytest.raises(SpecError) as refused:
        parse(kind, written)
    (problem,) = refused.value.problems
    assert path_text(problem.path) == where
    assert what in problem.message


@pytest.mark.parametrize("number", [float("inf"), float("nan"), Decimal("NaN"), Decimal("Infinity")])
@pytest.mark.parametrize("kind", ["attempts", "weight", "connect"])
def test_a_number_that_is_none_is_refused(kind: str, number: Any) -> None:
    written = {
        "attempts": {"retry": {"attempts": number}},
        "weight": {"policy": {"weighted": [{"use": "m", "weight": number}]}},
        "connect": {"timeouts": {"connect": number}},
    }[kind]
    with pytest.raises(SpecError):
        parse(resources_pb2.Route, written)


def test_a_policy_deeper_than_any_sense_is_refused() -> None:
    policy: Any = "m"
    for _ in range(MAX_DEPTH):
        policy = {"fallback": [policy]}
    with pytest.raises(SpecError, match="nested deeper"):
        parse(policy_pb2.Policy, policy)


def test_what_is_planned_is_named_with_its_place() -> None:
    written = {
        "name": "r",
        "policy": {"fallback": ["m", {"semantic": {"else": "a"}}]},
        "cache": {"mode": "exact"},
        "guards": ["g"],
    }
    found = {path_text(p.path) for p in planned_problems(parse(resources_pb2.Route, written))}
    assert found == {"policy.fallback[1].semantic", "cache", "guards"}
    assert [str(p) for p in planned_problems(parse(resources_pb2.Limit, {"name": "l"}), ("limits", 0))] == [
        "limits[0]: limits are not supported yet"
    ]
    assert not list(
        planned_problems(parse(resources_pb2.Route, {"name": "r", "policy": {"fallback": ["m"]}}))
    )


def test_differences_are_told_by_path() -> None:
    old = {"name": "r", "policy": {"fallback": ["a", "b"]}, "task": "x"}
    new = {"name": "r", "policy": {"fallback": ["a", "c"]}, "retry": {"attempts": 1}}
    assert list(differences(old, new)) == [
        "policy.fallback[1]: b → c",
        "task: x → nothing",
        "retry: nothing → {'attempts': 1}",
    ]
    assert list(differences(old, old)) == []


@given(st.integers(0, 10**18))
def test_a_time_is_written_exactly(nanoseconds: int) -> None:
    assert parse_duration_ns(format_duration_ns(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1h30m", 5_400 * 10**9), ("300ms", 3 * 10**8), ("1.5s", 15 * 10**8), ("1d", 86_400 * 10**9)],
)
def test_times_take_units(text: str, nanoseconds: int) -> None:
    assert parse_duration_ns(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "5 s", "-5s", "5x", "s", "5s!", "1e3s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_duration_ns(text)


@pytest.mark.parametrize(("text", "size"), [("32MiB", 32 * 2**20), ("1kB", 1000), ("7", 7), ("0.5KiB", 512)])
def test_sizes_take_units(text: str, size: int) -> None:
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "", "1e99", "0." + "0" * 50, "one"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        parse_decimal(text)
