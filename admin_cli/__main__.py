"""`python -m admin_cli`: the same as `headgate`."""

from admin_cli.main import run

run()
