"""Which behaviour is next: queues that tests fill, and standing orders for when a queue is empty.

Chosen by model and by provider key, the more specific first; a queue goes before a standing order.
Safe to use from the test's thread while the provider's thread takes from it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import cycle

from tests.support.provider.behaviour import Behaviour

ANY = "*"


class Script:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: dict[tuple[str, str], deque[Behaviour]] = {}
        self._standing: dict[tuple[str, str], Iterator[Behaviour]] = {}
        self._rejected_keys: frozenset[str] = frozenset()

    def push(self, model: str, key: str, behaviours: tuple[Behaviour, ...]) -> None:
        with self._lock:
            self._queues.setdefault((model, key), deque()).extend(behaviours)

    def stand(self, model: str, key: str, behaviours: tuple[Behaviour, ...]) -> None:
        """Several take turns, again and again; what stood before is replaced at once."""
        if not behaviours:
            raise ValueError("a standing order needs a behaviour")
        with self._lock:
            self._standing[model, key] = cycle(behaviours)

    def reject_keys(self, keys: Iterable[str]) -> None:
        """Answer 401 to these provider keys (and to no others), whatever else is scripted."""
        with self._lock:
            self._rejected_keys = frozenset(keys)

    def clear(self) -> None:
        with self._lock:
            self._queues.clear()
            self._standing.clear()
            self._rejected_keys = frozenset()

    def waiting(self) -> int:
        """Scripted behaviours that no request has taken yet."""
        with self._lock:
            return sum(len(queue) for queue in self._queues.values())

    def models(self) -> list[str]:
        """What GET /models lists: the scripted models."""
        with self._lock:
            names = {model for model, _ in (*self._queues, *self._standing)}
        return sorted(names - {ANY}) or ["fake-model"]

    def next(self, model: str, key: str) -> Behaviour:
        order = ((model, key), (model, ANY), (ANY, key), (ANY, ANY))
        with self._lock:
            if key in self._rejected_keys:
                return Behaviour(status=401)
            for place in order:
                queue = self._queues.get(place)
                if queue:
                    return queue.popleft()
            for place in order:
                if place in self._standing:
                    return next(self._standing[place])
        return Behaviour()
