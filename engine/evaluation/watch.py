"""One rule on one symbol: values, then conditions, then the life of its alert."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from engine.alert import Alert, State, Suppression
from engine.evaluation import lifecycle
from engine.evaluation.conditions import Truth, check_of, verdict_of
from engine.evaluation.lifecycle import REST, Life, Phase, Said, Tally
from engine.evaluation.metrics import Measure, is_level, measure
from engine.evaluation.schedule import Schedule
from engine.evaluation.series import NEVER, ZERO, Past, Series
from engine.evaluation.sums import Sum
from engine.record import Record
from engine.rules.model import Condition, Number, Rule


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where one rule stands on one symbol, as of its last evaluation. Times are nanoseconds since the epoch."""

    rule: str
    symbol: str
    phase: Phase
    since: int | None
    """When it became pending; None while inactive."""
    values: tuple[tuple[str, Number | None], ...]
    """By condition key, in written order; None where undefined, or where nothing was evaluated today."""
    conditions: tuple[Truth, ...]
    """Whether each condition held, in written order; None where undefined."""
    verdict: Truth
    unsent: bool
    """Firing, and all that it had to say was suppressed."""
    blocked_by: Suppression | None
    """What would keep a firing from being sent at this moment."""
    awake: bool
    blind: bool


class Transition(NamedTuple):
    """One rule on one symbol went from one phase to another; what fires and ends at once does not."""

    rule: str
    symbol: str
    at: int
    """Nanoseconds since the epoch."""
    before: Phase
    after: Phase


Note = Callable[[Transition], None]


class Watch:
    """`evaluate` after each record of the symbol, `tick` at a whole second at or after `wake`."""

    __slots__ = (
        "_checks",
        "_crossings",
        "_keys",
        "_life",
        "_note",
        "_readings",
        "_schedule",
        "_subject",
        "_tally",
        "_truths",
        "_values",
        "_verdict",
        "_verdict_of",
        "rule",
        "symbol",
        "wake",
    )

    def __init__(self, rule: Rule, symbol: str, subject: Series | Sum, schedule: Schedule, note: Note) -> None:
        self.rule = rule
        self.symbol = symbol
        self._note = note
        self._subject = subject
        self._schedule = schedule
        conditions = tuple(rule.when.conditions())
        distinct = {condition.key: condition for condition in conditions}
        self._keys = tuple(distinct)
        self._readings = tuple(_reading(condition, subject) for condition in distinct.values())
        self._checks = tuple((self._keys.index(condition.key), check_of(condition)) for condition in conditions)
        self._crossings = tuple(at for at, condition in enumerate(conditions) if condition.operator.is_crossing)
        self._verdict_of = verdict_of(rule.when)
        self._life = REST
        self.begin(0)

    def __repr__(self) -> str:
        return f"<Watch {self.rule.name} {self.symbol} {self._life.phase} verdict={self._verdict} wake={self.wake}>"

    def begin(self, now: int) -> None:
        """A new date: everything is empty, the counts too."""
        self._tally = Tally()
        self.drop(now)
        self.wake = NEVER

    def drop(self, now: int) -> None:
        """Asleep: state and memories go, the counts stay."""
        self._become(REST, now)
        self._values: Sequence[Number | None] = (None,) * len(self._keys)
        self._truths: Sequence[Truth] = (None,) * len(self._checks)
        self._verdict: Truth = None
        self.forget()

    def forget(self) -> None:
        """What the conditions remember compares with nothing any more."""
        for _, check in self._checks:
            check.forget()

    def interrupt(self, t: int) -> None:
        """A blindness ended: what was pending starts anew, at the next evaluation."""
        self._become(lifecycle.interrupted(self._life), t)
        self.wake = min(self.wake, t)

    def _become(self, life: Life, now: int) -> None:
        before, self._life = self._life.phase, life
        if life.phase is not before:
            self._note(Transition(self.rule.name, self.symbol, now, before, life.phase))

    def tick(self, now: int) -> Alert | None:
        """A whole second. What is blind, or has no record yet, is woken by what ends that."""
        self._rouse(now)
        if self._schedule.asleep:
            self.drop(now)
        if self._schedule.asleep or self._subject.blind or self._subject.latest is None:
            self.wake = self._schedule.until
            return None
        return self.evaluate(now, None)

    def evaluate(self, now: int, place: int | None) -> Alert | None:
        """`place`: of the record in its frame; None for a tick."""
        self._rouse(now)
        latest = self._subject.latest
        if self._schedule.asleep or latest is None:
            self.wake = min(self.wake, self._schedule.until)
            return None
        self._judge(latest, now)
        said = self._live(now)
        return None if said is None else self._alert(said, now, place, latest.time)

    def _rouse(self, now: int) -> None:
        if now >= self._schedule.until:
            self._schedule.move(now)

    def _judge(self, latest: Record, now: int) -> None:
        """Every condition is looked at, whatever the others say: crossings and resets must not miss a value."""
        wake = self._schedule.until
        values: list[Number | None] = []
        for reading, past in self._readings:
            if past is None:
                values.append(reading(latest, ZERO))
                continue
            if past.until <= now:
                past.look(now)
            wake = min(wake, past.until)
            values.append(None if past.record is None else reading(latest, past.record))
        traded = latest.sell_volume + latest.buy_volume != 0
        truths = [check.look(values[at], traded) for at, check in self._checks]
        self._verdict = self._verdict_of(truths)
        self._values, self._truths, self.wake = values, truths, wake

    def _live(self, now: int) -> Said | None:
        if self._crossings:
            return self._live_as_event(now)
        if self._verdict is not True and self._life is REST:
            return None  # the most frequent row of the table by far
        life, self._tally, said = lifecycle.step(self.rule, self._life, self._tally, self._verdict, now)
        self._become(life, now)
        self.wake = min(self.wake, lifecycle.due(self.rule, self._life, self._tally, self._verdict, now))
        return said

    def _live_as_event(self, now: int) -> Said | None:
        if not any(self._truths[at] for at in self._crossings):
            return None
        self.wake = now  # at the next tick the crossing is over
        if self._verdict is not True:
            return None
        _, self._tally, said = lifecycle.fire_once(self.rule, self._tally, now)  # nothing stays firing
        return said

    def _alert(self, said: Said, now: int, place: int | None, record_time: str) -> Alert:
        return Alert(
            id=alert_id(self.rule.name, self.symbol, said.state, t=now, place=place, repeat=said.repeat),
            rule=self.rule.name,
            symbol=self.symbol,
            state=said.state,
            at=now,
            since=said.since,
            severity=self.rule.severity,
            values=tuple(zip(self._keys, self._values, strict=True)),
            repeat=said.repeat,
            suppressed=said.suppressed,
            record_time=record_time,
            labels=self.rule.labels,
        )

    @property
    def is_active(self) -> bool:
        return self._life.phase is not Phase.INACTIVE

    def snapshot(self, now: int) -> Snapshot:
        self._rouse(now)
        life = self._life
        return Snapshot(
            rule=self.rule.name,
            symbol=self.symbol,
            phase=life.phase,
            since=None if life.phase is Phase.INACTIVE else life.since,
            values=tuple(zip(self._keys, self._values, strict=True)),
            conditions=tuple(self._truths),
            verdict=self._verdict,
            unsent=life.phase is Phase.FIRING and life.told_at is None,
            blocked_by=lifecycle.suppression(self.rule, self._tally, now),
            awake=not self._schedule.asleep,
            blind=self._subject.blind,
        )


def alert_id(rule: str, symbol: str, state: State, *, t: int, place: int | None, repeat: int) -> str:
    """The same alert has the same name in every engine that hears the same stream. `place` None: a tick at `t`."""
    named = json.dumps([rule, symbol, state, t, place, repeat])
    return blake2b(named.encode(), digest_size=8).hexdigest()


def _reading(condition: Condition, subject: Series | Sum) -> tuple[Measure, Past | None]:
    """How to measure, and where the window starts."""
    if condition.window_ns is None:
        return measure(condition.metric, windowed=False), None
    cumulative = not is_level(condition.metric)
    past = subject.lookback(condition.window_ns, cumulative=cumulative)
    return measure(condition.metric, windowed=True), past
