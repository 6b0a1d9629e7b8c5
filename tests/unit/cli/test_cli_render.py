from __future__ import annotations

import io
import json

import pytest
import yaml

from admin_cli import render
from admin_cli.render import Output, Result, UsageOutput

RESULT = Result(
    "Route",
    ("name", "state.disabled", "cost_usd"),
    [
        {"name": "chat", "state": {"disabled": False}, "cost_usd": None},
        {"name": "ünï\x1b[31m", "cost_usd": "0.10"},
    ],
    Output.JSON,
    {"revision": 12},
)


def test_the_envelope_is_frozen() -> None:
    assert json.dumps(render.envelope(RESULT), ensure_ascii=False) == (
        '{"api": "headgate.v1", "kind": "RouteList", "revision": 12, "items": '
        '[{"name": "chat", "state": {"disabled": false}, "cost_usd": null}, '
        '{"name": "ünï\x1b[31m", "cost_usd": "0.10"}]}'.replace("\x1b", "\\u001b")
    )


def test_json_is_the_default_where_stdout_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert render.chosen(None) == "json"
    assert render.chosen(Output.YAML) == "yaml"


def test_yaml_has_the_same_content_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    render.show(Result("X", (), [{"a": "1.10", "b": None, "c": ["on"]}], Output.YAML))
    expected = {"api": "headgate.v1", "kind": "XList", "items": [{"a": "1.10", "b": None, "c": ["on"]}]}
    assert yaml.safe_load(capsys.readouterr().out) == expected


def test_csv_has_a_header_and_empty_fields_for_null(capsys: pytest.CaptureFixture[str]) -> None:
    items: list[dict[str, object]] = [{"model": 'a,"b', "cost_usd": None}, {"model": "c", "cost_usd": "0.1"}]
    render.show(Result("Usage", ("model", "cost_usd"), items, UsageOutput.CSV))
    assert capsys.readouterr().out == 'model,cost_usd\r\n"a,""b",\r\nc,0.1\r\n'


def test_a_table_has_the_envelope_as_its_footer_and_obeys_no_control_sequence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    render.show(Result(RESULT.kind, RESULT.columns, RESULT.items, Output.TABLE, {"revision": 12}, ("noted",)))
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["NAME", "DISABLED", "COST", "USD"]
    assert lines[1].split() == ["chat", "no", "–"]
    assert lines[-1] == "revision 12"
    assert "\x1b" not in captured.out
    assert "\\x1b[31m" in captured.out
    assert captured.err == "noted\n"
