"""What goes wrong when somebody asks for a plan."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class NoSuchRoute(ControlPlaneError):
    """Neither a route nor a model of the tenant, nor a name that a client could use."""

    name: str
    known: tuple[str, ...]


class ReplayRunning(ControlPlaneError):
    """One at a time: it reads much, and thinks about all of it."""


@dataclass
class NoSuchKey(ControlPlaneError):
    name: str


@dataclass
class NotCallable(ControlPlaneError):
    """It is there, and would not answer: `why` says so in words."""

    name: str
    why: str
