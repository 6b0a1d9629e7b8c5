"""`route explain`: which model would answer a request now, and why."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from admin_cli import render
from admin_cli.errors import NotFound, UsageProblem
from admin_cli.options import OutputOption, TenantOption
from admin_cli.render import Result
from headgate.rules.names import DEFAULT_TENANT

if TYPE_CHECKING:
    from headgate.v1 import routing_pb2

app = typer.Typer(no_args_is_help=True, help="What a route would do.")

COLUMNS = (
    "place", "model", "share", "reason", "expected_cost_usd", "first_token_ms", "quality",
    "health",
)  # fmt: skip
# Where nothing is said about the request: a page of text.
TYPICAL_INPUT_TOKENS = 500
# As long as a proxy reads it.
MAX_USER_LENGTH = 256
MAX_REQUEST_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class _Request:
    """A client's request, as the proxies' own rules read it."""

    body: bytes
    document: dict[str, Any]

    @property
    def stream(self) -> bool:
        return self.document.get("stream") is True


@app.command()
def explain(
    route: Annotated[
        str,
        typer.Argument(
            metavar="ROUTE",
            help="As a client would write it: a route, a model, chat:cheapest.",
            show_default=False,
        ),
    ],
    task: Annotated[str, typer.Option("--task", metavar="X", help="As x-headgate-task would say.")] = "",
    request: Annotated[
        str,
        typer.Option(
            "--request",
            metavar="FILE",
            help="A request body (JSON; - is stdin). It is read here; its text is sent nowhere.",
        ),
    ] = "",
    region: Annotated[
        str, typer.Option("--region", metavar="R", help="Of the proxy. Default: the one that reported last.")
    ] = "",
    key: Annotated[str, typer.Option("--key", metavar="NAME", help="With this key's permissions.")] = "",
    user: Annotated[str, typer.Option("--user", metavar="TEXT", help="As x-headgate-user would say.")] = "",
    session: Annotated[
        str, typer.Option("--session", metavar="TEXT", help="As x-headgate-session would say.")
    ] = "",
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="K=V", help="As x-headgate-metadata. Repeatable."),
    ] = None,
    input_tokens: Annotated[
        int | None, typer.Option("--input-tokens", metavar="N", min=0, help="Instead of a request: its size.")
    ] = None,
    max_cost_usd: Annotated[
        str, typer.Option("--max-cost-usd", metavar="USD", help="As x-headgate-max-cost-usd would say.")
    ] = "",
    tenant: TenantOption = DEFAULT_TENANT,
    output: OutputOption = None,
) -> Result:
    """Show which model would answer now and why: price, latency, quality, health. Calls nobody."""
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import routing_pb2

    if request and input_tokens is not None:
        raise UsageProblem("--request and --input-tokens exclude each other", "keep one of them")
    asked = routing_pb2.ExplainRouteRequest(
        tenant=tenant,
        model=route,
        region=region,
        key=key,
        task=task,
        user=user,
        session=session,
        metadata=dict(map(_pair, metadata or ())),
        max_cost_usd=max_cost_usd,
    )
    notes: tuple[str, ...] = ()
    if request:
        _describe(asked, _read(request))
    else:
        asked.input_tokens = TYPICAL_INPUT_TOKENS if input_tokens is None else input_tokens
        if input_tokens is None:
            notes = (
                f"assumed: {TYPICAL_INPUT_TOKENS} tokens of input; --request FILE looks at a real request",
            )
    with AdminClient(Connection.from_environment()) as client:
        found = client.call("ExplainRoute", asked, routing_pb2.ExplainRouteResponse)
    candidates = [_item(candidate) for candidate in found.candidates]
    beside = {"route": found.route, "region": found.region or None, "chosen": found.chosen or None}
    if not found.chosen:
        notes += ("nobody would answer: see the reasons",)
    if render.chosen(output) != "table":
        return Result("Explanation", COLUMNS, [{**beside, "candidates": candidates}], output, notes=notes)
    return Result("Explanation", COLUMNS, candidates, output, beside, notes)


def _item(found: routing_pb2.ExplainedCandidate) -> dict[str, Any]:
    def optional(name: str) -> Any:
        return getattr(found, name) if found.HasField(name) else None

    return {
        "place": found.place or None,
        "model": found.model,
        "provider": found.provider or None,
        "upstream_model": found.upstream_model or None,
        "eligible": found.place > 0,
        "reason": found.reason or None,
        "share": round(found.share, 2),
        "expected_cost_usd": optional("expected_cost_usd"),
        "expected_output_tokens": round(found.expected_output_tokens),
        "first_token_ms": optional("first_token_ms"),
        "total_ms": optional("total_ms"),
        "quality": optional("quality"),
        "health": found.health,
    }


def _describe(asked: routing_pb2.ExplainRouteRequest, request: _Request) -> None:
    """Sizes, needs and whose it is; what it says stays here."""
    from headgate.policy.estimates import Estimates
    from headgate.policy.facts import RequestFacts

    facts = RequestFacts(request, route="", random=lambda: 0.5, estimates=Estimates(lambda: 0.0))
    asked.input_tokens = facts.input_tokens
    asked.max_tokens = facts.max_tokens
    asked.stream = facts.stream
    asked.wants_json = facts.wants_json
    asked.needs.extend(sorted(facts.needs))
    if not asked.user:
        metadata = request.document.get("metadata")
        user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
        user = request.document.get("user") or user_id
        asked.user = user[:MAX_USER_LENGTH] if isinstance(user, str) else ""


def _read(name: str) -> _Request:
    try:
        body = sys.stdin.buffer.read(MAX_REQUEST_BYTES) if name == "-" else Path(name).read_bytes()
    except FileNotFoundError:
        raise NotFound(f"--request: there is no file {name}") from None
    try:
        document = json.loads(body)
    except ValueError as error:
        raise UsageProblem(f"--request: {name} is not JSON: {error}", "give the body of a request") from None
    if not isinstance(document, dict):
        raise UsageProblem(f"--request: {name} is not a JSON object", "give the body of a request")
    return _Request(body, document)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageProblem(f"--metadata: {text!r} is not K=V", "write for example --metadata team=core")
    return name, value
