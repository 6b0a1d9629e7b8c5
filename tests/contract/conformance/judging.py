"""A verdict on each case: passed, refused by design, or failing, with what is wrong on which side.

Refused by design are requests that the client's dialect has no words for, and requests that the gateway
itself answers with a 400 that names the field, without calling anybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.contract.conformance import answers, errors, grammar, parsing, requests, usage
from tests.contract.conformance.cases import Case, Dialect, cases, manifest
from tests.contract.conformance.playing import Played, play_all
from tests.support.fake_provider import FakeProvider
from tests.support.processes import start_headgate

Side = Literal["request", "answer", "sdk", "usage", "stream", "error"]
Outcome = Literal["passed", "refused", "failing"]
_BY_DESIGN = ("no_capable_model", "unsupported_parameter")


@dataclass(slots=True)
class Verdict:
    case: Case
    outcome: Outcome = "passed"
    # Why it was refused.
    reason: str = ""
    problems: dict[Side, list[str]] = field(default_factory=dict)
    # Features that were left unsaid, where the rest could be asked.
    refused_features: frozenset[str] = field(default_factory=frozenset)

    def features(self) -> dict[str, Outcome]:
        """What the recording shows, and what became of it."""
        return {
            feature: "refused" if feature in self.refused_features else self.outcome
            for feature in self.case.recording.features
        }


def play_and_judge(client: Dialect, folder: Path) -> list[Verdict]:
    """All cases of one client dialect, through a gateway of their own with its state in `folder`."""
    with FakeProvider() as provider, start_headgate(folder, manifest(provider)) as gateway:
        played = play_all(gateway, provider, cases(client))
    return [judge(one) for one in played]


def judge(played: Played) -> Verdict:
    asked = played.asked
    if asked.broken:
        return Verdict(played.case, "failing", problems={"request": [asked.reason]})
    if asked.document is None:
        return Verdict(played.case, "refused", asked.reason)
    refusal = _refusal(played)
    if refusal:
        return Verdict(played.case, "refused", refusal)
    verdict = Verdict(played.case, refused_features=asked.unsaid_features)
    for side, check in _sides(played).items():
        try:
            found = check(played)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # a shape that nobody knows
            found = [f"cannot be read: {type(error).__name__}: {error}"]
        if found:
            verdict.problems[side] = found
            verdict.outcome = "failing"
    return verdict


def _sides(played: Played) -> dict[Side, Callable[[Played], list[str]]]:
    """The checks that a case has; one that has to fail is looked at as an error."""
    recording = played.case.recording
    translated = not played.case.passes_through
    sides: dict[Side, Callable[[Played], list[str]]] = {"request": requests.problems}
    expected = errors.status_of(recording)
    if expected != 200:
        return {**sides, "error": errors.problems}
    if played.taken.status != 200:
        return {**sides, "answer": _not_answered}
    if errors.recorded_error(recording) is not None:
        sides |= {"error": errors.problems, "answer": errors.said_before}
    else:
        sides |= {"answer": answers.problems, "usage": usage.problems}
        if translated:
            sides["sdk"] = parsing.problems
    if translated and (played.asked.document or {}).get("stream"):
        sides["stream"] = grammar.problems
    return sides


def _not_answered(played: Played) -> list[str]:
    return [f"status {played.taken.status}: {played.taken.body[:300].decode(errors='replace')}"]


def _refusal(played: Played) -> str:
    """The gateway's own 400 by name, as a reason; empty for anything else."""
    if played.upstream or played.taken.status != 400:
        return ""
    error = json.loads(played.taken.body).get("error") or {}
    if error.get("code") not in _BY_DESIGN or not error.get("param"):
        return ""
    words = str(error["message"]).partition(" cannot answer this: ")[2] or str(error["message"])
    return "the gateway: " + re.sub(r"\[\d+\]", "[]", words)


def complaints(verdicts: list[Verdict], provider: str, *sides: Side) -> str:
    """What is wrong on these sides with one provider's recordings, a line each; empty if nothing is."""
    lines = [
        f"{verdict.case.id}: {problem}"
        for verdict in verdicts
        if verdict.case.recording.provider == provider
        for side in sides
        for problem in verdict.problems.get(side, ())
    ]
    return "\n".join(lines)
