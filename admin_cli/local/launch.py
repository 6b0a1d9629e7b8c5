"""`python -m admin_cli.local.launch PARENT_PID ARGUMENT…` becomes `python ARGUMENT…`, tied to its parent.

The kernel then ends a child whose `up` was killed (prctl(2), PR_SET_PDEATHSIG; it survives execve),
so that nothing is left that holds ports and database. A program of its own and not a preexec_fn:
that would run Python between fork and exec of a process that has gRPC's threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)  # it died before the line above
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])  # noqa: S606 - our own program


if __name__ == "__main__":
    main()
