"""`python -m tests.perf.experiments`: what experiments promise, as tables; with --write also in docs.

Tables go to standard output, progress to standard error where that is a terminal. Nothing sleeps, the same
seed gives the same figures, and a promise that is missed makes the exit status 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.perf.experiments import alike, assignment, detection, elimination, guards, plots, shares
from tests.perf.experiments.parts import Job, Part, Setting, timed

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = "experiments-figures.md"
QUICK = Setting(runs=100, hashed=100_000)
PARTS: tuple[tuple[Callable[[Setting], list[Job]], Callable[[Sequence[Any], Setting], Part]], ...] = (
    (alike.jobs, alike.part),
    (detection.jobs, detection.part),
    (elimination.jobs, elimination.part),
    (guards.jobs, guards.part),
    (shares.jobs, shares.part),
    (assignment.jobs, assignment.part),
)
INTRODUCTION = (
    "# Experiments in figures\n\nWhat [Experiments](experiments.md) promises, by simulation: `make "
    "simulate-experiments` (ARGS=--quick: a tenth of the runs; ARGS=--write: this page). The "
    "decisions\nare the product's own code (`control_plane/experiments/decisions.py`, "
    "`control_plane/experiments/statistics.py`, `proto/headgate/policy/experiments.py`); what units "
    "bring is invented: grades of a judge\n(0, ¼, ½, ¾, 1), lognormal costs and latencies, errors, "
    "preferences. The times are those of the first look at which something was decided.\n"
)
IMAGES = (
    ("simulated-winners-among-equals.svg", "How often a winner is named among variants that are alike"),
    ("simulated-differences-found.svg", "How many units it takes until a true difference is found"),
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.experiments", description="What experiments promise, by simulation."
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything that chance decides (default 1)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="(default: one a core)")
    parser.add_argument("--write", action="store_true", help=f"write tables and plots into docs/{PAGE}")
    arguments = parser.parse_args(argv)
    if arguments.write and arguments.quick:
        parser.error("--write is for all runs")
    setting = Setting(arguments.seed)
    if arguments.quick:
        setting = Setting(arguments.seed, QUICK.runs, QUICK.hashed)
    parts = simulate(setting, arguments.processes)
    print("\n\n".join(part.text() for part in parts))
    if arguments.write:
        write(parts, setting)
    missed = [one.text for part in parts for one in part.promises if not one.kept]
    kept = sum(one.kept for part in parts for one in part.promises)
    print(f"\n{kept} promises kept, {len(missed)} missed")
    return 1 if missed else 0


def simulate(setting: Setting, processes: int) -> list[Part]:
    todo = [make(setting) for make, _ in PARTS]
    flat = [job for jobs in todo for job in jobs]
    done = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for number, (result, seconds) in enumerate(pool.imap(timed, flat), 1):
            done.append(result)
            progress(f"{number} of {len(flat)}: {seconds:.1f} s")
    parts = []
    for jobs, (_, tell) in zip(todo, PARTS, strict=True):
        mine, done = done[: len(jobs)], done[len(jobs) :]
        parts.append(tell(mine, setting))
    return parts


def write(parts: Sequence[Part], setting: Setting) -> None:
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    (images / IMAGES[0][0]).write_text(plots.alarms(parts[0]))
    (images / IMAGES[1][0]).write_text(plots.found(parts[1]))
    texts = [part.text() for part in parts]
    for number, (file, about) in enumerate(IMAGES):
        texts[number] += f"\n\n![{about}](images/{file})"
    made = f"{INTRODUCTION}\nSeed {setting.seed}, {setting.runs:,} experiments of each kind.\n"
    (DOCS / PAGE).write_text("\n\n".join([made.rstrip(), *texts]) + "\n")
    progress(f"written to {DOCS}")


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
