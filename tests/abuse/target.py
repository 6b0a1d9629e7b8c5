"""What is attacked: a gateway with one model for each dialect, good and bad keys, and every way in.

`ASKED` has a good request for each operation that takes JSON; attacks are variations of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.proxy.gateway import Gateway
from tests.integration.proxy.gateway_manifest import sha256
from tests.integration.proxy.raw_client import Answer
from tests.integration.proxy.translating_manifest import manifest as translating_manifest

# Secrets that the tests choose; the control plane stores the hash alone.
VALID = "hg-validValid00-" + "v" * 43
REVOKED = "hg-revokedKey00-" + "r" * 43
EXPIRED = "hg-expiredKey00-" + "e" * 43
NATIVE = "hg-nativeNative-" + "n" * 43
WRONG_SECRET = VALID[:-1] + "w"
UNKNOWN = "hg-unknownKey00-" + "u" * 43

HI = [{"role": "user", "content": "hi"}]
# Path → a good request, for a provider of its own dialect.
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "gpt-plain", "messages": HI},
    "/v1/responses": {"model": "pro", "input": "hi"},
    "/v1/messages": {"model": "claude", "messages": HI, "max_tokens": 10},
    "/v1/completions": {"model": "gpt-plain", "prompt": "hi"},
    "/v1/embeddings": {"model": "gpt-plain", "input": "hi"},
    "/v1/moderations": {"model": "omni-moderation-latest", "input": "hi"},
    "/v1/images/generations": {"model": "painter", "prompt": "hi"},
    "/v1/audio/speech": {"model": "tts", "input": "hi", "voice": "alloy"},
}
# Those that another dialect's provider answers: what is sent is written anew.
TRANSLATED: tuple[tuple[str, str], ...] = (
    ("/v1/chat/completions", "claude"),
    ("/v1/chat/completions", "gemini"),
    ("/v1/responses", "claude"),
    ("/v1/responses", "gpt-plain"),
    ("/v1/messages", "gpt-plain"),
    ("/v1/messages", "gemini"),
)


def ways_in() -> list[tuple[str, dict[str, Any]]]:
    """Path and request: every operation at its own provider, then every translation."""
    translated = [(path, {**ASKED[path], "model": model}) for path, model in TRANSLATED]
    return [*ASKED.items(), *translated]


def manifest(base_url: str) -> dict[str, Any]:
    document = translating_manifest(base_url)
    document["models"] += [
        {"name": name, "provider": "at-gpt-plain", "upstream_model": f"{name}-upstream"}
        for name in ("alpha", "beta")
    ]
    document["keys"] = [
        {"name": "valid", "sha256": sha256(VALID), "allow": ["*"]},
        {"name": "revoked", "sha256": sha256(REVOKED), "allow": ["*"]},
        {"name": "expired", "sha256": sha256(EXPIRED), "allow": ["*"], "expires": "1s"},
        {
            "name": "native",
            "sha256": sha256(NATIVE),
            "allow": [],
            "passthrough": ["at-gpt-plain * /v1/*", "at-claude * /v1/*"],
        },
    ]
    return document


def proxy_pid(gateway: Gateway) -> int:
    """With one worker, supervisor and worker are one process."""
    return gateway.headgate.pids("proxy")[0]


def memory_mib(pid: int, what: str = "VmHWM") -> float:
    """The highest resident memory since `forget_peak`, or (`VmRSS`) that of now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(what)


def forget_peak(pid: int) -> None:
    # https://www.kernel.org/doc/html/latest/filesystems/proc.html#proc-pid-clear-refs
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def error_of(answer: Answer, path: str) -> dict[str, Any]:
    """The error object in the dialect of the path; fails if it is in any other."""
    if not path.startswith("/v1/messages"):
        return answer.error()
    document = answer.document()
    assert document["type"] == "error"
    assert answer.header("content-type") == "application/json"
    error: dict[str, Any] = document["error"]
    assert error["type"]
    assert error["message"]
    return error
