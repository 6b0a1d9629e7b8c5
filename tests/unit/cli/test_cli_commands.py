from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import yaml

from admin_cli.views import CALL_COLUMNS, PROXY_COLUMNS, USAGE_COLUMNS
from headgate.v1 import admin_pb2
from tests.unit.cli.conftest import Outcome
from tests.unit.cli.fake_admin import FakeAdmin, call_view

Headgate = Callable[..., Outcome]
Write = Callable[..., Path]

MANIFEST = """
providers: [{name: p, kind: openai, keys: [sk-secret], headers: {x: "$${HOME}"}}]
models: [{name: m, provider: p, price: {input: 0.10}}]
routes: [{name: chat, policy: {fallback: [m, m]}}]
keys: [{name: backend, allow: []}]
"""


def test_apply_prints_the_changes_and_the_revision(
    admin: FakeAdmin, headgate: Headgate, written: Write
) -> None:
    path = written(MANIFEST)
    first = headgate("apply", "-f", path)
    assert first.code == 0
    assert list(first.document) == ["api", "kind", "revision", "items"]
    assert (first.document["kind"], first.document["revision"]) == ("ChangeList", 1)
    assert [i["change"] for i in first.items] == ["created"] * 4
    assert {"kind": "provider", "name": "p"}.items() <= first.items[0].items()
    assert {i["change"] for i in headgate("apply", "-f", path).items} == {"unchanged"}
    assert admin.resources["model", "default", "m"].model.price.input == "0.10"


def test_minted_secrets_are_withheld_without_a_file_and_it_says_so(
    admin: FakeAdmin, headgate: Headgate, written: Write
) -> None:
    outcome = headgate("apply", "-f", written(MANIFEST))
    assert "hg-" not in outcome.out + outcome.err
    assert "backend" in outcome.err
    assert "withheld" in outcome.err


def test_minted_secrets_go_into_a_private_file_and_earlier_ones_stay(
    admin: FakeAdmin, headgate: Headgate, written: Write, tmp_path: Path
) -> None:
    out = tmp_path / "secrets.json"
    headgate("apply", "-f", written("keys: [{name: one}]"), "--secrets-out", out)
    headgate("apply", "-f", written("keys: [{name: one}, {name: two}]"), "--secrets-out", out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    items = json.loads(out.read_text())["items"]
    assert [item["name"] for item in items] == ["one", "two"]
    assert all(item["secret"].startswith("hg-") for item in items)
    assert [path.name for path in tmp_path.glob(".secrets*")] == []


def test_a_secrets_file_that_cannot_be_written_stops_before_anything_is_minted(
    admin: FakeAdmin, headgate: Headgate, written: Write, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("something else")
    for out in (tmp_path / "absent" / "secrets.json", tmp_path / "mine.txt"):
        assert headgate("apply", "-f", written(MANIFEST), "--secrets-out", out).code != 0
    assert admin.resources == {}
    assert (tmp_path / "mine.txt").read_text() == "something else"


def test_a_refused_field_is_shown_where_the_manifest_has_it(
    admin: FakeAdmin, headgate: Headgate, written: Write
) -> None:
    problem = {
        "resource": "routes/default/chat",
        "index": 2,
        "path": "policy.fallback[1]",
        "message": "is planned",
    }
    admin.failures["ApplyResources"] = (grpc.StatusCode.INVALID_ARGUMENT, "1 problem", [problem])
    path = written(MANIFEST)
    outcome = headgate("apply", "-f", path)
    assert outcome.code == 1
    assert f"{path}:4: routes[0].policy.fallback[1]: is planned\n" in outcome.err


def test_a_refused_reference_is_a_conflict_with_its_line(
    admin: FakeAdmin, headgate: Headgate, written: Write
) -> None:
    problem = {"resource": "routes/default/chat", "index": 2, "path": "policy", "message": "no model 'm'"}
    admin.failures["ApplyResources"] = (grpc.StatusCode.FAILED_PRECONDITION, "1 problem", [problem])
    outcome = headgate("apply", "-f", written(MANIFEST))
    assert outcome.code == 4
    assert ":4: routes[0].policy: no model 'm'" in outcome.err


def test_an_answer_that_got_lost_is_asked_for_again_under_the_same_id(
    admin: FakeAdmin, headgate: Headgate
) -> None:
    admin.lose_answers = 1
    assert headgate("key", "create", "k", "--no-wait").code == 0
    first, second = admin.requests
    assert first.request_id == second.request_id != ""


def test_diff_changes_nothing_and_exits_10_when_there_are_differences(
    admin: FakeAdmin, headgate: Headgate, written: Write
) -> None:
    path = written(MANIFEST)
    assert headgate("diff", "-f", path).code == 10
    assert admin.revision == 0
    headgate("apply", "-f", path)
    outcome = headgate("diff", "-f", path)
    assert (outcome.code, outcome.items) == (0, [])


def test_export_and_get_apply_again_without_changing_anything(
    admin: FakeAdmin, headgate: Headgate, written: Write
) -> None:
    headgate("apply", "-f", written(MANIFEST))
    admin.requests.clear()
    texts = [headgate("export", "-o", form).out for form in ("json", "yaml", "table")]
    texts += [headgate("get", kind, "-o", "yaml").out for kind in ("providers", "models", "routes", "keys")]
    texts.append(headgate("get", "route", "chat").out)
    for text in texts:
        outcome = headgate("apply", "-f", written(text, "again.yaml"))
        assert {item["change"] for item in outcome.items} == {"unchanged"}
    assert list(yaml.safe_load(texts[1])) == ["providers", "models", "routes", "keys"]


def test_get_shows_the_spec_and_the_state(admin: FakeAdmin, headgate: Headgate, written: Write) -> None:
    headgate("apply", "-f", written(MANIFEST))
    assert headgate("disable", "route", "chat", "--reason", "on fire").items == [
        {"kind": "route", "tenant": "default", "name": "chat", "change": "disabled"}
    ]
    (item,) = headgate("get", "routes").items
    assert item["policy"] == {"fallback": ["m", "m"]}
    assert item["state"] == {"disabled": True, "disabled_reason": "on fire"}
    headgate("enable", "route", "chat")
    assert headgate("get", "route", "chat").items[0]["state"] == {"disabled": False}
    assert headgate("get", "limits").document == {"api": "headgate.v1", "kind": "LimitList", "items": []}


def test_get_proxies_and_tokens_have_the_fields_of_the_interface(
    admin: FakeAdmin, headgate: Headgate
) -> None:
    (proxy,) = headgate("get", "proxies").items
    assert set(PROXY_COLUMNS) <= set(proxy)
    assert proxy["config_version"] == 3
    (token,) = headgate("get", "tokens", "owner").items
    assert (token["name"], token["role"]) == ("owner", "owner")
    assert headgate("get", "proxy", "p2").code == 3


def test_a_new_key_is_shown_once_and_absent_allow_stays_absent(admin: FakeAdmin, headgate: Headgate) -> None:
    outcome = headgate("key", "create", "backend", "--expires", "30d")
    assert outcome.items[0]["name"] == "backend"
    assert outcome.items[0]["secret"].startswith("hg-")
    key = admin.resources["key", "default", "backend"].key
    assert not key.HasField("allow")
    assert key.expires.seconds == 30 * 86400
    headgate("key", "create", "narrow", "--allow", "chat", "--allow", "openai/*", "--tenant", "acme")
    assert list(admin.resources["key", "acme", "narrow"].key.allow.of) == ["chat", "openai/*"]
    assert headgate("key", "create", "backend").code == 4


def test_key_rotate_and_revoke(admin: FakeAdmin, headgate: Headgate) -> None:
    headgate("key", "create", "backend")
    assert headgate("key", "rotate", "backend", "--grace", "0s").items[0]["secret"].startswith("hg-")
    rotate = next(r for r in admin.requests if isinstance(r, admin_pb2.RotateKeyRequest))
    assert rotate.HasField("grace")
    assert headgate("key", "revoke", "backend").items[0]["change"] == "revoked"
    assert headgate("key", "revoke", "absent").code == 3


def test_a_provider_key_comes_from_stdin_and_a_headgate_key_is_refused(
    admin: FakeAdmin, headgate: Headgate, written: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    headgate("apply", "-f", written(MANIFEST))
    monkeypatch.setattr(sys, "stdin", io.StringIO("sk-new\n"))
    assert headgate("provider", "set-key", "p", "--key", "b").code == 0
    request = next(r for r in admin.requests if isinstance(r, admin_pb2.SetProviderKeyRequest))
    assert (request.provider, request.key, request.value) == ("p", "b", "sk-new")
    for wrong in ("hg-abc", "", "two words"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(wrong))
        outcome = headgate("provider", "set-key", "p")
        assert outcome.code == 2
        assert "abc" not in outcome.err


def test_tokens_are_bootstrapped_created_and_revoked(
    admin: FakeAdmin, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert headgate("token", "bootstrap").code == 4
    admin.tokens.clear()
    secret = headgate("token", "bootstrap").items[0]["secret"]
    monkeypatch.setenv("HEADGATE_TOKEN", secret)
    assert headgate("token", "create", "ci", "--role", "editor").items[0]["secret"].startswith("hgt-")
    assert headgate("token", "revoke", "ci").code == 0
    assert headgate("token", "revoke", "ci").code == 3


def test_changes_wait_for_the_proxies_unless_told_not_to(admin: FakeAdmin, headgate: Headgate) -> None:
    admin.await_answer = admin_pb2.AwaitRevisionResponse(acknowledged=1, pending=["p2"], refused=["p3: bad"])
    outcome = headgate("key", "create", "a")
    assert outcome.code == 0
    assert "p2" in outcome.err
    assert "p3: bad" in outcome.err
    waits = [r for r in admin.requests if isinstance(r, admin_pb2.AwaitRevisionRequest)]
    assert [(r.revision, r.timeout.seconds) for r in waits] == [(1, 5)]
    admin.requests.clear()
    headgate("key", "create", "b", "--no-wait")
    assert not any(isinstance(r, admin_pb2.AwaitRevisionRequest) for r in admin.requests)


def test_a_change_stays_done_when_waiting_fails(admin: FakeAdmin, headgate: Headgate) -> None:
    admin.failures["AwaitRevision"] = (grpc.StatusCode.PERMISSION_DENIED, "not your business", [])
    outcome = headgate("key", "create", "a")
    assert (outcome.code, outcome.items[0]["name"]) == (0, "a")


def test_usage_has_the_fields_of_the_interface_and_null_for_what_has_no_price(
    admin: FakeAdmin, headgate: Headgate
) -> None:
    priced, unpriced = headgate("usage", "--by", "model,metadata.team", "--since", "2h").items
    assert list(priced) == ["model", "metadata.team", *USAGE_COLUMNS]
    assert (priced["cost_usd"], unpriced["cost_usd"], unpriced["p50_ms"]) == ("0.0001707", None, None)
    request = next(r for r in admin.requests if isinstance(r, admin_pb2.QueryUsageRequest))
    assert list(request.by) == ["model", "metadata.team"]
    lines = headgate("usage", "-o", "csv").out.splitlines()
    assert lines[0].startswith("model,calls,attempts,errors,")
    assert lines[1].startswith("m,2,3,0,")


def test_calls_have_the_fields_of_the_interface(admin: FakeAdmin, headgate: Headgate) -> None:
    admin.calls = [call_view("r1"), call_view("r2")]
    items = headgate("calls", "--limit", "1").items
    assert [list(item) for item in items] == [list(CALL_COLUMNS)]
    assert (items[0]["outcome"], items[0]["cache"], items[0]["first_token_ms"]) == (
        "ok",
        "semantic-hit",
        None,
    )
    followed = headgate("calls", "--follow").out.splitlines()
    assert [json.loads(line)["request_id"] for line in followed] == ["r1", "r2"]
    (shown,) = headgate("calls", "show", "r2").items
    (attempt,) = shown["attempts"]
    assert (attempt["outcome"], attempt["reason"], attempt["cost_usd"]) == ("race_lost", "rate_limited", None)
    assert headgate("calls", "show", "r3").code == 3


def test_history_is_newest_first(admin: FakeAdmin, headgate: Headgate) -> None:
    assert [item["revision"] for item in headgate("history").items] == [2, 1]


def test_doctor_says_what_is_wrong_and_what_to_do(
    admin: FakeAdmin, headgate: Headgate, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = headgate("doctor")
    assert healthy.code == 0
    assert {item["check"] for item in healthy.items} >= {"python", "kek", "control plane", "token", "proxies"}
    (state / "admin-token").write_text("x")
    (state / "admin-token").chmod(0o644)
    monkeypatch.setenv("HEADGATE_TOKEN", "hgt-wrong")
    monkeypatch.setenv("HEADGATE_KEK", "c2hvcnQ=")
    sick = headgate("doctor")
    failures = {item["check"]: item["advice"] for item in sick.items if item["result"] == "failure"}
    assert sick.code == 1
    assert set(failures) == {"state folder", "kek", "token"}
    assert all(failures.values())
    assert f"chmod go-rwx {state / 'admin-token'}" in failures["state folder"]


def test_no_command_leaves_the_environment_changed(admin: FakeAdmin, headgate: Headgate) -> None:
    before = dict(os.environ)
    headgate("get", "keys")
    assert dict(os.environ) == before


def test_a_rollout_is_ended_by_the_revision_that_is_named_or_else_looked_up(
    admin: FakeAdmin, headgate: Headgate
) -> None:
    for command in ("promote", "promote 5", "halt", "halt 5 --reason slow"):
        assert headgate("rollout", *command.split(), "--no-wait").code == 0
    assert [request.revision for request in admin.requests] == [7, 5, 7, 5]
