"""Symbols that nobody watches although a rule names them: each is told once, with why.

What got a place, or was not named any more, and then comes to that again, is told again.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from engine.kis.status import Status
from engine.kst import SECOND_NS, day_number

_SETTLED_NS = 5 * SECOND_NS
"""After a feed came up: what is wrong with its symbols is known by then, and comes in one message."""
_AT_LATEST_NS = 60 * SECOND_NS
"""What has no room is told by then, also while no feed comes up."""
_UNANSWERED_NS = 60 * SECOND_NS


class Kind(StrEnum):
    BEYOND = "beyond"
    """More symbols than slots, by our count or by the broker's."""
    REJECTED = "rejected"
    UNANSWERED = "unanswered"
    GHOST = "ghost"


_DAILY = (Kind.GHOST, Kind.UNANSWERED)
"""These come and go; what is so again on another date is told again."""


class Missing(NamedTuple):
    kind: Kind
    symbol: str
    code: str = ""
    """The broker's, of a rejection."""


class Coverage:
    def __init__(self, not_covered: Sequence[str], started: int) -> None:
        self._not_covered = tuple(not_covered)
        self._started = started
        self._left_out: frozenset[str] = frozenset()
        """By the broker, when last looked at."""
        self._told: set[tuple[Kind, str]] = set()
        self._day = 0
        self._unanswered: dict[str, int] = {}
        """Since when, for those that are so at present."""

    def reload(self, wanted: Collection[str], not_covered: Sequence[str]) -> None:
        """Rules have changed: what they name now, and what of it no account has room for.

        What has a place, and what nobody names any more, is forgotten: should it come to that again, it is news.
        """
        self._not_covered = tuple(not_covered)
        without_room = self._left_out.union(not_covered)
        self._told = {
            (kind, symbol)
            for kind, symbol in self._told
            if kind in _DAILY or (symbol in wanted and (kind is not Kind.BEYOND or symbol in without_room))
        }

    def look(self, now: int, feeds: Sequence[Status]) -> list[Missing]:
        """What is missing and has not been told; from now on it counts as told."""
        if self._day != (day := day_number(now)):
            self._day = day
            self._told = {told for told in self._told if told[0] not in _DAILY}
        settled = [feed for feed in feeds if feed.up_since is not None and now - feed.up_since >= _SETTLED_NS]
        self._left_out = frozenset(symbol for feed in feeds for symbol in feed.left_out)
        found = [*self._without_room(now, settled), *self._known(settled), *self._unanswered_for_long(now, settled)]
        new = {(missing.kind, missing.symbol): missing for missing in found}
        new = {key: missing for key, missing in new.items() if key not in self._told}
        self._told |= new.keys()
        return list(new.values())

    def _without_room(self, now: int, settled: Sequence[Status]) -> Iterator[Missing]:
        if settled or now - self._started >= _AT_LATEST_NS:
            yield from (Missing(Kind.BEYOND, symbol) for symbol in self._not_covered)
        for feed in settled:
            yield from (Missing(Kind.BEYOND, symbol) for symbol in feed.left_out)

    @staticmethod
    def _known(settled: Sequence[Status]) -> Iterator[Missing]:
        for feed in settled:
            yield from (Missing(Kind.REJECTED, symbol, code) for symbol, code in feed.rejected)
            yield from (Missing(Kind.GHOST, symbol) for symbol in feed.ghosts)

    def _unanswered_for_long(self, now: int, settled: Sequence[Status]) -> Iterable[Missing]:
        present = [symbol for feed in settled for symbol in feed.unanswered]
        self._unanswered = {symbol: self._unanswered.get(symbol, now) for symbol in present}
        long = [symbol for symbol, since in self._unanswered.items() if now - since >= _UNANSWERED_NS]
        return [Missing(Kind.UNANSWERED, symbol) for symbol in long]
