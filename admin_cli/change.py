"""What every command that changes something does afterwards: wait for the proxies, say what happened."""

from __future__ import annotations

import uuid

from admin_cli.client import AdminClient
from admin_cli.errors import CliError
from admin_cli.render import Output, Result


def new_request_id() -> str:
    """Under this id the control plane repeats its first answer."""
    return uuid.uuid4().hex


def await_proxies(client: AdminClient, revision: int, no_wait: bool) -> tuple[str, ...]:
    """Waits (up to 5 s) until connected proxies acknowledged `revision`; returns what to tell people.

    The change is committed whatever comes of this, so nothing here is an error.
    """
    if no_wait or revision == 0:
        return ()
    try:
        answer = client.await_revision(revision)
    except CliError as error:
        return (f"done; whether proxies have it is unknown ({error.message})",)
    notes = [f"refused by a proxy, which keeps its last good config: {who}" for who in answer.refused]
    if answer.pending:
        notes.append(
            f"not acknowledged yet by {', '.join(answer.pending)}; `headgate get proxies` shows them"
        )
    return tuple(notes)


def changed(
    kind: str,
    tenant: str,
    name: str,
    change: str,
    revision: int,
    notes: tuple[str, ...],
    output: Output | None,
) -> Result:
    """The result of a verb about one resource."""
    item = {"kind": kind, "tenant": tenant, "name": name, "change": change}
    return Result("Change", ("kind", "name", "change"), [item], output, {"revision": revision}, notes)
