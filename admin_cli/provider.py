"""`provider set-key|remove-key`: the tenant's own secrets at providers, from stdin, never from arguments."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from admin_cli.errors import UsageProblem
from admin_cli.options import NoWaitOption, OutputOption, TenantOption
from admin_cli.render import Result
from headgate.rules.credentials import Secret
from headgate.rules.names import DEFAULT_TENANT

app = typer.Typer(no_args_is_help=True, help="Set and remove the keys of providers.")

# No provider's key comes near it.
MAX_KEY_CHARACTERS = 16_384

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The provider's name.", show_default=False)]


@app.command("set-key")
def set_key(
    name: NameArgument,
    key: Annotated[
        str, typer.Option("--key", metavar="K", help="Which of the provider's keys. Default: 'default'.")
    ] = "",
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Set a provider's key, read from stdin: `headgate provider set-key openai < FILE`.

    It replaces the manifest's everywhere, without a restart. On a terminal it is asked for.
    """
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    value = provider_secret(_read(), "the key on stdin")
    request = admin_pb2.SetProviderKeyRequest(tenant=tenant, provider=name, key=key, value=value.text)
    with AdminClient(Connection.from_environment()) as client:
        revision = client.call("SetProviderKey", request, admin_pb2.SetProviderKeyResponse).revision
        notes = await_proxies(client, revision, no_wait)
    return changed("provider", tenant, name, "key set", revision, notes, output)


@app.command("remove-key")
def remove_key(
    name: NameArgument,
    key: Annotated[str, typer.Option("--key", metavar="K", help="Which of the provider's keys.")],
    tenant: TenantOption = DEFAULT_TENANT,
    no_wait: NoWaitOption = False,
    output: OutputOption = None,
) -> Result:
    """Remove one of a provider's keys. No manifest brings it back."""
    from admin_cli.change import await_proxies, changed
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import admin_pb2

    request = admin_pb2.RemoveProviderKeyRequest(tenant=tenant, provider=name, key=key)
    with AdminClient(Connection.from_environment()) as client:
        revision = client.call("RemoveProviderKey", request, admin_pb2.RemoveProviderKeyResponse).revision
        notes = await_proxies(client, revision, no_wait)
    return changed("provider", tenant, name, "key removed", revision, notes, output)


def provider_secret(text: str, where: str) -> Secret:
    """A provider's key as it may be stored; refuses what cannot be one. `where` names its origin."""
    value = text.strip()
    if not value:
        raise UsageProblem(f"{where} is empty", "pipe the provider's key in, or type it on a terminal")
    if value.startswith(("hg-", "hgt-")):
        raise UsageProblem(
            f"{where} is one of Headgate's own keys (hg-…), not a provider's",
            "use the key that the provider gave you; hg- keys are for applications that call Headgate",
        )
    if len(value) > MAX_KEY_CHARACTERS or any(c.isspace() or not c.isprintable() for c in value):
        raise UsageProblem(
            f"{where} is not a key: it has white space or control characters in it, or is too long"
        )
    return Secret(value)


def _read() -> str:
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("Provider key (not shown): ")
    return sys.stdin.read(MAX_KEY_CHARACTERS + 2)
