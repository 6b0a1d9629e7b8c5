"""What goes wrong with sealed secrets."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class SecretsSealed(ControlPlaneError):
    """There is no key-encryption key, or it is not the one that sealed what is stored."""

    reason: str


@dataclass
class CannotOpen(ControlPlaneError):
    """A sealed secret was tampered with, moved to another row, or sealed with another key."""

    place: str
