"""`get`, `delete`, `disable`, `enable` and `export`: the verbs that work for any kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from admin_cli import render
from admin_cli.errors import CliError, NotFound, UsageProblem
from admin_cli.options import AnyTenantOption, NoWaitOption, OutputOption, TenantOption
from admin_cli.render import Output, Result
from headgate.rules.names import DEFAULT_TENANT, KINDS, did_you_mean, plural, singular

_KINDS_TEXT = ", ".join(plural(kind) for kind in (*KINDS, "proxy", "token"))
KindArgument = Annotated[
    str,
    typer.Argument(metavar="KIND", help=f"One of {_KINDS_TEXT} (singular works too).", show_default=False),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", show_default=False)]

# What a table shows of each kind; JSON and YAML have everything.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "provider": ("name", "tenant", "kind", "base_url", "keys", "state.disabled", "state.health"),
    "model": ("name", "tenant", "provider", "upstream_model", "state.disabled"),
    "route": ("name", "tenant", "policy", "state.disabled"),
    "key": ("name", "tenant", "allow", "expires", "state.disabled"),
    "tenant": ("name", "state.disabled", "source", "revision"),
}
_COLUMNS_DEFAULT = ("name", "tenant", "state.disabled", "source", "revision")


def get(
    kind: KindArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one.", show_default=False)
    ] = None,
    tenant: TenantOption = DEFAULT_TENANT,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", "-A", help="Of all tenants.")] = False,
    output: OutputOption = None,
) -> Result:
    """List resources of a kind, or show one: the spec, and the state that verbs wrote."""
    one = known_kind(kind)
    if one == "proxy":
        return _list_proxies(name, output)
    if one == "token":
        return _list_tokens(name, output)
    from admin_cli.client import AdminClient, Connection
    from admin_cli.views import resource_item
    from headgate.v1 import admin_pb2

    scope = "" if one == "tenant" or all_tenants else tenant
    with AdminClient(Connection.from_environment()) as client:
        if name is not None:
            get_request = admin_pb2.GetResourceRequest(kind=one, tenant=_scope(one, tenant), name=name)
            views = [client.call("GetResource", get_request, admin_pb2.GetResourceResponse).resource]
        else:
            list_request = admin_pb2.ListResourcesRequest(kind=one, tenant=scope)
            views = list(
                client.pages(
                    "ListResources",
                    list_request,
                    admin_pb2.ListResourcesResponse,
                    lambda page: page.resources,
                )
            )
        health = _health(client, scope) if one == "provider" else {}
    items = [resource_item(view) for view in views]
    for item in items if one == "provider" else ():
        trouble = health.get((item["tenant"], item["name"]), [])
        item["state"]["health"] = trouble if render.chosen(output) != "table" else _in_words(trouble)
    return Result(one.capitalize(), _COLUMNS.get(one, _COLUMNS_DEFAULT), items, output)


def delete(
    kind: KindArgument,
    name: NameArgument,
    expect_revision: Annotated[
        int,
        typer.Option(
            "--expect-revision", metavar="N", min=0, help="Refuse (exit 4) if it is not at this revision."
        ),
    ] = 0,
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Delete a resource. One that others refer to cannot be deleted (exit 4)."""
    one = _changeable(kind, "headgate token revoke NAME")
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    request = admin_pb2.DeleteResourceRequest(
        kind=one, tenant=_scope(one, tenant), name=name, expected_revision=expect_revision
    )
    with AdminClient(Connection.from_environment()) as client:
        revision = client.call("DeleteResource", request, admin_pb2.DeleteResourceResponse).revision
        notes = await_proxies(client, revision, no_wait)
    return changed(one, _scope(one, tenant), name, "deleted", revision, notes, output)


def disable(
    kind: KindArgument,
    name: NameArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for the next person who looks.")
    ],
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """The emergency switch: proxies stop using this resource at once, and no manifest turns it on again."""
    return _switch(kind, name, reason, tenant, True, no_wait, output)


def enable(
    kind: KindArgument,
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit trail.")] = "",
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Undo `disable`."""
    return _switch(kind, name, reason, tenant, False, no_wait, output)


def export(tenant: AnyTenantOption = None, output: OutputOption = None) -> Result:
    """Print the whole config as one manifest, without secrets. `apply` takes it back.

    YAML on a terminal and with `-o yaml`; with `-o json` an envelope around the manifest.
    """
    from admin_cli import manifest_dump
    from admin_cli.client import AdminClient, Connection
    from admin_cli.views import spec_of
    from headgate.v1 import admin_pb2

    request = admin_pb2.ListResourcesRequest(tenant=tenant or "")
    manifest: dict[str, list[dict[str, Any]]] = {plural(kind): [] for kind in KINDS}
    with AdminClient(Connection.from_environment()) as client:
        answer = admin_pb2.ListResourcesResponse
        for view in client.pages("ListResources", request, answer, lambda page: page.resources):
            kind, rendered = spec_of(view.resource)
            manifest[plural(kind)].append(rendered)
    filled = {word: specs for word, specs in manifest.items() if specs}
    document = (
        manifest_dump.dump(manifest_dump.escape_dollars(filled)) if filled else "# nothing is declared\n"
    )
    return Result("Manifest", (), [filled], output, document=document)


def known_kind(text: str) -> str:
    kind = singular(text)
    if kind is None:
        words = [word for one in (*KINDS, "proxy", "token") for word in (one, plural(one))]
        raise UsageProblem(f"unknown kind {text!r}{did_you_mean(text, words)}", f"kinds are {_KINDS_TEXT}")
    return kind


def _changeable(text: str, for_tokens: str) -> str:
    kind = known_kind(text)
    if kind == "token":
        raise UsageProblem("tokens have their own verbs", f"use `{for_tokens}`")
    if kind == "proxy":
        raise CliError("proxies come and go by themselves; stop the program to remove one")
    return kind


def _scope(kind: str, tenant: str) -> str:
    """A tenant belongs to no tenant."""
    return "" if kind == "tenant" else tenant


def _switch(
    kind: str, name: str, reason: str, tenant: str, disabled: bool, no_wait: bool, output: Output | None
) -> Result:
    one = _changeable(kind, "headgate token revoke NAME")
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    if disabled and not reason.strip():
        raise UsageProblem("--reason is empty", "say why in a few words")
    request = admin_pb2.SetDisabledRequest(
        kind=one, tenant=_scope(one, tenant), name=name, disabled=disabled, reason=reason
    )
    with AdminClient(Connection.from_environment()) as client:
        revision = client.call("SetDisabled", request, admin_pb2.SetDisabledResponse).revision
        notes = await_proxies(client, revision, no_wait)
    change = "disabled" if disabled else "enabled"
    return changed(one, _scope(one, tenant), name, change, revision, notes, output)


def _list_proxies(name: str | None, output: Output | None) -> Result:
    from admin_cli import views
    from headgate.v1 import admin_pb2

    items = _listed(
        "ListProxies",
        admin_pb2.ListProxiesRequest(),
        admin_pb2.ListProxiesResponse,
        lambda page: page.proxies,
        views.proxy_item,
    )
    return Result("Proxy", views.PROXY_COLUMNS, _named("proxy", name, items), output)


def _list_tokens(name: str | None, output: Output | None) -> Result:
    from admin_cli import views
    from headgate.v1 import admin_pb2

    items = _listed(
        "ListTokens",
        admin_pb2.ListTokensRequest(),
        admin_pb2.ListTokensResponse,
        lambda page: page.tokens,
        views.token_item,
    )
    return Result("Token", views.TOKEN_COLUMNS, _named("token", name, items), output)


def _health(client: Any, tenant: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """By provider: what is not as it should be, proxy by proxy; empty where all is well."""
    from admin_cli.views import health_items
    from headgate.v1 import routing_pb2

    request = routing_pb2.ListStandingsRequest(tenant=tenant)
    answer = routing_pb2.ListStandingsResponse
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for proxy in client.pages("ListStandings", request, answer, lambda page: page.proxies):
        for place, item in health_items(proxy):
            found.setdefault(place, []).append(item)
    return found


def _in_words(trouble: list[dict[str, Any]]) -> str:
    """One line each: `gpt-4o open (eu)`, `key a rate_limited (us)`."""
    lines = [
        f"{item.get('model') or 'key ' + item['key']} {item['state']} ({item['region'] or 'no region'})"
        for item in trouble
    ]
    return "\n".join(dict.fromkeys(lines)) or "ok"


def _listed(
    method: str, request: Any, answer: Any, pick: Callable[[Any], Any], item: Callable[[Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    from admin_cli.client import AdminClient, Connection

    with AdminClient(Connection.from_environment()) as client:
        return [item(view) for view in client.pages(method, request, answer, pick)]


def _named(kind: str, name: str | None, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if name is None:
        return items
    found = [item for item in items if item["name"] == name]
    if not found:
        raise NotFound(f"there is no {kind} {name!r}{did_you_mean(name, [item['name'] for item in items])}")
    return found
