"""Secrets and content stay where they belong (A10): through every path of a `headgate up`, and searched.

Keys of providers, virtual keys, tokens and the KEK go in by every door there is; prompts and answers by every
way a call can end. Where they may be is said in this file; they are nowhere else.
"""

from __future__ import annotations

import contextlib
import io
import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from admin_cli.main import execute
from headgate.v1 import admin_pb2, admin_pb2_grpc, identity_pb2, identity_pb2_grpc
from tests.abuse.canaries import Canaries, dump_of, files_below, processes
from tests.abuse.scale import times
from tests.abuse.target import ASKED, VALID, manifest, ways_in
from tests.integration.control_plane.test_cp_identity import csr_of, new_key
from tests.integration.proxy.asking_across import HELLO
from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.raw_client import Closed
from tests.support.fake_provider import ANY, Behaviour, Cut, ErrorEvent, FakeProvider
from tests.support.ledgers import embedded_url
from tests.support.processes import start_headgate
from tests.support.provider import presets
from tests.support.saying import Said, stream_of
from tests.unit.repository.cli_page import helps

# In all programs: what their libraries can say about themselves.
LOUD = {"GRPC_VERBOSITY": "debug", "PYTHONASYNCIODEBUG": "1", "HEADGATE_LOG_LEVEL": "debug"}
LOUD_POSTGRES = ("log_statement = 'all'", "log_min_messages = 'debug1'", "log_min_duration_statement = 0")
ENVIRONMENT_KEY = "CANARY_PROVIDER_KEY"

# Files of the state folder that are there to hold a secret (0600), and which.
OWN_FILES = {"kek": {"kek"}, "admin-token": {"admin token"}, "quickstart-key": {"quickstart key"}}
# A variable of the user's own naming, which all that he starts inherits. Only he can read it there.
OWN_ENVIRONMENT = {
    role: {"provider key in the environment"} for role in ("up", "control_plane", "proxy", "postgres")
}
# Known by their words.
BUILT_ELSEWHERE = {"headgate up", "headgate control-plane", "headgate proxy"}


@dataclass
class Traces:
    """What is left behind, by kind of place: name → bytes."""

    canaries: Canaries
    gateway: Gateway
    folder: Path
    commands: dict[str, bytes] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    # Command → what it minted, and shows this once.
    minted: dict[str, set[str]] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)

    def cli(self, *arguments: str, stdin: str = "") -> Any:
        """In this process, as the command would run; its items, if it has any."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.MonkeyPatch.context() as m,
        ):
            headgate = self.gateway.headgate
            m.setenv("HEADGATE_CONTROL_PLANE", headgate.grpc)
            m.setenv("HEADGATE_TOKEN", headgate.admin_token)
            m.setenv("HEADGATE_STATE", str(headgate.state))
            m.setattr("sys.stdin", io.StringIO(stdin))
            execute(arguments)
        name = " ".join(arguments)
        self.words.add(name)
        self.commands[name] = (out.getvalue() + "\n" + err.getvalue()).encode()
        with contextlib.suppress(ValueError, KeyError):
            return json.loads(out.getvalue())["items"]
        return []

    def mint(self, *arguments: str) -> str:
        name = " ".join(arguments)
        secret = str(self.cli(*arguments)[0]["secret"])
        self.canaries.learn(name, secret)
        self.minted[name] = {name}
        return secret


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    folder = tmp_path_factory.mktemp("canaries")
    canaries = Canaries()
    secrets_dir = folder / "secrets"
    secrets_dir.mkdir()
    (secrets_dir / "key").write_text(canaries.invent("provider key in a file"))
    environment = {**LOUD, ENVIRONMENT_KEY: canaries.invent("provider key in the environment")}
    with FakeProvider() as provider:
        document = with_secrets(manifest(provider.base_url), canaries)
        with start_headgate(
            folder, document, "--secrets-dir", str(secrets_dir), environment=environment
        ) as headgate:
            (folder / "manifest.yaml").unlink()
            gateway = Gateway(headgate, provider)
            canaries.learn("kek", (headgate.state / "kek").read_text().strip())
            canaries.learn("admin token", headgate.admin_token)
            canaries.learn("quickstart key", headgate.api_key)
            canaries.learn("declared key", VALID)
            found = Traces(canaries, gateway, folder)
            speak_up(headgate.state)
            rule(found, document)
            call(found)
            yield found
            gateway.close()


def with_secrets(document: dict[str, Any], canaries: Canaries) -> dict[str, Any]:
    """The manifest's providers with secrets that can be found."""
    for number, provider in enumerate(document["providers"]):
        provider["keys"] = [canaries.invent(f"provider key {number}")]
    document["providers"][-1]["keys"] = ["${" + ENVIRONMENT_KEY + "}"]
    document["providers"][-2]["keys"] = [{"name": "default", "file": "key"}]
    return document


def speak_up(state: Path) -> None:
    with psycopg.connect(embedded_url(state), autocommit=True) as connection:
        for setting in LOUD_POSTGRES:
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")


def rule(traces: Traces, document: dict[str, Any]) -> None:
    """Every command, and those that fail with a secret in their hands."""
    canaries, cli, mint = traces.canaries, traces.cli, traces.mint
    file = traces.folder / "again.json"
    file.write_text(json.dumps({"providers": document["providers"][:3], "keys": document["keys"]}))
    cli("apply", "-f", str(file))
    cli("diff", "-f", str(file))
    bad = {"name": "bad", "kind": "openai", "keys": [canaries.invent("refused provider key")]}
    for broken in (
        {**bad, "unknown": 1},
        {**bad, "keys": {"name": 7, "value": bad["keys"][0]}},
        {**bad, "kind": 7},
    ):
        file.write_text(json.dumps({"providers": [broken]}))
        cli("apply", "-f", str(file), "--dry-run")
    file.write_text(json.dumps({"models": [{"name": "m", "provider": "at-claude"}]}))
    cli("apply", "-f", str(file), "--canary", "1%", "--bake", "1h")
    cli("replay", "-f", str(file))
    file.unlink()
    mint("key", "create", "made")
    mint("key", "rotate", "made")
    mint("token", "create", "looking", "--role", "viewer")
    mint("join-token", "create", "--region", "local")
    cli("provider", "set-key", "at-claude", "--key", "second", stdin=canaries.invent("provider key on stdin"))
    cli("provider", "set-key", "at-claude", stdin=canaries.invent("bad key on stdin") + "\x07 x")
    cli("provider", "set-key", "nobody", stdin=canaries.invent("key of nobody on stdin"))
    for words in COMMANDS:
        cli(*words.split())
    refused_calls(traces)


# In this order: what is shown, then what ends something.
COMMANDS = (
    *(
        "export",
        "export -o yaml",
        "get providers -A",
        "get keys -o yaml",
        "get tokens",
        "get proxies",
        "get models",
    ),
    *(
        "history",
        "audit",
        "audit -o csv",
        "doctor",
        "kek show",
        "kek rotate",
        "token bootstrap",
        "join-token list",
    ),
    *(
        "rollout show",
        "rollout list",
        "rollout halt --reason enough",
        "rollout promote",
        "rollback 1 --dry-run",
    ),
    *("route explain claude-then-gpt", "models fit", "usage", "usage --by user -o csv", "usage quarantine"),
    *("usage quarantine retry 1", "usage quarantine dismiss 1 --reason none", "calls", "calls show nothing"),
    *(f"experiment {verb} nothing" for verb in ("show", "stop", "start", "export", "promote")),
    *(
        "disable provider at-oss --reason test",
        "enable provider at-oss",
        "provider remove-key at-claude --key second",
    ),
    *("key revoke made", "token revoke looking", "join-token revoke nothing", "delete key made"),
)


def refused_calls(traces: Traces) -> None:
    """RPCs that fail while they hold a secret."""
    channel = grpc.insecure_channel(traces.gateway.headgate.grpc)
    admin: Any = admin_pb2_grpc.AdminServiceStub(channel)  # type: ignore[no-untyped-call]
    invent = traces.canaries.invent
    good = [("authorization", f"Bearer {traces.gateway.headgate.admin_token}")]
    wrong = [("authorization", f"Bearer {invent('wrong token')}"), ("x-api-key", invent("token in metadata"))]
    bad_key = admin_pb2.SetProviderKeyRequest(provider="at-claude", value=invent("key with a line") + "\nx")
    no_provider = admin_pb2.SetProviderKeyRequest(provider="no", value=invent("key for nobody"))
    for call_of, request, metadata in (
        (admin.GetStatus, admin_pb2.GetStatusRequest(), wrong),
        (admin.SetProviderKey, bad_key, good),
        (admin.SetProviderKey, no_provider, good),
        (admin.SetProviderKey, no_provider, wrong),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call_of(request, metadata=metadata, timeout=10)
        said = f"{caught.value.details()} {caught.value.trailing_metadata()}"
        traces.commands[f"rpc {len(traces.commands)}"] = said.encode()
    channel.close()


def asked_with(document: Mapping[str, Any], said: str) -> dict[str, Any]:
    """The same request with these words in every place that takes some."""
    text = json.dumps(document).replace('"hi"', json.dumps(said))
    asked: dict[str, Any] = json.loads(text)
    if "messages" in asked and "max_tokens" not in asked:
        asked["messages"] = [{"role": "system", "content": said}, *asked["messages"]]
        parameters = {"type": "object", "properties": {"x": {"type": "string", "description": said}}}
        asked["tools"] = [
            {"type": "function", "function": {"name": "f", "description": said, "parameters": parameters}}
        ]
    return asked


def endings(prompt: str, answer: str) -> Iterator[Behaviour]:
    """Every way in which a provider's answer can end, quoting what it was asked."""
    quote = f"{prompt} is not what I answer with {answer}"
    yield Behaviour(text=answer, reasoning_text=answer)
    yield Behaviour(text=answer, call_tools=1)
    for status in (400, 404, 413, 422, 429, 500, 503):
        yield Behaviour(status=status, body={"error": {"message": quote, "type": quote, "code": quote}})
    yield Behaviour(status=500, body=quote)
    yield Behaviour(body=quote)
    yield Behaviour(raw=quote.encode())
    yield Behaviour(text=answer, cut=Cut("events", 2))
    yield Behaviour(text=answer, cut=Cut("body_bytes", 20))
    yield Behaviour(text=answer, malformed_event_at=2)
    yield Behaviour(text=answer, error_event=ErrorEvent(message=quote))
    yield Behaviour(status=307, headers={"location": f"http://127.0.0.1/{prompt}", "x-request-id": answer})
    yield presets.silence()


def call(traces: Traces) -> None:
    gateway, canaries = traces.gateway, traces.canaries
    prompt, answer = canaries.invent("prompt"), canaries.invent("answer")
    labels = {"x-headgate-user": "somebody-known", "x-headgate-timeout-ms": "150"}
    ways = [("/v1/chat/completions", "gpt-plain", True), ("/v1/messages", "claude-then-gpt", False)]
    ways += [(path, model, not stream) for path, model, stream in ways[: times(0, 2)]]
    for behaviour in endings(prompt, answer):
        gateway.provider.always(ANY, behaviour)
        for path, model, stream in ways:
            asked = asked_with({**ASKED[path], "model": model, "stream": stream}, prompt)
            with contextlib.suppress(Closed):
                gateway.post(asked, path, key=VALID, headers=labels)
    gateway.provider.reset()
    whole_conversations(traces, prompt, answer)
    refused_requests(traces, prompt)


def whole_conversations(traces: Traces, prompt: str, answer: str) -> None:
    gateway = traces.gateway
    for dialect, model in (
        ("messages", "claude"),
        ("gemini", "gemini"),
        ("responses", "pro"),
        ("chat", "gpt-plain"),
    ):
        said = Said(text=(answer,), reasoning=(answer,), calls=HELLO.calls)
        gateway.provider.always(ANY, Behaviour(body=stream_of(dialect, said), stream=True))
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/messages"):
            asked = asked_with({**ASKED[path], "model": model, "stream": True}, prompt)
            done = gateway.post(asked, path, key=VALID, headers={"x-headgate-user": "somebody-known"})
            assert done.status == 200
            assert answer.encode() in done.body, "it was said"
    gateway.provider.reset()
    for path, document in ways_in():
        done = gateway.post(asked_with(document, prompt), path, key=VALID)
        receipt = gateway.get(f"/headgate/v1/receipts/{done.request_id}", key=VALID)
        traces.answers[f"receipt {len(traces.answers)}"] = receipt.body
    gateway.row_of(gateway.provider.wait_done(0)[-1])


def refused_requests(traces: Traces, prompt: str) -> None:
    """Refused before there is a call; what they answer may not hold a credential."""
    post, invent = traces.gateway.post, traces.canaries.invent
    wrong = invent("wrong key")
    good = asked_with(ASKED["/v1/chat/completions"], prompt)
    for number, done in enumerate(
        (
            post(good, key=wrong),
            post(good, key=VALID[:-1] + "w"),
            post(good, key=None, headers={"x-api-key": wrong, "cookie": wrong, "api-key": wrong}),
            post(good, f"/v1/{prompt}", key=VALID),
            post(good, f"/v1/chat/completions?key={wrong}", key=VALID),
            post({**good, "model": prompt}, key=VALID),
            post({**good, "stream": prompt, "temperature": prompt}, key=VALID),
            post(json.dumps(good).encode()[:-5], key=VALID),
            post(good, key=VALID, headers={f"x-headgate-{prompt}": "1"}),
            post(good, key=VALID, headers={"x-headgate-metadata": prompt}),
            traces.gateway.get(f"/headgate/v1/receipts/{prompt}", key=VALID),
        )
    ):
        assert done.status >= 400 or b"choices" in done.body
        traces.answers[f"refusal {number}"] = done.body.replace(prompt.encode(), b"")


def pids(traces: Traces) -> dict[str, list[int]]:
    headgate = traces.gateway.headgate
    roles = {role: headgate.pids(role) for role in ("control_plane", "proxy", "postgres")}
    assert all(roles.values())
    return {"up": [headgate.pid], **roles}


def test_logs_hold_no_secret_and_no_content(traces: Traces) -> None:
    state = traces.gateway.headgate.state
    places = {**files_below(state / "logs"), "up": (state.parent / f"{state.name}.log").read_bytes()}
    places |= files_below(state / "postgres", lambda file: file.suffix == ".log" or file.name == "log")
    together = b"".join(places.values())
    for known in (b'"event":"call"', b"published", b"LOG:  execute", b"at-claude"):
        assert known in together, f"{known!r} is not logged: a canary would not be either"
    assert traces.canaries.found_in(places) == {}


def test_metrics_hold_none(traces: Traces) -> None:
    state = traces.gateway.headgate.state
    facts = json.loads((state / "run" / "up.json").read_text())
    places = {}
    for name in ("ops", "control_plane_ops"):
        with urllib.request.urlopen(f"{facts[name]}/metrics", timeout=10) as answer:
            places[name] = answer.read()
    assert b"claude-then-gpt" in places["ops"]
    assert traces.canaries.found_in(places) == {}


def test_the_database_holds_none_that_can_be_read(traces: Traces) -> None:
    places = dump_of(embedded_url(traces.gateway.headgate.state))
    assert b"somebody-known" in places["table usage_record"]
    assert {"table provider_key", "table credential", "table change", "table minted"} <= places.keys()
    assert traces.canaries.found_in(places) == {}


def test_no_file_of_the_state_folder_holds_one_but_those_made_for_it(traces: Traces) -> None:
    """The spool, the last good config and PostgreSQL's files (its write-ahead log too) among them."""
    with psycopg.connect(embedded_url(traces.gateway.headgate.state), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    state = traces.gateway.headgate.state
    places = files_below(state, lambda file: file.parts[0] != "run")
    spooled = b"".join(data for name, data in places.items() if name.startswith("proxy/"))
    assert b"somebody-known" in spooled
    assert {"proxy/config.current"} <= places.keys() or any("config.current" in name for name in places)
    assert traces.canaries.found_in(places) == OWN_FILES
    for name in OWN_FILES:
        assert (state / name).stat().st_mode & 0o777 == 0o600


def test_no_command_line_and_no_environment_holds_one(traces: Traces) -> None:
    assert traces.canaries.found_in(processes(pids(traces), "cmdline")) == {}
    environments = processes(pids(traces), "environ")
    assert traces.canaries.found_in(environments) == OWN_ENVIRONMENT
    # What the proxy joined with buys nothing any more.
    spent = environments["proxy"].split(b"HEADGATE_JOIN_TOKEN=")[1].split(b"\0")[0].decode()
    with grpc.insecure_channel(traces.gateway.headgate.grpc) as channel:
        identity: Any = identity_pb2_grpc.IdentityServiceStub(channel)  # type: ignore[no-untyped-call]
        request = identity_pb2.JoinRequest(token=spent, csr=csr_of(new_key()), name="edge", region="local")
        with pytest.raises(grpc.RpcError) as caught:
            identity.Join(request, timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_no_command_shows_one_but_where_it_is_minted(traces: Traces) -> None:
    assert traces.canaries.found_in(traces.commands) == traces.minted
    built = {name for name, _ in helps()} - BUILT_ELSEWHERE
    asked = {f"headgate {name}" for name in traces.words}
    silent = {name for name in built if not any(f"{words} ".startswith(f"{name} ") for words in asked)}
    assert silent - {"headgate"} == set()


def test_receipts_and_refusals_hold_none(traces: Traces) -> None:
    assert len(traces.answers) > 20
    assert traces.canaries.found_in(traces.answers) == {}
