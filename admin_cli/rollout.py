"""`rollout`: a change that some proxies have first (`apply --canary`), watched, promoted or taken back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from admin_cli.errors import NotFound, UsageProblem
from admin_cli.options import NoWaitOption, OutputOption
from admin_cli.render import Result

app = typer.Typer(
    no_args_is_help=True, help="Changes that some proxies have first (`apply --canary`): see, promote, halt."
)
RevisionArgument = Annotated[
    int,
    typer.Argument(
        metavar="REVISION",
        min=0,
        help="As `rollout show` has it; refuse (exit 4) if another one is under way. Default: the last one.",
        show_default=False,
    ),
]
COLUMNS = ("revision", "state", "group", "proxies", "resources", "started_at", "reason")


@app.command()
def show(output: OutputOption = None) -> Result:
    """Show the rollout that is under way, or the last one, and which connected proxies are in its group."""
    items = _rollouts(1)
    if not items:
        raise NotFound("there has been no rollout", "`headgate apply --canary 10% -f FILE` begins one")
    return Result("Rollout", COLUMNS, items, output)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 20,
    output: OutputOption = None,
) -> Result:
    """List rollouts, newest first."""
    return Result("Rollout", COLUMNS, _rollouts(limit), output)


@app.command()
def promote(
    revision: RevisionArgument = 0, no_wait: NoWaitOption = False, output: OutputOption = None
) -> Result:
    """Declare for all proxies what its group has, now."""
    from admin_cli.apply import change_item
    from admin_cli.change import await_proxies
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import rollout_pb2

    request, answer = rollout_pb2.PromoteRolloutRequest(), rollout_pb2.PromoteRolloutResponse
    with AdminClient(Connection.from_environment()) as client:
        request.revision = revision or _last(client)
        done = client.call("PromoteRollout", request, answer)
        notes = await_proxies(client, done.revision, no_wait)
    items = [change_item(change) for change in done.changes]
    return Result("Change", ("kind", "name", "change"), items, output, {"revision": done.revision}, notes)


@app.command()
def halt(
    revision: RevisionArgument = 0,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="For the audit trail.")] = "",
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Give its group back what all other proxies have."""
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import rollout_pb2

    request, answer = rollout_pb2.HaltRolloutRequest(reason=reason), rollout_pb2.HaltRolloutResponse
    with AdminClient(Connection.from_environment()) as client:
        request.revision = revision or _last(client)
        done = client.call("HaltRollout", request, answer)
        notes = await_proxies(client, done.revision, no_wait)
    return changed("rollout", "", "", "halted", done.revision, notes, output)


def start(client: Any, manifest: Any, source: str, canary: str, bake: str) -> Any:
    """StartRollout; what it objects to is shown with file and line."""
    from admin_cli.change import new_request_id
    from admin_cli.client import APPLY_DEADLINE_SECONDS
    from admin_cli.errors import Refused
    from admin_cli.times import duration
    from headgate.v1 import rollout_pb2

    request = rollout_pb2.StartRolloutRequest(
        resources=manifest.resources, source=source, request_id=new_request_id()
    )
    request.bake.CopyFrom(duration(bake, "--bake"))
    if canary.endswith("%"):
        try:
            request.percent = float(canary[:-1])
        except ValueError:
            raise UsageProblem(f"--canary {canary!r} is no percentage", "write 10% or pool=canary") from None
    else:
        for pair in canary.split(","):
            name, separator, value = pair.partition("=")
            if not separator or not name:
                raise UsageProblem(f"--canary {canary!r} is neither N% nor K=V", "write 10% or pool=canary")
            request.labels[name] = value
    try:
        return client.call_repeatable(
            "StartRollout", request, rollout_pb2.StartRolloutResponse, APPLY_DEADLINE_SECONDS
        )
    except Refused as error:
        error.lines = tuple(manifest.locate(problem) for problem in error.problems)
        raise


def started_notes(view: Any, bake: str) -> tuple[str, ...]:
    who = ", ".join(view.proxies) or "no connected proxy"
    return (
        f"with {who} first; for all after {bake} without trouble. "
        "`headgate rollout show`, `promote` and `halt` go on from here",
    )


def _last(client: Any) -> int:
    """Which is meant where none is named: one that begins a moment later is not."""
    from headgate.v1 import rollout_pb2

    request, answer = rollout_pb2.ListRolloutsRequest(page_size=1), rollout_pb2.ListRolloutsResponse
    return next((int(view.revision) for view in client.call("ListRollouts", request, answer).rollouts), 0)


def _rollouts(limit: int) -> list[dict[str, Any]]:
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import rollout_pb2

    request, answer = (
        rollout_pb2.ListRolloutsRequest(page_size=min(limit, 1_000)),
        rollout_pb2.ListRolloutsResponse,
    )
    with AdminClient(Connection.from_environment()) as client:
        return [
            _item(view)
            for view in client.pages("ListRollouts", request, answer, lambda page: page.rollouts, limit)
        ]


def _item(view: Any) -> dict[str, Any]:
    from admin_cli.views import time_text

    labels = ",".join(f"{name}={value}" for name, value in sorted(view.labels.items()))
    return {
        "revision": int(view.revision),
        "state": view.state,
        "reason": view.reason or None,
        "group": labels or f"{view.percent:g}%",
        "proxies": list(view.proxies),
        "resources": list(view.resources),
        "source": view.source,
        "actor": view.actor,
        "started_at": time_text(view.started_at),
        "ended_at": time_text(view.ended_at) if view.HasField("ended_at") else None,
        "bake_seconds": view.bake.ToSeconds(),
    }
