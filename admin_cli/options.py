"""Options that several commands share, with their help texts."""

from __future__ import annotations

from typing import Annotated

import typer

from admin_cli.render import Output, UsageOutput

OutputOption = Annotated[
    Output | None,
    typer.Option(
        "--output", "-o", help="How to print. Default: table on a terminal, else json.", show_default=False
    ),
]
UsageOutputOption = Annotated[
    UsageOutput | None,
    typer.Option(
        "--output", "-o", help="How to print. Default: table on a terminal, else json.", show_default=False
    ),
]
TenantOption = Annotated[
    str,
    typer.Option("--tenant", metavar="TENANT", help="The tenant it is about; '*' means shared by all."),
]
AnyTenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="TENANT", help="Only this tenant. Default: all that the token sees."),
]
NoWaitOption = Annotated[
    bool,
    typer.Option(
        "--no-wait", help="Do not wait (up to 5 s) until connected proxies have acknowledged the change."
    ),
]
FilesOption = Annotated[
    list[str],
    typer.Option(
        "--file",
        "-f",
        metavar="FILE|DIR|-",
        help="Manifest to read: a YAML or JSON file, a folder of them, or - for stdin. Repeatable.",
    ),
]
