"""A running Headgate whose models and judges are functions, and what tests ask of its experiments."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from headgate.v1 import experiments_pb2, experiments_pb2_grpc
from tests.integration.proxy.raw_client import Answer, RawClient, request_bytes
from tests.support.processes import Headgate, start_headgate
from tests.support.scripted_models import Document, Model, Refusal, ScriptedModels, material

WAIT_SECONDS = 15.0
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
RETRY_ONCE = {"attempts": 1}


def provider(base_url: str, name: str = "scripted", **more: Any) -> Document:
    fields = {"name": name, "kind": "openai-compatible", "keys": [f"pk-{name}"], "private_network": True}
    return {**fields, "base_url": base_url, **more}


def model(name: str, by: str = "scripted", **more: Any) -> Document:
    return {"name": name, "provider": by, "price": {"input": 1, "output": 1}, **more}


def experiment(name: str, *variants: Document, **fields: Any) -> Document:
    """`judge` alone stands for one that judges everything."""
    if "judge" in fields:
        fields["judge"] = {"sample": 1, **fields["judge"]}
    return {"name": name, "variants": list(variants), **fields}


def variant(name: str, use: Any = "", **more: Any) -> Document:
    """Called as the model that it uses, unless told otherwise."""
    return {"name": name, "use": use or name, **more}


def route_of(name: str) -> Document:
    return {"name": name, "policy": {"experiment": name}, "retry": RETRY_ONCE}


def verdict(**fields: Any) -> str:
    return json.dumps({"reason": "good", **fields})


def says(text: str | Document | Refusal) -> Model:
    return lambda _: text


def asked_text(document: Document) -> str:
    """What the last message of a request says."""
    content = document["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def grades(by: Callable[[str], int]) -> Model:
    """A judge that grades an answer by its text."""
    return lambda document: verdict(grade=by(material(document)["ANSWER"]))


def prefers(is_good: Callable[[str], bool]) -> Model:
    """A judge of two answers that knows which is good."""

    def judge(document: Document) -> str:
        shown = material(document)
        first, second = is_good(shown["FIRST"]), is_good(shown["SECOND"])
        return verdict(better="tie" if first == second else "first" if first else "second")

    return judge


class Judged:
    """`models` is what Headgate calls; a test may put another function in the place of one."""

    def __init__(self, headgate: Headgate, models: ScriptedModels) -> None:
        self.headgate = headgate
        self.models = models
        self.key = headgate.api_key
        self._channel = grpc.insecure_channel(headgate.grpc)
        self._stub: Any = experiments_pb2_grpc.ExperimentServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._credentials = [("authorization", f"Bearer {headgate.admin_token}")]
        self._sessions = 0

    def close(self) -> None:
        self._channel.close()

    def session(self) -> str:
        """A new one."""
        self._sessions += 1
        return f"session-{self._sessions}"

    def post(
        self,
        document: Mapping[str, Any],
        path: str = PATHS["chat"],
        *,
        key: str | None = "",
        headers: Mapping[str, str] | None = None,
        url: str = "",
    ) -> Answer:
        with RawClient(url or self.headgate.http) as client:
            sent = json.dumps(document).encode()
            client.send(request_bytes(sent, self.key if key == "" else key, path, "POST", headers))
            return client.answer()

    def ask(
        self, route: str, text: str = "What?", *, dialect: str = "chat", key: str = "", **more: Any
    ) -> Answer:
        """A call of a session of its own; `says` are `x-headgate-…` headers, the rest are fields."""
        labels = {"session": self.session(), **more.pop("says", {})}
        url = more.pop("url", "")
        headers = {f"x-headgate-{name}": value for name, value in labels.items() if value}
        document: Document = {"model": route, **more}
        turns = [{"role": "user", "content": text}]
        document.setdefault("input" if dialect == "responses" else "messages", turns)
        if dialect == "messages":
            document.setdefault("max_tokens", 100)
        return self.post(document, PATHS[dialect], key=key, headers=headers, url=url)

    def feedback(self, key: str | None = "", **fields: Any) -> Answer:
        return self.post(fields, "/headgate/v1/feedback", key=key)

    def of(self, name: str, tenant: str = "") -> dict[str, Any]:
        """By variant: the VariantView."""
        return {found.name: found for found in self.results(name, tenant).variants}

    def results(self, name: str, tenant: str = "") -> Any:
        request = experiments_pb2.ShowExperimentRequest(name=name, tenant=tenant)
        return self._stub.ShowExperiment(request, metadata=self._credentials, timeout=10)

    def wait_for(self, what: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """What it gives as soon as it is true."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, "it did not come about"
            time.sleep(0.05)
        return found

    def wait_judged(self, name: str, count: int) -> dict[str, Any]:
        """The results, once so many answers of calls were to be judged."""

        def judged() -> dict[str, Any] | None:
            found = self.of(name)
            return found if sum(one.judged for one in found.values()) >= count else None

        found: dict[str, Any] = self.wait_for(judged)
        return found

    def counted(self, what: str, outcome: str) -> int:
        """`headgate_background_total` of the proxy."""
        with urllib.request.urlopen(f"{self.headgate.ops}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        pattern = f'headgate_background_total{{outcome="{outcome}",what="{what}"}}'
        other = f'headgate_background_total{{what="{what}",outcome="{outcome}"}}'
        found = re.search(rf"^(?:{re.escape(pattern)}|{re.escape(other)}) (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def wait_counted(self, what: str, outcome: str, count: int) -> None:
        self.wait_for(lambda: self.counted(what, outcome) >= count)

    def usage_by_purpose(self, **where: str) -> dict[str, dict[str, Any]]:
        rows = self.headgate.usage("--by", ",".join(["purpose", *where]))
        kept = [row for row in rows if all(row[name] == value for name, value in where.items())]
        return {row["purpose"]: row for row in kept}


def mean(view: Any, metric: str) -> float | None:
    found = {one.name: one for one in view.metrics}.get(metric)
    return found.mean if found is not None and found.HasField("mean") else None


@contextlib.contextmanager
def running(
    folder: Path, models: Mapping[str, Model], manifest: Callable[[str], Document], *arguments: str
) -> Iterator[Judged]:
    with (
        ScriptedModels(dict(models)) as scripted,
        start_headgate(folder, manifest(scripted.base_url), *arguments) as headgate,
    ):
        judged = Judged(headgate, scripted)
        try:
            yield judged
        finally:
            judged.close()
