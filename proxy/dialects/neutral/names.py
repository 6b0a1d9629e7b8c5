"""Gives tools back the names that the client knows, where a provider had to be told others."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.dialects.neutral.passing import PassingSink
from proxy.dialects.neutral.request import ModelRequest
from proxy.dialects.neutral.sink import Sink


def renamed(request: ModelRequest) -> dict[str, str]:
    """Wire name → the client's, for those that differ."""
    return {tool.wire_name: tool.name for tool in request.tools if tool.wire_name != tool.name}


class NamesSink(PassingSink):
    """Hands everything on; calls under the client's names."""

    def __init__(self, inner: Sink, names: Mapping[str, str]) -> None:
        super().__init__(inner)
        self._names = names

    def call(self, index: int, id: str, name: str) -> None:
        self._inner.call(index, id, self._names.get(name, name))
