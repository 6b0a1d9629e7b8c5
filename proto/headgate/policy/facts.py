"""What a policy may know of one request. Everything that costs something is worked out when first asked for.

Counts of input are estimates: what decides is which of two models is cheaper, and both get the same one.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from headgate.policy.estimates import Estimates
    from headgate.policy.experiments import Experiment

# More than any model answers with; a client may write what it likes.
MAX_TOKENS = 10_000_000
# Bytes of JSON per token: English prose in messages is near 4.
BYTES_PER_TOKEN = 4
# A long run of base64 is a picture or a document, and not text.
_BLOB = re.compile(rb'"(?:data:[a-z0-9.+/-]*;base64,)?[A-Za-z0-9+/=]{2000,}"')
_BLOB_TOKENS = 1_500
_BLOB_SEARCH_BYTES = 8_000
# A name in quotes cannot stand inside a text: its quotes would be escaped there.
_IMAGES = (b'"image_url"', b'"input_image"', b'"image"')
_AUDIO = (b'"input_audio"',)
# Providers keep the beginning of a prompt from about this size on (1,024 tokens).
# https://platform.openai.com/docs/guides/prompt-caching
CACHED_PREFIX_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Assignment:
    """`by_request`: the unit was not told, or the client chose: no evidence of the unit."""

    experiment: str
    variant: str
    by_request: bool = False

    @property
    def label(self) -> str:
        """As `x-headgate-experiment` shows it."""
        return f"{self.experiment}/{self.variant}"


class Facts:
    """Who asks, for what, and when. `random`: a number in [0, 1) each time; `now`: Unix seconds.

    `residency`: labels of the regions whose providers may be asked; empty: all.
    """

    __slots__ = (
        "assignments",
        "estimates",
        "excluded",
        "experiment",
        "forced_variant",
        "judged",
        "key",
        "metadata",
        "model",
        "now",
        "random",
        "region",
        "request_id",
        "residency",
        "route",
        "session",
        "task",
        "tenant",
        "user",
    )
    # Said here for whoever reads them before this module was read to its end (conditions.py).
    model: str
    task: str
    session: str
    user: str
    metadata: Mapping[str, str] | tuple[tuple[str, str], ...]
    key: str
    tenant: str
    region: str
    now: float

    def __init__(
        self,
        *,
        route: str,
        random: Callable[[], float],
        estimates: Estimates,
        task: str = "",
        now: float | None = None,
        model: str = "",
        tenant: str = "",
        key: str = "",
        region: str = "",
        residency: frozenset[str] = frozenset(),
        user: str = "",
        session: str = "",
        metadata: Mapping[str, str] | tuple[tuple[str, str], ...] = (),
        request_id: str = "",
        forced_variant: str = "",
    ) -> None:
        self.route = route
        self.random = random
        self.estimates = estimates
        self.task = task
        self.now = time.time() if now is None else now
        self.model = model
        self.tenant = tenant
        self.key = key
        self.region = region
        self.residency = residency
        self.user = user
        self.session = session
        self.metadata = metadata
        self.request_id = request_id
        # `experiment/variant`: what a test asks for.
        self.forced_variant = forced_variant
        # In the order in which its experiments were met.
        self.assignments: list[Assignment] = []
        # The first of these experiments, and whether it wants this call's answer judged.
        self.experiment: Experiment[Any] | None = None
        self.judged = False
        # (model, reason) of who was left out: for receipts and for `route explain`.
        self.excluded: list[tuple[str, str]] = []

    @property
    def stream(self) -> bool:
        raise NotImplementedError

    @property
    def input_tokens(self) -> int:
        raise NotImplementedError

    @property
    def max_tokens(self) -> int:
        """The client's limit on the answer; 0: none."""
        raise NotImplementedError

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities, by the words of a manifest, without which the request cannot be answered."""
        raise NotImplementedError

    @property
    def wants_json(self) -> bool:
        raise NotImplementedError

    @property
    def prefix(self) -> bytes:
        """Stands for the prompt's beginning; empty where it is too short for a provider's cache."""
        raise NotImplementedError


class StatedFacts(Facts):
    """Of a request that is not there: one that was recorded, or that somebody asks about."""

    __slots__ = ("_input_tokens", "_max_tokens", "_needs", "_prefix", "_stream", "_wants_json")

    def __init__(
        self,
        *,
        input_tokens: int,
        max_tokens: int = 0,
        stream: bool = False,
        needs: frozenset[str] = frozenset(),
        wants_json: bool = False,
        prefix: bytes = b"",
        **who: Any,
    ) -> None:
        super().__init__(**who)
        self._prefix = prefix
        self._input_tokens = input_tokens
        self._max_tokens = max_tokens
        self._stream = stream
        self._needs = needs
        self._wants_json = wants_json

    @property
    def stream(self) -> bool:
        return self._stream

    @property
    def input_tokens(self) -> int:
        return self._input_tokens

    @property
    def max_tokens(self) -> int:
        return self._max_tokens

    @property
    def needs(self) -> frozenset[str]:
        return self._needs

    @property
    def wants_json(self) -> bool:
        return self._wants_json

    @property
    def prefix(self) -> bytes:
        return self._prefix


class Question(Protocol):
    """A parsed request in any dialect."""

    @property
    def body(self) -> bytes: ...
    @property
    def document(self) -> dict[str, Any]: ...
    @property
    def stream(self) -> bool: ...


class RequestFacts(Facts):
    """Of a request that is there."""

    __slots__ = ("_asked", "_input_tokens", "_needs")

    def __init__(self, asked: Question, **who: Any) -> None:
        super().__init__(**who)
        self._asked = asked
        self._input_tokens = -1
        self._needs: frozenset[str] | None = None

    @property
    def stream(self) -> bool:
        return self._asked.stream

    @property
    def prefix(self) -> bytes:
        return prefix_of(self._asked.body)

    @property
    def input_tokens(self) -> int:
        """Text by its bytes, each picture or document at a flat rate."""
        if self._input_tokens < 0:
            body = self._asked.body
            size, blobs = len(body), 0
            if size > _BLOB_SEARCH_BYTES:
                for match in _BLOB.finditer(body):
                    size -= match.end() - match.start()
                    blobs += 1
            self._input_tokens = size // BYTES_PER_TOKEN + blobs * _BLOB_TOKENS
        return self._input_tokens

    @property
    def max_tokens(self) -> int:
        """The client's limit on the answer; 0: none."""
        document = self._asked.document
        for name in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
            value = document.get(name)
            if value.__class__ is int and value > 0:
                return min(int(value), MAX_TOKENS)
        return 0

    @property
    def needs(self) -> frozenset[str]:
        """Capabilities, by the words of a manifest, without which the request cannot be answered."""
        if self._needs is None:
            document = self._asked.document
            body = self._asked.body
            found = set()
            if document.get("tools") or document.get("functions"):
                found.add("tools")
            if any(name in body for name in _IMAGES):
                found.add("vision")
            if any(name in body for name in _AUDIO):
                found.add("audio")
            if self._output_format() == "json_schema":
                found.add("json_schema")
            self._needs = frozenset(found)
        return self._needs

    @property
    def wants_json(self) -> bool:
        return self._output_format() in ("json_schema", "json_object")

    def _output_format(self) -> str:
        """`response_format` of chat, `text.format` of Responses, `output_config.format` of Messages."""
        document = self._asked.document
        form: Any = document.get("response_format")
        for outer in ("text", "output_config"):
            if form is None and isinstance(document.get(outer), dict):
                form = document[outer].get("format")
        kind = form.get("type") if isinstance(form, dict) else None
        return kind if isinstance(kind, str) else ""


def prefix_of(body: bytes) -> bytes:
    """Of a prompt's beginning; what stands before it (model, parameters) stays from call to call."""
    if len(body) < CACHED_PREFIX_BYTES:
        return b""
    return hashlib.blake2b(body[:CACHED_PREFIX_BYTES], digest_size=12).digest()
