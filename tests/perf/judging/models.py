"""The models of this bench, in a process of their own: `python -m tests.perf.judging.models`.

An instant provider that can also judge. What it does is in the model's name, as in `tests.perf.upstream`:
judges answer with a grade or a preference, `judge-hanging` never answers and `judge-failing` says 500.
`GET /let-go` answers everybody who hangs, and whoever asks until `GET /hold`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, ClassVar

from tests.perf import upstream, wire

CHAT = "chat"
GRADING, PREFERRING, HANGING, FAILING = "judge-grading", "judge-preferring", "judge-hanging", "judge-failing"
# A word of an answer in each of so many pieces, all of them within 20 ms.
STREAMED = wire.StreamShape(20, 1_000)


def _verdict(**said: Any) -> bytes:
    message = {"role": "assistant", "content": json.dumps(said)}
    usage = {"prompt_tokens": 400, "completion_tokens": 12, "total_tokens": 412}
    return wire.json_response(
        {
            "id": "chatcmpl-verdict",
            "object": "chat.completion",
            "created": 1_750_000_000,
            "model": "bench-judge",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
    )


_GRADE = _verdict(reason="incomplete", grade=4)
_PREFERENCE = _verdict(reason="incomplete", better="first")
_FAILURE = wire.json_response({"error": {"message": "scripted"}}, "500 Internal Server Error")


class Models(upstream.Upstream):
    """One connection."""

    holds: ClassVar[bool] = True
    hanging: ClassVar[set[Models]] = set()

    def on_message_complete(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._url in (b"/hold", b"/let-go"):
            Models.holds = self._url == b"/hold"
            if not Models.holds:
                for connection in [*Models.hanging]:
                    connection.let_go()
            transport.write(wire.json_response({"hanging": len(Models.hanging)}))
        elif b'"model":"judge-' not in self._body:
            super().on_message_complete()
        else:
            self._judge(transport)

    def _judge(self, transport: asyncio.Transport) -> None:
        self._served.requests += 1
        model = self._body.partition(b'"model":"')[2].partition(b'"')[0].decode()
        if model == HANGING and Models.holds:
            Models.hanging.add(self)
            return
        answers = {GRADING: _GRADE, PREFERRING: _PREFERENCE}
        transport.write(answers.get(model, _FAILURE))

    def let_go(self) -> None:
        Models.hanging.discard(self)
        if self._transport is not None:
            self._transport.write(_FAILURE)

    def connection_lost(self, exc: Exception | None) -> None:
        Models.hanging.discard(self)
        super().connection_lost(exc)


if __name__ == "__main__":
    upstream.main(Models)
