"""Codex, which speaks OpenAI's Responses alone, against upstreams of every dialect."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs import session
from tests.programs.install import Programs
from tests.programs.run import codex
from tests.programs.system import KNOWN, MODELS, System
from tests.programs.upstream.script import Call, Script

SHELL = Call("call_Codex0Scripted", "exec_command", {"cmd": session.COMMAND})
PATCH = Call(
    "call_Codex1Scripted",
    "apply_patch",
    f"*** Begin Patch\n*** Add File: {session.FILE}\n+{session.CONTENT}\n*** End Patch",
)
# Without the tools that are neither functions nor take a text.
PLAIN = 'web_search = "disabled"\nfeatures = {multi_agent = false}'
# With its settings as they come it offers a search of the web, which a model has or has not beside functions.
SEARCHING = ("by-sonnet", "by-opus", "by-responses", "by-gemini-3")
NOT_SEARCHING = [model for model in MODELS if model not in SEARCHING]


@pytest.mark.parametrize("model", MODELS)
def test_codex_runs_a_shell_command_and_finishes(
    programs: Programs, system: System, model: str, tmp_path: Path
) -> None:
    run_a_shell_command(programs, system, model, tmp_path, PLAIN)


@pytest.mark.parametrize("model", SEARCHING)
def test_codex_works_as_it_comes_where_the_model_searches(
    programs: Programs, system: System, model: str, tmp_path: Path
) -> None:
    run_a_shell_command(programs, system, model, tmp_path, "")


@pytest.mark.parametrize("model", NOT_SEARCHING)
def test_codex_is_told_what_to_switch_off_where_the_model_does_not_search(
    programs: Programs, system: System, model: str, tmp_path: Path
) -> None:
    upstream = system.upstream_of(model)
    upstream.play(Script(SHELL, session.FINAL))
    ran = codex(programs, system.target(model), tmp_path, session.TASK)
    assert ran.exit_code == 1
    assert "cannot answer this: 'tools[" in ran.log
    assert (upstream.received, upstream.refusals) == ([], [])


@pytest.mark.parametrize("model", MODELS)
def test_codex_applies_a_patch_and_finishes(
    programs: Programs, system: System, model: str, tmp_path: Path
) -> None:
    """A tool that takes any text; Codex offers it to models that it knows, and says `verbosity` to them."""
    script = Script(PATCH, session.FINAL)
    system.upstream_of(model).play(script)
    ran = codex(programs, system.target(KNOWN + model), tmp_path, session.TASK, PLAIN)
    session.check_ran(ran, system, model)
    session.check_session(system, model, script, f"A {session.FILE}")


def run_a_shell_command(programs: Programs, system: System, model: str, folder: Path, settings: str) -> None:
    script = Script(SHELL, session.FINAL)
    system.upstream_of(model).play(script)
    ran = codex(programs, system.target(model), folder, session.TASK, settings)
    session.check_ran(ran, system, model)
    session.check_session(system, model, script)
    session.check_thought(system, model)
