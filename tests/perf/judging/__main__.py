"""`python -m tests.perf.judging`: what judging costs calls, as one table; 1 if a promise was broken.

The table goes to standard output, progress to standard error, and with --write the table into
docs/experiments.md. Everything that is started here ends with it.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.perf.judging import figures, rounds
from tests.perf.judging.world import HANGING, SAMPLE, SPLIT, World
from tests.perf.rounds import progress
from tests.perf.routing import verdicts

PAGE = Path(__file__).resolve().parents[3] / "docs" / "experiments.md"
TARGET = "bench-judging"
NOTES = (
    "real `headgate up` (PostgreSQL, control plane, one proxy with one worker), all cases through the same "
    "proxy; client, instant models and instant judges on the same machine, loopback, no TLS; the proxy on "
    "one core, all else on the others",
    f"steady load: {rounds.RATE:.0f} calls/s with Poisson arrivals, counted from when a call was due; every "
    "second one a stream of 20 pieces in 20 ms; 1.2 KB requests",
    f"judges look at {SAMPLE:.0%} of the calls; a difference is the mean over the rounds, each beside the "
    "same round without a judge, with its 95 % interval (bootstrap over the rounds)",
    "at the limit: 16 connections that ask again at once, whole answers",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.judging", description="Measure what judging costs calls."
    )
    parser.add_argument("--quick", action="store_true", help="four minutes: fewer and shorter rounds")
    parser.add_argument("--write", action="store_true", help="write the table into docs/experiments.md")
    arguments = parser.parse_args(argv)
    count, seconds, memory_seconds = (4, 2.0, 20) if arguments.quick else (8, 4.0, 40)
    # A plain SIGTERM would leave the measured programs running.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="headgate-judging-") as folder:
        progress("starting Headgate and the models")
        world = World(Path(folder))
        try:
            found = rounds.paced_rounds(world, count, seconds)
            rounds.saturated_rounds(world, found, count, 2, Path(folder))
            progress("memory")
            grown = {name: rounds.memory(world, name, memory_seconds) for name in (SPLIT, HANGING)}
        finally:
            world.close()
    kept = figures.verdicts(found, grown)
    section = verdicts.section(
        kept, (f"{count} rounds of {seconds:.0f} s", *NOTES, figures.background(found))
    )
    print(section)
    if arguments.write:
        verdicts.write(section, PAGE, TARGET)
        progress(f"written to {PAGE}")
    return int(any(verdict.kept is False for verdict in kept))


if __name__ == "__main__":
    sys.exit(main())
