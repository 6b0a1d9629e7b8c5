"""What goes wrong with credentials."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class HashInUse(ControlPlaneError):
    """A taken-over hash opens another key already."""

    tenant: str
    key: str
