"""Where a start begins: where replaying the day's recording brings the engine, with what was stored winning. Pure.

    recording  ├── learned ──┤ checkpoint ├── applied ──┤ mark ├── applied, and what follows is new ──┤ #start

Up to the newest checkpoint only the symbols' values are learned: where the rules stood then, it knows. From there on
all is evaluated as it was when it was received. Up to the mark, the time of the last stored evaluation, alerts are
stored and told; there, states and counts are replaced by the stored ones, for somebody may have reloaded or silenced in
between. What follows from lines after it was never stored: a kill came between. The checkpoint saves time and decides
nothing: one that does not fit these rules is left aside.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from engine.alert import Alert
from engine.evaluation.checkpoint import Checkpoint
from engine.evaluation.engine import Engine
from engine.kst import day_number
from engine.store.batch import Past
from engine.stream import Event


class Recovered(NamedTuple):
    """What a start found."""

    alerts: tuple[Alert, ...]
    """Not stored yet."""
    lines: int
    learned: int
    """Of these lines: only learned from."""


def recover(engine: Engine, events: Iterable[Event], past: Past, day: int) -> Recovered:
    """Bring a fresh engine to where the last run left off. `events`: the day's recording; `past`: the day's in store.

    `day`: today's number (engine.kst); what was remembered on another day says nothing.
    Where nothing was ever stored, nobody knows what was told: then nothing of the past is told.
    """
    lines = _Lines(events)
    learned = 0
    checkpoint = _usable(past.checkpoint, engine, day)
    if checkpoint is not None and checkpoint.now is not None:
        for event in lines.up_to(checkpoint.now):
            engine.learn(event)
        engine.restore(checkpoint)
        learned = lines.count
    alerts: list[Alert] = []
    if past.mark is not None:
        for event in lines.up_to(past.mark):
            engine.apply(event)
        engine.stand(past.standings, past.mark)
    for event in lines.up_to(None):
        alerts += engine.apply(event)
    return Recovered(tuple(alerts) if past.mark is not None else (), lines.count, learned)


def _usable(text: str | None, engine: Engine, day: int) -> Checkpoint | None:
    try:
        checkpoint = Checkpoint.from_json(text) if text else None
    except ValueError:  # of another version, or damaged: the recording knows the same, and takes longer
        return None
    if checkpoint is None or checkpoint.now is None or day_number(checkpoint.now) != day:
        return None
    return checkpoint if engine.fits(checkpoint) else None


class _Lines:
    """Events one after the other; a time lower than the last one counts as the last."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = iter(events)
        self._next: Event | None = next(self._events, None)
        self._time = 0
        self.count = 0

    def up_to(self, end: int | None) -> Iterator[Event]:
        """Those that count as of `end` or earlier; None: all."""
        while self._next is not None:
            self._time = max(self._time, self._next.t)
            if end is not None and self._time > end:
                return
            event, self._next = self._next, next(self._events, None)
            self.count += 1
            yield event
