"""`python -m tests.contract.conformance`: plays everything and writes docs/conformance.md.

With words (`-k` of sorts: `… groq s-rql`) only the cases whose id holds all of them are told, and nothing
is written: what is wrong with them, or that nothing is.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.contract.conformance.cases import DIALECTS, Dialect
from tests.contract.conformance.judging import Verdict, play_and_judge
from tests.contract.conformance.table import PAGE, page
from tests.support.wire import wire_available, wire_folder


def main(words: list[str]) -> int:
    if not wire_available():
        print(f"no recordings at {wire_folder()}: set HEADGATE_WIRE")
        return 2
    verdicts: dict[Dialect, list[Verdict]] = {}
    for client in DIALECTS:
        with tempfile.TemporaryDirectory() as folder:
            verdicts[client] = play_and_judge(client, Path(folder))
    told = [one for found in verdicts.values() for one in found if all(word in one.case.id for word in words)]
    for verdict in told if words else [one for one in told if one.outcome == "failing"]:
        print(verdict.case.id, verdict.outcome, verdict.reason)
        for side, problems in verdict.problems.items():
            print(*(f"  {side}: {problem}" for problem in problems), sep="\n")
    if not words:
        PAGE.write_text(page(verdicts))
        print(f"written: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
