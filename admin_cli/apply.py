"""`apply` and `diff`: a manifest against what is declared, changed or only compared."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from admin_cli.errors import ExitCode, Refused, UsageProblem
from admin_cli.options import FilesOption, NoWaitOption, OutputOption, TenantOption
from admin_cli.render import Output, Result
from headgate.rules.names import DEFAULT_TENANT

if TYPE_CHECKING:
    from admin_cli.minted import SecretsFile

SOURCE_DEFAULT = "manifest"

SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        metavar="NAME",
        help="Who owns these resources. --prune acts inside one source; another's resource is a conflict.",
    ),
]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Delete what this source declared before and does not declare now.")
]


def apply(
    file: FilesOption,
    source: SourceOption = SOURCE_DEFAULT,
    prune: PruneOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare; change nothing.")] = False,
    expect_revision: Annotated[
        int,
        typer.Option(
            "--expect-revision",
            metavar="N",
            min=0,
            help="Refuse (exit 4) if the config is not at this revision.",
        ),
    ] = 0,
    secrets_out: Annotated[
        Path | None,
        typer.Option(
            "--secrets-out",
            metavar="FILE",
            help="Where minted secrets go (0600). Without it they are withheld.",
        ),
    ] = None,
    canary: Annotated[
        str | None,
        typer.Option(
            "--canary",
            metavar="N%|K=V",
            help="To this share of the proxies first, or to those with these labels (K=V,K=V). To all when "
            "--bake is over; taken back if they refuse it, or fail more calls than the others.",
        ),
    ] = None,
    bake: Annotated[
        str, typer.Option("--bake", metavar="TIME", help="How long a canary is watched before all get it.")
    ] = "10m",
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Declare the resources of a manifest: all of them, or none.

    Prints what was created, changed, left unchanged or pruned, and the revision. `${NAME}` in a
    manifest is taken from the environment; problems are shown with file, line and field.
    """
    from admin_cli.change import await_proxies
    from admin_cli.client import AdminClient, Connection
    from admin_cli.minted import SecretsFile

    manifest = _load(file, tenant)
    if canary is not None:
        if prune or dry_run or expect_revision or secrets_out is not None:
            raise UsageProblem(
                "--canary goes with neither --prune, --dry-run, --expect-revision nor --secrets-out",
                "`headgate diff` shows what would change",
            )
        return _apply_first_to_some(manifest, source, canary, bake, no_wait, output)
    secrets_file = SecretsFile(secrets_out) if secrets_out is not None else None
    with AdminClient(Connection.from_environment()) as client:
        answer = submit(
            client, manifest, source, prune=prune, dry_run=dry_run, expected_revision=expect_revision
        )
        minted = list(answer.minted)
        told = minted_notes(minted, secrets_file)
        items = [change_item(change) for change in answer.changes]
        wait = not dry_run and any(item["change"] != "unchanged" for item in items)
        notes = await_proxies(client, answer.revision, no_wait or not wait)
    notes = (*told, *notes)
    if dry_run:
        notes = ("dry run: nothing was changed", *notes)
    return Result("Change", ("kind", "name", "change"), items, output, {"revision": answer.revision}, notes)


def _apply_first_to_some(
    manifest: Any, source: str, canary: str, bake: str, no_wait: bool, output: Output | None
) -> Result:
    from admin_cli.change import await_proxies
    from admin_cli.client import AdminClient, Connection
    from admin_cli.rollout import start, started_notes

    with AdminClient(Connection.from_environment()) as client:
        answer = start(client, manifest, source, canary, bake)
        notes = await_proxies(client, answer.rollout.revision, no_wait)
    items = [change_item(change) for change in answer.changes]
    facts = {"revision": answer.rollout.revision, "proxies": list(answer.rollout.proxies)}
    notes = (*started_notes(answer.rollout, bake), *notes)
    return Result("Change", ("kind", "name", "change"), items, output, facts, notes)


def minted_notes(minted: list[Any], secrets_file: SecretsFile | None) -> tuple[str, ...]:
    """Puts secrets into the file; without one, says that they were withheld."""
    if secrets_file is not None:
        secrets_file.add(minted)
    elif minted:
        names = ", ".join(one.name for one in minted)
        return (
            f"minted and withheld: {names}. `headgate key rotate NAME` mints another and shows it; "
            "--secrets-out FILE keeps them",
        )
    return ()


def diff(
    file: FilesOption,
    source: SourceOption = SOURCE_DEFAULT,
    prune: PruneOption = False,
    tenant: TenantOption = DEFAULT_TENANT,
    output: OutputOption = None,
) -> Result:
    """Show what `apply` would change, and what state (disable, set-key …) overrides.

    Exit code 10 if there are differences, 0 if not.
    """
    from admin_cli.client import AdminClient, Connection

    manifest = _load(file, tenant)
    with AdminClient(Connection.from_environment()) as client:
        answer = submit(client, manifest, source, prune=prune, dry_run=True)
    items = [change_item(change) for change in answer.changes]
    differing = [item for item in items if item["change"] != "unchanged"]
    shown = [item for item in items if item["change"] != "unchanged" or item["overrides"]]
    return Result(
        "Change",
        ("kind", "name", "change", "differences", "overrides"),
        shown,
        output,
        {"revision": answer.revision},
        () if differing else ("no differences",),
        ExitCode.DIFFERENT if differing else ExitCode.DONE,
    )


def submit(
    client: Any,
    manifest: Any,
    source: str,
    *,
    prune: bool = False,
    dry_run: bool = False,
    expected_revision: int = 0,
) -> Any:
    """ApplyResources; what it objects to is shown with file and line."""
    from admin_cli.change import new_request_id
    from admin_cli.client import APPLY_DEADLINE_SECONDS
    from headgate.v1 import admin_pb2

    request = admin_pb2.ApplyResourcesRequest(
        resources=manifest.resources,
        source=source,
        prune=prune,
        dry_run=dry_run,
        expected_revision=expected_revision,
        request_id=new_request_id(),
    )
    try:
        return client.call_repeatable(
            "ApplyResources", request, admin_pb2.ApplyResourcesResponse, APPLY_DEADLINE_SECONDS
        )
    except Refused as error:
        error.lines = tuple(manifest.locate(problem) for problem in error.problems)
        raise


def change_item(change: Any) -> dict[str, Any]:
    from headgate.v1 import admin_pb2

    name = admin_pb2.ChangeType.Name(change.change).removeprefix("CHANGE_TYPE_").lower()
    return {
        "kind": change.kind,
        "tenant": change.tenant,
        "name": change.name,
        "change": name,
        "differences": list(change.differences),
        "overrides": list(change.overrides),
    }


def _load(files: list[str], tenant: str) -> Any:
    from admin_cli import manifest

    return manifest.load(files, tenant, os.environ)
