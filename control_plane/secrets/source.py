"""Where key-encryption keys come from: the environment, a file, or a command (KMS, Vault, a password
manager).

Several keys may stand there, one per line. Which of them seals is written in the database, so that replicas
agree; all of them open. That is how a key is replaced without a moment in which something cannot be opened.
"""

from __future__ import annotations

import base64
import binascii
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from control_plane.secrets.envelope import KEY_BYTES, Kek
from headgate.rules.credentials import Secret

COMMAND_TIMEOUT_SECONDS = 30
MAX_KEKS = 8
# Of what a command that failed said.
_SHOWN_CHARACTERS = 200

HOW_TO_MAKE_ONE = "make one: openssl rand -base64 32"


class KekUnavailable(Exception):
    """The text says where it was looked for, what was found, and what to do."""


@dataclass(frozen=True, slots=True)
class KekSource:
    """The first that is set counts, in this order; none of them: there is no key."""

    text: Secret | None = None
    file: Path | None = None
    command: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> KekSource:
        text = environment.get("HEADGATE_KEK", "").strip()
        file = environment.get("HEADGATE_KEK_FILE", "")
        command = environment.get("HEADGATE_KEK_COMMAND", "").strip()
        return cls(Secret(text) if text else None, Path(file) if file else None, command)

    @property
    def is_set(self) -> bool:
        return bool(self.text or self.file or self.command)

    def read(self) -> tuple[Kek, ...]:
        """The keys as they stand there now, at least one; a command is run anew. Raises KekUnavailable."""
        if self.text:
            return _keks(self.text.text, "HEADGATE_KEK")
        if self.file is not None:
            try:
                return _keks(self.file.read_text("utf-8"), str(self.file))
            except OSError as error:
                raise KekUnavailable(f"{self.file} (HEADGATE_KEK_FILE): {error.strerror}") from None
            except UnicodeDecodeError:
                raise KekUnavailable(f"{self.file} (HEADGATE_KEK_FILE) is not a text file") from None
        if self.command:
            return _keks(_output(self.command), "the output of HEADGATE_KEK_COMMAND")
        raise KekUnavailable(
            "no key-encryption key: set HEADGATE_KEK, HEADGATE_KEK_FILE or HEADGATE_KEK_COMMAND "
            "and start again"
        )


def _output(command: str) -> str:
    """What it prints. No shell: a command that needs one names it (`sh -c '…'`)."""
    where = "HEADGATE_KEK_COMMAND"
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command
            shlex.split(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except ValueError as error:
        raise KekUnavailable(f"{where} is no command line: {error}") from None
    except OSError as error:
        raise KekUnavailable(f"{where} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise KekUnavailable(f"{where} did not end within {COMMAND_TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:_SHOWN_CHARACTERS]
        raise KekUnavailable(f"{where} ended with {done.returncode}: {said}")
    return done.stdout


def _keks(text: str, where: str) -> tuple[Kek, ...]:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not 1 <= len(lines) <= MAX_KEKS:
        raise KekUnavailable(f"{where} holds {len(lines)} keys; 1 to {MAX_KEKS} are wanted, one per line")
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            raw = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != KEY_BYTES:
            which = f"key {number} of {where}" if len(lines) > 1 else where
            raise KekUnavailable(f"{which} is not {KEY_BYTES} bytes in base64 ({HOW_TO_MAKE_ONE})")
        found.append(Kek(raw))
    return tuple(found)
