"""Gaps that are not the feed's, and a clock that was set back: which of them are worth a message."""

from engine.gap import Gap
from engine.incidents.outage import is_near
from engine.kst import SECOND_NS, day_number
from engine.session import Hours

_AWAY_NS = 10 * SECOND_NS
"""A process that stood still for less is in the log only."""
_BETWEEN_NS = 600 * SECOND_NS
"""From one message of a kind to the next: a laptop that dozes, or a clock that two programs set, would fill a chat."""
_FAR_NS = 60 * SECOND_NS
"""What trading hours may be off by without anybody being told each day: the exchange's own clock is not much better."""


def is_far(kind: Gap, ns: int) -> bool:
    """Set back by so much that trading hours, which go by our time, are badly off from now on."""
    return kind is Gap.CLOCK_BACK and ns > _FAR_NS


class Gaps:
    def __init__(self) -> None:
        self._told: dict[tuple[Gap, bool], int] = {}
        self._untold: dict[tuple[Gap, bool], int] = {}

    def look(self, now: int, since: int, kind: Gap) -> int | None:
        """None: not to be told; else how many of its kind went untold before it."""
        if kind is Gap.AWAY and now - since <= _AWAY_NS:
            return None
        key = kind, is_far(kind, now - since)  # what is far must not go untold because of what is not
        last = self._told.get(key)
        if last is not None and now - last < _BETWEEN_NS:
            self._untold[key] = self._untold.get(key, 0) + 1
            return None
        self._told[key] = now
        return self._untold.pop(key, 0)


class Ahead:
    """Our time is ahead of a wall clock that was set back: told once a trading day, ten minutes before our open."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._told: int | None = None

    def look(self, now: int, ahead_ns: int) -> bool:
        """Whether it is to be told; from now on it counts as told."""
        if ahead_ns <= _FAR_NS or self._told == day_number(now) or not is_near(self._hours, now):
            return False
        self._told = day_number(now)
        return True

    def was_told(self, now: int) -> None:
        """When it happened; before the day's session it is told again."""
        if is_near(self._hours, now):
            self._told = day_number(now)
