"""JSON Schemas as Anthropic's structured output takes them.

https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations
What does not fit is emulated by a forced tool, or moved into the description as the provider's SDKs do.
"""

from __future__ import annotations

from typing import Any

_REFUSED = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minLength", "maxLength", "pattern", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
        *("oneOf", "not", "if", "then", "else", "patternProperties", "prefixItems", "contains"),
    }
)
# Where schemas stand in a schema: by name, in a list, or alone.
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "allOf", "oneOf")
_MAX_DEPTH = 64


def fits(schema: dict[str, Any], depth: int = 0) -> bool:
    """Whether the schema is taken as it is."""
    if depth > _MAX_DEPTH or not schema.keys().isdisjoint(_REFUSED):
        return False
    if schema.get("minItems", 0) not in (0, 1):
        return False
    if ("properties" in schema or schema.get("type") == "object") and schema.get(
        "additionalProperties"
    ) is not False:
        return False
    return all(fits(inner, depth + 1) for inner in _inner(schema))


def _inner(schema: dict[str, Any]) -> list[dict[str, Any]]:
    found = [schema[name] for name in ("items", "additionalProperties") if name in schema]
    for name in _MAPS:
        if isinstance(schema.get(name), dict):
            found += schema[name].values()
    for name in _LISTS:
        if isinstance(schema.get(name), list):
            found += schema[name]
    return [inner for inner in found if isinstance(inner, dict)]


def tightened(schema: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """The schema with closed objects; constraints that are not taken become words."""
    if depth > _MAX_DEPTH:
        return schema
    result: dict[str, Any] = {}
    words = []
    for name, value in schema.items():
        if name == "oneOf" and isinstance(value, list):
            result["anyOf"] = [tightened(v, depth + 1) if isinstance(v, dict) else v for v in value]
        elif name in _REFUSED or (name == "minItems" and value not in (0, 1)):
            words.append(f"{name}: {value}")
        elif name in _MAPS and isinstance(value, dict):
            result[name] = {
                k: tightened(v, depth + 1) if isinstance(v, dict) else v for k, v in value.items()
            }
        elif name in _LISTS and isinstance(value, list):
            result[name] = [tightened(v, depth + 1) if isinstance(v, dict) else v for v in value]
        elif name == "items" and isinstance(value, dict):
            result[name] = tightened(value, depth + 1)
        elif name != "additionalProperties":
            result[name] = value
    if "properties" in schema or schema.get("type") == "object":
        result["additionalProperties"] = False
    if words:
        said = result.get("description")
        result["description"] = f"{said} ({', '.join(words)})" if said else ", ".join(words)
    return result
