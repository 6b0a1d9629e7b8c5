"""The manifests on the pages about routing and experiments are ones that `apply` would take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane.resources.validate import spec_problems
from headgate.rules.names import singular
from headgate.rules.spec import parse, planned_problems
from headgate.v1 import resources_pb2

DOCS = Path(__file__).resolve().parents[3] / "docs"


def blocks() -> list[tuple[str, Any]]:
    found = []
    for page in ("routing.md", "experiments.md"):
        for text in re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text("utf-8"), flags=re.DOTALL):
            document = yaml.safe_load(text)
            if isinstance(document, list):  # one route after another
                document = {"routes": document}
            if "policy" in document:  # the policy alone
                document = {"routes": [{"name": "r", **document}]}
            found.append((page, document))
    return found


def test_there_are_some() -> None:
    assert len(blocks()) >= 6


@pytest.mark.parametrize(("page", "document"), blocks())
def test_a_manifest_of_the_docs_has_no_problem(page: str, document: dict[str, Any]) -> None:
    for kinds, specs in document.items():
        kind = singular(kinds)
        assert kind is not None, f"{page}: {kinds}"
        for spec in specs:
            message = parse(getattr(resources_pb2, kind.capitalize()), spec)
            assert [str(p) for p in (*spec_problems(kind, message), *planned_problems(message))] == []
