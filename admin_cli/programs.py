"""`control-plane` and `proxy`: this process becomes the program; its own options apply, --help included.

Their arguments do not go through typer, which would take a `--` away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

import typer

from admin_cli.errors import UsageProblem

MODULES = {"control-plane": "control_plane", "proxy": "proxy"}


def add_to(app: typer.Typer) -> None:
    """For the list of commands; `become` is what runs them."""

    @app.command("control-plane")
    def control_plane() -> None:
        """Run one control plane replica (see `headgate control-plane --help`)."""

    @app.command("proxy")
    def proxy() -> None:
        """Run one proxy (see `headgate proxy --help`)."""


def become(program: str, arguments: Sequence[str]) -> NoReturn:
    refuse_password(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    # A proxy.py in the current folder is not our proxy.
    os.environ["PYTHONSAFEPATH"] = "1"
    command = [sys.executable, "-m", MODULES[program], *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - our own program


def refuse_password(arguments: Sequence[str]) -> None:
    """A database password among the arguments would stand in every process list."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, equals, value = argument.partition("=")
        if option == "--database-url":
            check_database_url(value if equals else following)


def check_database_url(url: str) -> None:
    if _has_password(url):
        raise UsageProblem(
            "--database-url has a password in it, which every process list would show",
            "put the URL into the variable HEADGATE_DATABASE_URL instead",
        )


def _has_password(url: str) -> bool:
    """Whether a PostgreSQL URL, or a `key=value` connection string, carries a password."""
    try:
        parts = urlsplit(url)
        return (
            bool(parts.password) or "password" in parse_qs(parts.query) or "password=" in url.replace(" ", "")
        )
    except ValueError:
        return "password" in url or "@" in url
