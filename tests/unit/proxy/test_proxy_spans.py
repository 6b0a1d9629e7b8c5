"""Members of an object are found where a real parser sees them, whatever stands in the strings."""

from __future__ import annotations

import json
import resource
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.spans import duplicate, insertion, members, spliced

# What a naive scanner trips over, beside ordinary text.
TRICKY = ['"', "\\", '\\"', "{", "}", "[", "]", ",", ":", '"model":"x"', "\\u006d", "\n", "é", "🐟", ""]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.lists(st.sampled_from(TRICKY), max_size=4).map("".join),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
documents = st.dictionaries(texts, values, max_size=6)
layouts = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (",", ":")}, {"ensure_ascii": False}, {"separators": (" , ", " : ")}]
)


def written(document: Any, layout: dict[str, Any]) -> bytes:
    return json.dumps(document, **layout).encode()


@given(documents, layouts)
def test_every_member_is_found_with_its_value(document: dict[str, Any], layout: dict[str, Any]) -> None:
    body = written(document, layout)
    found = members(body)
    assert [member.name for member in found] == list(document)
    for member in found:
        value = body[member.value_start : member.value_end]
        assert json.loads(value) == document[member.name]
        assert value == value.strip()
        assert body[member.start : member.start + 1] == b'"'


@given(documents, documents, layouts)
def test_a_repeated_name_is_seen_however_it_is_written(
    first: dict[str, Any], second: dict[str, Any], layout: dict[str, Any]
) -> None:
    parts = [written(part, layout).strip()[1:-1].strip() for part in (first, second)]
    body = b"{" + b",".join(part for part in parts if part) + b"}"
    names = [*first, *second]
    assert [member.name for member in members(body)] == names
    repeated = duplicate(members(body))
    assert (repeated is not None) == (len(set(names)) < len(names))


def test_an_escaped_name_is_the_name_it_spells() -> None:
    body = b'{"mod\\u0065l": 1, "model" : 2}'
    assert [member.name for member in members(body)] == ["model", "model"]
    assert duplicate(members(body)) == "model"


@given(documents, layouts, st.data())
def test_a_spliced_value_changes_only_itself(
    document: dict[str, Any], layout: dict[str, Any], data: st.DataObject
) -> None:
    if not document:
        return
    body = written(document, layout)
    found = members(body)
    chosen = data.draw(st.sampled_from(found))
    changed = spliced(body, [(chosen.value_start, chosen.value_end, b'"new"')])
    assert json.loads(changed) == {**document, chosen.name: "new"}
    assert changed[: chosen.value_start] == body[: chosen.value_start]


@given(documents, layouts)
def test_an_inserted_member_comes_first_and_leaves_the_rest(
    document: dict[str, Any], layout: dict[str, Any]
) -> None:
    body = written(document, layout)
    document.pop("inserted", None)
    changed = json.loads(spliced(body, [insertion(body, b'"inserted":1')]), object_pairs_hook=list)
    assert changed[0] == ("inserted", 1)
    assert len(changed) == len(members(body)) + 1


@pytest.mark.parametrize("filling", [b"A", b"\\n", b'\\"'], ids=["letters", "escapes", "quotes"])
def test_a_long_string_costs_no_memory(filling: bytes) -> None:
    body = b'{"model":"m","image":"' + filling * 4_000_000 + b'"}'
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [member.name for member in members(body)] == ["model", "image"]
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < 3 * len(body) // 1024
