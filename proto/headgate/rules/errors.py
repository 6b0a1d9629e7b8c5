"""What the rules object to.

A problem is data: where (a path in the words of the manifest), what, and how to mend it. Each
program turns it into its own form: a line of a file, a gRPC BadRequest, a nack.
"""

from __future__ import annotations

from dataclasses import dataclass

Path = tuple[str | int, ...]


def path_text(path: Path) -> str:
    """`("policy", "fallback", 1)` as `policy.fallback[1]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True)
class Problem:
    path: Path
    message: str

    def __str__(self) -> str:
        where = path_text(self.path)
        return f"{where}: {self.message}" if where else self.message


class SpecError(ValueError):
    """One or more problems in what somebody wrote. Always at least one."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(str(p) for p in problems))
        self.problems = problems


def spec_error(path: Path, message: str) -> SpecError:
    return SpecError(Problem(path, message))
