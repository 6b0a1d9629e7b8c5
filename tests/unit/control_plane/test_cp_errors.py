"""Errors as gRPC status."""

from __future__ import annotations

import importlib
import json
import pkgutil

import control_plane
from control_plane.errors import ControlPlaneError
from control_plane.resources.errors import BadSpecs, DanglingReferences, SpecProblem
from control_plane.rpc.errors import _STATUS, MAX_PROBLEMS_BYTES, PROBLEMS_METADATA, status_of

# They never reach a caller: one is set aside, the others end the program or a build.
INTERNAL = {"Poison", "Inconsistent", "EmbeddedPostgresError"}


def subclasses(of: type[object]) -> set[type[object]]:
    return {of, *(found for child in of.__subclasses__() for found in subclasses(child))}


def test_every_error_has_a_status() -> None:
    for module in pkgutil.walk_packages(control_plane.__path__, "control_plane."):
        if module.name.endswith("errors") or module.name.endswith("embedded"):
            importlib.import_module(module.name)
    errors = subclasses(ControlPlaneError) - {ControlPlaneError}
    assert {error.__name__ for error in errors if error not in _STATUS} == INTERNAL


def test_problems_travel_as_data() -> None:
    problem = SpecProblem("routes/acme/chat", 3, "policy.fallback[1]", "there is no model 'x'")
    status = status_of(DanglingReferences([problem]))
    assert status is not None
    assert status.code.name == "FAILED_PRECONDITION"
    assert status.message == "routes/acme/chat: policy.fallback[1]: there is no model 'x'"
    ((key, value),) = status.trailing
    assert key == PROBLEMS_METADATA
    assert json.loads(value) == [
        {
            "resource": "routes/acme/chat",
            "index": 3,
            "path": "policy.fallback[1]",
            "message": "there is no model 'x'",
        }
    ]


def test_many_problems_stay_within_what_metadata_can_carry() -> None:
    status = status_of(BadSpecs([SpecProblem("routes/default/r", i, "x", "é" * 400) for i in range(100)]))
    assert status is not None
    ((_, value),) = status.trailing
    assert len(value) <= MAX_PROBLEMS_BYTES
    assert json.loads(value)
    assert status.message.endswith("and 97 more")


def test_an_unknown_error_is_not_told() -> None:
    assert status_of(ValueError("secret")) is None
