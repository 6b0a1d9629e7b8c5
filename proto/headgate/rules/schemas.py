"""JSON schemas that check answers: the same limits where they are declared and where they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def validator(schema: dict[str, Any]) -> Callable[[Any], bool]:
    """Whether a document is valid (draft 2020-12, or as `$schema` says). Raises ValueError: no schema.

    Nothing is fetched: a `$ref` stays inside the schema. Patterns take linear time.
    """
    import jsonschema_rs  # 8 MB that only those have who use it

    try:
        made = jsonschema_rs.validator_for(
            schema, retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
        )
    except jsonschema_rs.ReferencingError as error:
        raise ValueError(str(error)) from None
    return made.is_valid


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the schema")
