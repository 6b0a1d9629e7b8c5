"""What native calls are recorded with: each use once, whatever the answer's size and form."""

from __future__ import annotations

import pytest

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.native_manifest import NATIVE
from tests.support.fake_provider import Behaviour, FakeProvider

USAGE = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
# At 0.15 and 0.60 USD per million tokens.
COST_USD = "0.00045"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_usage_that_is_told_again_at_every_look_is_not_billed_again(
    native: Gateway, oai: FakeProvider, method: str
) -> None:
    oai.always("*", Behaviour(body={"id": "b1", "model": "gpt-4o-mini", "usage": USAGE}))
    made = native.request("POST", "/providers/oai/v1/batches", b"{}", key=NATIVE)
    looks = [
        native.request(method, "/providers/oai/v1/batches/b1", key=NATIVE, headers={"content-length": ""})
        for _ in range(3)
    ]
    [row] = native.call(made.request_id).attempt_list
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (1000, 500, COST_USD)
    for look in looks:
        assert look.document()["usage"] == USAGE
        [row] = native.call(look.request_id).attempt_list
        assert (row.input_tokens, row.output_tokens, row.cost_usd) == (0, 0, "0")
