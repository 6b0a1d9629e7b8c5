"""The values that the fake provider makes up fit the schemas that clients send."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.provider.fitting import fitting
from tests.support.provider.tokens import split_tokens


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "enum": ["red", "green"]}, "red"),
        ({"type": "string", "minLength": 6}, "textxx"),
        ({"type": ["null", "integer"], "minimum": 5}, 5),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        (
            {
                "$ref": "#/$defs/step",
                "$defs": {"step": {"properties": {"n": {"type": "number"}}, "required": ["n"]}},
            },
            {"n": 1},
        ),
        (
            {"allOf": [{"properties": {"a": {"const": 7}}}, {"properties": {"b": {"type": "null"}}}]},
            {"a": 7, "b": None},
        ),
    ],
)
def test_a_value_fits_its_schema(schema: dict[str, Any], value: Any) -> None:
    assert fitting(schema) == value


def test_a_recursive_schema_comes_to_an_end() -> None:
    assert fitting({"properties": {"next": {"$ref": "#"}}, "required": ["next"]}) is not None


def test_tokens_joined_are_the_text_again() -> None:
    text = "Naïve café, 42 — ☕!\n  end "
    assert "".join(split_tokens(text)) == text
