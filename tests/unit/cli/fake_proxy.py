"""A program that stands in for `python -m proxy`: serves /v1/models and writes the ready file."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"object": "list", "data": [{"id": "chat"}, {"id": "sandbox"}]}).encode()
        ours = self.headers.get("authorization", "").startswith("Bearer hg-")
        self.send_response(200 if ours else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser()
    for option in (
        "--control-plane",
        "--name",
        "--region",
        "--http",
        "--ops",
        "--state",
        "--workers",
        "--ready-file",
    ):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    root = Path(arguments.state).parent
    names = [n for n in os.environ if n.startswith("HEADGATE_") or n.endswith("_API_KEY")]
    (root / "proxy-environment").write_text(" ".join(sorted(names)))
    with (root / "proxy-starts").open("a") as starts:
        starts.write(f"{os.getpid()} {arguments.http} {arguments.ops}\n")
    identity = Path(arguments.state) / "identity"
    if not (identity / "certificate.json").exists():
        if not os.environ.get("HEADGATE_JOIN_TOKEN", "").startswith("hgj-"):
            sys.exit("no token")
        identity.mkdir(mode=0o700)
        certificate = {"expires_at": time.time() + 86_400, "port": 65_001}
        document = {"name": arguments.name, "region": arguments.region, "certificate": certificate}
        (identity / "certificate.json").touch(0o600)
        (identity / "certificate.json").write_text(json.dumps(document))
    host, _, port = arguments.http.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    if os.environ.get("FAKE_PROXY_DIES"):
        threading.Timer(float(os.environ["FAKE_PROXY_DIES"]), lambda: os._exit(3)).start()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port_text = str(server.server_port)
    ready = {"http": f"http://{host}:{port_text}", "ops": "http://127.0.0.1:65002", "pid": os.getpid()}
    temporary = Path(arguments.ready_file + ".new")
    temporary.write_text(json.dumps(ready))
    temporary.rename(arguments.ready_file)
    stopping.wait()
    if os.environ.get("FAKE_PROXY_HANGS"):
        threading.Event().wait(30)
    with (root / "ends").open("a") as ends:
        ends.write(f"proxy {time.monotonic()}\n")


if __name__ == "__main__":
    main()
