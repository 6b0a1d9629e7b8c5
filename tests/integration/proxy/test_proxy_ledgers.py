"""After everything else in this folder: what the provider served and what was recorded are the same.

Runs last (see conftest); alone it compares the few calls it makes itself.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.proxy.gateway import Gateway, chat, outcome
from tests.integration.proxy.gateway_manifest import OTHER, PRICES, RESTING, Price
from tests.support.fake_provider import Attempt, Usage, read_ledger
from tests.support.provider import presets

PICO = 10**12
SETTLE_TIMEOUT_SECONDS = 15.0


@pytest.fixture(scope="module")
def ledgers(shared_gateway: Gateway, folder: Path) -> tuple[list[Attempt], dict[str, Any]]:
    """Every attempt that the provider saw, and every row by its id, once they have had time to arrive."""
    gateway = shared_gateway
    gateway.provider.reset()
    gateway.provider.script("alpha-upstream", presets.cut_after_events(5), presets.server_error(500))
    for stream in (True, False, True, False):
        gateway.post(chat("chain", stream=stream))
    gateway.provider.wait_done(4)
    attempts = read_ledger(folder / "ledger.jsonl")
    wanted = {attempt.client_request_id for attempt in attempts}
    rows: dict[str, Any] = {}
    seen: set[str] = set()
    owner: dict[str, str] = {}
    deadline = time.monotonic() + SETTLE_TIMEOUT_SECONDS
    while wanted - rows.keys() and time.monotonic() < deadline:
        for call in gateway.calls():
            if call.request_id in seen:
                continue
            if call.status:  # closed: no further attempt comes
                seen.add(call.request_id)
            for row in gateway.call_now(call.request_id).attempt_list:
                identity = row.id.replace("-", "")
                assert owner.setdefault(identity, call.request_id) == call.request_id, "two rows, one id"
                rows[identity] = row
        time.sleep(0.1)
    return attempts, rows


def price_of(row: Any) -> Price | None:
    if row.model in PRICES:
        return PRICES[row.model]
    return OTHER if row.provider != "fake" else None


def test_every_attempt_that_the_provider_saw_has_one_row_with_the_same_tokens_and_the_right_money(
    ledgers: tuple[list[Attempt], dict[str, Any]],
) -> None:
    attempts, rows = ledgers
    by_id: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_id.setdefault(attempt.client_request_id, []).append(attempt)
    assert "" not in by_id
    missing = by_id.keys() - rows.keys()
    assert not missing, [(attempt.model, attempt.status) for i in missing for attempt in by_id[i]]
    compared = 0
    for identity, twice in by_id.items():
        # Twice under one id only where a reused connection died without a byte.
        assert all(attempt.status is None for attempt in twice[:-1])
        attempt, row = twice[-1], rows[identity]
        assert row.upstream_model == attempt.model.replace("\0", "")  # PostgreSQL has no NUL
        check_tokens(attempt, row)
        check_money(attempt, row)
        compared += 1
    print(f"{compared} attempts compared, {len(rows)} rows")


def check_tokens(attempt: Attempt, row: Any) -> None:
    recorded = (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.reasoning_tokens)
    served = attempt.served
    said = (served.prompt_tokens, served.cached_tokens, served.completion_tokens, served.reasoning_tokens)
    if outcome(row) == "ok" and attempt.usage_sent and not row.estimated:
        assert recorded == said, (attempt.model, attempt.number)
    elif row.estimated and outcome(row) != "ok":
        # Nobody said: the request by its size, and of the answer no more than was sent.
        assert (
            row.input_tokens == len(attempt.body) // 4 or abs(row.input_tokens * 4 - len(attempt.body)) < 200
        )


def check_money(attempt: Attempt, row: Any) -> None:
    """Whatever the tokens were, the money is theirs at the model's price, by hand."""
    price = price_of(row)
    if price is None:
        assert not row.HasField("cost_usd") or Decimal(row.cost_usd) == 0
        return
    used = Usage(
        prompt_tokens=row.input_tokens,
        completion_tokens=row.output_tokens,
        cached_tokens=row.cache_read_tokens,
    )
    assert Decimal(row.cost_usd) * PICO == price.picousd(used), (attempt.model, attempt.number)


def test_no_row_claims_an_attempt_that_was_never_sent_unless_nothing_was_reached(
    ledgers: tuple[list[Attempt], dict[str, Any]],
) -> None:
    attempts, rows = ledgers
    known = {attempt.client_request_id for attempt in attempts}
    for identity, row in rows.items():
        if identity not in known:
            assert row.provider == "dead" or outcome(row) in ("cancelled", "error"), row
            assert row.output_tokens == 0


def test_the_roll_up_is_the_sum_of_the_rows(
    gateway: Gateway, ledgers: tuple[list[Attempt], dict[str, Any]]
) -> None:
    _, rows = ledgers
    by_model = {row["model"]: row for row in gateway.headgate.usage("--by", "model")}
    for model in (*PRICES, *RESTING):
        mine = [row for row in rows.values() if row.model == model]
        if not mine:
            continue
        rolled = by_model[model]
        assert rolled["attempts"] == len(mine)
        assert rolled["input_tokens"] == sum(row.input_tokens for row in mine)
        assert rolled["output_tokens"] == sum(row.output_tokens for row in mine)
        assert rolled["cache_read_tokens"] == sum(row.cache_read_tokens for row in mine)
        assert Decimal(rolled["cost_usd"]) == sum(Decimal(row.cost_usd) for row in mine)
