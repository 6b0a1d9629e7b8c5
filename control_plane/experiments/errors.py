"""What goes wrong when somebody asks for an experiment's results."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class ExperimentNotFound(ControlPlaneError):
    name: str
