"""Which of a provider's keys is used next, and which one rests: a refusal is the key's and not the model's.

Keys take turns. One that was rate-limited rests as long as its provider says, one that was refused for a
while; the set is never empty, because somebody may have mended a key at the provider.
"""

from __future__ import annotations

import time

from proxy.config.model import ProviderKey, Target
from proxy.policy.health import Health
from proxy.upstream.failure import AttemptFailed

# A rate-limited key rests this long where the provider does not say.
DEFAULT_COOL_DOWN_SECONDS = 1.0
# A refused key is tried again after this: somebody may have mended it at the provider.
REJECTED_COOL_DOWN_SECONDS = 30.0


def choose_key(target: Target, health: Health) -> tuple[ProviderKey | None, float]:
    """(key, seconds until it may be used). Keys take turns; resting ones are passed over."""
    provider = target.provider
    keys = provider.keys
    if not keys:
        return None, 0.0
    if len(keys) == 1 and not keys[0].cooling_until:
        return keys[0], 0.0
    now = time.monotonic()
    provider.turn[0] = turn = (provider.turn[0] + 1) % len(keys)
    for offset in range(len(keys)):
        key = keys[(turn + offset) % len(keys)]
        if key.cooling_until <= now and health.passes_key(target, key):
            key.cooling_until = 0.0
            return key, 0.0
    for key in keys:  # better one whose circuit is open than none
        if key.cooling_until <= now:
            return key, 0.0
    key = min(keys, key=lambda k: k.cooling_until)
    if key.reason == "rejected":
        return key, 0.0  # never an empty set: somebody may have mended it
    return key, key.cooling_until - now


def rest(key: ProviderKey | None, failure: AttemptFailed) -> None:
    if key is None:
        return
    if failure.status in (401, 402):  # a 403 is often about the content or the model, not the key
        key.cooling_until = time.monotonic() + REJECTED_COOL_DOWN_SECONDS
        key.reason = "rejected"
    elif failure.status == 429:
        key.cooling_until = time.monotonic() + asked_to_wait(failure)
        key.reason = "rate_limited"


def asked_to_wait(failure: AttemptFailed) -> float:
    """Seconds: what the provider says; a rate limit that says nothing has a default."""
    if failure.retry_after_seconds is not None:
        return failure.retry_after_seconds
    return DEFAULT_COOL_DOWN_SECONDS if failure.status == 429 else 0.0
