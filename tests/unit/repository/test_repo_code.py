"""Rules over all code: who imports whom, what a proxy does without, no asserts, nothing of this machine."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.unit.repository.tree import REPOSITORY, files, product_modules, texts

# Not installed with a proxy; and the catalogue, which costs 25 MB and most proxies never need.
NOT_IN_A_PROXY = (
    "sqlmodel",
    "sqlalchemy",
    "psycopg",
    "alembic",
    "aiohttp",
    "genai_prices",
    "pydantic",
    "typer",
)
# Everything that answers a call, and the streams to the control plane.
PROXY_WORLD = "import proxy.main, proxy.supervisor, proxy.worker"


def test_the_import_rules_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_proxy_imports_nothing_that_only_others_need() -> None:
    program = f"{PROXY_WORLD}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = set(done.stdout.split())
    assert {"proxy", "headgate", "grpc", "httptools"} <= imported
    assert imported & {*NOT_IN_A_PROXY, "control_plane", "admin_cli"} == set()


def test_no_product_code_asserts() -> None:
    """`python -O` takes asserts out: a check that matters must not be one (A18)."""
    found = [
        f"{path}:{node.lineno}"
        for path in product_modules()
        for node in ast.walk(ast.parse((REPOSITORY / path).read_text("utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_every_module_says_what_it_owns() -> None:
    silent = [
        str(path)
        for path in product_modules()
        if path.name not in ("__init__.py", "__main__.py")
        and "versions" not in path.parts
        and not ast.get_docstring(ast.parse((REPOSITORY / path).read_text("utf-8")))
    ]
    assert silent == []


def test_no_registry_address_is_in_the_repository() -> None:
    pattern = re.compile(
        r"--(extra-)?index-url[ =]+\S*:|index_url *=|registry *= *.?http|files\.python" + "hosted"
    )
    assert [str(path) for path, text in texts() if pattern.search(text)] == []


def test_no_path_of_a_machine_is_in_the_repository() -> None:
    pattern = re.compile(
        r"(?<![\w.$~/}-])/(work|root|home/\w+|Users/\w+|opt/\w+|tmp/bash_jobs)(?=[/\s\"'`:])"
    )
    own = re.compile(re.escape(str(REPOSITORY)) + r"(?![\w-])") if len(REPOSITORY.parts) > 2 else pattern
    found = [str(path) for path, text in texts() if pattern.search(text) or own.search(text)]
    assert [path for path in found if path != str(Path(__file__).relative_to(REPOSITORY))] == []


def test_no_file_is_empty_or_a_leftover() -> None:
    assert [str(p) for p in files() if p.suffix in (".orig", ".rej", ".pyc", ".log", ".swp")] == []
    small = [p for p in files() if (REPOSITORY / p).stat().st_size == 0]
    assert [str(p) for p in small if p.name not in ("py.typed", "__init__.py")] == []
