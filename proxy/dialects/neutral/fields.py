"""Reading a client's document field by field: wrong types become a 400 that names the place.

A reader takes what it knows out of an object; `rest` tells what it did not know, so that nothing is
passed over in silence.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from proxy.errors import CallError, invalid_request

T = TypeVar("T")

_WHAT: dict[type, str] = {
    str: "a string",
    list: "an array",
    dict: "an object",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def wrong(at: str, expected: str) -> CallError:
    return invalid_request(f"'{at}' must be {expected}.", at)


def is_a(value: Any, kind: type[T], at: str) -> T:
    """The value, if it is of that JSON type. Raises CallError (400)."""
    if value.__class__ is kind or (kind is float and value.__class__ is int):
        return cast("T", value)
    raise wrong(at, _WHAT[kind])


class Fields:
    """One JSON object and where it stands. Absent and null are the same: None."""

    __slots__ = ("_document", "_seen", "at")

    def __init__(self, document: Any, at: str) -> None:
        self._document: dict[str, Any] = is_a(document, dict, at or "body")
        self._seen: set[str] = set()
        self.at = at

    def path(self, name: str) -> str:
        return f"{self.at}.{name}" if self.at else name

    def raw(self, name: str) -> Any:
        self._seen.add(name)
        return self._document.get(name)

    def take(self, name: str, kind: type[T]) -> T | None:
        value = self.raw(name)
        return None if value is None else is_a(value, kind, self.path(name))

    def need(self, name: str, kind: type[T]) -> T:
        value = self.take(name, kind)
        if value is None:
            raise invalid_request(f"'{self.path(name)}' is missing.", self.path(name))
        return value

    def text(self, name: str) -> str:
        return self.take(name, str) or ""

    def objects(self, name: str) -> list[Fields]:
        """An array of objects; absent: empty."""
        items: list[Any] = self.take(name, list) or []
        at = self.path(name)
        return [Fields(item, f"{at}[{index}]") for index, item in enumerate(items)]

    def object(self, name: str) -> Fields | None:
        value = self.raw(name)
        return None if value is None else Fields(value, self.path(name))

    def ignore(self, *names: str) -> None:
        """Known, and without meaning for anybody else."""
        self._seen.update(names)

    def rest(self) -> list[str]:
        """Paths of the fields nobody asked for; those that say nothing (null, empty) are left out."""
        return [
            self.path(name)
            for name, value in self._document.items()
            if name not in self._seen and value is not None and value != [] and value != {}
        ]
