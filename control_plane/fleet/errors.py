"""What goes wrong with what proxies say of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class NotItself(ControlPlaneError):
    """A proxy says that it is another one than its certificate says."""

    name: str
    region: str


@dataclass
class BadHello(ControlPlaneError):
    """The first message of a stream is no hello, or not one that can be."""

    problem: str
