"""What goes wrong with provider keys."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.errors import ControlPlaneError


@dataclass
class ProviderKeyNotFound(ControlPlaneError):
    tenant: str
    provider: str
    key: str
