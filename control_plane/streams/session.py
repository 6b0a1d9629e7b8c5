"""The config protocol with one proxy as a pure state machine: no I/O, no time.

Invariants: one update is under way at a time; the next is computed against what was acknowledged
last; a refused version is not sent again; nobody is sent backwards.
"""

from __future__ import annotations

from control_plane.revisions.model import Version
from control_plane.snapshots.model import View
from control_plane.snapshots.updates import Update, Updates


class WatchSession:
    def __init__(
        self, updates: Updates, served: Version | None, base: View | None, refused: Version | None = None
    ) -> None:
        """`served`, `refused`: what the proxy says of itself; `base`: the view of `served`, if known."""
        self._updates = updates
        self._served = served
        self._base = base
        self._under_way: tuple[Update, View] | None = None
        self._refused = refused

    @property
    def served(self) -> Version | None:
        return self._served

    @property
    def is_waiting(self) -> bool:
        """An update is under way."""
        return self._under_way is not None

    def next_update(self, newest: View) -> Update | None:
        """What to send now; None: nothing."""
        if self._under_way is not None or newest.version == self._refused:
            return None
        if self._served is not None:
            if newest.version < self._served:
                return None  # this replica lags behind; the proxy has seen newer
            if newest.version == self._served and (
                self._base is not None and self._base.excluded == newest.excluded
            ):
                return None
        update = self._updates.step(self._base, newest)
        self._under_way = (update, newest)
        return update

    def ack(self, nonce: str) -> Version | None:
        """The version that is now served; None: the nonce is not the one under way."""
        if self._under_way is None or self._under_way[0].nonce != nonce:
            return None
        update, self._base = self._under_way
        self._under_way = None
        self._served = update.version
        return update.version

    def nack(self, nonce: str) -> Version | None:
        """The version that was refused; the next update is against the last good one."""
        if self._under_way is None or self._under_way[0].nonce != nonce:
            return None
        self._refused = self._under_way[0].version
        self._under_way = None
        return self._refused
