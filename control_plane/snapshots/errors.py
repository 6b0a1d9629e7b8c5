"""What goes wrong with snapshots."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class Inconsistent(ControlPlaneError):
    """A snapshot in which something refers to nothing. It is not published."""

    problems: list[str]


@dataclass
class NoSnapshot(ControlPlaneError):
    """There is none that could be sent, and why."""

    reason: str
