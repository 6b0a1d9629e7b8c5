"""The table of docs/performance.md: markdown between two marker comments, and the samples as JSON beside it.

Rendering is a pure function of the figures. Files are written only when the bench is asked to; what stands
outside the markers belongs to people.
"""

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.perf.figures import BASE, MEASURES, Figures, Measure

BEGIN = "<!-- bench:begin (written by `make bench`; edit outside) -->"
END = "<!-- bench:end -->"
_OURS = "headgate"


def machine() -> str:
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory_gb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = os.cpu_count()
    versions = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {cores} cores, {memory_gb:.0f} GB, {versions}"


def render(figures: Figures, systems: list[str], today: datetime | None = None) -> str:
    """The whole section: where and when, the medians with their ratios, the spread, the notes."""
    when = (today or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    rows = [measure for measure in MEASURES if any(figures.of(measure.key, system) for system in systems)]
    heads = [figures.labels.get(system, system) for system in systems]
    lines = [f"Measured {when} on {machine()}.", ""]
    lines += _row(["median of the rounds (× nginx)", *heads, "target"])
    lines += _row(["---", *["---:"] * len(systems), "---"])
    for measure in rows:
        cells = [_cell(figures, measure, system) for system in systems]
        lines += _row([measure.title, *cells, _target(figures, measure)])
    lines += ["", "Lowest and highest round:", ""]
    lines += _row(["", *heads])
    lines += _row(["---", *["---:"] * len(systems)])
    for measure in rows:
        lines += _row([measure.title, *(_spread(figures, measure, system) for system in systems)])
    if figures.notes:
        lines += ["", *(f"- {note}" for note in figures.notes)]
    return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> list[str]:
    return ["| " + " | ".join(cells) + " |"]


def _cell(figures: Figures, measure: Measure, system: str) -> str:
    value = figures.median(measure.key, system)
    if value is None:
        return "–"
    text = f"{value:,.{measure.digits}f}"
    ratio = figures.ratio(measure.key, system) if measure.comparable and system != BASE else None
    return text if ratio is None else f"{text} ({ratio:.2f}×)"


def _spread(figures: Figures, measure: Measure, system: str) -> str:
    values = figures.of(measure.key, system)
    if not values:
        return "–"
    text = f"{min(values):,.{measure.digits}f}–{max(values):,.{measure.digits}f}"
    ratios = figures.ratios(measure.key, system) if measure.comparable and system != BASE else []
    return text if not ratios else f"{text} ({min(ratios):.2f}–{max(ratios):.2f}×)"


def _target(figures: Figures, measure: Measure) -> str:
    """The target for ours, and whether it was reached in this run."""
    if measure.limit_ratio is not None:
        ratio = figures.ratio(measure.key, _OURS)
        verdict = (
            "" if ratio is None else (" reached" if ratio <= measure.limit_ratio else " **not reached**")
        )
        return f"≤ {measure.limit_ratio}×{verdict}"
    if measure.limit is None:
        return ""
    value = figures.median(measure.key, _OURS)
    sign = "≥" if measure.limit_is_floor else "≤"
    if value is None:
        return f"{sign} {measure.limit:,.0f}"
    reached = value >= measure.limit if measure.limit_is_floor else value <= measure.limit
    return f"{sign} {measure.limit:,.0f}{' reached' if reached else ' **not reached**'}"


def write(figures: Figures, section: str, page: Path) -> None:
    """Replace what is between the markers of `page` (made if not there); write the samples beside it."""
    page.parent.mkdir(parents=True, exist_ok=True)
    text = page.read_text() if page.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{section}\n{END}{after}")
    document = {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **asdict(figures),
    }
    page.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
