"""`history`, `audit` and `rollback`: who changed what, exactly how, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from admin_cli import render
from admin_cli.options import AnyTenantOption, NoWaitOption, OutputOption, UsageOutputOption
from admin_cli.render import Result

AUDIT_COLUMNS = ("revision", "time", "actor", "source", "verb", "resource", "differences")
# Of one change, in a table.
MAX_DIFFERENCES_SHOWN = 20
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many, newest first.")
]


def history(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=100_000, help="How many revisions.")] = 50,
    tenant: AnyTenantOption = None,
    output: OutputOption = None,
) -> Result:
    """Show who changed what, newest first."""
    from admin_cli.client import AdminClient, Connection
    from admin_cli.views import revision_item
    from headgate.v1 import admin_pb2

    with AdminClient(Connection.from_environment()) as client:
        views = client.pages(
            "ListRevisions",
            admin_pb2.ListRevisionsRequest(),
            admin_pb2.ListRevisionsResponse,
            lambda page: page.revisions,
            limit,
        )
        items = [revision_item(view) for view in views]
    if tenant is not None:
        items = [item for item in items if any(f"/{tenant}/" in change for change in item["changes"])]
    return Result("Revision", ("revision", "time", "actor", "source", "changes"), items, output)


def audit(
    resource: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND[/NAME]]", help="Only of this kind, or this one: routes/chat.", show_default=False
        ),
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", metavar="WHO", help="Only by this token.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="How far back, like 7d. Default: all.")
    ] = None,
    limit: LimitOption = 100,
    tenant: AnyTenantOption = None,
    output: UsageOutputOption = None,
) -> Result:
    """Show every change of spec and state with what was before and after, newest first."""
    from admin_cli import times
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import history_pb2

    kind, _, name = (resource or "").partition("/")
    request = history_pb2.ListChangesRequest(tenant=tenant or "", kind=kind, name=name, actor=actor or "")
    if since is not None:
        getattr(request, "from").CopyFrom(times.since(since, times.utc_now()))
    with AdminClient(Connection.from_environment()) as client:
        answer = history_pb2.ListChangesResponse
        found = list(client.pages("ListChanges", request, answer, lambda page: page.changes, limit))
    form = render.chosen(output)
    items = [_item(one, in_words=form in ("table", "csv")) for one in found]
    return Result("Change", AUDIT_COLUMNS, items, output)


def rollback(
    revision: Annotated[int, typer.Argument(metavar="REVISION", help="As `history` shows it.", min=1)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    secrets_out: Annotated[
        Path | None,
        typer.Option("--secrets-out", metavar="FILE", help="Where secrets go of keys that had been deleted."),
    ] = None,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Make specs what they were at a revision, as a new one. State (revoked, disabled …) stays."""
    from admin_cli.apply import change_item, minted_notes
    from admin_cli.change import await_proxies, new_request_id
    from admin_cli.client import APPLY_DEADLINE_SECONDS, AdminClient, Connection
    from admin_cli.minted import SecretsFile
    from headgate.v1 import history_pb2

    secrets_file = SecretsFile(secrets_out) if secrets_out is not None else None
    request = history_pb2.RollbackRequest(revision=revision, dry_run=dry_run, request_id=new_request_id())
    with AdminClient(Connection.from_environment()) as client:
        answer = client.call_repeatable(
            "Rollback", request, history_pb2.RollbackResponse, APPLY_DEADLINE_SECONDS
        )
        notes = minted_notes(list(answer.minted), secrets_file)
        items = [change_item(change) for change in answer.changes]
        notes += await_proxies(client, answer.revision, no_wait or dry_run or not items)
    if dry_run:
        notes = ("dry run: nothing was changed", *notes)
    elif not items:
        notes = (f"nothing to do: specs are what they were at revision {revision}", *notes)
    return Result("Change", ("kind", "name", "change"), items, output, {"revision": answer.revision}, notes)


def _item(view: Any, *, in_words: bool) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    from admin_cli.views import time_text
    from headgate.rules.spec import differences

    before = MessageToDict(view.before) if view.HasField("before") else None
    after = MessageToDict(view.after) if view.HasField("after") else None
    item: dict[str, Any] = {
        "revision": view.revision,
        "time": time_text(view.time),
        "actor": view.actor,
        "source": view.source,
        "verb": view.verb,
        "kind": view.kind,
        "tenant": view.tenant or None,
        "name": view.name,
    }
    if not in_words:
        return {**item, "before": before, "after": after}
    place = "/".join(part for part in (view.kind, view.tenant, view.name) if part)
    told = differences(before or {}, after or {}) if before is not None or view.verb != "created" else []
    return {**item, "resource": place, "differences": list(told)[:MAX_DIFFERENCES_SHOWN]}
