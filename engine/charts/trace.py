"""What rules measured over the last hour: a bounded memory of values, for the picture that goes with an alert. Pure.

Not each record is kept but a value every five seconds, as the engine itself measures it at that moment: so a window, a
sum, a session's start and what is not known mean here what they mean to the rules. No record is delayed by it, and five
seconds are three pixels of the picture.

Tracks share their times. One is a value of eight bytes and a mark of one byte for each of at most 780 times: 7 KB, and
14 MB for as many tracks as there may be.
"""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from engine.evaluation.watch import Reading
from engine.kst import SECOND_NS, day_number
from engine.rules.model import Number, Rule

INTERVAL_NS = 5 * SECOND_NS
SHOWN_NS = 1800 * SECOND_NS
"""What a picture shows."""
KEPT_NS = 2 * SHOWN_NS
"""A message may be half an hour late (`ttl`), and its picture is of the moment of its alert."""
MAX_TRACKS = 2_000
"""Forty symbols, as many as one account has, with fifty different measures each. All are read within 5 ms, measured."""

_KEPT = KEPT_NS // INTERVAL_NS
_SLACK = 60
"""Dropped at once, so that dropping is rare."""
_APART_NS = 3 * INTERVAL_NS
"""Values further apart are not joined: nobody was there to look. One that came late or not at all is no gap."""

Subject = tuple[str, ...]
"""The symbols that are measured: one, or all of a sum."""
TrackKey = tuple[Subject, str]
"""What is measured of whom: a subject, and the condition's key."""
Read = Callable[[str, str, int], Reading | None]
"""`Engine.read`."""


class Point(NamedTuple):
    t: int
    value: Number


Run = tuple[Point, ...]
"""Values that may be joined by a line: all in between was known. Never empty."""


class Track:
    """The values of one measure; as long as the list of times. A value that is not known is a NaN."""

    __slots__ = ("breaks", "values")

    def __init__(self, length: int) -> None:
        self.values = array("d", [math.nan]) * length
        self.breaks = bytearray(length)
        """1: something between the value before and this one is not known."""


class _Follow(NamedTuple):
    """A rule and a symbol whose values are read; several rules may measure the same."""

    rule: str
    symbol: str
    tracks: tuple[tuple[int, Track], ...]
    """Place among the rule's values, and where it goes."""


def subject_of(rule: Rule, symbol: str) -> Subject:
    """`symbol` as alerts have it."""
    return (symbol,) if rule.aggregate is None else rule.symbols


class Traces:
    """Of the rules that it follows. Times are nanoseconds since the epoch."""

    def __init__(self, limit: int = MAX_TRACKS) -> None:
        self._limit = limit
        self._times = array("q")
        self._tracks: dict[TrackKey, Track] = {}
        self._follows: list[_Follow] = []

    def __repr__(self) -> str:
        return f"<Traces tracks={len(self._tracks)} times={len(self._times)}>"

    @property
    def tracks(self) -> int:
        return len(self._tracks)

    @property
    def last_at(self) -> int:
        """When it looked last; 0: never."""
        return self._times[-1] if self._times else 0

    def follow(self, rules: Iterable[Rule]) -> int:
        """These rules from now on; what is measured as before keeps its past. → rules for which there is no room.

        Of the first of these some measures may be followed. It takes time for each rule, and for each track; but not
        for all that there is no room for: a thousand rules for forty symbols are looked at between two events.
        """
        before, self._tracks, self._follows = self._tracks, {}, []
        whole: set[tuple[Subject, str | None, str]] = set()
        """Measures that are followed of all of these symbols, or of their sum: many rules ask for the same."""
        left_out = 0
        for rule in rules:
            names = tuple(dict.fromkeys(condition.key for condition in rule.when.conditions()))
            measures = {(rule.symbols, rule.aggregate, name) for name in names}
            if measures <= whole:
                continue
            if self._has_room_for(rule, names, before):
                whole |= measures
            else:
                left_out += 1
        return left_out

    def _has_room_for(self, rule: Rule, names: Sequence[str], before: dict[TrackKey, Track]) -> bool:
        """Follow the rule, as far as there is."""
        for symbol in rule.symbols if rule.aggregate is None else (rule.aggregate,):
            subject, found = subject_of(rule, symbol), []
            new = [(place, (subject, name)) for place, name in enumerate(names) if (subject, name) not in self._tracks]
            room = self._limit - len(self._tracks)
            for place, key in new[:room]:
                self._tracks[key] = before.get(key) or Track(len(self._times))
                found.append((place, self._tracks[key]))
            if found:
                self._follows.append(_Follow(rule.name, symbol, tuple(found)))
            if len(new) > room:
                return False
        return True

    def is_due(self, now: int) -> bool:
        """Whether five seconds of the clock have begun since the last look."""
        return bool(self._follows) and now // INTERVAL_NS > self.last_at // INTERVAL_NS

    def look(self, read: Read, now: int) -> None:
        """Read all values as of `now`, the moment that the engine has come to; `is_due` says when."""
        before = self.last_at
        apart = now - before > _APART_NS or day_number(now) != day_number(before)  # at midnight counters fall
        self._times.append(now)
        for follow in self._follows:
            _note(follow, read(follow.rule, follow.symbol, before), apart=apart)
        if len(self._times) >= _KEPT + _SLACK:
            self._forget()

    def _forget(self) -> None:
        del self._times[:_SLACK]
        for track in self._tracks.values():
            del track.values[:_SLACK]
            del track.breaks[:_SLACK]

    def runs(self, key: TrackKey, start: int, last: Point, *, broken: bool) -> tuple[Run, ...] | None:
        """What was known from `start` on; the last point is `last`, an alert's own. None: there is no such track.

        `broken`: something since the last look is not known.
        """
        track = self._tracks.get(key)
        if track is None:
            return None
        low, high = bisect_left(self._times, start), bisect_right(self._times, last.t)
        broken = track.breaks[high] != 0 if high < len(self._times) else broken
        runs = list(_runs(self._times[low:high], track.values[low:high], track.breaks[low:high]))
        if not runs or broken or last.t - runs[-1][-1].t > _APART_NS:
            return (*runs, (last,))
        so_far = runs[-1][:-1] if runs[-1][-1].t == last.t else runs[-1]
        return (*runs[:-1], (*so_far, last))


def _note(follow: _Follow, reading: Reading | None, *, apart: bool) -> None:
    for place, track in follow.tracks:
        value = None if reading is None or reading.blind else reading.values[place][1]
        track.values.append(math.nan if value is None else value)
        track.breaks.append(apart or reading is None or reading.was_blind)


def _runs(times: Sequence[int], values: Sequence[float], breaks: Sequence[int]) -> Iterator[Run]:
    run: list[Point] = []
    for t, value, broken in zip(times, values, breaks, strict=True):
        if run and (broken or math.isnan(value)):
            yield tuple(run)
            run = []
        if not math.isnan(value):
            run.append(Point(t, value))
    if run:
        yield tuple(run)


def unknown(runs: Sequence[Run], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The spans from `start` to `end` of which nothing is known: before, between and after the runs.

    That the first look came a little after the start is no gap.
    """
    at = start if runs[0][0].t - start > _APART_NS else max(start, runs[0][0].t)
    for run in runs:
        if run[0].t > at:
            yield at, run[0].t
        at = max(at, run[-1].t)
    if at < end:
        yield at, end
