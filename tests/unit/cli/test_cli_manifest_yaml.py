from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_cli import manifest_dump, manifest_yaml
from admin_cli.manifest_yaml import YamlProblem, read_documents


def value_of(text: str) -> Any:
    return next(iter(read_documents(text))).value


def problem_of(text: str) -> YamlProblem:
    with pytest.raises(YamlProblem) as caught:
        list(read_documents(text))
    return caught.value


# YAML has no noncharacters (1.2, 5.1); a manifest that holds one is refused by line.
plain = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
texts = st.text(plain, max_size=30)
keys = st.text(plain, min_size=1, max_size=12)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False, width=32)
scalars = (
    texts
    | st.booleans()
    | numbers
    | st.sampled_from(["true", "null", "~", "1e3", "007", "on", "<<", "-", ""])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)
documents = st.dictionaries(keys.filter(lambda key: key != "<<"), values, min_size=1, max_size=4)


def comparable(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {str(key): comparable(item) for key, item in value.items()}
    return [comparable(item) for item in value]


@given(documents)
def test_what_is_dumped_as_yaml_reads_back_as_the_same_values(document: dict[str, Any]) -> None:
    assert comparable(value_of(manifest_dump.dump(document))) == comparable(document)


@given(documents)
def test_json_reads_as_the_same_values_whether_or_not_it_is_ascii(document: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        text = json.dumps(document, ensure_ascii=ascii_only)
        assert comparable(value_of(text)) == comparable(json.loads(text))


def test_numbers_are_exact_and_remember_how_they_were_written() -> None:
    value = value_of("a: 0.1\nb: 1.10\nc: 1e3\nd: 123456789012345678901234567890")
    assert value["a"] == Decimal("0.1")
    assert [str(value[key]) for key in "abcd"] == ["0.1", "1.10", "1e3", "123456789012345678901234567890"]
    assert not any(isinstance(item, float) for item in value.values())


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "007", "0x1F", "1_000", ".inf", "2026-01-31", "1e9999"]
)
def test_words_that_only_yaml_1_1_takes_for_something_else_are_text(word: str) -> None:
    assert isinstance(value_of(f"a: {word}")["a"], str)
    assert value_of(f"{word}: 1")[word] == 1


def test_every_key_and_item_knows_its_line() -> None:
    value = value_of("a:\n- b: 1\n  c: 2\n\n-  d\n")
    assert value.lines == {"a": 1}
    assert value["a"].lines == [2, 5]
    assert value["a"][0].lines == {"b": 2, "c": 3}


def test_a_duplicate_key_is_refused_with_both_lines() -> None:
    problem = problem_of("a: 1\nb: 2\na: 3\n")
    assert (problem.line, problem.message) == (3, "duplicate key 'a' (first on line 1)")


def test_merged_maps_do_not_count_as_duplicates() -> None:
    value = value_of("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}")
    assert comparable(value["y"]) == {"a": 1, "b": 3}


def test_depth_is_bounded_before_the_stack_is() -> None:
    for text in ("[" * 20_000, "a: " + "{b: " * 20_000, "- " * 20_000 + "x"):
        list_or_problem = problem_of(text)
        assert "nested deeper" in list_or_problem.message or list_or_problem.line >= 1


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases count in full" in problem_of("\n".join(lines)).message


def test_an_alias_to_itself_is_refused() -> None:
    assert "refers to nothing above" in problem_of("a: &a [*a]").message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object:os.system x", "has no meaning here"),
        ("? [a, b]\n: c", "a key must be a word"),
        ("a: [1, 2", "expected"),
        ("a: '\x00'", "allowed"),
        ("a:\n\t- b", "token"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str, words: str) -> None:
    assert words in problem_of(text).message


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_yaml, "MAX_VALUES", 10)
    assert "more than 10 values" in problem_of("\n".join("- x" for _ in range(11))).message


def test_empty_documents_are_left_out() -> None:
    assert [d.value for d in read_documents("---\n---\na: 1\n---\n# nothing\n...\n")] == [{"a": Decimal(1)}]
