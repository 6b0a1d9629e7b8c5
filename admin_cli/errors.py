"""What can go wrong, and the exit code that each kind has (the interface's table, in one place).

Every error of the command is a CliError: what happened, and a hint that says what to do. Foreign
errors become one in exactly one place each: gRPC's in client.py, typer's and the system's in main.py.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    PERMISSION_DENIED = 5
    UNAVAILABLE = 6
    DIFFERENT = 10


@dataclass(frozen=True, slots=True)
class ServerProblem:
    """A field that the control plane objects to. `index`: position in the request, or -1."""

    resource: str
    index: int
    path: str
    message: str

    def __str__(self) -> str:
        where = " ".join(part for part in (self.resource, self.path) if part)
        return f"{where}: {self.message}" if where else self.message


class CliError(Exception):
    """A failure that the user is told about. `hint` is what to do; `lines` is further evidence."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "", lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.lines = tuple(lines)


class UsageProblem(CliError):
    exit_code = ExitCode.USAGE


class NotFound(CliError):
    exit_code = ExitCode.NOT_FOUND


class Conflict(CliError):
    exit_code = ExitCode.CONFLICT


class PermissionDenied(CliError):
    exit_code = ExitCode.PERMISSION_DENIED


class Unavailable(CliError):
    exit_code = ExitCode.UNAVAILABLE


class ManifestError(CliError):
    """Something in a manifest is wrong; `lines` has one `file:line: path: message` per problem."""


class Refused(CliError):
    """The control plane refused a request for the fields in `problems`."""

    def __init__(
        self, message: str, problems: tuple[ServerProblem, ...], exit_code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(message, lines=[str(problem) for problem in problems])
        self.problems = problems
        self.exit_code = exit_code


_SYSTEM_HINTS = {
    errno.ENOSPC: "the disk is full: free some space there, or choose another folder",
    errno.EDQUOT: "the disk quota is used up: free some space there, or choose another folder",
    errno.EACCES: "this user may not do that there: change the owner or mode, or choose another path",
    errno.EPERM: "this user may not do that there: change the owner or mode, or choose another path",
    errno.EROFS: "that file system is read-only: choose another folder",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
}


def from_system(error: OSError) -> CliError:
    """An operating system's error as one that says which file and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    hint = _SYSTEM_HINTS.get(error.errno or 0, "")
    message = f"{where}{error.strerror or error}"
    return NotFound(message) if error.errno == errno.ENOENT else CliError(message, hint)
