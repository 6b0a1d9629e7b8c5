"""Commands that are part of the interface and not built yet: they say so instead of not existing."""

from __future__ import annotations

from collections.abc import Callable

import typer

from admin_cli.errors import CliError

# Any arguments are taken, so that the answer is the same however it is called.
_ANY = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

_GROUPS = {
    "import": ("litellm",),
}


def add_to(app: typer.Typer) -> None:
    for name, verbs in _GROUPS.items():
        group = typer.Typer(no_args_is_help=True)
        add_verbs(group, name, verbs)
        app.add_typer(group, name=name, help="Not supported yet.")


def add_verbs(group: typer.Typer, name: str, verbs: tuple[str, ...]) -> None:
    """To a group of which some verbs are built."""
    for verb in verbs:
        _add(group, verb, f"{name} {verb}")


def _add(app: typer.Typer, name: str, full_name: str) -> None:
    app.command(name, context_settings=_ANY, help="Not supported yet.")(_refusal(full_name))


def _refusal(name: str) -> Callable[[], None]:
    def refuse() -> None:
        raise CliError(f"`headgate {name}` is not supported yet", "it is part of the interface and will come")

    return refuse
