"""What goes wrong with resources."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError
from control_plane.resources.model import Ref


@dataclass(frozen=True, slots=True)
class SpecProblem:
    """`index` is the position in the request, -1 if it is not about one of its resources."""

    resource: str
    index: int
    path: str
    message: str


@dataclass
class BadSpecs(ControlPlaneError):
    """What was declared cannot be right, whatever else is stored."""

    problems: list[SpecProblem]


@dataclass
class DanglingReferences(ControlPlaneError):
    """What was declared refers to something that would not be there afterwards."""

    problems: list[SpecProblem]


@dataclass
class ResourceNotFound(ControlPlaneError):
    kind: str
    tenant: str
    name: str


@dataclass
class ResourceExists(ControlPlaneError):
    ref: Ref


@dataclass
class OwnedByOthers(ControlPlaneError):
    """Resources that another source declared, with that source."""

    owned: list[tuple[Ref, str]]


@dataclass
class StillReferenced(ControlPlaneError):
    ref: Ref
    by: list[Ref]
