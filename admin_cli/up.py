"""`up`: everything on this machine in one go, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from admin_cli.address import parse_address
from admin_cli.render import say, write
from admin_cli.state import StateFolder

if TYPE_CHECKING:
    from admin_cli.local.system import Ready

# For the printed call, where the user has not declared a route: small chat models first.
_PREFERRED = (
    "chat",
    "gpt-4o-mini",
    "gpt-4.1-mini",
    "claude-haiku-4-5",
    "gemini-2.5-flash",
    "llama-3.1-8b-instant",
    "llama3.1-8b",
    "mistral-small-latest",
    "grok-3-mini",
    "gpt-oss-120b",
    "openai-gpt-4o-mini",
    "sandbox",
)


def up(
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="FILE|DIR|-", help="Manifest to apply at every start. Repeatable."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", metavar="DIR", help="Where everything is kept. Default: HEADGATE_STATE or ~/.headgate."
        ),
    ] = None,
    http: Annotated[
        str,
        typer.Option("--http", metavar="HOST:PORT", help="Where applications call. Port 0 picks a free one."),
    ] = "127.0.0.1:8080",
    grpc: Annotated[
        str, typer.Option("--grpc", metavar="HOST:PORT", help="The admin API.")
    ] = "127.0.0.1:8081",
    ops: Annotated[
        str, typer.Option("--ops", metavar="HOST:PORT", help="Health and metrics of the proxy.")
    ] = "127.0.0.1:8082",
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, max=64, help="Processes that serve calls.")
    ] = 1,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            "--ready-file",
            metavar="FILE",
            help="Written (0600, JSON: addresses, admin token, key) once a call would succeed.",
        ),
    ] = None,
    secrets_dir: Annotated[
        Path | None,
        typer.Option(
            "--secrets-dir",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Where the proxy reads provider keys and CAs that a manifest names by file.",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="A PostgreSQL to use instead of the embedded one; without a password in it "
            "(that goes into HEADGATE_DATABASE_URL).",
        ),
    ] = None,
) -> None:
    """Start everything on this machine: PostgreSQL, control plane, one proxy. Runs until Ctrl-C.

    The first run makes an admin token and the key 'quickstart' (files in the state folder), and turns
    provider keys in the environment (OPENAI_API_KEY …) into providers; with none, a sandbox answers.
    Prints the base URLs and a curl that works.
    """
    from admin_cli.local.first_run import environment_keys
    from admin_cli.local.system import LocalSystem, Settings
    from admin_cli.programs import check_database_url

    environment = dict(os.environ)
    if database_url is not None:
        check_database_url(database_url)
        environment["HEADGATE_DATABASE_URL"] = database_url
    where = StateFolder(state.expanduser().absolute()) if state else StateFolder.from_environment()
    settings = Settings(
        state=where,
        http=parse_address(http, "--http"),
        grpc=parse_address(grpc, "--grpc"),
        ops=parse_address(ops, "--ops"),
        workers=workers,
        files=tuple(file or ()),
        ready_file=ready_file.absolute() if ready_file else None,
        secrets_dir=secrets_dir.absolute() if secrets_dir else None,
        environment=environment,
    )
    if not where.quickstart_key.exists():
        environment_keys(environment)  # a first run, most likely: refuse wrong keys before anything starts
    LocalSystem(settings).run(lambda ready: announce(ready, where))


def announce(ready: Ready, state: StateFolder) -> None:
    """What a person reads when it runs."""
    for note in ready.notes:
        say(f"headgate: {note}")
    base = ready.http
    lines = [
        "",
        "Headgate is ready. Ctrl-C stops it.",
        "",
        f"  OpenAI base URL     {base}/v1",
        f"  Anthropic base URL  {base}",
        f"  Key                 in {state.quickstart_key}",
        f"  Admin API           {ready.grpc}  (token in {state.admin_token})",
        f"  Health and metrics  {ready.ops}",
    ]
    model = chosen_model(ready.models)
    if model is not None:
        lines += ["", "Try it:", "", curl(base, state.quickstart_key, model)]
    else:
        lines += [
            "",
            "The key may call nothing yet: declare a provider, a model and a route (`headgate apply`).",
        ]
    write("\n".join([*lines, "", ""]))


def chosen_model(models: tuple[str, ...]) -> str | None:
    """Something callable that is cheap to try."""
    return next((name for name in _PREFERRED if name in models), models[0] if models else None)


def curl(base: str, key_file: Path, model: str) -> str:
    """A command that can be pasted as it is, without showing the key."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'
    key = shlex.quote(str(key_file)).replace('"', '\\"')
    return "\n".join(
        [
            f"curl -sS -i {shlex.quote(base + '/v1/chat/completions')} \\",
            f'  -H "Authorization: Bearer $(cat {key})" \\',
            "  -H 'content-type: application/json' \\",
            f"  -d {shlex.quote(body)}",
        ]
    )
