"""Secrets that the control plane minted: shown once, or put into a 0600 file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from admin_cli.errors import CliError
from admin_cli.render import Output, Result, envelope
from admin_cli.state import write_private
from headgate.v1 import admin_pb2

COLUMNS = ("name", "secret")


def minted_item(minted: admin_pb2.MintedSecret) -> dict[str, Any]:
    return {"kind": minted.kind, "tenant": minted.tenant, "name": minted.name, "secret": minted.secret}


def minted_result(
    minted: admin_pb2.MintedSecret, revision: int, notes: tuple[str, ...], output: Output | None
) -> Result:
    beside = {"revision": revision} if revision else {}
    notes = ("the secret is shown this once; nobody can look it up later", *notes)
    return Result("MintedSecret", COLUMNS, [minted_item(minted)], output, beside, notes)


class SecretsFile:
    """`--secrets-out`: an envelope of secrets. Secrets of earlier runs in it are kept."""

    def __init__(self, path: Path) -> None:
        """Fails now, before anything is minted, if the file could not be written then."""
        self._path = path
        self._items = self._earlier()
        probe = path.with_name(f".{path.name}.probe")
        write_private(probe, "")
        probe.unlink()

    def add(self, minted: list[admin_pb2.MintedSecret]) -> None:
        if not minted:
            return
        for one in minted:
            item = minted_item(one)
            self._items[item["kind"], item["tenant"], item["name"]] = item
        text = json.dumps(envelope(Result("MintedSecret", COLUMNS, list(self._items.values()))), indent=2)
        write_private(self._path, text + "\n")

    def _earlier(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["kind"] != "MintedSecretList":
                raise ValueError(document["kind"])
            return {(item["kind"], item["tenant"], item["name"]): item for item in document["items"]}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError):
            raise CliError(
                f"{self._path} exists and holds something else; nothing was changed",
                "give --secrets-out a new file, or one that it wrote before",
            ) from None
