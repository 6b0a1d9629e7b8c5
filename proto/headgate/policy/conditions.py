"""The conditions of `cases`: CEL over the facts of a request, by the library of CEL's own project.

Compiled and type-checked once (1.3 ms), then asked per call (3 to 4 µs). CEL ends by construction, but not
soon: the library bounds the iterations of macros, not what they build, and `.map(x, [x, x])` 28 times over is
20 s of comparing. So there is no `map`, and a macro stands inside one other at most.
https://github.com/google/cel-spec, https://github.com/cel-expr/cel-python
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headgate.policy.facts import Facts

MAX_LENGTH = 2_000
# `exists` in `all` compares two lists; each level more multiplies what a hostile expression can build.
MAX_MACRO_DEPTH = 2
_READ = re.compile(r"\brequest\s*\.\s*([A-Za-z_]\w*)")
_PREFIX = re.compile(r"^(?:INVALID_ARGUMENT|INTERNAL): (?:ERROR: <input>:)?|\s*\[[A-Z_]+\]\s*$")

# What brackets in it are none: texts (raw ones know no escapes) and comments, as CEL's grammar has them.
_TEXT = re.compile(
    r"""\b[bB]?[rR](?:"{3}.*?"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')"""
    r"""|"{3}(?:\\.|[^\\])*?"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|//[^\n]*""",
    re.DOTALL,
)
_BRACKET = re.compile(r"(\.\s*(?:all|exists|exists_one|filter|map)\s*)?[(\[{]|[)\]}]")

# Name below `request` → (its type, how it is read).
_FIELDS: dict[str, tuple[str, Callable[[Facts], Any]]] = {
    "model": ("STRING", lambda facts: facts.model),
    "task": ("STRING", lambda facts: facts.task),
    "session": ("STRING", lambda facts: facts.session),
    "user": ("STRING", lambda facts: facts.user),
    "metadata": ("MAP", lambda facts: dict(facts.metadata)),
    "stream": ("BOOL", lambda facts: facts.stream),
    "input_tokens": ("INT", lambda facts: facts.input_tokens),
    "max_tokens": ("INT", lambda facts: facts.max_tokens),
    "has_tools": ("BOOL", lambda facts: "tools" in facts.needs),
    "has_images": ("BOOL", lambda facts: "vision" in facts.needs),
    "wants_json": ("BOOL", lambda facts: facts.wants_json),
    "key": ("STRING", lambda facts: facts.key),
    "tenant": ("STRING", lambda facts: facts.tenant),
    "region": ("STRING", lambda facts: facts.region),
    "hour": ("INT", lambda facts: time.gmtime(facts.now).tm_hour),
}
FIELDS = tuple(_FIELDS)
_EMPTY: dict[str, Any] = {"STRING": "", "MAP": {}, "BOOL": False, "INT": 0}


class Condition:
    """`source`: the expression. Raises ValueError, in words for whoever wrote it, where it is none."""

    __slots__ = ("_program", "_reads", "source")

    def __init__(self, source: str) -> None:
        if len(source) > MAX_LENGTH:
            raise ValueError(f"is longer than {MAX_LENGTH} characters")
        self.source = source
        try:
            self._program = _environment().compile(source)
        except RuntimeError as error:
            raise ValueError(_in_words(str(error))) from None
        _check_macros(source)
        kind = self._program.return_type().name()
        if kind not in ("bool", "BOOL"):
            raise ValueError(f"is of type {kind.lower()}: a condition is true or false")
        names = dict.fromkeys(_READ.findall(source))
        self._reads = tuple((f"request.{name}", _FIELDS[name][1]) for name in names if name in _FIELDS)
        self._try({f"request.{name}": _EMPTY[kind] for name, (kind, _) in _FIELDS.items()})

    def holds(self, facts: Facts) -> bool:
        """Whether it is true; what cannot be told (a metadata field that is not there) is not."""
        read = {name: reader(facts) for name, reader in self._reads}
        try:
            return self._program.eval(data=read).value() is True
        except (RuntimeError, MemoryError):
            return False  # over the bound of iterations, or of what there is

    def _try(self, values: dict[str, Any]) -> None:
        """A pattern that is none shows only when it is used, and so does what would go on for long."""
        try:
            said = str(self._program.eval(data=values).value())
        except RuntimeError as error:
            raise ValueError(_in_words(str(error))) from None
        if "invalid regular expression" in said:
            raise ValueError(_PREFIX.sub("", said))


def _check_macros(source: str) -> None:
    """`source` has been compiled: its texts and brackets are sound."""
    opened: list[bool] = []
    for found in _BRACKET.finditer(_TEXT.sub(" ", source)):
        if found[0] in ")]}":
            opened.pop()
            continue
        macro = found[1] or ""
        if "map" in macro:
            raise ValueError("uses `map`: a condition asks with `exists`, `all` or `filter`")
        opened.append(bool(macro))
        if sum(opened) > MAX_MACRO_DEPTH:
            raise ValueError(f"has macros inside macros deeper than {MAX_MACRO_DEPTH}")


@functools.cache
def _environment() -> Any:
    # Imported where a policy has cases, and by nobody else.
    from cel_expr_python import cel

    types = {
        "STRING": cel.Type.STRING,
        "INT": cel.Type.INT,
        "BOOL": cel.Type.BOOL,
        "MAP": cel.Type.Map(cel.Type.STRING, cel.Type.STRING),
    }
    return cel.NewEnv(variables={f"request.{name}": types[kind] for name, (kind, _) in _FIELDS.items()})


def _in_words(error: str) -> str:
    """The library's first line without its codes: "1:14: found no matching overload …"."""
    first = _PREFIX.sub("", error.strip().splitlines()[0])
    unknown = re.search(r"undeclared reference to '(?:request\.)?(\w+)", first)
    if unknown is not None:
        first += f"; `request` has {', '.join(FIELDS)}"
    return f"is no condition: {first}"
