"""Places for calls and streams: so many for each token, and fewer for all streams than the server has.

The server's own limit knows nobody: whoever fills it keeps out the admin who would end it (A15). So what
stays open is counted here, by whom, and leaves room for calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from control_plane.tokens.errors import TooManyAtOnce

# Of the server: two streams for each of a thousand proxies, streams of others, and room for calls.
MAX_CONCURRENT_RPCS = 4_096
MAX_STREAMS = 3_072
# All proxies may share one token; a certificate is one proxy's: its two streams, and those that it has lost
# without knowing.
MAX_STREAMS_PER_TOKEN = 2_560
MAX_STREAMS_PER_PROXY = 16
# Half of what streams leave.
MAX_CALLS_PER_TOKEN = 512
# Of those who showed no token, together: joining, and health.
MAX_CALLS_WITHOUT_TOKEN = 256
MAX_STREAMS_WITHOUT_TOKEN = 64


class Places:
    def __init__(self) -> None:
        self._streams: Counter[bytes] = Counter()
        self._calls: Counter[bytes] = Counter()

    @contextmanager
    def call(self, who: bytes) -> Iterator[None]:
        """`who`: the digest of a token; empty: nobody. Raises TooManyAtOnce."""
        with _taken(self._calls, who, MAX_CALLS_PER_TOKEN if who else MAX_CALLS_WITHOUT_TOKEN):
            yield

    @contextmanager
    def stream(self, who: bytes, *, is_one_proxy: bool = False) -> Iterator[None]:
        """Raises TooManyAtOnce."""
        if self._streams.total() >= MAX_STREAMS:
            raise TooManyAtOnce(MAX_STREAMS)
        limit = MAX_STREAMS_PER_PROXY if is_one_proxy else MAX_STREAMS_PER_TOKEN
        with _taken(self._streams, who, limit if who else MAX_STREAMS_WITHOUT_TOKEN):
            yield


@contextmanager
def _taken(counts: Counter[bytes], who: bytes, limit: int) -> Iterator[None]:
    if counts[who] >= limit:
        raise TooManyAtOnce(limit)
    counts[who] += 1
    try:
        yield
    finally:
        counts[who] -= 1
        if not counts[who]:
            del counts[who]
