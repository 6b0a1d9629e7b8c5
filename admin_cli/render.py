"""How a result reaches the terminal or a script: the only place that writes to stdout and stderr.

A command returns a Result; `show` renders it as table, JSON, YAML or CSV. The JSON envelope is what
scripts read, and a test freezes it. Text from elsewhere (user names, models) cannot send control
sequences to the terminal.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from admin_cli.errors import CliError, ExitCode

API = "headgate.v1"
# A table that goes to a pipe is not folded; rich wants a number.
_PIPE_WIDTH = 10_000
_NUMBER = re.compile(r"[0-9.,]{0,16}|–")
# A list that is longer than this stands below each other.
_LINE = 48


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class UsageOutput(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Result:
    """What a command found or did.

    kind: of the items; the envelope says `<kind>List`. columns: what a table shows of the items, a
    dot reaches into them. envelope: facts beside the items (`revision`). notes: for people, to stderr.
    document: what is written instead of an envelope where YAML is asked for (a manifest).
    """

    kind: str
    columns: tuple[str, ...]
    items: Sequence[Mapping[str, Any]]
    output: Output | UsageOutput | None = None
    envelope: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.DONE
    document: str | None = None


def chosen(output: Output | UsageOutput | None) -> str:
    """table where stdout is a terminal, else json, unless the user chose."""
    if output is not None:
        return output.value
    return "table" if sys.stdout.isatty() else "json"


def show(result: Result) -> None:
    """Writes the result to stdout, its notes to stderr."""
    form = chosen(result.output)
    if result.document is not None and form != "json":
        write(result.document)
    elif form == "json":
        write(json.dumps(envelope(result), ensure_ascii=False, indent=2) + "\n")
    elif form == "yaml":
        write(yaml_text(envelope(result)))
    elif form == "csv":
        write(csv_text(result.columns, result.items))
    else:
        _write_table(result)
    for note in result.notes:
        say(note)


def envelope(result: Result) -> dict[str, Any]:
    """What scripts read, and `apply` takes back."""
    return {"api": API, "kind": f"{result.kind}List", **result.envelope, "items": list(result.items)}


def show_one(item: Mapping[str, Any], columns: tuple[str, ...], output: Output | None) -> None:
    """One item of an endless list, on its own: a line of JSON, a YAML document, a line of text."""
    form = chosen(output)
    if form == "json":
        write(json.dumps(item, ensure_ascii=False) + "\n")
    elif form == "yaml":
        write("---\n" + yaml_text(item))
    else:
        write("  ".join(cell(_reach(item, column)) for column in columns) + "\n")
    sys.stdout.flush()


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people, on stderr."""
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def show_error(error: CliError) -> None:
    for line in error.lines:
        say(line)
    say(f"headgate: {error.message}")
    if error.hint:
        say(f"  → {error.hint}")


def yaml_text(document: Any) -> str:
    from admin_cli import manifest_dump

    text: str = manifest_dump.dump(document)
    return text


def csv_text(columns: tuple[str, ...], items: Sequence[Mapping[str, Any]]) -> str:
    """RFC 4180 with a header line; null is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    for item in items:
        values = (_reach(item, column) for column in columns)
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def cell(value: Any) -> str:
    """One value as a table shows it."""
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(v, Mapping) for v in value)):
        return printable(json.dumps(value, ensure_ascii=False))
    if isinstance(value, list):
        texts = [printable(str(part)) for part in value]
        return ("\n" if sum(map(len, texts)) > _LINE else ", ").join(texts)
    return printable(str(value))


def printable(text: str) -> str:
    """`text` without what a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def _reach(item: Mapping[str, Any], column: str) -> Any:
    value: Any = item
    for part in column.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _write_table(result: Result) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    if result.items:
        table = Table(box=None, pad_edge=False, header_style="bold")
        rows = [[cell(_reach(item, column)) for column in result.columns] for item in result.items]
        for column, *cells in zip(result.columns, *rows, strict=True):
            # Where it is tight, headings break between words and texts anywhere, numbers nowhere.
            numbers = all(_NUMBER.fullmatch(text) for text in cells)
            header = column.rpartition(".")[2].replace("_", " ").upper()
            table.add_column(header, overflow="fold", min_width=max(map(len, cells)) if numbers else None)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    elif not result.envelope:
        say("nothing found")
    for name, value in result.envelope.items():
        console.print(Text(f"{name} {cell(value)}"))
