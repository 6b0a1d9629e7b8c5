"""The `headgate` command: which words there are, and how every failure becomes an exit code.

Commands return a Result and raise a CliError; rendering and exit codes happen here and nowhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from admin_cli import (
    apply,
    calls,
    doctor,
    experiment,
    history,
    join_token,
    kek,
    key,
    models,
    planned,
    programs,
    provider,
    replay,
    resource,
    rollout,
    route,
    token,
    up,
    usage,
)
from admin_cli.errors import CliError, ExitCode, UsageProblem, from_system
from admin_cli.render import Result, say, show, show_error, write

HELP = """Headgate: one endpoint in front of many LLM providers, self-hosted.

`headgate up` starts everything on this machine and prints a call that works.
`headgate apply -f FILE` declares providers, models, routes and keys; `headgate usage` says what they cost.

Environment: HEADGATE_CONTROL_PLANE (HOST:PORT), HEADGATE_TOKEN, HEADGATE_CA_FILE, HEADGATE_STATE.
On the machine where `headgate up` runs, none of them is needed.

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 5 permission denied, 6 unavailable,
10 `diff` found differences.
"""

# typer has its own copy of click in some versions; these are the same classes in all of them.
_UsageError: Any = typer.BadParameter.__mro__[1]
_ClickError: Any = typer.BadParameter.__mro__[2]


def build() -> typer.Typer:
    app = typer.Typer(
        name="headgate",
        help=HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(_root)
    app.command("up")(up.up)
    programs.add_to(app)
    app.command("apply")(apply.apply)
    app.command("diff")(apply.diff)
    app.command("export")(resource.export)
    app.command("get")(resource.get)
    app.command("delete")(resource.delete)
    app.command("disable")(resource.disable)
    app.command("enable")(resource.enable)
    app.add_typer(key.app, name="key")
    app.add_typer(provider.app, name="provider")
    app.add_typer(token.app, name="token")
    app.add_typer(join_token.app, name="join-token")
    app.add_typer(kek.app, name="kek")
    app.add_typer(rollout.app, name="rollout")
    app.add_typer(route.app, name="route")
    app.add_typer(experiment.app, name="experiment")
    app.add_typer(models.app, name="models")
    app.command("replay")(replay.replay)
    app.add_typer(usage.app, name="usage")
    app.add_typer(calls.app, name="calls")
    app.command("history")(history.history)
    app.command("audit")(history.audit)
    app.command("rollback")(history.rollback)
    app.command("doctor")(doctor.doctor)
    planned.add_to(app)
    return app


def run() -> None:
    """The console script."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Runs one command; returns its exit code. Everything that can go wrong is told on stderr."""
    try:
        if arguments and arguments[0] in programs.MODULES:
            programs.become(arguments[0], arguments[1:])
        result = build()(args=list(arguments), prog_name="headgate", standalone_mode=False)
        if isinstance(result, Result):
            show(result)
            return int(result.exit_code)
        return result if isinstance(result, int) else ExitCode.DONE
    except CliError as error:
        return _told(error)
    except _UsageError as error:
        return _told(_usage_problem(error))
    except _ClickError as error:
        return _told(CliError(error.format_message()))
    except BrokenPipeError:
        # Who read the output has enough; nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        return _told(from_system(error))
    except (KeyboardInterrupt, typer.Abort):
        say("headgate: stopped")
        return 130
    except typer.Exit as leave:
        return leave.exit_code


def _usage_problem(error: Any) -> CliError:
    context = getattr(error, "ctx", None)
    hint = f"see `{context.command_path} --help`" if context is not None else "see `headgate --help`"
    message = error.format_message().strip()
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help text
        return UsageProblem("a command is missing", hint, message.splitlines())
    return UsageProblem(message[0].lower() + message[1:], hint)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        write(f"headgate {version('headgate')}\n")
        raise typer.Exit


def _told(error: CliError) -> int:
    show_error(error)
    return int(error.exit_code)


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and leave.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    pass  # typer wants a callback for options of the command as a whole
