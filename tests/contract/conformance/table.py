"""docs/conformance.md: written from the verdicts alone, the same text whenever they are the same.

Cells are `passed / refused by design / failing`. `columns` reads them back, so that a test of one client
dialect can compare its own column without playing the others.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.contract.conformance.allowances import ALLOWANCES
from tests.contract.conformance.cases import DIALECTS, Dialect, generating
from tests.contract.conformance.judging import Outcome, Verdict

PAGE = Path(__file__).resolve().parents[3] / "docs" / "conformance.md"
_OUTCOMES: tuple[Outcome, ...] = ("passed", "refused", "failing")
_NAMES: dict[Dialect, str] = {
    "chat": "Chat completions",
    "responses": "Responses",
    "messages": "Messages",
}
ALL = "all recordings"
# (provider, feature or ALL) → counts as they stand in a cell.
Column = dict[tuple[str, str], str]


def fingerprint() -> str:
    """Of the set of recordings: another set has other totals."""
    ids = "\n".join(sorted(recording.id for recording in generating()))
    return hashlib.sha256(ids.encode()).hexdigest()[:12]


def column(verdicts: Iterable[Verdict]) -> Column:
    """One client dialect's cells."""
    counts: dict[tuple[str, str], Counter[Outcome]] = {}
    for verdict in verdicts:
        if verdict.case.quiet:
            continue
        provider = verdict.case.recording.provider
        counts.setdefault((provider, ALL), Counter())[verdict.outcome] += 1
        for feature, outcome in verdict.features().items():
            counts.setdefault((provider, feature), Counter())[outcome] += 1
    return {place: _cell(count) for place, count in counts.items()}


def _cell(count: Counter[Outcome]) -> str:
    return " / ".join(str(count[outcome]) for outcome in _OUTCOMES)


def page(verdicts: dict[Dialect, list[Verdict]]) -> str:
    columns = {client: column(found) for client, found in verdicts.items()}
    places = sorted({place for found in columns.values() for place in found})
    providers = sorted({provider for provider, _ in places})
    lines = [
        "# Conformance",
        "",
        f"Made by `python -m tests.contract.conformance`: {len(generating())} recorded exchanges with",
        f"generating endpoints (set `{fingerprint()}`), each replayed as upstream of a running gateway and",
        "called by the official SDK of each client dialect that can express its request. Compared are what",
        "the provider was sent, what the client got, tokens and cost in the client's shape and in the usage",
        "record, the order of a stream's events, and errors. Cells count recordings: passed / refused by",
        "design / failing.",
        "",
        *_table("provider", [((provider, ALL), provider) for provider in providers], columns),
    ]
    for provider in providers:
        own = [place for place in places if place[0] == provider and place[1] != ALL]
        lines += ["", f"## {provider}", "", *_table("feature", [(p, p[1]) for p in own], columns)]
    lines += _reasons(verdicts)
    lines += _allowances()
    lines += _failing(verdicts)
    return "\n".join(lines) + "\n"


def _table(
    first: str, rows: Sequence[tuple[tuple[str, str], str]], columns: dict[Dialect, Column]
) -> list[str]:
    lines = [f"| {first} | {' | '.join(_NAMES[client] for client in DIALECTS)} |", "|---|---|---|---|"]
    for place, name in rows:
        cells = [columns[client].get(place, "0 / 0 / 0") for client in DIALECTS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _reasons(verdicts: dict[Dialect, list[Verdict]]) -> list[str]:
    lines = ["", "## Refused by design", ""]
    lines += [
        "What a client's dialect has no words for, or the gateway refuses by name for this provider. Counted",
        "here once for each recording; settings such as `seed` are left unsaid instead, and count under",
        "their feature.",
        "",
        "| client | reason | recordings |",
        "|---|---|---|",
    ]
    for client in DIALECTS:
        found = Counter(v.reason for v in verdicts[client] if v.outcome == "refused" and not v.case.quiet)
        lines += [f"| {_NAMES[client]} | {reason} | {count} |" for reason, count in sorted(found.items())]
    return lines


def _allowances() -> list[str]:
    lines = ["", "## What may differ between the recorded request and the one that was sent", ""]
    return [*lines, *(f"- {' '.join((allowance.__doc__ or '').split())}" for allowance in ALLOWANCES)]


def _failing(verdicts: dict[Dialect, list[Verdict]]) -> list[str]:
    lines = ["", "## Failing", ""]
    found = [
        f"- `{verdict.case.id}`: {', '.join(verdict.problems)}"
        for client in DIALECTS
        for verdict in verdicts[client]
        if verdict.outcome == "failing"
    ]
    return [*lines, *(found or ["Nothing."])]


def read_column(client: Dialect) -> tuple[str, Column]:
    """(the set that the page is about, its cells of one client dialect)."""
    text = PAGE.read_text() if PAGE.exists() else ""
    made_from = text.partition("(set `")[2].partition("`")[0]
    cells: Column = {}
    provider = ""
    position = 1 + DIALECTS.index(client)
    for line in text.splitlines():
        if line.startswith("## "):
            provider = line.removeprefix("## ")
        row = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(row) != len(DIALECTS) + 1 or row[position].count(" / ") != 2:
            continue
        place = (provider, row[0]) if provider else (row[0], ALL)
        if row[position] != "0 / 0 / 0":
            cells[place] = row[position]
    return made_from, cells
