"""Conditions of `cases`: what they may ask, what they answer, and what is said of those that are none."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.policy.conditions import FIELDS, MAX_LENGTH, Condition
from headgate.policy.nodes import Cases, Fixed, targets_of
from tests.unit.proxy.asking import chat, facts
from tests.unit.proxy.targets import target

_ONES = "[" + ",".join("1" * 110) + "]"
MANY_ROUNDS = f"{_ONES}.all(a, {_ONES}.all(b, a + b > 0))"
# Each doubles what the one before has built.
_DOUBLED = "['a']" + ".map(x, [x, x])" * 25


def holds(source: str, asked: dict[str, Any] | None = None, **who: Any) -> bool:
    return Condition(source).holds(facts(chat(**(asked or {})), **who))


@pytest.mark.parametrize(
    ("source", "asked", "who"),
    [
        ("request.model == 'm'", {}, {"model": "m"}),
        ("request.task == 'sum' && request.session == 's1'", {}, {"task": "sum", "session": "s1"}),
        ("request.user.startsWith('u-')", {}, {"user": "u-7"}),
        ("request.metadata.team == 'core'", {}, {"metadata": (("team", "core"),)}),
        ("'team' in request.metadata", {}, {"metadata": (("team", ""),)}),
        ("request.stream", {"stream": True}, {}),
        ("!request.stream && request.input_tokens > 90", {"text": "x" * 400}, {}),
        ("request.max_tokens == 10", {"max_tokens": 10}, {}),
        ("request.has_tools && !request.has_images", {"tools": [{"type": "function"}]}, {}),
        ("request.wants_json", {"response_format": {"type": "json_object"}}, {}),
        ("request.key == 'k' && request.tenant in ['acme', 'b']", {}, {"key": "k", "tenant": "acme"}),
        ("request.region == 'eu' && request.hour == 8", {}, {"region": "eu"}),
        ("request.task.matches('^[a-c]+$')", {}, {"task": "abc"}),
    ],
)
def test_a_condition_asks_the_facts(source: str, asked: dict[str, Any], who: dict[str, Any]) -> None:
    assert holds(source, asked, **who)
    assert not holds(f"!({source})", asked, **who)


def test_every_field_can_be_asked_for() -> None:
    for name in FIELDS:
        assert holds(f"type(request.{name}) == type(request.{name})")


def test_what_cannot_be_told_is_not_so() -> None:
    assert not holds("request.metadata.team == 'core'")
    assert not holds("request.metadata.team != 'core'")
    assert not holds("10 / request.max_tokens > 1")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("request.task ==", "1:16: Syntax error"),
        ("request.taks == 'a'", "undeclared reference to 'request.taks'"),
        ("request.taks == 'a'", "`request` has model, task"),
        ("task == 'a'", "`request` has model, task"),
        ("request.task == 3", "no matching overload"),
        ("request.input_tokens", "a condition is true or false"),
        ("request.task.matches('(')", "invalid regular expression"),
        ("request.task == 'a' || " * 200 + "true", f"longer than {MAX_LENGTH}"),
        ("import os", "import"),
        (MANY_ROUNDS, "Iteration budget exceeded"),
        (f"size({_DOUBLED}) == 1", "uses `map`"),
        ("[request.task] . map (x, x + x) == ['']", "uses `map`"),
        ("['a'].all(x, [[x, x]].all(y, [[y, y]].all(z, z == z)))", "deeper than 2"),
        (r"[1].all(x, [x].all(y, [r'\)'].all(z, z != '\\)')))", "deeper than 2"),
        ("[1].all(x, [x].all(y, // )\n[y].all(z, true)))", "deeper than 2"),
        ("[1].all(x, [x].all(y, ['''a)b'c''', ')'].all(z, true)))", "deeper than 2"),
    ],
)
def test_what_is_no_condition_is_refused_in_words(source: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        Condition(source)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "INVALID_ARGUMENT" not in str(refused.value)


def test_one_that_goes_on_for_long_only_with_some_requests_does_not_hold_for_them() -> None:
    source = f"request.task == '' || {MANY_ROUNDS}"
    assert holds(source)
    assert not holds(source, task="x")


@pytest.mark.parametrize(
    "source",
    [
        "request.metadata.exists(k, ['a', 't'].exists(p, k.startsWith(p)))",
        "request.metadata.all(k, k != '') && request.metadata.exists_one(k, k == 'team')",
        "request.metadata.filter(k, k != 'x').size() == 0 || '.map(x, ((' != \"'.map(\"",
        """'\\'(' != r'\\(' && '''it's ((''' != "(" // .map(""",
    ],
)
def test_macros_side_by_side_and_brackets_in_texts_are_no_matter(source: str) -> None:
    assert holds(source, metadata=(("team", "core"),))


def test_the_first_case_that_holds_answers_and_the_others_do_not() -> None:
    a, b, c = target("a"), target("b"), target("c")
    node = Cases(
        [
            (Condition("request.task == 'code'"), Fixed((a,))),
            (Condition("request.task != ''"), Fixed((b,))),
            (None, Fixed((c,))),
        ]
    )
    chosen = {task: targets_of(node.plan(facts(task=task))) for task in ("code", "talk", "")}
    assert chosen == {"code": [a], "talk": [b], "": [c]}
    assert list(node.targets()) == [a, b, c]
    assert Cases([(Condition("false"), Fixed((a,)))]).plan(facts()) == ()
