"""Sources of which nothing can be used in the session: blind, though all is connected.

Told once, again on the next date if it lasts so long, and once when something can be used again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.evaluation.engine import Counters
from engine.evaluation.gate import Drop
from engine.kis.status import Status
from engine.kst import SECOND_NS, day_number
from engine.session import Hours

_BLIND_NS = 60 * SECOND_NS
_BLIND_LEAST = 3
_AGAIN_NS = 600 * SECOND_NS
"""Between two that are told: what comes and goes by the minute must not fill a chat."""
IMPOSSIBLE = (Drop.EARLY, Drop.BAD_TIME)
"""Drops that point to a fault on this side or the other; one out of order is everyday noise."""


class Blind(NamedTuple):
    since: int
    parts: int
    """That came since then, all unusable."""
    is_over: bool = False


class Reader:
    """One source. It is blind when for a minute unusable parts came, at least three, and no good one."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self.is_blind = False
        """As of the last look, whether that was worth a message or not."""
        self._good = self._bad = 0
        """How many there were when the last good one came."""
        self._since: int | None = None
        """When the first unusable one came after it; meaningless without one."""
        self._blind: int | None = None
        """Since when, of what was told and is not over."""
        self._told: int | None = None
        """When."""

    def look(self, now: int, good: int, bad: int) -> Blind | None:
        """What is to be told now. `good` and `bad` count parts, and grow."""
        if good != self._good:
            self._good, self._bad, self._since, self.is_blind = good, bad, now, False
            return self._end()
        if not self._hours.is_open(now):
            self._bad = bad
        count = bad - self._bad
        if not count or self._since is None:
            self._since = now
        self.is_blind = count >= _BLIND_LEAST and now - self._since >= _BLIND_NS
        if not self.is_blind or self._is_told(now):
            return None
        self._told = now
        self._blind = self._since if self._blind is None else self._blind
        return Blind(self._since, count)

    def _is_told(self, now: int) -> bool:
        if self._told is None:
            return False
        lasts = self._blind is not None and day_number(self._told) == day_number(now)
        return lasts or now - self._told < _AGAIN_NS

    def _end(self) -> Blind | None:
        since, self._blind = self._blind, None
        return None if since is None else Blind(since, 0, is_over=True)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Since `since` nothing that this account was sent could be used."""

    account: str
    since: int
    count: int
    symbols: tuple[str, ...]
    is_over: bool


class Readability:
    """Accounts whose every frame is garbage."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._readers: dict[str, Reader] = {}

    def look(self, now: int, feeds: Sequence[Status]) -> list[Unreadable]:
        found = [(feed, self._look(now, feed)) for feed in feeds]
        return [Unreadable(feed.account, *blind[:2], feed.symbols, blind.is_over) for feed, blind in found if blind]

    @property
    def blind(self) -> tuple[str, ...]:
        """Accounts, as of the last look."""
        return tuple(account for account, reader in self._readers.items() if reader.is_blind)

    def _look(self, now: int, feed: Status) -> Blind | None:
        reader = self._readers.setdefault(feed.account, Reader(self._hours))
        return reader.look(now, feed.records, sum(count for _, count in (*feed.malformed, *feed.dropped)))


def impossible(counters: Counters) -> dict[Drop, int]:
    """Records that the evaluation dropped because of their times."""
    return {drop: counters.dropped.get(drop, 0) for drop in IMPOSSIBLE}
