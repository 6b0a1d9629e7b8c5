"""Secrets and words that can be found again: which there are, in which forms they would show, the search."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import psycopg

# Base64 writes three bytes as four letters: a text within a longer one begins at one of three places.
_SHIFTS = range(3)


class Canaries:
    """Name → text. `invent` makes one up; `learn` takes one that somebody else minted."""

    def __init__(self) -> None:
        self._texts: dict[str, bytes] = {}

    def invent(self, name: str) -> str:
        return self.learn(name, f"canary-{name.replace(' ', '-')}-{os.urandom(12).hex()}")

    def learn(self, name: str, text: str) -> str:
        self._texts[name] = text.encode()
        return text

    def found_in(self, places: Mapping[str, bytes]) -> dict[str, set[str]]:
        """Place → names of what is in it, in whatever form, large and small letters alike."""
        forms = [(name, form.lower()) for name, text in self._texts.items() for form in _forms(text)]
        found: dict[str, set[str]] = {}
        for place, data in places.items():
            lowered = data.lower()
            if names := {name for name, form in forms if form in lowered}:
                found[place] = names
        return found


def _forms(text: bytes) -> Iterator[bytes]:
    yield text
    yield text.hex().encode()
    for shift in _SHIFTS:
        # Without the letters that what stands before and behind has a part in.
        yield base64.b64encode(bytes(shift) + text)[4 if shift else 0 : -4]


def files_below(folder: Path, passes: Callable[[Path], bool] = lambda _: True) -> dict[str, bytes]:
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink() and passes(file.relative_to(folder)):
            found[str(file.relative_to(folder))] = file.read_bytes()
    return found


def dump_of(url: str) -> dict[str, bytes]:
    """Every row of every table, as text; binary columns as hex."""
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    with psycopg.connect(url, autocommit=True) as connection:
        names = [row[0] for row in connection.execute(tables).fetchall()]
        return {
            f"table {name}": "\n".join(
                row[0] for row in connection.execute(f"SELECT t::text FROM {name} t".encode()).fetchall()
            ).encode()
            for name in names
        }


def processes(pids: Mapping[str, Iterable[int]], what: str) -> dict[str, bytes]:
    """Role → /proc/PID/`what` of all its processes."""
    return {
        role: b"\n".join(Path(f"/proc/{pid}/{what}").read_bytes() for pid in each)
        for role, each in pids.items()
    }
