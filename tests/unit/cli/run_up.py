"""`headgate up` with the two fake programs in place of the real ones, in a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from admin_cli.address import Address, parse_address
from admin_cli.errors import CliError
from admin_cli.local.system import LocalSystem, Programs, Settings
from admin_cli.render import show_error
from admin_cli.state import StateFolder
from admin_cli.up import announce

HERE = Path(__file__).parent


def main() -> int:
    root, http, *files = sys.argv[1:]
    state = StateFolder(Path(root))
    free = Address("127.0.0.1", 0)
    settings = Settings(
        state=state,
        http=parse_address(http, "--http"),
        grpc=free,
        ops=free,
        workers=1,
        files=tuple(files),
        ready_file=state.root.with_suffix(".ready"),
        environment=dict(os.environ),
        programs=Programs((str(HERE / "fake_admin.py"),), (str(HERE / "fake_proxy.py"),)),
    )
    try:
        LocalSystem(settings).run(lambda ready: announce(ready, state))
    except CliError as error:
        show_error(error)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
