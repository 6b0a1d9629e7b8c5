"""`history`: who changed what, newest first."""

from __future__ import annotations

from typing import Annotated

import typer

from admin_cli.options import AnyTenantOption, OutputOption
from admin_cli.render import Result


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
