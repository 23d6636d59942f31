"""Where a start begins: where replaying the day's recording brings the engine, with what was stored winning. Pure.

    recording  ├── learned ──┤ checkpoint ├── applied ──┤ mark ├── applied, and what follows is new ──┤ #start

Up to the newest checkpoint only the symbols' values are learned: where the rules stood then, it knows. From there on
all is evaluated as it was when it was received. Up to the mark, the time of the last stored evaluation, alerts are
stored and told; there, states and counts are replaced by the stored ones, for somebody may have reloaded or silenced in
between. What follows from lines after it was never stored: a kill came between. The checkpoint saves time and decides
nothing.

Where lines are missing before the checkpoint or the mark (the disk was full, or a kill took the last second), nothing
is known from the last line on. What lies in the future is of a clock that was wrong, and is not believed.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.alert import Alert
from engine.evaluation.checkpoint import Checkpoint
from engine.evaluation.engine import Engine
from engine.kst import SECOND_NS, day_number
from engine.store.batch import Past
from engine.stream import Down, Event, Start

_AHEAD_NS = SECOND_NS
"""So far ahead of the start something may be: a clock is corrected by less than this all the time."""
_NOTHING = Checkpoint(None, ())


class Recovered(NamedTuple):
    """What a start found."""

    alerts: tuple[Alert, ...]
    """Not stored yet."""
    lines: int
    learned: int
    """Of these lines: only learned from."""
    distrusted: bool
    """Something lay in the future, and was left aside: lines from there on, the checkpoint, or the mark."""


def recover(engine: Engine, events: Iterable[Event], past: Past, now: int) -> Recovered:
    """Bring a fresh engine to where the last run left off. `events`: the day's recording; `past`: the day's in store.

    `now`: the time of the start, in nanoseconds since the epoch; what was remembered on another day says nothing.
    Where nothing was ever stored, nobody knows what was told: then nothing of the past is told.
    """
    lines = _Lines(events, now + _AHEAD_NS)
    checkpoint = _read(past.checkpoint)
    learned = _resume(engine, lines, checkpoint, now)
    alerts: list[Alert] = []
    if past.mark is not None:
        for event in lines.up_to(past.mark):
            engine.apply(event)
        mark = past.mark if lines.believes(past.mark) else now
        _lose_what_is_missing(engine, lines, mark)
        engine.stand(past.standings, mark)
    for event in lines.up_to(None):
        alerts += engine.apply(event)
    trusted = lines.are_whole and lines.believes(past.mark) and lines.believes(checkpoint.now)
    return Recovered(tuple(alerts) if past.mark is not None else (), lines.count, learned, not trusted)


def _read(text: str | None) -> Checkpoint:
    try:
        return Checkpoint.from_json(text) if text else _NOTHING
    except ValueError:  # of another version, or damaged: the recording knows the same, and takes longer
        return _NOTHING


def _resume(engine: Engine, lines: "_Lines", checkpoint: Checkpoint, now: int) -> int:
    """Learn up to the checkpoint, and go on from there. → lines learned; 0: it is of no use."""
    then = checkpoint.now
    if then is None or day_number(then) != day_number(now) or not lines.believes(then):
        return 0
    for event in lines.up_to(then):
        engine.learn(event)
    learned = lines.count
    _lose_what_is_missing(engine, lines, then)
    engine.restore(checkpoint)
    return learned


def _lose_what_is_missing(engine: Engine, lines: "_Lines", until: int) -> None:
    """It was evaluated up to then, and the last line of that life is from before: all is blind from there on.

    Within a life the recording says itself where lines are missing.
    """
    if engine.now is not None and engine.now < until and lines.end_here:
        engine.learn(Down(engine.now, ("*",)))


class _Lines:
    """Events one after the other; a time lower than the last one counts as the last.

    The first that is later than `latest` and all after it are left aside.
    """

    def __init__(self, events: Iterable[Event], latest: int) -> None:
        self._events = iter(events)
        self._latest = latest
        self._time = 0
        self.count = 0
        self.are_whole = True
        """Nothing of what was read is left aside."""
        self._next = self._read()

    def _read(self) -> Event | None:
        event = next(self._events, None)
        if event is None:
            return None
        self._time = max(self._time, event.t)
        if self._time <= self._latest:
            return event
        self.are_whole = False
        return None

    @property
    def end_here(self) -> bool:
        """What comes next, if anything, is of another life."""
        return self._next is None or isinstance(self._next, Start)

    def believes(self, moment: int | None) -> bool:
        """It is not in the future."""
        return moment is None or moment <= self._latest

    def up_to(self, end: int | None) -> Iterator[Event]:
        """Those that count as of `end` or earlier; None: all."""
        while self._next is not None and (end is None or self._time <= end):
            event, self._next = self._next, self._read()
            self.count += 1
            yield event
