"""Nothing of what was asked, answered or judged passes between a proxy and its control plane.

The connection is tapped before TLS, in both directions, while everything happens that could tell:
answers, errors that quote prompts, judges that explain themselves, shadows, feedback.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.integration.proxy.judged import experiment, model, provider, route_of, running, variant
from tests.integration.proxy.raw_client import RawClient, request_bytes
from tests.support.child_process import ChildProcess
from tests.support.processes import clean_environment
from tests.support.scripted_models import Document, Model, Refusal

CANARY = "xylophone-of-"
SAID = {
    name: f"{CANARY}{name}" for name in ("prompt", "system", "answer", "shadow", "judge", "tool", "error")
}


class Tap:
    """Forwards TCP and keeps what passed, both ways."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.passed = bytearray()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self.passed += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()


def manifest(base_url: str) -> Document:
    judge = {
        "model": "judge",
        "rubric_name": "kindness",
        "checks": [{"name": "short", "length": {"max": 9_000}}],
    }
    return {
        "providers": [provider(base_url)],
        "models": [model(name) for name in ("fine", "tools", "broken", "judge", "shade")],
        "experiments": [
            experiment("told", variant("fine"), variant("shade", shadow=True), judge=judge),
            experiment("failing", variant("broken"), judge=judge),
            experiment("calling", variant("tools"), variant("fine"), judge={**judge, "mode": "pairwise"}),
        ],
        "routes": [route_of(name) for name in ("told", "failing", "calling")],
    }


def quoting(document: Document) -> Refusal:
    return Refusal(400 if "invalid" in str(document) else 503, f"{SAID['error']}: {document['messages']}")


def calling(_: Document) -> Document:
    call = {"name": "look", "arguments": json.dumps({"at": SAID["tool"]})}
    return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": call}]}


def explaining(_: Document) -> str:
    return json.dumps({"reason": SAID["judge"], "grade": 4, "better": "first", "why": SAID["judge"]})


MODELS: dict[str, Model] = {
    "fine": lambda _: SAID["answer"],
    "shade": lambda _: SAID["shadow"],
    "tools": calling,
    "broken": quoting,
    "judge": lambda _: json.dumps(
        {"reason": SAID["judge"], "grade": 4, "better": "first", "why": SAID["judge"]}
    ),
}


@contextlib.contextmanager
def tapped_proxy(folder: Path, token: str, tap: Tap) -> Iterator[str]:
    """Another proxy of the same control plane, its streams through the tap; where it listens."""
    command = [
        sys.executable,
        "-m",
        "proxy",
        "--region",
        "local",
        "--name",
        "tapped",
        "--http",
        "127.0.0.1:0",
    ]
    command += ["--ops", "127.0.0.1:0", "--control-plane", f"127.0.0.1:{tap.port}", "--drain", "2s"]
    command += ["--state", str(folder / "tapped"), "--ready-file", str(folder / "tapped.json")]
    environment = clean_environment(HEADGATE_TOKEN=token)
    with ChildProcess(command, folder / "tapped.log", environment) as proxy:
        proxy.wait_for_file(folder / "tapped.json")
        yield json.loads((folder / "tapped.json").read_text())["http"]


def test_no_word_of_it_reaches_the_control_plane(tmp_path: Path) -> None:
    with running(tmp_path, MODELS, manifest) as judged:
        host, port = judged.headgate.grpc.rsplit(":", 1)
        tap = Tap((host, int(port)))
        done = judged.headgate.cli("token", "create", "tapped", "--role", "proxy")
        token = json.loads(done.stdout)["items"][0]["secret"]
        with tapped_proxy(tmp_path, token, tap) as http:
            asked = 0
            for route in ("told", "failing", "calling"):
                for stream in (False, True):
                    for extra in ("", " invalid"):
                        document = {
                            "model": route,
                            "stream": stream,
                            "messages": [
                                {"role": "system", "content": SAID["system"]},
                                {"role": "user", "content": SAID["prompt"] + extra},
                            ],
                        }
                        headers = {"x-headgate-session": f"s{asked}", "x-headgate-task": "telling"}
                        with RawClient(http) as client:
                            body = json.dumps(document).encode()
                            client.send(
                                request_bytes(body, judged.key, "/v1/chat/completions", "POST", headers)
                            )
                            answer = client.answer()
                        assert (answer.status == 200) == (route != "failing")
                        asked += 1
            feedback = {"request_id": answer.header("x-request-id"), "label": "good"}
            with RawClient(http) as client:
                body = json.dumps(feedback).encode()
                client.send(request_bytes(body, judged.key, "/headgate/v1/feedback", "POST", {}))
                assert client.answer().status == 200
            judged.wait_for(lambda: judged.of("told")["fine"].judged >= 4)
            judged.wait_for(lambda: judged.of("told")["shade"].judged >= 4)
            judged.wait_for(lambda: judged.of("failing")["broken"].calls >= 4)
            judged.wait_for(lambda: sum(one.judged for one in judged.of("calling").values()) >= 1)
        tap.close()
    seen = bytes(tap.passed)
    for known in (b"told", b"kindness", b"telling", b"shade", b"short"):
        assert known in seen, f"the tap saw nothing of {known!r}: it would see no canary either"
    assert CANARY.encode() not in seen
    for name, text in SAID.items():
        assert text.encode() not in seen, name
    assert {name for name, text in SAID.items() if any(text in str(one) for one in judged.models.asked)} >= {
        *("prompt", "system", "answer", "shadow", "tool")
    }, "and yet it was all said, to the models"
