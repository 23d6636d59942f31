"""What the broker sends differs from what is documented, or cannot be used."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from engine.kis.status import Status
from engine.kst import SECOND_NS, day_number

_MOST_SHAPES = 10
"""Told in a run. The broker appends a field a few times a year; more is garbage, and is in the log and in `status`."""
_COLLECTED_NS = 10 * SECOND_NS
"""From the first of a kind to its message, so that the message can say how many."""

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
