"""What goes wrong with usage."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class BatchTooLarge(ControlPlaneError):
    problem: str


@dataclass
class Poison(ControlPlaneError):
    """A record that cannot be taken; it is set aside and the others are not held up."""

    why: str


@dataclass
class NotQuarantined(ControlPlaneError):
    id: int


@dataclass
class CallNotFound(ControlPlaneError):
    request_id: str
