"""The table and its notes: on the terminal, and between two markers of docs/routing.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.perf.simulation.days import Result, Setting
from tests.perf.simulation.figures import Figures
from tests.perf.simulation.market import MODELS, PROVIDERS, REGIONS

BEGIN = "<!-- simulate:begin (written by `make simulate ARGS=--write`; edit outside) -->"
END = "<!-- simulate:end -->"
# Which oracle a kind of policy is held against, for its cost and for its speed.
COST_ORACLES = {"cost": "oracle: cost"}
DEFAULT_COST_ORACLE = "oracle: cost, good enough"
FIRST_ORACLE, TOTAL_ORACLE = "oracle: first token", "oracle: total"
HEADS = (
    "policy",
    "USD per 1,000 calls",
    "× oracle",
    "first token p50, p95",
    "p95 × oracle",
    "total p50, p95",
    "p95 × oracle",
    "failed",
    "attempts per call",
    "mean quality",
    "below the floor",
)


def table(results: Sequence[Result]) -> str:
    by_name = {result.figures.name: result.figures for result in results}
    lines = [_row(HEADS), _row(["---", *["---:"] * (len(HEADS) - 1)])]
    lines += [_row(_cells(result.figures, by_name)) for result in results]
    return "\n".join(lines)


def section(results: Sequence[Result], setting: Setting) -> str:
    calls = results[0].figures.calls
    simulated = sum(result.figures.calls for result in results)
    spent = sum(result.spent_seconds for result in results)
    hours = (setting.ends - setting.begins) / 3600
    return (
        f"Seed {setting.seed}: {MODELS} models at {PROVIDERS} providers, {len(REGIONS)} regions, "
        f"{hours:g} hours, {calls:,} calls under each policy; simulated at "
        f"{simulated / max(spent, 1e-9):,.0f} calls a second and core.\n\n"
        f"{table(results)}\n"
    )


def write(text: str, page: Path) -> None:
    """Replaces what is between the markers; ValueError where there are none."""
    whole = page.read_text()
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def _cells(row: Figures, by_name: dict[str, Figures]) -> list[str]:
    cost = by_name[COST_ORACLES.get(row.kind, DEFAULT_COST_ORACLE)]
    first, total = by_name[FIRST_ORACLE], by_name[TOTAL_ORACLE]
    return [
        row.name,
        f"{row.usd_per_thousand:.3f}",
        f"{row.usd_per_thousand / cost.usd_per_thousand:.2f}",
        f"{row.first_p50:.2f}, {row.first_p95:.2f} s",
        f"{row.first_p95 / first.first_p95:.2f}",
        f"{row.total_p50:.1f}, {row.total_p95:.1f} s",
        f"{row.total_p95 / total.total_p95:.2f}",
        f"{row.failed:.2%}",
        f"{row.attempts:.3f}",
        f"{row.quality:.2f}",
        f"{row.too_bad:.1%}",
    ]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
