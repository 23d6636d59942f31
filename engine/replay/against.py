"""Two rule sets over one stream: which alerts appear, which go, which move. Pure.

Two alerts are of one kind when rule, symbol, state, number of the repeat and whether they are sent are the same. Two of
a kind at one and the same moment are *unchanged*. What is left is paired in order of time as *moved*, if

- the one rule was not over before the other began to hold: they tell of the same episode;
- not more than `NEAR_NS` lie between them.

The rest has *gone* or *appeared*. So has every alert of an event rule that is not unchanged: a crossing is over at
once, and two of them at two moments are two things.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from engine.alert import Alert, State
from engine.evaluation.engine import Engine
from engine.evaluation.lifecycle import Phase
from engine.evaluation.watch import Transition
from engine.kst import SECOND_NS
from engine.replay.run import after_last_tick
from engine.stream import Event

NEAR_NS = 300 * SECOND_NS
"""Five minutes: whoever is told later than that has been told of something else."""


class Kind(StrEnum):
    APPEARED = "appeared"
    GONE = "gone"
    MOVED = "moved"
    UNCHANGED = "unchanged"


@dataclass(slots=True, eq=False)
class Change:
    """One thing told: by the rules before, by the rules after, or by both."""

    before: Alert | None
    after: Alert | None
    kind: Kind | None = None
    """None: it may yet be paired."""
    over: int | None = None
    """When what was told was over, as far as that is known."""

    @property
    def alert(self) -> Alert:
        """The newer of the two that is there."""
        alert = self.after or self.before
        assert alert is not None
        return alert


class _Same(NamedTuple):
    state: State
    repeat: int
    suppressed: bool


class _End(NamedTuple):
    """One of the two rule sets is no longer firing."""

    at: int
    subject: tuple[str, str]
    before: bool


def _same(alert: Alert) -> _Same:
    return _Same(alert.state, alert.repeat, alert.suppressed is not None)


@dataclass(slots=True)
class Said:
    """How many alerts a rule set gave."""

    sent: int = 0
    suppressed: int = 0

    def note(self, alert: Alert) -> None:
        if alert.suppressed is None:
            self.sent += 1
        else:
            self.suppressed += 1


class Counted(NamedTuple):
    """What alerts are counted by."""

    rule: str
    symbol: str
    state: State


class Comparison:
    """Takes what both sets said at each step, and gives the changes in the order of their first alert.

    It holds what was said within `NEAR_NS`, no more.
    """

    def __init__(self, events: Collection[str] = ()) -> None:
        """`events`: names of the rules that are event rules in either set."""
        self._events = frozenset(events)
        self._queue: deque[Change] = deque()
        self._waiting: dict[tuple[str, str], list[Change]] = {}
        """By rule and symbol, in order of time."""
        self._ends: list[_End] = []
        self.before = Counter[Counted]()
        """Alerts of the set before, of those that are compared."""
        self.after = Counter[Counted]()
        self.said_before, self.said_after = Said(), Said()
        """Of all alerts."""
        self.kinds = Counter[Kind]()

    def listener(self, *, before: bool) -> Callable[[Transition], None]:
        """What the engine of one of the sets tells its transitions to."""

        def hear(transition: Transition) -> None:
            if transition.before is Phase.FIRING:
                self._ends.append(_End(transition.at, (transition.rule, transition.symbol), before))

        return hear

    def take(self, before: list[Alert], after: list[Alert], now: int) -> Iterator[Change]:
        """All that both said up to `now` and after what was taken last. → what is decided by it."""
        if before or after or self._ends:
            self._note(before, after)
        if self._queue:
            yield from self._decided(now)

    def end(self) -> Iterator[Change]:
        """The stream is over: nothing more can be paired."""
        for change in self._queue:
            _settle(change)
        yield from self._decided(0)

    def _note(self, before: list[Alert], after: list[Alert]) -> None:
        self.before.update(Counted(alert.rule, alert.symbol, alert.state) for alert in before)
        self.after.update(Counted(alert.rule, alert.symbol, alert.state) for alert in after)
        happened: list[Change | _End] = [*_side_by_side(before, after), *self._ends]
        self._ends.clear()
        for each in sorted(happened, key=_moment):
            if isinstance(each, Change):
                self._place(each)
            else:
                self._end(each)

    def _end(self, end: _End) -> None:
        for change in self._waiting.get(end.subject, ()):
            if (change.before is not None) == end.before and change.over is None:
                change.over = end.at

    def _place(self, change: Change) -> None:
        alert = change.alert
        if alert.rule in self._events:
            _settle(change)
        elif change.kind is None and self._is_paired(change):
            return
        self._queue.append(change)

    def _is_paired(self, change: Change) -> bool:
        """Whether it is the other side of one that waits; else it waits."""
        alert = change.alert
        waiting = self._waiting.setdefault((alert.rule, alert.symbol), [])
        partner = next((each for each in waiting if _is_moved(each, change)), None)
        if partner is None:
            change.over = alert.at if alert.state is State.RESOLVED else None
            waiting.append(change)
            return False
        partner.before = partner.before or change.before
        partner.after = partner.after or change.after
        partner.kind = Kind.MOVED
        return True

    def _decided(self, now: int) -> Iterator[Change]:
        while self._queue:
            change = self._queue[0]
            if change.kind is None:
                if now - change.alert.at <= NEAR_NS:
                    return
                _settle(change)
            self._queue.popleft()
            self._forget(change)
            assert change.kind is not None
            self.kinds[change.kind] += 1
            yield change

    def _forget(self, change: Change) -> None:
        subject = change.alert.rule, change.alert.symbol
        waiting = [each for each in self._waiting.get(subject, ()) if each.kind is None]
        if waiting:
            self._waiting[subject] = waiting
        else:
            self._waiting.pop(subject, None)


def _side_by_side(before: list[Alert], after: list[Alert]) -> Iterator[Change]:
    """What both said at the same moment is one."""
    twins: dict[tuple[object, ...], deque[Alert]] = {}
    for alert in after:
        twins.setdefault(_twin(alert), deque()).append(alert)
    for alert in before:
        same = twins.get(_twin(alert))
        yield Change(alert, same.popleft(), Kind.UNCHANGED) if same else Change(alert, None)
    for left in twins.values():
        yield from (Change(None, alert) for alert in left)


def _twin(alert: Alert) -> tuple[object, ...]:
    return alert.rule, alert.symbol, alert.at, _same(alert)


def _moment(happened: Change | _End) -> tuple[int, bool]:
    """An alert comes before the end that it tells of."""
    return (happened.at, True) if isinstance(happened, _End) else (happened.alert.at, False)


def _settle(change: Change) -> None:
    if change.kind is None:
        change.kind = Kind.GONE if change.after is None else Kind.APPEARED


def _is_moved(earlier: Change, later: Change) -> bool:
    """Whether the two are of one kind and tell of the same episode."""
    if earlier.kind is not None or _same(earlier.alert) != _same(later.alert):
        return False
    if (earlier.before is None) == (later.before is None) or later.alert.at - earlier.alert.at > NEAR_NS:
        return False
    return earlier.over is None or later.alert.since <= earlier.over


def compare(
    events: Iterable[Event], before: Engine, after: Engine, found: Comparison, *, all_: bool
) -> Iterator[Change]:
    """One pass over the events; both engines tell their transitions to `found`.

    `all_`: suppressed alerts are compared as well.
    """

    def told(alerts: list[Alert], said: Said) -> list[Alert]:
        for alert in alerts:
            said.note(alert)
        return alerts if all_ else [alert for alert in alerts if alert.suppressed is None]

    def both(of_before: list[Alert], of_after: list[Alert], now: int) -> Iterator[Change]:
        return found.take(told(of_before, found.said_before), told(of_after, found.said_after), now)

    last = None
    for event in events:
        last = event.t if last is None else max(last, event.t)
        yield from both(before.apply(event), after.apply(event), last)
    if last is not None:
        end = after_last_tick(last)
        yield from both(before.advance(end), after.advance(end), end)
    yield from found.end()
