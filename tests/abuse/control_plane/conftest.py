"""The control plane's own tests have a PostgreSQL and an event loop for all; attacks on it have them too."""

from __future__ import annotations

from tests.integration.control_plane.conftest import database, postgres, pytest_pyfunc_call

__all__ = ["database", "postgres", "pytest_pyfunc_call"]
