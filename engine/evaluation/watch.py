"""One rule on one symbol: values, then conditions, then the life of its alert."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import NamedTuple

from engine.alert import Alert, State, Suppression
from engine.evaluation import lifecycle
from engine.evaluation.checkpoint import WatchState
from engine.evaluation.conditions import Memory, Truth, check_of, verdict_of
from engine.evaluation.explanation import ConditionNow, Explanation, Situation, reason_of
from engine.evaluation.lifecycle import NOTHING_SENT, REST, Life, Phase, Said, Tally
from engine.evaluation.metrics import Measure, is_level, measure
from engine.evaluation.quiet import Quiet, next_edge, silenced_until
from engine.evaluation.schedule import Schedule
from engine.evaluation.series import NEVER, ZERO, LookbackKey, Past, Series
from engine.evaluation.standing import Key, Standing
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


class Reading(NamedTuple):
    """What one rule measures on one symbol at a moment, whether or not it is evaluated then."""

    values: tuple[tuple[str, Number | None], ...]
    """By condition key, in written order; None where undefined. Of a blind symbol: as of its last record."""
    blind: bool
    was_blind: bool
    """Now, or at any moment since the one asked about."""


class Transition(NamedTuple):
    """One rule on one symbol went from one phase to another; what fires and ends at once does not."""

    rule: str
    symbol: str
    at: int
    """Nanoseconds since the epoch."""
    before: Phase
    after: Phase


Note = Callable[[Transition], None]

Changes = dict[Key, None]
"""Which lives and tallies are not what they were: an ordered set, one for all watches."""


class Watch:
    """`evaluate` after each record of the symbol, `tick` at a whole second at or after `wake`."""

    __slots__ = (
        "_changes",
        "_checks",
        "_crossings",
        "_keys",
        "_life",
        "_note",
        "_quiet",
        "_readings",
        "_schedule",
        "_subject",
        "_tally",
        "_truths",
        "_values",
        "_verdict",
        "_verdict_of",
        "fingerprint",
        "key",
        "rule",
        "symbol",
        "wake",
    )

    def __init__(
        self,
        rule: Rule,
        symbol: str,
        subject: Series | Sum,
        schedule: Schedule,
        *,
        fingerprint: str,
        note: Note,
        changes: Changes,
    ) -> None:
        """`changes` gets the key whenever the tally changes, or a life that is or was firing."""
        self.rule = rule
        self.symbol = symbol
        self.key: Key = rule.name, symbol
        self.fingerprint = fingerprint
        self._note = note
        self._changes = changes
        self._subject = subject
        self._schedule = schedule
        conditions = tuple(rule.when.conditions())
        distinct = {condition.key: condition for condition in conditions}
        self._keys = tuple(distinct)
        self._readings = tuple(_reading(condition, subject) for condition in distinct.values())
        places = {key: place for place, key in enumerate(self._keys)}
        self._checks = tuple((places[condition.key], check_of(condition)) for condition in conditions)
        self._crossings = tuple(at for at, condition in enumerate(conditions) if condition.operator.is_crossing)
        self._verdict_of = verdict_of(rule.when)
        self._quiet: Quiet = ()
        self._life = REST
        self._tally = NOTHING_SENT
        self.begin(0)

    def __repr__(self) -> str:
        return f"<Watch {self.rule.name} {self.symbol} {self._life.phase} verdict={self._verdict} wake={self.wake}>"

    def begin(self, now: int) -> None:
        """A new date: everything is empty, the counts too."""
        self._become(REST, NOTHING_SENT, now)
        self._empty()
        self.wake = NEVER

    def drop(self, now: int) -> None:
        """Asleep: state and memories go, the counts stay."""
        self._become(REST, self._tally, now)
        self._empty()

    def _empty(self) -> None:
        self._values: Sequence[Number | None] = (None,) * len(self._keys)
        self._truths: Sequence[Truth] = (None,) * len(self._checks)
        self._verdict: Truth = None
        self.forget()

    def end(self, now: int) -> Transition | None:
        """It is watched no more, or not so: its state goes; what it sent is still counted."""
        before = self._life.phase
        self.drop(now)
        return None if before is Phase.INACTIVE else Transition(self.rule.name, self.symbol, now, before, REST.phase)

    def forget(self) -> None:
        """What the conditions remember compares with nothing any more."""
        for _, check in self._checks:
            check.forget()

    def interrupt(self, t: int) -> None:
        """A blindness ended: what was pending starts anew, at the next evaluation."""
        self._become(lifecycle.interrupted(self._life), self._tally, t)
        self.wake = min(self.wake, t)

    def _become(self, life: Life, tally: Tally, now: int) -> None:
        before = self._life
        if tally is not self._tally or (life is not before and Phase.FIRING in (before.phase, life.phase)):
            self._changes[self.key] = None
        self._life, self._tally = life, tally
        if life.phase is not before.phase:
            self._note(Transition(self.rule.name, self.symbol, now, before.phase, life.phase))

    # What is carried over

    def hush(self, quiet: Quiet, now: int) -> None:
        """These are the silences now."""
        if quiet != self._quiet:
            self._quiet = quiet
            self.wake = min(self.wake, now)

    def standing(self) -> Standing:
        return Standing(self.rule.name, self.symbol, self.fingerprint, self._life, self._tally)

    def stand(self, standing: Standing) -> None:
        """Memories stay. Nobody is told: it has been so before. Of another definition only the tally counts."""
        self._life = standing.life if standing.fingerprint == self.fingerprint else REST
        self._tally = standing.tally

    def outlive(self, stored: Standing) -> None:
        """What was stored wins. It never says pending, so what is pending here by itself is so still."""
        pending = self._life.phase is Phase.PENDING and stored.life == REST
        self.stand(replace(stored, life=self._life) if pending else stored)

    def state(self) -> WatchState:
        memories = tuple(check.memory() for _, check in self._checks)
        return WatchState(self.standing(), memories, tuple(self._values), tuple(self._truths), self._verdict)

    def resume(self, state: WatchState) -> None:
        """Go on where a watch of the same definition stood, with its memories. Of another one only the tally counts."""
        self.stand(state.standing)
        if state.standing.fingerprint != self.fingerprint:
            return
        for (_, check), memory in zip(self._checks, state.memories, strict=True):
            check.remember(memory)
        self._values, self._truths, self._verdict = state.values, state.truths, state.verdict

    # Evaluation

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
        schedule = self._schedule
        if now >= schedule.until:
            schedule.move(now)
        latest = self._subject.latest
        if schedule.asleep or latest is None:
            self.wake = min(self.wake, schedule.until)
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
            until = past.until
            if until <= now:
                past.look(now)
                until = past.until
            wake = min(wake, until)
            then = past.record
            values.append(None if then is None else reading(latest, then))
        traded = latest.sell_volume + latest.buy_volume != 0
        self._truths = truths = [check.look(values[at], traded) for at, check in self._checks]
        self._verdict = self._verdict_of(truths)
        self._values, self.wake = values, wake

    def _live(self, now: int) -> Said | None:
        if self._crossings:
            return self._live_as_event(now)
        if self._verdict is not True and self._life is REST:
            return None  # the most frequent row of the table by far
        silenced = self._is_silenced(now)
        life, tally, said = lifecycle.step(self.rule, self._life, self._tally, self._verdict, now, silenced=silenced)
        self._become(life, tally, now)
        self.wake = min(self.wake, lifecycle.due(self.rule, life, tally, self._verdict, now))
        if self._quiet:
            self.wake = min(self.wake, next_edge(self._quiet, now))
        return said

    def _live_as_event(self, now: int) -> Said | None:
        if not any(self._truths[at] for at in self._crossings):
            return None
        self.wake = now  # at the next tick the crossing is over
        if self._verdict is not True:
            return None
        _, tally, said = lifecycle.fire_once(self.rule, self._tally, now, silenced=self._is_silenced(now))
        self._become(REST, tally, now)  # nothing stays firing
        return said

    def _is_silenced(self, now: int) -> bool:
        return bool(self._quiet) and silenced_until(self._quiet, now) is not None

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
            blocked_by=lifecycle.suppression(self.rule, self._tally, now, silenced=self._is_silenced(now)),
            awake=not self._schedule.asleep,
            blind=self._subject.blind,
        )

    def read(self, now: int, since: int) -> Reading:
        values = [self._measure(reading, past, now) for reading, past in self._readings]
        subject = self._subject
        return Reading(tuple(zip(self._keys, values, strict=True)), subject.blind, subject.was_blind(since))

    # Why

    def explain(self, now: int) -> Explanation:
        self._rouse(now)
        rule, life, tally, awake = self.rule, self._life, self._tally, not self._schedule.asleep
        cooled = 0 if tally.sent_at is None else tally.sent_at + rule.cooldown_ns
        return Explanation(
            rule=rule.name,
            symbol=self.symbol,
            at=now,
            reason=reason_of(self._situation(now), self._verdict_of),
            conditions=self._conditions(now),
            verdict=self._verdict,
            phase=life.phase,
            since=None if life.phase is Phase.INACTIVE else life.since,
            unmet_since=life.unmet_since,
            fires_at=life.since + rule.for_ns if life.phase is Phase.PENDING else None,
            resolves_at=None if life.unmet_since is None else life.unmet_since + rule.keep_firing_for_ns,
            repeats_at=self._repeats_at(),
            told_at=life.told_at,
            awake=awake,
            changes_at=_moment(self._schedule.until),
            blind_since=self._subject.blind_since,
            record=self._subject.latest,
            tally=tally,
            cooldown_until=cooled if cooled > now else None,
            silenced_until=silenced_until(self._quiet, now),
        )

    def _situation(self, now: int) -> Situation:
        return Situation(
            rule=self.rule,
            now=now,
            awake=not self._schedule.asleep,
            has_record=self._subject.latest is not None,
            blind=self._subject.blind,
            truths=self._truths,
            verdict=self._verdict,
            life=self._life,
            tally=self._tally,
            silenced=self._is_silenced(now),
            spoken=bool(self._crossings) and self._tally.sent_at == self.wake,  # a crossing wakes it at once
        )

    def _repeats_at(self) -> int | None:
        life, every = self._life, self.rule.repeat_ns
        return None if life.told_at is None or life.unmet_since is not None or every is None else life.told_at + every

    def _conditions(self, now: int) -> tuple[ConditionNow, ...]:
        values = [self._measure(reading, past, now) for reading, past in self._readings]
        return tuple(
            ConditionNow(
                key=condition.key,
                operator=condition.operator,
                threshold=condition.threshold,
                reset=condition.reset,
                value=values[at],
                truth=truth,
                holds_back=_holds_back(condition, check.memory()),
                known_at=self._known_at(self._readings[at][1], now),
            )
            for condition, truth, (at, check) in zip(
                self.rule.when.conditions(), self._truths, self._checks, strict=True
            )
        )

    def _measure(self, reading: Measure, past: Past | None, now: int) -> Number | None:
        latest = self._subject.latest
        if latest is None:
            return None
        if past is None:
            return reading(latest, ZERO)
        if past.until <= now:
            past.look(now)
        return None if past.record is None else reading(latest, past.record)

    def _known_at(self, past: Past | None, now: int) -> int | None:
        """None also where it is known now."""
        if past is None or self._subject.latest is None:
            return None
        known_at = past.known_at(now)
        return None if known_at == now else known_at


def alert_id(rule: str, symbol: str, state: State, *, t: int, place: int | None, repeat: int) -> str:
    """The same alert has the same name in every engine that hears the same stream. `place` None: a tick at `t`."""
    named = json.dumps([rule, symbol, state, t, place, repeat])
    return blake2b(named.encode(), digest_size=8).hexdigest()


def _reading(condition: Condition, subject: Series | Sum) -> tuple[Measure, Past | None]:
    """How to measure, and where the window starts."""
    if condition.window_ns is None:
        return measure(condition.metric, windowed=False), None
    past = subject.lookback(condition.window_ns, cumulative=not is_level(condition.metric))
    return measure(condition.metric, windowed=True), past


def lookbacks_of(rule: Rule) -> frozenset[LookbackKey]:
    """All windows that the rule asks for."""
    windows = ((condition.window_ns, not is_level(condition.metric)) for condition in rule.when.conditions())
    return frozenset((window_ns, cumulative) for window_ns, cumulative in windows if window_ns is not None)


def _moment(t: int) -> int | None:
    return None if t == NEVER else t


def _holds_back(condition: Condition, memory: Memory) -> bool | None:
    """Whether the reset is waited for."""
    if condition.reset is None:
        return None
    return not memory[-1] if condition.operator.is_crossing else memory[0]
