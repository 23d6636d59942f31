"""What the broker sends differs from what is documented, or cannot be used."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from engine.kis.status import Status
from engine.kst import SECOND_NS, day_number
from engine.session import Hours

_MOST_SHAPES = 10
"""Told in a run. The broker appends a field a few times a year; more is garbage, and is in the log and in `status`."""
_COLLECTED_NS = 10 * SECOND_NS
"""From the first of a kind to its message, so that the message can say how many."""
_UNREADABLE_NS = 60 * SECOND_NS
_UNREADABLE_LEAST = 3

K = TypeVar("K", bound=Hashable)


class Daily(Generic[K]):
    """Counts that grow: which of them grew today and have not been told today, ten seconds after the first of them.

    Keys are few fixed words, so nothing here grows.
    """

    def __init__(self) -> None:
        self._day = 0
        self._before: Mapping[K, int] = {}
        self._last: Mapping[K, int] = {}
        self._told: set[K] = set()
        self._first: int | None = None

    def new(self, now: int, counts: Mapping[K, int]) -> dict[K, int]:
        """→ today's count of each that is to be told; from now on these count as told."""
        if self._day != (day := day_number(now)):
            self._day, self._before, self._told, self._first = day, self._last, set(), None
        self._last = dict(counts)
        today = {key: count - self._before.get(key, 0) for key, count in counts.items()}
        new = {key: count for key, count in today.items() if count > 0 and key not in self._told}
        self._first = (now if self._first is None else self._first) if new else None
        if self._first is None or now - self._first < _COLLECTED_NS:
            return {}
        self._told |= new.keys()
        return new


class Place(NamedTuple):
    """Where a part was unusable, and why: a fixed word of the decoder."""

    whole_frame: bool
    reason: str


def unusable(feeds: Sequence[Status]) -> Counter[Place]:
    """What could not be used, over all accounts."""
    counts = Counter[Place]()
    for feed in feeds:
        counts.update({Place(True, reason): count for reason, count in feed.malformed})
        counts.update({Place(False, reason): count for reason, count in feed.dropped})
    return counts


class Shapes:
    """Numbers of appended fields: each is told once."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def look(self, feeds: Sequence[Status]) -> tuple[int, ...]:
        seen = {appended for feed in feeds for appended in feed.appended}
        new = sorted(seen - self._told)[: _MOST_SHAPES - len(self._told)]
        self._told.update(new)
        return tuple(new)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Since `since` nothing that this account was sent could be used."""

    account: str
    since: int
    count: int
    symbols: tuple[str, ...]


@dataclass(slots=True)
class _Reading:
    records: int
    bad: int
    since: int
    """The first unusable part since the last good record; meaningless without one."""


class Readability:
    """Accounts whose every frame is garbage in the session: blind, though all is connected. Once a date and account."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._readings: dict[str, _Reading] = {}
        self._told: dict[str, int] = {}

    def look(self, now: int, feeds: Sequence[Status]) -> list[Unreadable]:
        return [found for feed in feeds for found in self._look(now, feed)]

    def _look(self, now: int, feed: Status) -> Iterator[Unreadable]:
        bad = sum(count for _, count in (*feed.malformed, *feed.dropped))
        reading = self._readings.setdefault(feed.account, _Reading(feed.records, 0, now))
        if feed.records != reading.records or not self._hours.is_open(now):
            self._readings[feed.account] = _Reading(feed.records, bad, now)
            return
        count = bad - reading.bad
        if not count:
            reading.since = now
        day = day_number(now)
        is_blind = count >= _UNREADABLE_LEAST and now - reading.since >= _UNREADABLE_NS
        if is_blind and self._told.get(feed.account) != day:
            self._told[feed.account] = day
            yield Unreadable(feed.account, reading.since, count, feed.symbols)
