"""What goes wrong with repeated calls."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class RequestIdReused(ControlPlaneError):
    """The same request_id came with another call."""

    request_id: str
