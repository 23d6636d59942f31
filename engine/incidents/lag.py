"""A part does not keep up with what it is given, evaluation or database: told when it lasts, and when it is over."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from engine.kst import SECOND_NS

_LIMIT_NS = SECOND_NS
_LOOKS_BEHIND = 5
"""A second apart: a burst of some seconds is worked off, and nobody's business."""
IN_A_ROW = _LOOKS_BEHIND
WITHIN = 30
"""Looks of which five are behind: a disk is asked now and then, and is never behind for long in between."""
_LOOKS_FINE = 10
"""In a row."""
_BETWEEN_NS = 600 * SECOND_NS
"""From one message of a lag to the next: a machine that is just too slow goes behind and catches up all day."""


@dataclass(frozen=True, slots=True)
class Lagged:
    since: int
    most_ns: int
    is_over: bool


class _Look(NamedTuple):
    number: int
    at: int
    lag_ns: int


class Lag:
    def __init__(self, within: int = IN_A_ROW) -> None:
        """`within`: of how many looks five must be behind."""
        self._within = within
        self._looks = self._fine = 0
        self._behind = deque[_Look]()
        """Of the last `within` looks."""
        self._since: int | None = None
        """The first look behind of a lag that lasts."""
        self._most_ns = 0
        self._is_told = False
        self._told: int | None = None

    def look(self, now: int, lag_ns: int) -> Lagged | None:
        """What is to be told now."""
        is_behind = lag_ns > _LIMIT_NS
        self._looks, self._fine = self._looks + 1, 0 if is_behind else self._fine + 1
        while self._behind and self._behind[0].number <= self._looks - self._within:
            self._behind.popleft()
        if is_behind:
            self._behind.append(_Look(self._looks, now, lag_ns))
        if not self._is_told:
            return self._see(now) if is_behind else None
        self._most_ns = max(self._most_ns, lag_ns)
        return self._end(now) if self._fine >= _LOOKS_FINE else None

    def _see(self, now: int) -> Lagged | None:
        if len(self._behind) < _LOOKS_BEHIND:
            self._since = None
            return None
        if self._since is None:
            self._since, self._most_ns = self._behind[0].at, 0
        self._most_ns = max(self._most_ns, *(each.lag_ns for each in self._behind))
        if self._told is not None and now - self._told < _BETWEEN_NS:
            return None
        self._is_told, self._told = True, now
        return Lagged(self._since, self._most_ns, is_over=False)

    def _end(self, now: int) -> Lagged:
        over = Lagged(now if self._since is None else self._since, self._most_ns, is_over=True)
        self._is_told, self._since = False, None
        self._behind.clear()
        return over
