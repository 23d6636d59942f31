"""Gaps that are not the feed's: which are worth a message."""

from engine.gap import Gap
from engine.kst import SECOND_NS

_AWAY_NS = 10 * SECOND_NS
"""A process that stood still for less is in the log only."""
_BETWEEN_NS = 600 * SECOND_NS
"""From one message of a kind to the next: a laptop that dozes, or a clock that two programs set, would fill a chat."""


class Gaps:
    def __init__(self) -> None:
        self._told: dict[Gap, int] = {}
        self._untold: dict[Gap, int] = {}

    def look(self, now: int, since: int, kind: Gap) -> int | None:
        """None: not to be told; else how many of its kind went untold before it."""
        if kind is Gap.AWAY and now - since <= _AWAY_NS:
            return None
        last = self._told.get(kind)
        if last is not None and now - last < _BETWEEN_NS:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return None
        self._told[kind] = now
        return self._untold.pop(kind, 0)
