"""What goes wrong when proxies join."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class JoinTokenNotFound(ControlPlaneError):
    public_id: str


@dataclass
class NoListener(ControlPlaneError):
    """No port takes certificates here."""


@dataclass
class WrongRegion(ControlPlaneError):
    """The join token is for proxies of another region."""

    region: str
