"""The evaluation: a stream of events in, alerts out. The same events give the same alerts, live and replayed.

The order of things: a frame with t ≤ T comes before tick T (a tick is a whole second), every tick T < t before the
frame. Ticks at which nothing can change are skipped: each watch says from when on time alone could change something for
it (`Watch.wake`), so a night costs nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from types import MappingProxyType

from engine.alert import Alert
from engine.evaluation.adoption import merged
from engine.evaluation.checkpoint import Checkpoint, WatchState
from engine.evaluation.explanation import Explanation
from engine.evaluation.gate import Drop, latest_time, refusal
from engine.evaluation.lifecycle import NOTHING_SENT, REST
from engine.evaluation.quiet import quiet
from engine.evaluation.roster import Roster, build
from engine.evaluation.series import NEVER, Arrival, Series, named
from engine.evaluation.standing import Key, Standing
from engine.evaluation.watch import Changes, Note, Reading, Snapshot, Transition, Watch, lookbacks_of
from engine.kst import SECOND_NS, day_number, day_start
from engine.record import Record
from engine.rules.model import Rule
from engine.session import Hours
from engine.silences.model import Silence
from engine.stream import Down, Event, Frame, Start, Up

_STRANGERS = 10_000
"""Symbols without a rule that are remembered for the day: three times the exchange's stocks, and a feed brings only
what was asked for."""

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
        self._changes: Changes = {}
        self._left: dict[Key, Standing] = {}
        """Of rules and symbols that are watched no more: the counts of today stay theirs."""
        self._silences: tuple[Silence, ...] = ()
        self._put_in_place(build(rules, {}, {}, note, self._changes))
        self._now: int | None = None
        self._next_tick = 0
        self._day_end = 0
        self._next_seen = NEVER
        """When the next blindness ends by itself."""
        self._unlooked = False
        """Something changed besides time and records: at the next tick every watch is worth a look."""
        self._limit = ""
        self._limit_until = 0
        self._frames = self._records = self._corrections = 0
        self._dropped = Counter[Drop]()
        self._strangers: set[str] = set()

    def _put_in_place(self, roster: Roster) -> None:
        """The parts are named here as well: every record asks for them."""
        roster.attach()
        self._roster = roster
        self._series, self._sums, self._schedules = roster.series, roster.sums, roster.schedules
        self._watches, self._watching = roster.watches, roster.watching
        self._by_key = {watch.key: watch for watch in roster.watches}

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
            case Up() | Down():
                self._mark(t, event)
        return alerts

    def advance(self, now: int) -> list[Alert]:
        """Run every tick T < `now` that has not been run; before the first event there are none.

        Live, call it when all that was received before `now` has been applied: what is applied later counts as
        received at `now`. For the last tick of a replay, `now` is just after it. `apply(Alive(now))` does the same, and
        begins where nothing was before.
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

    @property
    def now(self) -> int | None:
        """The moment that time has come to; None before the first event."""
        return self._now

    def explain(self, rule: str, symbol: str) -> Explanation | None:
        """Why the rule says nothing of the symbol, which is written as in alerts; None: it does not look at it."""
        watch = self._by_key.get((rule, symbol))
        return None if watch is None else watch.explain(self._now or 0)

    def read(self, rule: str, symbol: str, since: int) -> Reading | None:
        """What the rule measures on the symbol at this moment, and whether that was blind since then.

        None: it does not look at it. Nothing is evaluated, and nothing is remembered.
        """
        watch = self._by_key.get((rule, symbol))
        return None if watch is None else watch.read(self._now or 0, since)

    # Rules

    def reload(self, rules: Sequence[Rule], now: int) -> tuple[Transition, ...]:
        """From now on these rules, in their order. Call `advance(now)` before: ticks that are due are the old ones'.

        What decides alike goes on where it stood, also where it is shown or sent otherwise. Anything else starts
        inactive; how many messages a rule has sent of a symbol stays. Gives back what ended; `note` hears of it too.
        """
        roster = build(rules, self._series, self._sums, self._note, self._changes)
        if self._now is not None:
            day = day_number(self._now)
            session = self._hours.session(day)
            for schedule in roster.schedules:
                schedule.begin(day, session)
            for symbol in roster.series.keys() - self._series.keys():
                roster.series[symbol].begin(session.open)
        before = self._by_key
        self._put_in_place(roster)
        for watch in roster.watches:
            watch.hush(quiet(self._silences, watch.rule, watch.symbol, now), now)
            prior = before.get(watch.key)
            self._inherit(watch, None if prior is None else prior.state())
        self._unlooked = True
        return self._end_those_that_differ(before.values(), now)

    def _inherit(self, watch: Watch, prior: WatchState | None) -> None:
        left = self._left.pop(watch.key, None)
        if prior is not None:
            watch.resume(prior)
        elif left is not None:
            watch.stand(left)

    def _end_those_that_differ(self, before: Iterable[Watch], now: int) -> tuple[Transition, ...]:
        ended = []
        for prior in before:
            watch = self._by_key.get(prior.key)
            if watch is not None and watch.fingerprint == prior.fingerprint:
                continue
            transition = prior.end(max(now, self._now or now))
            if transition is not None:
                ended.append(transition)
            if watch is None and (prior.key in self._changes or not prior.standing().is_at_rest):
                self._left[prior.key] = prior.standing()
        return tuple(ended)

    def silence(self, silences: Sequence[Silence], now: int) -> None:
        """These instead of the ones before; those to come may be among them. Call `advance(now)` before.

        An alert that was held back by one that is gone is sent at the next evaluation.
        """
        self._silences = tuple(silence for silence in silences if silence.until > now)
        for watch in self._watches:
            watch.hush(quiet(self._silences, watch.rule, watch.symbol, now), now)

    # What rules know

    def learn(self, event: Event) -> None:
        """Only what is known of the symbols changes: nothing is evaluated, said or counted, and no tick is run.

        For a past that has been evaluated before; `apply` or `advance` then goes on from there.
        """
        before = self._begin(event.t) if self._now is None else self._now
        t = max(event.t, before)
        self._unlooked = True
        if isinstance(event, Start):
            self._restart(before, t)
            return
        if t >= self._next_tick:
            self._next_tick = _whole_second(t)
        self._reach(t)
        match event:
            case Frame():
                self._learn_records(t, event.records)
            case Up() | Down():
                self._mark(t, event)

    def _learn_records(self, t: int, records: Sequence[Record]) -> None:
        if t >= self._limit_until:
            self._set_limit(t)
        for record in records:
            series = self._series.get(record.symbol)
            if series is None:
                self._meet(record.symbol)
            elif refusal(record, series, self._limit) is None:
                if series.blind:
                    self._see(t, series)
                series.add(t, record)

    def lacks(self, rules: Sequence[Rule]) -> bool:
        """Whether these rules look further back than what is kept: the day's recording has what they need."""
        return any(self._lacks(rule) for rule in rules if rule.enabled)

    def _lacks(self, rule: Rule) -> bool:
        if self._now is None:
            return False
        if not self._strangers.isdisjoint(rule.symbols):
            return True
        known = [self._series[symbol] for symbol in rule.symbols if symbol in self._series]
        return any(series.lacks(window_ns, self._now) for window_ns, _ in lookbacks_of(rule) for series in known)

    def adopt_past(self, other: "Engine") -> None:
        """Take what `other` knows of today from before our own memory; it has learned the day's recording.

        It must have heard all up to the moment of the `reload` that made us need this, or more; else nothing is taken.
        """
        if self._now is None or other.now is None or other._day_end != self._day_end:  # noqa: SLF001 -- one of us
            return
        for symbol, theirs in other._series.items():  # noqa: SLF001 -- one of us
            series = self._series.get(symbol)
            if series is not None:
                series.know(merged(series.known(), theirs.known(), other.now))
                self._next_seen = min(self._next_seen, series.blind_until)
                self._strangers.discard(symbol)
        self._unlooked = True

    # What outlives the process

    def standings(self) -> tuple[Standing, ...]:
        """Of all that is not at rest, or has sent something today."""
        standings = (*(watch.standing() for watch in self._watches), *self._left.values())
        return tuple(standing for standing in standings if not standing.is_at_rest)

    def changed(self) -> tuple[Standing, ...]:
        """Of all whose tally changed since the last call, or whose life if it fires or fired."""
        if not self._changes:
            return ()
        found = tuple(self._standing(key) for key in self._changes)
        self._changes.clear()
        return found

    def _standing(self, key: Key) -> Standing:
        watch = self._by_key.get(key)
        return self._left[key] if watch is None else watch.standing()

    def stand(self, standings: Sequence[Standing], now: int) -> None:
        """Lives and counts are these, as of `now`; memories stay as they are. What is not named is at rest, or pending.

        Pending is never stored: where it is found here and nothing speaks against it, it goes on. Of another definition
        only the count is taken, of an earlier date nothing. Nobody is told of a transition.
        """
        now = self._arrive(now)
        midnight = day_start(day_number(now))
        stored: dict[Key, Standing] = {standing.key: standing.between(midnight, now) for standing in standings}
        for watch in self._watches:
            watch.outlive(stored.pop(watch.key, Standing(*watch.key, watch.fingerprint)))
        self._left = {key: replace(standing, life=REST) for key, standing in stored.items()}
        self._changes.clear()

    def checkpoint(self) -> Checkpoint:
        """All that `learn` of the day's recording would not bring back. Silences are not in it."""
        left = (standing for standing in self._left.values() if not standing.is_at_rest)
        return Checkpoint(self._now, tuple(watch.state() for watch in self._watches), tuple(left))

    def restore(self, checkpoint: Checkpoint) -> bool:
        """Go on from there, after `learn` of everything up to its moment, and of nothing later.

        What it does not know as it is defined now starts there as by a `reload`. False: something later was learned, or
        the checkpoint is of another date; nothing was changed.
        """
        if not self._may_go_on_from(checkpoint.now):
            return False
        if checkpoint.now is not None:
            self._arrive(checkpoint.now)
        states = {state.standing.key: state for state in checkpoint.watches}
        self._left = {standing.key: standing for standing in checkpoint.left}
        for watch in self._watches:
            self._inherit(watch, states.pop(watch.key, None))
        self._left |= {key: replace(state.standing, life=REST) for key, state in states.items()}
        self._changes.clear()
        return True

    def _may_go_on_from(self, then: int | None) -> bool:
        """`then`: the moment of a checkpoint."""
        if self._now is None or then is None:
            return self._now is None
        return then >= self._now and day_number(then) == day_number(self._now)

    def _arrive(self, now: int) -> int:
        """Time has come to `now`, and the ticks before it are over. → what time it is, which never falls."""
        before = self._begin(now) if self._now is None else self._now
        now = max(now, before)
        self._next_tick = max(self._next_tick, _whole_second(now))
        self._reach(now)
        self._unlooked = True
        return now

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
            if self._unlooked:
                self._wake_all()
            while (tick := max(self._next_tick, _whole_second(self._wake()))) < end:
                self._tick(tick, alerts)
                self._next_tick = tick + SECOND_NS
            self._next_tick = max(self._next_tick, _whole_second(end))
        return alerts

    def _wake_all(self) -> None:
        self._unlooked = False
        for watch in self._watches:
            watch.wake = 0

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
        """All of yesterday goes, but for who is subscribed. What was firing ends with it, without an alert."""
        session = self._hours.session(day)
        midnight = self._day_end or day_start(day)
        self._day_end = day_start(day + 1)
        self._next_seen = NEVER
        for schedule in self._schedules:
            schedule.begin(day, session)
        for series in self._series.values():
            series.begin(session.open)
        for total in self._sums.values():
            total.begin()
        for watch in self._watches:
            watch.begin(midnight)
        self._changes |= dict.fromkeys(key for key, left in self._left.items() if not left.is_at_rest)
        self._left = {
            key: replace(left, tally=NOTHING_SENT) for key, left in self._left.items() if key in self._changes
        }
        self._strangers.clear()
        self._roster.forget_unwatched()

    # Marks

    def _mark(self, t: int, mark: Up | Down) -> None:
        if isinstance(mark, Up):
            self._up(t, mark.symbols)
        else:
            self._lose(t, named(self._series, mark.symbols))

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
            self._set_limit(t)
        for place, record in enumerate(records):
            series = self._accept(record)
            if series is None:
                continue
            self._take(t, series, record)
            for watch in self._watching[record.symbol]:
                alert = watch.evaluate(t, place)
                if alert is not None:
                    alerts.append(alert)

    def _set_limit(self, t: int) -> None:
        self._limit, self._limit_until = latest_time(t), _whole_second(t)

    def _accept(self, record: Record) -> Series | None:
        """Whose next record it is; None: it was dropped."""
        series = self._series.get(record.symbol)
        drop = Drop.UNKNOWN_SYMBOL if series is None else refusal(record, series, self._limit)
        if drop is None:
            return series
        self._dropped[drop] += 1
        if drop is Drop.UNKNOWN_SYMBOL:
            self._meet(record.symbol)
        return None

    def _meet(self, symbol: str) -> None:
        """Nobody looks at it, but the recording has it: a rule that names it later lacks what was before."""
        if len(self._strangers) < _STRANGERS:
            self._strangers.add(symbol)

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
