"""`kek`: the keys that seal the secrets in the database."""

from __future__ import annotations

from typing import Any

import typer

from admin_cli.options import OutputOption
from admin_cli.render import Result

app = typer.Typer(no_args_is_help=True, help="The key-encryption keys: what seals, and how it is replaced.")
# One call seals anew for five seconds at most.
DEADLINE_SECONDS = 60.0


@app.command()
def show(output: OutputOption = None) -> Result:
    """Show which key seals, and how many secrets which key sealed.

    An id is made from a digest of its key. `present`: the replica that answers has that key.
    """
    from admin_cli.client import AdminClient, Connection
    from headgate.v1 import sealing_pb2

    request, answer = sealing_pb2.GetSealingRequest(), sealing_pb2.GetSealingResponse
    with AdminClient(Connection.from_environment()) as client:
        keks = client.call("GetSealing", request, answer).keks
    items = [
        {"id": kek.id, "active": kek.active, "secrets": int(kek.secrets), "present": kek.present}
        for kek in keks
    ]
    return Result("Kek", ("id", "active", "secrets", "present"), items, output)


@app.command()
def rotate(output: OutputOption = None) -> Result:
    """Seal everything anew under the first key of the control plane's KEK file (or variable, or command).

    Before: write the new key as the first line, the old one below it, for every replica. Nothing has to be
    restarted where keys come from a file or a command. Afterwards the old line can go; backups of the
    database from before still need the old key.
    """
    from admin_cli.client import AdminClient, Connection
    from admin_cli.progress import working

    with (
        AdminClient(Connection.from_environment(), quiet=True) as client,
        working("sealing the stored secrets anew"),
    ):
        item = _until_nothing_remains(client)
    return Result("KekRotation", tuple(item), [item], output)


def _until_nothing_remains(client: Any) -> dict[str, Any]:
    from headgate.v1 import sealing_pb2

    activated, sealed_anew = False, 0
    while True:
        request, answer = sealing_pb2.RotateKekRequest(), sealing_pb2.RotateKekResponse
        done = client.call("RotateKek", request, answer, DEADLINE_SECONDS)
        activated = activated or done.activated
        sealed_anew += done.sealed_anew
        if done.remaining == 0 or done.sealed_anew == 0:
            break
    change = "rotated" if activated else ("completed" if sealed_anew else "unchanged")
    return {"change": change, "sealed_anew": sealed_anew, "remaining": int(done.remaining)}
