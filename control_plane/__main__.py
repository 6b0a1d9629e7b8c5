"""`python -m control_plane`."""

from control_plane.main import run

if __name__ == "__main__":
    raise SystemExit(run())
