"""The evaluation: a stream of events in, alerts out. The same events give the same alerts, live and replayed.

The order of things: a frame with t ≤ T comes before tick T (a tick is a whole second), every tick T < t before the
frame. Ticks at which nothing can change are skipped: each watch says from when on time alone could change something for
it (`Watch.wake`), so a night costs nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType

from engine.alert import Alert
from engine.evaluation.gate import Drop, latest_time, refusal
from engine.evaluation.schedule import Schedule
from engine.evaluation.series import NEVER, Arrival, Series, named
from engine.evaluation.sums import Sum
from engine.evaluation.watch import Note, Snapshot, Watch
from engine.kst import SECOND_NS, day_number, day_start
from engine.record import Record
from engine.rules.model import Rule
from engine.session import Hours
from engine.stream import Down, Event, Frame, Start, Up

_wake = attrgetter("wake")
_blind_until = attrgetter("blind_until")


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the engine was made."""

    frames: int
    records: int
    """Applied, corrections among them; those dropped are not."""
    corrections: int
    """A cumulative field fell."""
    dropped: Mapping[Drop, int]


class Engine:
    """Rules over a stream. Disabled rules are left out."""

    def __init__(self, rules: Sequence[Rule], hours: Hours, note: Note = lambda _: None) -> None:
        """`note` hears of every change of phase, in the moment of the change; it must be quick."""
        self._hours = hours
        self._note = note
        self._series: dict[str, Series] = {}
        self._watching: dict[str, list[Watch]] = {}
        self._sums: dict[tuple[str, ...], Sum] = {}
        self._schedules: list[Schedule] = []
        self._watches: list[Watch] = []
        for rule in rules:
            if rule.enabled:
                self._add(rule)
        self._now: int | None = None
        self._next_tick = 0
        self._day_end = 0
        self._next_seen = NEVER
        """When the next blindness ends by itself."""
        self._limit = ""
        self._limit_until = 0
        self._frames = self._records = self._corrections = 0
        self._dropped = Counter[Drop]()

    def __repr__(self) -> str:
        return f"<Engine watches={len(self._watches)} symbols={len(self._series)} now={self._now} {self.counters}>"

    def apply(self, event: Event) -> list[Alert]:
        """Run every tick T < t that is due, then the event. A time lower than the last one counts as the last."""
        before = self._begin(event.t) if self._now is None else self._now
        t = max(event.t, before)
        if isinstance(event, Start):
            self._restart(before, t)
            return []
        alerts = self._run_ticks(t)
        self._reach(t)
        match event:
            case Frame():
                self._frame(t, event.records, alerts)
            case Up():
                self._up(t, event.symbols)
            case Down():
                self._lose(t, named(self._series, event.symbols))
        return alerts

    def advance(self, now: int) -> list[Alert]:
        """Run every tick T < `now` that has not been run; before the first event there are none.

        Live, call it when all that was received before `now` has been applied: what is applied later counts as
        received at `now`. For the last tick of a replay, `now` is just after it. In a recording it is what a line
        without content (`#alive`) means.
        """
        if self._now is None or now <= self._now:
            return []
        alerts = self._run_ticks(now)
        self._reach(now)
        return alerts

    def state(self, *, inactive: bool = True) -> tuple[Snapshot, ...]:
        """Where each rule stands on each of its symbols, in the order of rules, then symbols.

        `inactive` False leaves out those with nothing to tell, which are nearly all: 10 µs each add up for a market.
        """
        return tuple(watch.snapshot(self._now or 0) for watch in self._watches if inactive or watch.is_active)

    @property
    def counters(self) -> Counters:
        dropped = MappingProxyType({drop: self._dropped[drop] for drop in Drop})
        return Counters(self._frames, self._records, self._corrections, dropped)

    # Rules

    def _add(self, rule: Rule) -> None:
        schedule = Schedule(rule.active)
        self._schedules.append(schedule)
        members = [self._series.setdefault(symbol, Series(symbol)) for symbol in rule.symbols]
        if rule.aggregate is None:
            for member in members:
                self._watch(Watch(rule, member.symbol, member, schedule, self._note), [member])
        else:
            total = self._sums.get(rule.symbols) or self._sums.setdefault(rule.symbols, Sum(members))
            self._watch(Watch(rule, rule.aggregate, total, schedule, self._note), members)

    def _watch(self, watch: Watch, members: Iterable[Series]) -> None:
        self._watches.append(watch)
        for member in members:
            self._watching.setdefault(member.symbol, []).append(watch)

    # Time

    def _begin(self, t: int) -> int:
        """The first event ever: no tick came before it."""
        self._next_tick = _whole_second(t)
        self._reach(t)
        return t

    def _run_ticks(self, end: int) -> list[Alert]:
        """Every tick before `end` at which something may happen."""
        alerts: list[Alert] = []
        if self._next_tick < end:
            while (tick := max(self._next_tick, _whole_second(self._wake()))) < end:
                self._tick(tick, alerts)
                self._next_tick = tick + SECOND_NS
            self._next_tick = max(self._next_tick, _whole_second(end))
        return alerts

    def _wake(self) -> int:
        return min(self._next_seen, min(map(_wake, self._watches), default=NEVER))

    def _tick(self, now: int, alerts: list[Alert]) -> None:
        self._reach(now)
        for watch in self._watches:
            if watch.wake <= now:
                alert = watch.tick(now)
                if alert is not None:
                    alerts.append(alert)

    def _reach(self, now: int) -> None:
        """Time has come to `now`: what ends by itself has ended."""
        self._now = now
        if now >= self._day_end:
            self._begin_day(day_number(now))
        if now >= self._next_seen:
            for series in self._series.values():
                if series.blind_until <= now:
                    self._see(series.blind_until, series)
            self._next_seen = min(map(_blind_until, self._series.values()))

    def _begin_day(self, day: int) -> None:
        """All of yesterday goes, but for who is subscribed. What was firing ends without an alert."""
        session = self._hours.session(day)
        self._day_end = day_start(day + 1)
        self._next_seen = NEVER
        for schedule in self._schedules:
            schedule.begin(day, session)
        for series in self._series.values():
            series.begin(session.open)
        for total in self._sums.values():
            total.begin()
        for watch in self._watches:
            watch.begin(day_start(day))

    # Marks

    def _up(self, t: int, symbols: tuple[str, ...]) -> None:
        for series in named(self._series, symbols):
            series.up(t)
            self._next_seen = min(self._next_seen, series.blind_until)

    def _lose(self, since: int, lost: Iterable[Series]) -> None:
        for series in lost:
            series.lose(since)

    def _restart(self, before: int, t: int) -> None:
        """Blind since the event before. The ticks in between never happened, and no blindness ended in between.

        What was pending starts anew at once: it may belong to a sum, which a member without a record yet can evaluate
        before the blindness of any other member has ended.
        """
        self._lose(before, self._series.values())
        for watch in self._watches:
            watch.interrupt(t)
        self._next_tick = max(self._next_tick, _whole_second(t))
        self._reach(t)

    def _see(self, t: int, series: Series) -> None:
        """The symbol's blindness ends."""
        series.see(t)
        for watch in self._watching[series.symbol]:
            watch.interrupt(t)

    # Records

    def _frame(self, t: int, records: Sequence[Record], alerts: list[Alert]) -> None:
        self._frames += 1
        if t >= self._limit_until:
            self._limit, self._limit_until = latest_time(t), _whole_second(t)
        for place, record in enumerate(records):
            series = self._accept(record)
            if series is None:
                continue
            self._take(t, series, record)
            for watch in self._watching[record.symbol]:
                alert = watch.evaluate(t, place)
                if alert is not None:
                    alerts.append(alert)

    def _accept(self, record: Record) -> Series | None:
        """Whose next record it is; None: it was dropped."""
        series = self._series.get(record.symbol)
        drop = Drop.UNKNOWN_SYMBOL if series is None else refusal(record, series, self._limit)
        if drop is None:
            return series
        self._dropped[drop] += 1
        return None

    def _take(self, t: int, series: Series, record: Record) -> None:
        self._records += 1
        if series.blind:
            self._see(t, series)
        arrival = series.add(t, record)
        if arrival is Arrival.CORRECTION:
            self._corrections += 1
        if arrival in (Arrival.CORRECTION, Arrival.OUT_OF_NOWHERE):
            # For its own rules a first record changes nothing: their memories are empty. A sum jumps by all that the
            # symbol did before, and that is no crossing.
            for watch in self._watching[series.symbol]:
                watch.forget()


def _whole_second(t: int) -> int:
    """The first whole second at or after `t`."""
    return -(-t // SECOND_NS) * SECOND_NS
