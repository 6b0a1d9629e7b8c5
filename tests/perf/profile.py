"""`python -m tests.perf.profile`: where the time of our proxy goes, by py-spy while it is under load.

Starts Headgate and the upstream as the bench does, puts requests (or streams) on it and samples the proxy
process from outside, into a flame graph (SVG) or collapsed stacks (`--format raw`). Sampling stops the
process for a moment each time, so the cost that is printed meanwhile is higher than that of the bench.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.perf import measures
from tests.perf.ours import Headgate
from tests.perf.provider import Provider
from tests.perf.rounds import progress
from tests.perf.systems import Absent

# Non-blocking sampling loses a fifth of the samples, and those are the busiest moments.
_SAMPLES_PER_SECOND = 200
_START_SLACK_SECONDS = 2  # py-spy needs a moment to attach; the load outlasts it


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.perf.profile", description="Profile our proxy under load with py-spy."
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("proxy-profile.svg"))
    parser.add_argument("--format", choices=("flamegraph", "raw", "speedscope"), default="flamegraph")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument(
        "--streams", action="store_true", help="100 streams × 100 chunks/s instead of requests"
    )
    parser.add_argument(
        "--routed", action="store_true", help="through a policy of three levels instead of a chain"
    )
    parser.add_argument("--native", action="store_true", help="also frames of C extensions (slower sampling)")
    arguments = parser.parse_args(argv)
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        progress("py-spy is not installed (pip install py-spy)")
        return 1
    with tempfile.TemporaryDirectory(prefix="headgate-profile-") as folder:
        try:
            return _profile(arguments, spy, Path(folder))
        except Absent as absent:
            progress(str(absent))
            return 1


def _profile(arguments: argparse.Namespace, spy: str, scratch: Path) -> int:
    provider = Provider(scratch)
    try:
        headgate = Headgate(provider.port, scratch / "headgate", measures.MODELS, routed=arguments.routed)
        headgate.start()
        try:
            measures.request_cost(headgate, provider, 1, scratch)  # warm
            recorder = subprocess.Popen(_recorder(arguments, spy, headgate.measured_pids()[0]))
            try:
                if arguments.streams:
                    for _ in range(1 + arguments.seconds // 3):
                        progress(f"{measures.chunk_cost_us(headgate, measures.BUNCHED):.1f} µs per chunk")
                else:
                    seconds = arguments.seconds + _START_SLACK_SECONDS
                    cost = measures.request_cost(headgate, provider, seconds, scratch)
                    progress(
                        f"{cost.cpu_us:.1f} µs per request at {cost.requests_per_second:,.0f} requests/s"
                    )
            finally:
                status = recorder.wait(timeout=arguments.seconds + 60)
            progress(f"profile in {arguments.output}")
            return status
        finally:
            headgate.stop()
    finally:
        provider.stop()


def _recorder(arguments: argparse.Namespace, spy: str, pid: int) -> list[str]:
    argv = [spy, "record", "--pid", str(pid), "--output", str(arguments.output), "--format", arguments.format]
    argv += ["--duration", str(arguments.seconds), "--rate", str(_SAMPLES_PER_SECOND)]
    # Children: with several workers the first process is their supervisor.
    return [*argv, "--subprocesses", *(["--native"] if arguments.native else [])]


if __name__ == "__main__":
    sys.exit(main())
