"""From a record's bytes to a line of COPY text."""

from __future__ import annotations

import time
from typing import Any

import pytest

from control_plane.usage.errors import Poison
from control_plane.usage.records import STAGING_COLUMNS, content_hash, line_of
from headgate.rules.money import MAX_TOKENS
from headgate.v1 import usage_pb2

NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000


def uuid7(ms: int = NOW_MS) -> bytes:
    return ms.to_bytes(6, "big") + bytes([0x7F, 1, 0x8F, *range(7)])


def raw(**fields: Any) -> bytes:
    return usage_pb2.UsageRecord(**{"id": uuid7(), "request_id": uuid7(), **fields}).SerializeToString()


def line(record: bytes) -> dict[str, str]:
    text = line_of(record, content_hash(record), "proxy-1", 3, NOW_MS - 90 * DAY_MS, NOW_MS)
    assert text.endswith("\n")
    return dict(zip(STAGING_COLUMNS, text[:-1].split("\t"), strict=True))


def test_a_record_becomes_a_line_with_all_columns() -> None:
    found = line(raw(tenant="acme", key="k", input_tokens=7, cost_picousd=5, final=True, status=200))
    assert found["ms"] == str(NOW_MS)
    assert found["id"] == uuid7().hex()
    assert (found["tenant"], found["key"], found["proxy"]) == ("acme", "k", "proxy-1")
    assert (found["input_tokens"], found["cost_picousd"], found["final"]) == ("7", "5", "t")


def test_an_absent_cost_is_null_and_a_cost_of_zero_is_zero() -> None:
    assert line(raw())["cost_picousd"] == "\\N"
    assert line(raw(cost_picousd=0))["cost_picousd"] == "0"


def test_an_absent_first_token_is_null() -> None:
    assert line(raw())["first_token_ms"] == "\\N"
    assert line(raw(first_token_ms=0))["first_token_ms"] == "0"


def test_impossible_counts_are_clamped_and_flagged() -> None:
    found = line(raw(input_tokens=2**63, output_tokens=5))
    assert (found["input_tokens"], found["output_tokens"]) == (str(MAX_TOKENS), "5")
    assert found["estimated"] == "t"


def test_a_negative_cost_is_unpriced_and_flagged() -> None:
    found = line(raw(cost_picousd=-5))
    assert (found["cost_picousd"], found["estimated"]) == ("\\N", "t")


def test_numbers_that_outgrow_their_column_are_clamped() -> None:
    found = line(raw(status=2**32 - 1, attempt_number=2**31, outcome=40_000))
    assert {found["status"], found["attempt_number"], found["outcome"]} == {"32767"}


def test_text_with_the_copy_formats_own_signs_is_escaped() -> None:
    found = line(raw(user="a\tb\nc\\d\re\0f", route="chat"))
    assert (found["user_name"], found["route"]) == ("a\\tb\\nc\\\\d\\ref", "chat")


def test_long_text_is_cut() -> None:
    assert len(line(raw(user="x" * 5_000))["user_name"]) == 512


def test_metadata_is_json_in_a_fixed_order() -> None:
    assert line(raw(metadata={"b": '"', "a": "\\"}))["metadata"] == '{"a": "\\\\\\\\", "b": "\\\\""}'


@pytest.mark.parametrize(
    "poison",
    [
        b"\xff\xff\xff",
        b"",
        raw(id=b"short"),
        raw(id=uuid7()[:6] + bytes(10)),
        raw(request_id=b""),
        raw(id=uuid7(NOW_MS - 91 * DAY_MS)),
        raw(id=uuid7(NOW_MS + 30 * DAY_MS)),
        raw(user="x" * 70_000),
    ],
    # Names, because the values hold the time: workers of one run must call a test the same.
    ids=["garbage", "empty", "short id", "not a v7", "no request id", "too old", "too new", "too large"],
)
def test_what_cannot_be_a_record_is_poison(poison: bytes) -> None:
    with pytest.raises(Poison):
        line(poison)


def test_two_halves_that_concatenate_are_one_record() -> None:
    first = usage_pb2.UsageRecord(id=uuid7(), request_id=uuid7(), tenant="acme").SerializeToString()
    second = usage_pb2.UsageRecord(output_tokens=9, final=True).SerializeToString()
    found = line(first + second)
    assert (found["tenant"], found["output_tokens"]) == ("acme", "9")
