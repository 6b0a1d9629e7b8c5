"""The conditions of `cases`: CEL over the facts of a request, by the library of CEL's own project.

Compiled and type-checked once (1.3 ms), then asked per call (3 to 4 µs). CEL ends by construction; the
library bounds the iterations of its macros, and we the length of an expression.
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
_READ = re.compile(r"\brequest\s*\.\s*([A-Za-z_]\w*)")
_PREFIX = re.compile(r"^(?:INVALID_ARGUMENT|INTERNAL): (?:ERROR: <input>:)?|\s*\[[A-Z_]+\]\s*$")

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
        except RuntimeError:
            return False  # over the bound of iterations

    def _try(self, values: dict[str, Any]) -> None:
        """A pattern that is none shows only when it is used, and so does what would go on for long."""
        try:
            said = str(self._program.eval(data=values).value())
        except RuntimeError as error:
            raise ValueError(_in_words(str(error))) from None
        if "invalid regular expression" in said:
            raise ValueError(_PREFIX.sub("", said))


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
