"""`python -m tests.demo.tour`: what Headgate does, shown once from start to stop, in about ten seconds.

Everything runs below a temporary folder on free ports and is gone afterwards, also after Ctrl-C. Calls
nobody: the providers of manifest.yaml live in the proxy. Exits with 1 if a step does not do what it says.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openai import OpenAI

from tests.support.processes import Headgate, start_headgate

MANIFEST = Path(__file__).with_name("manifest.yaml")
# Usage is visible two seconds after a call at the latest; a busy machine gets more.
VISIBLE_SECONDS = 15.0
CALLS = 3
# `headgate usage` has more: cached and reasoning tokens, percentiles, unpriced attempts.
USAGE_COLUMNS = ("route", "model", "calls", "attempts", "input_tokens", "output_tokens", "cost_usd", "p50_ms")


class NotShown(Exception):
    """A step did not do what the tour says it does."""


def main() -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        with tempfile.TemporaryDirectory(prefix="headgate-demo-") as folder:
            tour(Path(folder))
    except (NotShown, RuntimeError, TimeoutError) as error:
        print(f"\nThe tour broke off: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped; everything that was started is gone.", file=sys.stderr)
        return 130
    say("The folder is removed. `make up` starts a Headgate that stays.")
    return 0


def tour(folder: Path) -> None:
    step("The manifest: two sandbox providers (one always fails), three models with prices, two routes")
    show(MANIFEST.read_text())

    step("`headgate up -f manifest.yaml`: PostgreSQL, control plane and one proxy")
    began = time.monotonic()
    with start_headgate(folder, MANIFEST) as headgate:
        say(f"Ready after {time.monotonic() - began:.1f} s at {headgate.base_url}.")
        with OpenAI(base_url=headgate.base_url, api_key=headgate.api_key, max_retries=0) as client:
            whole(client)
            streamed(client)
            request_id = fallen_back(client)
        receipt(headgate, request_id)
        money(headgate, request_id)
        step("Ctrl-C: calls finish, the spool is flushed, everything stops in order")
        began = time.monotonic()
        code = headgate.stop()
        if code != 0:
            raise NotShown(f"`headgate up` ended with {code}")
        say(f"Stopped after {time.monotonic() - began:.1f} s.")


def whole(client: OpenAI) -> None:
    step("A whole answer, by the official OpenAI SDK: base_url and key are all that is different")
    answer = client.chat.completions.with_raw_response.create(
        model="chat", messages=[{"role": "user", "content": "Where does the water go?"}]
    )
    content = answer.parse().choices[0].message.content or ""
    if not content:
        raise NotShown("the answer is empty")
    show(content)
    show_headers(answer.headers)


def streamed(client: OpenAI) -> None:
    step("The same streamed: bytes are passed on as they come")
    print("    ", end="")
    pieces = 0
    began = time.monotonic()
    first_ms = 0.0
    for chunk in client.chat.completions.create(
        model="chat", messages=[{"role": "user", "content": "And in spring?"}], stream=True
    ):
        for choice in chunk.choices:
            if choice.delta.content:
                first_ms = first_ms or (time.monotonic() - began) * 1000
                pieces += 1
                print(choice.delta.content, end="", flush=True)
    print()
    if pieces < 2:
        raise NotShown("the answer did not come in pieces")
    say(f"{pieces} pieces, the first after {first_ms:.0f} ms.")


def fallen_back(client: OpenAI) -> str:
    """The last request's id."""
    step(
        "Route `resilient`: its first target answers 503, so the second one answers, and the client sees 200"
    )
    for number in range(CALLS):
        answer = client.chat.completions.with_raw_response.create(
            model="resilient", messages=[{"role": "user", "content": f"Question {number + 1}?"}]
        )
    if answer.headers["x-headgate-attempts"] != "2":
        raise NotShown("the route did not fall back")
    show_headers(answer.headers)
    return answer.headers["x-request-id"]


def receipt(headgate: Headgate, request_id: str) -> None:
    path = f"/headgate/v1/receipts/{request_id}"
    step(f"Its receipt, from the proxy: GET {path}")
    asked = urllib.request.Request(
        headgate.http + path, headers={"authorization": f"Bearer {headgate.api_key}"}
    )
    with urllib.request.urlopen(asked, timeout=10) as answer:
        document = json.load(answer)
    left_out = {"id", "tenant", "key", "cache"}
    document["attempts"] = [
        {name: value for name, value in attempt.items() if value and name not in left_out}
        for attempt in document["attempts"]
    ]
    show(json.dumps({n: v for n, v in document.items() if v and n not in left_out}, indent=2))


def money(headgate: Headgate, request_id: str) -> None:
    """One attempt is one record: the failed ones are here too, at no cost."""
    wanted = 2 + 2 * CALLS
    wait_for(lambda: sum(row["attempts"] for row in headgate.usage()) >= wanted, "the usage to arrive")
    step("`headgate usage --by route,model` (some of its columns): exact to the pico-dollar")
    show(table(headgate.usage("--by", "route,model"), USAGE_COLUMNS))
    step(f"`headgate calls show {request_id}`: one call with all its attempts")
    show(told(headgate, "calls", "show", request_id))


def table(items: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    rows = [columns, *(tuple(cell(item[name]) for name in columns) for item in items)]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, row, widths)) for row in rows)


def cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def told(headgate: Headgate, *arguments: str) -> str:
    """What a command prints on a terminal."""
    done: subprocess.CompletedProcess[str] = headgate.cli(*arguments, output="table")
    if done.returncode != 0:
        raise NotShown(f"`headgate {' '.join(arguments)}`: {done.stderr.strip()}")
    return done.stdout


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + VISIBLE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise NotShown(f"waited {VISIBLE_SECONDS:.0f} s in vain for {what}")
        time.sleep(0.1)


def step(title: str) -> None:
    print(f"\n── {title}", flush=True)


def say(text: str) -> None:
    print(f"   {text}", flush=True)


def show(text: str) -> None:
    for line in text.rstrip().splitlines():
        print(f"    {line.rstrip()}")
    sys.stdout.flush()


def show_headers(headers: Any) -> None:
    names = ("x-request-id", "x-headgate-route", "x-headgate-model", "x-headgate-attempts")
    for name in (*names, "x-headgate-cost-usd", "x-headgate-overhead-ms"):
        show(f"{name}: {headers.get(name, '(none)')}")


if __name__ == "__main__":
    sys.exit(main())
