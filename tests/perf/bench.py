"""`python -m tests.perf.bench`: nginx, Envoy, LiteLLM and Headgate side by side in one run, as one table.

Progress goes to standard error, the table to standard output, files only with --write. What is not
installed is skipped with a message. Nothing is asserted: a target that is missed is written down as missed.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.perf import install, references, table
from tests.perf.figures import Figures
from tests.perf.measures import MODELS
from tests.perf.ours import Headgate
from tests.perf.provider import Provider
from tests.perf.rounds import FAILURES, QUICK, Plan, Rounds, progress
from tests.perf.systems import Absent, System

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_ORDER = ("nginx", "envoy", "litellm", "headgate", "translated", "routed")
_QUICK_ORDER = ("nginx", "headgate", "translated", "routed")
_MANY_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    names: tuple[str, ...]
    plan: Plan
    quick: bool
    requests_only: bool
    page: Path | None


def main(argv: list[str] | None = None) -> int:
    parser = _parser()
    arguments = parser.parse_args(argv)
    for name in arguments.install or ():
        install.install(name)
    if arguments.install is not None:
        return 0
    quick = bool(arguments.quick)
    names = tuple(arguments.only.split(",")) if arguments.only else (_QUICK_ORDER if quick else _ORDER)
    unknown = sorted(set(names) - set(_ORDER))
    if unknown:
        parser.error(f"--only knows {', '.join(_ORDER)}, not {', '.join(unknown)}")
    page = arguments.page or _PAGE
    options = Options(
        names, QUICK if quick else Plan(), quick, arguments.requests_only, page if arguments.write else None
    )
    # A plain SIGTERM would leave the measured systems running.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="headgate-bench-") as folder:
        return _run(options, Path(folder))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.bench", description="Compare Headgate with its peers."
    )
    parser.add_argument("--quick", action="store_true", help="about 40 s: nginx and Headgate, fewer rounds")
    parser.add_argument("--only", metavar="NAMES", help=f"comma-separated, of {','.join(_ORDER)}")
    parser.add_argument("--requests-only", action="store_true", help="only CPU per request and requests/s")
    parser.add_argument(
        "--write", action="store_true", help="write docs/performance.md and the samples beside it"
    )
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="with --write: another page than docs/performance.md"
    )
    parser.add_argument(
        "--install",
        nargs="*",
        choices=sorted(install.PACKAGES),
        help="install these references, measure nothing",
    )
    return parser


def _run(options: Options, scratch: Path) -> int:
    figures = Figures()
    provider = Provider(scratch)
    try:
        systems = dict(_available(options.names, provider.port, scratch))
        if not systems:
            progress("none of the systems is installed")
            return 1
        order = list(systems)
        figures.labels.update({key: system.name for key, system in systems.items()})
        if "litellm" in systems:
            figures.notes.append(
                "LiteLLM: 4 streams, not 100; 200 idle streams, not 1,000; latency at half its own rate"
            )
        if any(isinstance(system, Headgate) and system.is_stand_in for system in systems.values()):
            figures.notes.append("NOT HEADGATE: the command was replaced, the column shows a stand-in")
        _measure(Rounds(options.plan, systems, provider, figures, scratch), options, provider, scratch)
    finally:
        provider.stop()
    figures.notes += [*translation_notes(figures), *routing_notes(figures)]
    section = table.render(figures, order)
    print(section)
    if options.page is not None:
        table.write(figures, section, options.page)
        progress(f"written to {options.page}")
    return 0


def translation_notes(figures: Figures) -> list[str]:
    """What translating costs, beside the two targets for it."""
    found = []
    whole, translated = (figures.median("cpu_per_request_us", key) for key in ("headgate", "translated"))
    if whole and translated:
        found.append(f"a translated request costs {translated / whole:.2f} × a passed one (target ≤ 2)")
    ratio = figures.ratio("cpu_per_chunk_us", "translated")
    if ratio is not None:
        found.append(f"a translated chunk costs {ratio:.2f} × nginx (target ≤ 3)")
    return found


def routing_notes(figures: Figures) -> list[str]:
    """What choosing by a policy of three levels adds, in the pairs of one run."""
    pairs = zip(
        figures.samples.get("cpu_per_request_us", {}).get("routed", []),
        figures.samples.get("cpu_per_request_us", {}).get("headgate", []),
        strict=False,
    )
    found = [routed / plain for routed, plain in pairs if routed and plain]
    return (
        [f"a request through a policy of three levels costs {median(found):.2f} × one through a chain"]
        if found
        else []
    )


def _measure(rounds: Rounds, options: Options, provider: Provider, scratch: Path) -> None:
    if not options.requests_only:
        rounds.starts()
    try:
        rounds.start_all()
        rounds.requests()
        if not options.requests_only:
            rounds.streams()
            rounds.latency()
            rounds.memory_after_load()
    finally:
        rounds.stop_all()
    if "headgate" in options.names and not options.requests_only and not options.quick:
        with contextlib.suppress(Absent):
            rounds.many_keys(
                "headgate", Headgate(provider.port, scratch / "headgate-keys", MODELS, keys=_MANY_KEYS)
            )
            rounds.ingest("headgate", Headgate(provider.port, scratch / "headgate-ingest", MODELS))


def _available(names: tuple[str, ...], upstream_port: int, scratch: Path) -> Iterator[tuple[str, System]]:
    builders: dict[str, Callable[[Path], System]] = {
        "nginx": lambda folder: references.nginx(upstream_port, folder),
        "envoy": lambda folder: references.envoy(upstream_port, folder),
        "litellm": lambda folder: references.litellm(upstream_port, folder, MODELS),
        "headgate": lambda folder: Headgate(upstream_port, folder, MODELS),
        "translated": lambda folder: Headgate(upstream_port, folder, MODELS, translated=True),
        "routed": lambda folder: Headgate(upstream_port, folder, MODELS, routed=True),
    }
    for name in names:
        folder = scratch / name
        folder.mkdir()
        try:
            yield name, builders[name](folder)
        except Absent as absent:
            progress(f"skipped: {absent}")
        except FAILURES as error:
            progress(f"skipped {name}: {error}")


if __name__ == "__main__":
    sys.exit(main())
