"""The root of the error tree. A noun's own errors are in its folder; rpc/errors.py alone turns them
into gRPC status.

Errors carry data. Their text is made where they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass


class ControlPlaneError(Exception):
    """Everything that this program expects to go wrong."""


@dataclass
class DatabaseAway(ControlPlaneError):
    """The database cannot be reached, or broke off. Try again later."""

    detail: str


@dataclass
class QueryTooLong(ControlPlaneError):
    """A query ran into its statement timeout."""

    seconds: float


@dataclass
class InvalidField(ControlPlaneError):
    """A field of a request that is no resource spec: a page token, a time, a role."""

    field: str
    problem: str
