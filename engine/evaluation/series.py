"""What is known of one symbol on one date: its records, and the moments of which nothing is known.

Moments and windows are nanoseconds. Nothing here decides anything about rules.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engine.kst import SECOND_NS
from engine.record import Record

NEVER = 1 << 62
"""Later than any moment: the year 2116 in nanoseconds since the epoch."""

ZERO = Record("", "", 0, 0, 0, 0, 0, 0, 0, 0, 0)
"""Where the counters start the day, and what a value without a window is a change from."""

GRACE_NS = 120 * SECOND_NS
"""A stock that does not trade has nothing to tell: this long after it is up again, silence is no blindness."""

_TIDY_FROM = 1024
"""Records kept before looking for ones that no window needs: below this, looking costs more than keeping."""


_MARKS = 1_000
"""Losses and acknowledgements kept of a symbol without a record: those of the seconds in which a recording is read."""

Mark = tuple[int, bool]
"""When the upstream was lost (True) or acknowledged (False)."""

LookbackKey = tuple[int, bool]
"""A window in ns, and whether it is over counters (or over levels)."""


class Arrival(Enum):
    """What a record is to its series."""

    USUAL = "usual"
    FIRST = "first of the day, counted from zero"
    OUT_OF_NOWHERE = "first of the day, with an unknown part of the day before it"
    CORRECTION = "a cumulative field fell"


class Past(Protocol):
    """The start of one window, shared by every rule that looks back as far."""

    record: Record | None
    """What the window starts from; None where that is unknown. Good while now < `until`, unless a record comes."""
    until: int

    def look(self, now: int) -> None: ...
    def known_at(self, now: int) -> int | None: ...


class Total(Protocol):
    """A sum that a series is part of (engine.evaluation.sums)."""

    def join(self, member: "Series", record: Record) -> None: ...
    def move(self, before: Record, after: Record) -> None: ...
    def doubt(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Known:
    """All that a series knows of its date. The fields are those of `Series`."""

    latest: Record | None
    latest_at: int
    first_at: int
    zero_until: int
    """Moments before this one and before the first record are known to be zero."""
    corrected_at: int
    whole_from: int
    """Moments before this one have been dropped, and cannot be told."""
    times: tuple[int, ...]
    records: tuple[Record, ...]
    spans: tuple[tuple[int, int], ...]
    """Blindnesses; the last one ends never while it lasts."""
    blind: bool
    blind_until: int
    up_since: int | None
    marks: tuple[Mark, ...]
    """From before the first record: they matter to nobody but who learns that there was an earlier one."""
    marked: bool
    """Whether any mark has been heard, ever."""


class Series:
    """One symbol. `up_since`, and whether any mark has been heard, and nothing else outlives the date."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.totals: list[Total] = []
        self.up_since: int | None = None
        self._marked = False
        self._lookbacks: dict[LookbackKey, Lookback] = {}
        self._longest_ns = 0
        self.begin(0)

    def begin(self, session_open: int) -> None:
        """A new date: nothing is known."""
        self.latest: Record | None = None
        self.latest_at = 0
        self.first_at = NEVER
        self.blind = False
        self.blind_until = NEVER
        self.seen_at = 0
        """When the last blindness ended."""
        self._session_open = session_open
        self._zero_until = session_open
        self._corrected_at = 0
        self._whole_from = 0
        self._times: list[int] = []
        self._records: list[Record] = []
        self._tidy_at = _TIDY_FROM
        self._spans: list[tuple[int, int]] = []
        self._marks: list[Mark] = []
        self._doubt()

    def __repr__(self) -> str:
        return f"<Series {self.symbol} blind={self.blind} kept={len(self._times)} latest={self.latest}>"

    def lookback(self, window_ns: int, *, cumulative: bool) -> "Lookback":
        """The start of a window, the same object for everyone who asks for it."""
        if not self._lookbacks and self.latest is not None:  # nothing was kept while nobody asked
            self._times, self._records = [self.latest_at], [self.latest]
            self._whole_from = max(self._whole_from, self.latest_at)
        self._longest_ns = max(self._longest_ns, window_ns)
        return self._lookbacks.setdefault((window_ns, cumulative), Lookback(self, window_ns, cumulative=cumulative))

    def keep_lookbacks(self, keys: AbstractSet[LookbackKey]) -> None:
        """Nobody asks for other windows any more."""
        self._lookbacks = {key: lookback for key, lookback in self._lookbacks.items() if key in keys}
        self._longest_ns = max((window_ns for window_ns, _ in keys), default=0)
        if not self._lookbacks:
            self._times, self._records = [], []

    def lacks(self, window_ns: int, now: int) -> bool:
        """Whether such a window would now start where the symbol's records have been dropped."""
        whole_from = self._whole_from if self._lookbacks else max(self._whole_from, self.latest_at)
        return self.first_at < whole_from and now - window_ns < whole_from

    # Records

    def add(self, t: int, record: Record) -> Arrival:
        """The series' next record. Blindness must have been ended before (`see`)."""
        before, self.latest = self.latest, record
        self.latest_at = t
        if before is None:
            arrival = self._start(t, record)
        else:
            arrival = self._correct(t) if fell(before, record) else Arrival.USUAL
            for total in self.totals:
                total.move(before, record)
        if self._lookbacks:
            self._keep(t, record)
        return arrival

    def _start(self, t: int, record: Record) -> Arrival:
        self.first_at = t
        for total in self.totals:
            total.join(self, record)
        subscribed_before_open = self.up_since is not None and self.up_since < self._session_open
        if not subscribed_before_open and t >= self._session_open:
            return Arrival.OUT_OF_NOWHERE
        self._zero_until = NEVER
        return Arrival.FIRST

    def _correct(self, t: int) -> Arrival:
        self._corrected_at = t
        self._doubt()
        return Arrival.CORRECTION

    def _doubt(self) -> None:
        """The past is not what it was: every window must look again."""
        for lookback in self._lookbacks.values():
            lookback.until = 0
        for total in self.totals:
            total.doubt()

    def _keep(self, t: int, record: Record) -> None:
        """Of records that share a moment the last one is its value, so one is kept for each moment."""
        if self._times and self._times[-1] == t:
            self._records[-1] = record
            return
        self._times.append(t)
        self._records.append(record)
        if len(self._times) >= self._tidy_at:
            self._tidy(t - self._longest_ns)

    def _tidy(self, moment: int) -> None:
        """Drop what the longest window has left behind: no evaluation will ask for a moment before this one again.

        So at most twice the records of the longest window are held, and never more than the day's.
        """
        past = bisect_right(self._times, moment) - 1
        if past > 0:
            self._whole_from = max(self._whole_from, moment)
            del self._times[:past]
            del self._records[:past]
        self._tidy_at = max(_TIDY_FROM, 2 * len(self._times))

    # Blindness

    def up(self, t: int) -> None:
        """Subscribed. A second acknowledgement without a loss in between tells nothing new."""
        if self.up_since is not None:
            return
        self.up_since = t
        self._note_mark(t, lost=False)
        if self.blind:
            self.blind_until = t + GRACE_NS

    def lose(self, since: int) -> None:
        """The upstream is lost; without a record of the day there is nothing to be blind to."""
        if self.up_since is not None or not self._marks:
            self._note_mark(since, lost=True)
        self.up_since = None
        self.blind_until = NEVER
        if not self.blind and self.latest is not None:
            self.blind = True
            self._spans.append((since, NEVER))

    def _note_mark(self, t: int, *, lost: bool) -> None:
        self._marked = True
        if self.latest is None:
            self._marks.append((t, lost))
            del self._marks[:-_MARKS]

    def see(self, t: int) -> None:
        """Blindness ends at `t`. Spans that no window can start in any more are dropped on the way."""
        self.blind = False
        self.seen_at = t
        self.blind_until = NEVER
        self._spans[-1] = (self._spans[-1][0], t)
        needed = t - self._longest_ns
        if self._spans[0][1] <= needed:
            self._spans = [span for span in self._spans if span[1] > needed]
            self._whole_from = max(self._whole_from, needed)

    @property
    def blind_since(self) -> int | None:
        return self._spans[-1][0] if self.blind else None

    def was_blind(self, since: int) -> bool:
        """At any moment after `since`, or now."""
        return self.blind or self.seen_at > since

    # The past

    def level_at(self, moment: int) -> tuple[Record | None, int]:
        """The last record at or before `moment`, None where unknown; and the first later moment that may differ."""
        if moment < self._whole_from:
            return None, self._whole_from
        after = bisect_right(self._times, moment)
        edge = self._times[after] if after < len(self._times) else NEVER
        for start, end in self._spans:
            if start < moment < end:
                return None, end
            if moment <= start:
                edge = min(edge, start + 1)
        return (self._records[after - 1] if after else None), edge

    def cumulative_at(self, moment: int) -> tuple[Record | None, int]:
        """Like `level_at`, for counters: zero before the first record where that is known, unknown before a fall."""
        if moment < self._corrected_at:
            return None, self._corrected_at
        if moment >= self.first_at:
            return self.level_at(moment)
        if moment < self._zero_until:
            return ZERO, min(self.first_at, self._zero_until)
        return None, self.first_at

    # The date as a value

    def known(self) -> Known:
        return Known(
            latest=self.latest,
            latest_at=self.latest_at,
            first_at=self.first_at,
            zero_until=self._zero_until,
            corrected_at=self._corrected_at,
            whole_from=self._whole_from,
            times=tuple(self._times),
            records=tuple(self._records),
            spans=tuple(self._spans),
            blind=self.blind,
            blind_until=self.blind_until,
            up_since=self.up_since,
            marks=tuple(self._marks),
            marked=self._marked,
        )

    def know(self, known: Known) -> None:
        """Go on from there instead."""
        if self.latest is None and known.latest is not None:
            for total in self.totals:
                total.join(self, known.latest)
        self.latest, self.latest_at, self.first_at = known.latest, known.latest_at, known.first_at
        self._zero_until, self._corrected_at = known.zero_until, known.corrected_at
        self._whole_from = known.whole_from
        self._times, self._records, self._spans = [*known.times], [*known.records], [*known.spans]
        self._tidy_at = max(_TIDY_FROM, 2 * len(self._times))
        self.blind, self.blind_until = known.blind, known.blind_until
        self.up_since, self._marks, self._marked = known.up_since, [*known.marks], known.marked
        self._doubt()


def heard_on(known: Known, marks: Iterable[Mark]) -> Known:
    """What a series that knows this knows after these marks as well."""
    series = Series("")
    series.lookback(NEVER, cumulative=True)  # nothing is too old to be kept
    series.know(known)
    for t, lost in marks:
        if series.blind_until <= t:
            series.see(series.blind_until)
        if lost:
            series.lose(t)
        else:
            series.up(t)
    return series.known()


class Lookback:
    """The start of a window over one symbol."""

    __slots__ = ("_at", "record", "until", "window_ns")

    def __init__(self, series: Series, window_ns: int, *, cumulative: bool) -> None:
        self._at = series.cumulative_at if cumulative else series.level_at
        self.window_ns = window_ns
        self.record: Record | None = None
        self.until = 0

    def look(self, now: int) -> None:
        """`until` is at most a window from now: what is to come cannot be where the window starts before that."""
        self.record, edge = self._at(now - self.window_ns)
        self.until = min(edge, now) + self.window_ns

    def known_at(self, now: int) -> int | None:
        """The first moment from `now` on at which the window's start is known; None: it takes more than time."""
        moment = now - self.window_ns
        while moment < NEVER:
            record, edge = self._at(moment)
            if record is not None:
                return moment + self.window_ns
            moment = edge
        return None


def fell(before: Record, after: Record) -> bool:
    """A correction: counters do not fall."""
    return (
        after.sell_volume < before.sell_volume
        or after.buy_volume < before.buy_volume
        or after.sell_value < before.sell_value
        or after.buy_value < before.buy_value
    )


def named(all_series: dict[str, Series], symbols: tuple[str, ...]) -> Iterator[Series]:
    """The series that a mark names: codes, or `*` for every one."""
    if "*" in symbols:
        yield from all_series.values()
    else:
        yield from (all_series[symbol] for symbol in symbols if symbol in all_series)
