"""Translation loses nothing of what all dialects can say: one client's conversation, translated, is another
client's, and translated back it is the same again.

Compared as documents, but for what is the default and may be written or not: `strict: false`, `store: false`.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import provider_rules
from tests.unit.proxy.dialects.asking import (
    BY_RESPONSES,
    CHAT,
    CLAUDE,
    CLIENTS,
    GEMINI,
    MESSAGES,
    OPENAI,
    RESPONSES,
    TARGETS,
    written,
)
from tests.unit.proxy.dialects.conversing import RENDERED, Conversation, conversations

OFTEN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TARGET_OF = {CHAT: OPENAI, MESSAGES: CLAUDE, RESPONSES: BY_RESPONSES}
PAIRS = [(one, other) for one in CLIENTS for other in CLIENTS if one != other]


def plain(value: Any) -> Any:
    """Without what says the default, and without what this proxy adds for itself."""
    if isinstance(value, dict):
        hidden = {("strict", False), ("store", False)}
        return {
            name: plain(below)
            for name, below in value.items()
            if name not in ("stream_options", "include", "model")
            and not (isinstance(below, bool) and (name, below) in hidden)
        }
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


@pytest.mark.parametrize(("one", "other"), PAIRS)
@OFTEN
@given(talk=conversations())
def test_one_dialects_conversation_becomes_the_others(one: str, other: str, talk: Conversation) -> None:
    there = written(one, RENDERED[one](talk), TARGET_OF[other])
    assert plain(there) == plain(RENDERED[other](talk))


@pytest.mark.parametrize(("one", "other"), PAIRS)
@OFTEN
@given(talk=conversations())
def test_there_and_back_is_the_identity(one: str, other: str, talk: Conversation) -> None:
    document = RENDERED[one](talk)
    there = written(one, document, TARGET_OF[other])
    back = written(other, there, TARGET_OF[one])
    assert plain(back) == plain(document)


@pytest.mark.parametrize("one", [CHAT, MESSAGES])
@pytest.mark.parametrize("stop", [["END"], ["a", "b c", "\n\n"]])
def test_stop_sequences_go_there_and_back_where_both_have_them(one: str, stop: list[str]) -> None:
    names = {CHAT: "stop", MESSAGES: "stop_sequences"}
    other = MESSAGES if one == CHAT else CHAT
    document = {
        "model": "m",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "?"}],
        names[one]: stop,
    }
    there = written(one, document, TARGET_OF[other])
    assert there[names[other]] == stop
    assert plain(written(other, there, TARGET_OF[one])) == plain(document)


@pytest.mark.parametrize("dialect", TARGETS)
@pytest.mark.parametrize("client", CLIENTS)
@OFTEN
@given(talk=conversations())
def test_whatever_is_asked_the_provider_is_asked_by_its_rules(
    client: str, dialect: str, talk: Conversation
) -> None:
    if dialect == "gemini" and talk.one_call_at_a_time:
        return  # refused: it has no counterpart
    document = written(client, RENDERED[client](talk), TARGETS[dialect])
    provider_rules.check(dialect, document)


@OFTEN
@given(talk=conversations(), client=st.sampled_from(CLIENTS))
def test_gemini_is_told_every_word_in_order(talk: Conversation, client: str) -> None:
    if talk.one_call_at_a_time:
        return
    document = written(client, RENDERED[client](talk), GEMINI)
    told: list[Any] = [part["text"] for part in document.get("systemInstruction", {}).get("parts", ())]
    for content in document["contents"]:
        for part in content["parts"]:
            call, response = part.get("functionCall"), part.get("functionResponse")
            if call:
                told.append((call["id"], call["name"], call["args"]))
            elif response:
                told.append((response["id"], response["response"]))
            else:
                told.append(part.get("text", part.get("inlineData", part.get("fileData"))))
    expected: list[Any] = [talk.system] if talk.system else []
    for exchange in talk.exchanges:
        for said in exchange.user:
            if isinstance(said, str):
                expected.append(said)
            elif said.url:
                expected.append({"mimeType": "image/png", "fileUri": said.url})
            else:
                expected.append({"mimeType": "image/png", "data": said.data})
        expected += [exchange.said] if exchange.said else []
        expected += [(call.id, call.name, call.arguments) for call in exchange.calls]
        expected += [(call.id, {"output": call.result}) for call in exchange.calls]
    assert told == [*expected, talk.last]
