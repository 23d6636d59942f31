"""A part does not keep up with what it is given, evaluation or database: told when it lasts, and when it is over."""

from dataclasses import dataclass

from engine.kst import SECOND_NS

_LIMIT_NS = SECOND_NS
_LOOKS_BEHIND = 5
"""In a row, a second apart: a burst of some seconds is worked off, and nobody's business."""
_LOOKS_FINE = 10
_BETWEEN_NS = 600 * SECOND_NS
"""From one message of a lag to the next: a machine that is just too slow goes behind and catches up all day."""


@dataclass(frozen=True, slots=True)
class Lagged:
    since: int
    most_ns: int
    is_over: bool


class Lag:
    def __init__(self) -> None:
        self._behind = self._fine = 0
        """Looks in a row."""
        self._since = 0
        self._most_ns = 0
        self._is_told = False
        self._told: int | None = None

    def look(self, now: int, lag_ns: int) -> Lagged | None:
        """What is to be told now."""
        if lag_ns > _LIMIT_NS:
            return self._see_behind(now, lag_ns)
        self._behind, self._fine = 0, self._fine + 1
        if not self._is_told or self._fine < _LOOKS_FINE:
            return None
        self._is_told = False
        return Lagged(self._since, self._most_ns, is_over=True)

    def _see_behind(self, now: int, lag_ns: int) -> Lagged | None:
        if not self._behind and not self._is_told:
            self._since, self._most_ns = now, 0
        self._behind, self._fine = self._behind + 1, 0
        self._most_ns = max(self._most_ns, lag_ns)
        is_soon = self._told is not None and now - self._told < _BETWEEN_NS
        if self._is_told or is_soon or self._behind < _LOOKS_BEHIND:
            return None
        self._is_told, self._told = True, now
        return Lagged(self._since, self._most_ns, is_over=False)
