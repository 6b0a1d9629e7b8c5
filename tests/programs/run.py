"""The programs as a user runs them without a terminal, each in a home of its own.

Owns their settings and how their final text is read. They get nothing of this machine's environment, so
that no account, key or setting of whoever runs the tests can reach them; all they can call is the address
they are given.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.programs.install import Programs

LIMIT_SECONDS = 90  # a session takes one or two

CODEX_CONFIG = """
model = "{model}"
model_provider = "headgate"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
{more}
[model_providers.headgate]
name = "Headgate"
base_url = "{url}/v1"
env_key = "HEADGATE_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a program calls: an address without a path, a key, a model."""

    url: str
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended. `answer` is its final text, `log` everything it printed."""

    exit_code: int
    answer: str
    log: str
    work: Path


def claude_code(
    programs: Programs, target: Target, folder: Path, task: str, tools: str = "Bash", **environment: str
) -> Ran:
    settings = {
        "ANTHROPIC_BASE_URL": target.url,
        "ANTHROPIC_API_KEY": target.key,
        "ANTHROPIC_MODEL": target.model,
        "ANTHROPIC_SMALL_FAST_MODEL": target.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_TELEMETRY": "1",
    }
    command: list[str | Path] = [
        programs.claude,
        "-p",
        task,
        "--output-format",
        "json",
        "--allowedTools",
        tools,
    ]
    done, work = _run(programs, command, folder, {**settings, **environment})
    return Ran(done.returncode, _claude_result(done.stdout), done.stdout + done.stderr, work)


def codex(programs: Programs, target: Target, folder: Path, task: str, more: str = "") -> Ran:
    """`more`: further settings for the top of its config file."""
    home = folder / "codex"
    home.mkdir()
    (home / "config.toml").write_text(CODEX_CONFIG.format(model=target.model, url=target.url, more=more))
    command: list[str | Path] = [programs.codex, "exec", "--skip-git-repo-check", task]
    settings = {"CODEX_HOME": str(home), "HEADGATE_KEY": target.key}
    done, work = _run(programs, command, folder, settings)
    return Ran(done.returncode, done.stdout.strip(), done.stdout + done.stderr, work)


def node_script(programs: Programs, script: Path, target: Target, folder: Path) -> Ran:
    """One of the scripts in `sdk`; it prints a JSON document."""
    settings = {
        "NODE_PATH": str(programs.modules),
        "HEADGATE_URL": target.url,
        "HEADGATE_KEY": target.key,
        "HEADGATE_MODEL": target.model,
    }
    done, work = _run(programs, [programs.node, script], folder, settings)
    return Ran(done.returncode, done.stdout, done.stdout + done.stderr, work)


def _run(
    programs: Programs, command: Sequence[str | Path], folder: Path, settings: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], Path]:
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    done = subprocess.run(
        command,
        cwd=work,
        env={"PATH": programs.path, "HOME": str(home), "LANG": "C.UTF-8", **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    return done, work


def _claude_result(output: str) -> str:
    """The result of `--output-format json`: the last line; what comes before it are warnings."""
    lines = output.strip().splitlines()
    try:
        return str(json.loads(lines[-1])["result"])
    except (IndexError, ValueError, KeyError, TypeError):
        return ""
