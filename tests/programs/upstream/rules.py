"""What the rules of all dialects are made of: a refusal, and the checks that name the field at fault.

A rule stands here because the provider documents it or answers a breach with 400; where a provider is
lenient, so is the rule. `Refused` becomes the provider's 400, and the test that sent the request shows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any


class Refused(Exception):
    """The provider's 400; its text says which field and why."""


def words(text: str) -> list[str]:
    """A long list of names, readable."""
    return text.split()


def need(condition: object, message: str) -> None:
    if not condition:
        raise Refused(message)


def an_object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"{where}: must be an object, not {value!r:.80}")
    return value


def a_list(value: object, where: str, *, empty: bool = False) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"{where}: must be a list, not {value!r:.80}")
    need(value or empty, f"{where}: must not be empty")
    return value


def a_text(value: object, where: str, *, empty: bool = False, longest: int | None = None) -> str:
    if not isinstance(value, str):
        raise Refused(f"{where}: must be a string, not {value!r:.80}")
    need(value or empty, f"{where}: must not be empty")
    need(longest is None or len(value) <= longest, f"{where}: {len(value)} characters, at most {longest}")
    return value


def only(document: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    unknown = sorted(set(document) - set(known))
    need(not unknown, f"{where}: unknown field {', '.join(unknown)}")


def one_of(value: object, choices: Iterable[object], where: str) -> None:
    choices = list(choices)
    need(value in choices, f"{where}: {value!r:.80} is none of {choices}")


def a_name(value: object, where: str, pattern: str) -> str:
    name = a_text(value, where)
    need(re.fullmatch(pattern, name), f"{where}: {name!r:.120} does not match {pattern}")
    return name


def no_twins(names: list[str], where: str) -> None:
    need(len(set(names)) == len(names), f"{where}: names must be unique: {sorted(names)}")


def a_metadata(value: object, where: str) -> None:
    """OpenAI's: 16 pairs of texts."""
    pairs = an_object(value, where)
    need(len(pairs) <= 16, f"{where}: at most 16 pairs")
    for key, text in pairs.items():
        a_text(key, where, longest=64)
        a_text(text, f"{where}.{key}", empty=True, longest=512)
