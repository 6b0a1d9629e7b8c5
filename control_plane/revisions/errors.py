"""What goes wrong with revisions."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class NoSuchRevision(ControlPlaneError):
    revision: int
    head: int


@dataclass
class RevisionMismatch(ControlPlaneError):
    """Somebody else changed the config in between."""

    expected: int
    found: int
