"""`python -m tests.perf.routing`: every promise of routing, measured, as one table; 1 if one was broken.

The table goes to standard output, progress to standard error where that is a terminal, and with --write
the table into docs/routing.md. Everything that is started here ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.perf.routing import outages, races, speeds, verdicts
from tests.perf.routing.asking import client
from tests.perf.routing.verdicts import Verdict
from tests.perf.routing.world import World

PAGE = Path(__file__).resolve().parents[3] / "docs" / "routing.md"
OUTAGE_SECONDS = 60.0
QUICK_OUTAGE_SECONDS = 12.0
RACES = 100
PARTS = ("races", "fastest", "outages")

NOTES = (
    "real `headgate up` (PostgreSQL, control plane, one proxy with one worker), client and fake providers on "
    "one machine, loopback, no TLS, one monotonic clock",
    "each model has a provider and a key of its own: circuits and keys of one case do not touch another",
)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.routing", description="Measure what routing promises."
    )
    parser.add_argument("--quick", action="store_true", help="outages of 12 s, not 60")
    parser.add_argument("--only", metavar="PARTS", help=f"comma-separated, of {','.join(PARTS)}")
    parser.add_argument("--seed", type=int, default=1, help="of the scripted delays (default 1)")
    parser.add_argument("--write", action="store_true", help="write the table into docs/routing.md")
    arguments = parser.parse_args(argv)
    parts = tuple(arguments.only.split(",")) if arguments.only else PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(unknown)}")
    if arguments.write and set(parts) != set(PARTS):
        parser.error("--write is for all parts")
    # A plain SIGTERM would leave the measured programs running.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="headgate-routing-") as folder:
        progress("starting Headgate and the providers")
        with World(Path(folder), arguments.seed) as world:
            outage_seconds = QUICK_OUTAGE_SECONDS if arguments.quick else OUTAGE_SECONDS
            found = asyncio.run(_measure(world, parts, outage_seconds))
    section = verdicts.section(found, (*NOTES, *races.NOTES, *speeds.NOTES, *outages.NOTES))
    print(section)
    if arguments.write:
        verdicts.write(section, PAGE)
        progress(f"written to {PAGE}")
    return int(any(verdict.kept is False for verdict in found))


async def _measure(world: World, parts: tuple[str, ...], outage_seconds: float) -> list[Verdict]:
    found: list[Verdict] = []
    async with client(world.headgate.base_url, world.headgate.api_key) as asking:
        if "races" in parts:
            progress(f"races: {RACES} whole, {RACES} streamed")
            found += await races.measure(world, asking, RACES)
        if "fastest" in parts:
            progress("fastest: slow-down, recovery, noise (one to three minutes)")
            found += await speeds.measure(world, asking)
        if "outages" in parts:
            progress(f"outages of {outage_seconds:.0f} s, and until all is as before")
            found += await outages.measure(world, asking, outage_seconds)
    return found


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
