"""`python -m tests.perf.simulation`: policies over a simulated day, as a table; with --write also in docs.

The table goes to standard output, progress to standard error where that is a terminal. Nothing sleeps, and
the same seed gives the same figures.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.perf.simulation import plots, table
from tests.perf.simulation.days import Setting, incidents, simulate

DOCS = Path(__file__).resolve().parents[3] / "docs"
CALLS_PER_MINUTE = 14.0
# The quick hour: noon in Europe, morning on the American coast.
QUICK_BEGINS, QUICK_ENDS = 12 * 3600.0, 13 * 3600.0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.simulation", description="Policies over a simulated day."
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything that chance decides (default 1)")
    parser.add_argument("--quick", action="store_true", help="one hour, not a day")
    parser.add_argument(
        "--calls-per-minute",
        type=float,
        default=CALLS_PER_MINUTE,
        help=f"of one region, the day's average (default {CALLS_PER_MINUTE:g})",
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(default: one a core)")
    parser.add_argument("--write", action="store_true", help="write table and plots into docs")
    arguments = parser.parse_args(argv)
    if arguments.write and arguments.quick:
        parser.error("--write is for a whole day")
    setting = Setting(arguments.seed, arguments.calls_per_minute)
    if arguments.quick:
        setting = Setting(arguments.seed, arguments.calls_per_minute, QUICK_BEGINS, QUICK_ENDS)
    results = simulate(setting, arguments.processes, progress)
    section = table.section(results, setting)
    print(section)
    if arguments.write:
        table.write(section, DOCS / "routing.md")
        images = DOCS / "images"
        images.mkdir(exist_ok=True)
        (images / "simulated-cost-and-speed.svg").write_text(plots.cost_and_speed(results))
        (images / "simulated-day.svg").write_text(plots.one_day(results, incidents(setting), setting))
        progress(f"written to {DOCS}")
    return 0


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
