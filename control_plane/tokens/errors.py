"""What goes wrong with tokens."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


class NotAuthenticated(ControlPlaneError):
    """No token, or none that is valid now. The answer is the same for all reasons."""


@dataclass
class NotAllowed(ControlPlaneError):
    """The token is valid and its role does not reach."""

    needed: str


@dataclass
class TooManyAtOnce(ControlPlaneError):
    """Calls or streams that are open, of one token or of all."""

    limit: int


@dataclass
class TokenNotFound(ControlPlaneError):
    name: str


@dataclass
class TokenExists(ControlPlaneError):
    name: str


class BootstrapClosed(ControlPlaneError):
    """There has been a token before."""
