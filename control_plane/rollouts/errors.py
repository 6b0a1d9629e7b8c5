"""What goes wrong with rollouts."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError
from control_plane.resources.model import Ref


@dataclass
class RolloutUnderWay(ControlPlaneError):
    """One at a time: nobody could tell which of two is to blame."""

    revision: int


@dataclass
class NoRollout(ControlPlaneError):
    """None is under way."""


@dataclass
class AnotherRollout(ControlPlaneError):
    """What was meant has ended, and somebody has begun the next one."""

    expected: int
    found: int


@dataclass
class ChangedMeanwhile(ControlPlaneError):
    """Somebody has declared one of its resources otherwise, or taken it away: promoting would undo that."""

    ref: Ref


@dataclass
class NothingToRollOut(ControlPlaneError):
    """What is declared is there already."""
