"""The advisory locks of this program, in one place so that no two mean the same number."""

from __future__ import annotations

MIGRATE = 0x4847_0001
MAINTENANCE = 0x4847_0002
BOOTSTRAP = 0x4847_0003
