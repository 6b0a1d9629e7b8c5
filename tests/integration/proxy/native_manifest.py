"""The manifest of the tests of providers' own APIs, and the heads that they send.

The provider `pieces` is a socket that the test reads and writes itself.
"""

from __future__ import annotations

from typing import Any

from tests.integration.proxy.gateway_manifest import sha256

NATIVE = "hg-nativeNative-" + "v" * 43
CHAT_ONLY = "hg-chatChatOnly-" + "c" * 43


def manifest(base_url: str, pieces_url: str) -> dict[str, Any]:
    place = {"private_network": True}
    return {
        "providers": [
            {"name": "oai", "kind": "openai", "keys": ["pk-oai"], "base_url": base_url, **place},
            {
                "name": "ant",
                "kind": "anthropic",
                "keys": ["pk-ant"],
                "base_url": base_url.removesuffix("/v1"),
                **place,
            },
            {"name": "pieces", "kind": "openai", "keys": ["pk-pieces"], "base_url": pieces_url, **place},
        ],
        "models": [
            {"name": "pieced", "provider": "pieces", "upstream_model": "pieced"},
            {"name": "mini", "provider": "oai", "upstream_model": "gpt-4o-mini"},
        ],
        "keys": [
            {
                "name": "native",
                "sha256": sha256(NATIVE),
                "allow": [],
                "passthrough": [
                    "oai * /v1/files*",
                    "oai * /v1/batches*",
                    "oai POST /v1/chat/completions",
                    "ant POST /v1/*",
                    "pieces * /v1/*",
                ],
            },
            {"name": "chat-only", "sha256": sha256(CHAT_ONLY), "allow": ["*"]},
        ],
    }


def head(method: str, path: str, *lines: str, key: str = NATIVE) -> bytes:
    first = [f"{method} {path} HTTP/1.1", "host: gateway", f"authorization: Bearer {key}"]
    return ("\r\n".join([*first, *lines]) + "\r\n\r\n").encode()
