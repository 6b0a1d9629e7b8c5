"""What can be said of a provider's spec by itself: address, headers, keys, the sandbox's ranges.

The address is only read here. Where it leads is checked by the proxy at connect, on what it resolves to.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from headgate.rules.errors import Problem
from headgate.rules.names import did_you_mean, is_name, name_problem
from headgate.v1 import resources_pb2

PROVIDER_KINDS = (
    "openai",
    "anthropic",
    "gemini",
    "groq",
    "cerebras",
    "deepinfra",
    "mistral",
    "xai",
    "openrouter",
    "nvidia",
    "openai-compatible",
    "sandbox",
)
MAX_KEYS = 100
MAX_KEY_CHARACTERS = 8_192
MAX_HEADERS = 32
MAX_HEADER_CHARACTERS = 4_096
MAX_URL_CHARACTERS = 2_048
MAX_FILE_CHARACTERS = 255
MAX_SANDBOX_LATENCY_SECONDS = 300
MAX_SANDBOX_TOKENS = 100_000
MAX_SANDBOX_TOKENS_PER_SECOND = 1e6

# Set by the proxy itself, or meaning something to the connection (RFC 9110 7.6.1), or credentials.
FORBIDDEN_HEADERS = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"),
        *("te", "trailer", "transfer-encoding", "upgrade", "expect", "host", "content-length"),
        *("content-type", "accept-encoding", "x-client-request-id", "cookie"),
        *("authorization", "x-api-key", "api-key", "x-goog-api-key"),
    }
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_VISIBLE = re.compile(r"[!-~]+")


def provider_problems(spec: resources_pb2.Provider) -> Iterator[Problem]:
    if spec.kind not in PROVIDER_KINDS:
        hint = did_you_mean(spec.kind, PROVIDER_KINDS)
        known = ", ".join(PROVIDER_KINDS)
        yield Problem(("kind",), f"unknown kind {spec.kind[:64]!r}{hint}; known are {known}")
    yield from _address(spec)
    yield from _keys(spec)
    yield from _headers(spec)
    if spec.egress_proxy:
        yield from _egress(spec)
    if spec.HasField("tls") and spec.tls.ca_file:
        yield from _file(spec.tls.ca_file, ("tls", "ca_file"))
    for index, region in enumerate([spec.region, *spec.serve_regions]):
        if (region or index) and not is_name(region):
            path = ("serve_regions", index - 1) if index else ("region",)
            yield Problem(path, name_problem(region) or "")
    if spec.HasField("sandbox"):
        if spec.kind != "sandbox":
            yield Problem(("sandbox",), "only for the kind sandbox")
        yield from _sandbox(spec.sandbox)


def _address(spec: resources_pb2.Provider) -> Iterator[Problem]:
    path = ("base_url",)
    if not spec.base_url:
        if spec.kind == "openai-compatible":
            yield Problem(path, "the kind openai-compatible needs a base_url")
        return
    if spec.kind == "sandbox":
        yield Problem(path, "a sandbox has no address")
        return
    if len(spec.base_url) > MAX_URL_CHARACTERS or not _VISIBLE.fullmatch(spec.base_url):
        yield Problem(path, "is not a URL")
        return
    try:
        url = urlsplit(spec.base_url)
        host, _port = url.hostname, url.port
    except ValueError:
        yield Problem(path, "is not a URL")
        return
    if url.scheme not in ("http", "https") or not host:
        yield Problem(path, "must begin with https:// or http:// and name a host")
    elif "@" in url.netloc or "\\" in spec.base_url:
        yield Problem(path, "must not contain credentials; provider keys go into `keys`")
    elif url.query or url.fragment or "?" in spec.base_url or "#" in spec.base_url:
        yield Problem(path, "must not have a query or a fragment")
    elif not spec.private_network:
        if url.scheme == "http":
            yield Problem(
                path, "plain http is only for private networks: set private_network: true, or use https"
            )
        elif _is_private(host):
            yield Problem(path, f"{host} is a private address: set private_network: true if it is meant")


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _keys(spec: resources_pb2.Provider) -> Iterator[Problem]:
    if len(spec.keys) > MAX_KEYS:
        yield Problem(("keys",), f"more than {MAX_KEYS}")
    for index, key in enumerate(spec.keys):
        if key.name and not is_name(key.name):
            yield Problem(("keys", index, "name"), name_problem(key.name) or "")
        if not key.name and not key.value and not key.file:
            yield Problem(("keys", index), "has neither a name nor a value")
        elif problem := key_value_problem(key.value):
            yield Problem(("keys", index, "value"), problem)
        if key.file:
            if key.value:
                yield Problem(("keys", index, "file"), "a key has a value or a file, not both")
            yield from _file(key.file, ("keys", index, "file"))


def _file(name: str, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """The proxy reads it below its --secrets-dir, and checks again that it does not lead out of it."""
    parts = name.split("/")
    if len(name) > MAX_FILE_CHARACTERS or not _VISIBLE.fullmatch(name):
        yield Problem(path, "is not the name of a file")
    elif name.startswith("/") or ".." in parts or "" in parts:
        yield Problem(path, "must be a name below the proxies' --secrets-dir, without '..'")


def _egress(spec: resources_pb2.Provider) -> Iterator[Problem]:
    path = ("egress_proxy",)
    try:
        url = urlsplit(spec.egress_proxy)
        host, _port = url.hostname, url.port
    except ValueError:
        host, url = None, urlsplit("")
    if url.scheme != "http" or not host or not _VISIBLE.fullmatch(spec.egress_proxy):
        yield Problem(path, "must be http://HOST:PORT, the address of a proxy that takes CONNECT")
    elif "@" in url.netloc:
        yield Problem(path, "must not contain credentials: let the proxy know ours by their address")
    elif url.path.strip("/") or url.query or url.fragment:
        yield Problem(path, "must not have a path")
    elif spec.base_url.startswith("http:"):
        yield Problem(path, "needs an https base_url: CONNECT is for what is encrypted end to end")
    elif spec.kind == "sandbox":
        yield Problem(path, "a sandbox has no address")


def key_value_problem(value: str) -> str | None:
    """Why this cannot be a provider's key. The answer does not quote it."""
    if not value:
        return None
    if len(value) > MAX_KEY_CHARACTERS or not _VISIBLE.fullmatch(value):
        return "is not a provider's key: spaces or unusual characters, or too long"
    if value.startswith(("hg-", "hgt-")):
        return "is a Headgate credential, not the provider's own key"
    return None


def _headers(spec: resources_pb2.Provider) -> Iterator[Problem]:
    if len(spec.headers) > MAX_HEADERS:
        yield Problem(("headers",), f"more than {MAX_HEADERS}")
    for name, value in spec.headers.items():
        path = ("headers", name[:64])
        if not _TOKEN.fullmatch(name):
            yield Problem(path, "is not a header name")
        elif name.lower() in FORBIDDEN_HEADERS:
            yield Problem(path, "is set by the proxy itself and cannot be given here")
        elif len(value) > MAX_HEADER_CHARACTERS or not _VALUE.fullmatch(value):
            yield Problem(path, "has a value with control or non-ASCII characters, or too long a one")


def _sandbox(sandbox: resources_pb2.Sandbox) -> Iterator[Problem]:
    if not 0 <= sandbox.latency.ToNanoseconds() <= MAX_SANDBOX_LATENCY_SECONDS * 10**9:
        yield Problem(("sandbox", "latency"), f"must be from 0s to {MAX_SANDBOX_LATENCY_SECONDS}s")
    rate = sandbox.tokens_per_second
    if not (math.isfinite(rate) and 0 <= rate <= MAX_SANDBOX_TOKENS_PER_SECOND):
        yield Problem(("sandbox", "tokens_per_second"), "must be from 0 to 1000000")
    if not 0 <= sandbox.error_rate <= 1:
        yield Problem(("sandbox", "error_rate"), "must be from 0 to 1")
    if sandbox.error_status and not 400 <= sandbox.error_status <= 599:
        yield Problem(("sandbox", "error_status"), "must be from 400 to 599")
    if sandbox.output_tokens > MAX_SANDBOX_TOKENS:
        yield Problem(("sandbox", "output_tokens"), f"must be at most {MAX_SANDBOX_TOKENS}")
