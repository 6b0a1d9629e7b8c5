"""JSON that is almost right: a rich document with parts of it replaced, removed or swapped.

What hypothesis shrinks to is one change to the rich document, which shows the field at fault at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Path = tuple[str | int, ...]

WORDS = (
    *("", " ", "a", "x" * 300, "\0", "é\U0001f600", "null", "{}", "[[", '{"a"', "data:", "data:;base64,%"),
    *(
        "data:image/png;base64,!",
        "data:text/plain;base64,A",
        "auto",
        "none",
        "any",
        "text",
        "function",
        "tool",
        "object",
        "thinking",
    ),
    *("headgate.", "headgate.gemini.", "-1", "NaN"),
)
NUMBERS = (0, -1, 1, 2**31, 2**53, 2**63, 2**64 - 1, -(2**63), 0.5, -1.5, 1e308, -0.0, 5e-324)
NAMES = (
    *("type", "text", "name", "id", "role", "content", "input", "index", "data", "source", "function", "x"),
    *("error", "message", "usage", "delta", "parts", "output", "arguments", "cache_control", "format", ""),
)


def nested(levels: int, *, in_objects: bool) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if in_objects else [value]
    return value


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(NUMBERS) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=4,
)


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Of everything inside."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, below in inner:
        yield (*at, key)
        yield from paths(below, (*at, key))


def found(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy with another value there; the rest is shared."""
    if not path:
        return new
    key, *rest = path
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = replaced(copy[key], tuple(rest), new)
    return copy


def removed(value: Any, path: Path) -> Any:
    parent = found(value, path[:-1])
    copy: Any = dict(parent) if isinstance(parent, dict) else list(parent)
    del copy[path[-1]]
    return replaced(value, path[:-1], copy)


@st.composite
def damaged(draw: st.DrawFn, rich: Any, whole: tuple[str, ...] = ()) -> Any:
    """One to three changes to the document, but to the members in `whole` only inside."""
    document = rich
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in paths(document) if len(place) > 1 or place[0] not in whole]
        if not places:
            break
        place = draw(st.sampled_from(places))
        how = draw(st.sampled_from(("junk", "junk", "junk", "swap", "remove", "more")))
        below = found(document, place)
        if how == "remove":
            document = removed(document, place)
        elif how == "swap":
            document = replaced(document, place, found(document, draw(st.sampled_from(places))))
        elif how == "more" and isinstance(below, dict):
            more = {draw(st.sampled_from(NAMES)): draw(JUNK)}
            document = replaced(document, place, {**below, **more})
        else:
            document = replaced(document, place, draw(JUNK))
    return document


@st.composite
def thinned(draw: st.DrawFn, rich: Mapping[str, Any], always: tuple[str, ...]) -> dict[str, Any]:
    """Some of the members, turns and parts: what one of them is refused for must not hide the others."""
    optional = sorted(set(rich) - set(always))
    chosen = draw(st.sets(st.sampled_from(optional), max_size=4))
    document = {name: value for name, value in rich.items() if name in always or name in chosen}
    for name in ("messages", "input", "tools"):
        if isinstance(document.get(name), list):
            document[name] = [_thin(draw, one) for one in draw(_some(document[name]))]
    return document


def _some(items: list[Any]) -> st.SearchStrategy[list[Any]]:
    """One to three of them, in their order."""
    places = st.sets(st.integers(0, len(items) - 1), min_size=1, max_size=3)
    return places.map(lambda chosen: [items[place] for place in sorted(chosen)])


def _thin(draw: st.DrawFn, item: Any) -> Any:
    content = item.get("content") if isinstance(item, dict) else None
    return {**item, "content": draw(_some(content))} if isinstance(content, list) else item
