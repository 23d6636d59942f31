"""A recording through the rules: events in, alerts out. Pure.

The first tick is the first whole second at or after the first line, the last one that at or after the last line; the
engine sees to the first, `replay` to the last.
"""

from collections.abc import Iterable, Iterator

from engine.alert import Alert
from engine.evaluation.engine import Engine
from engine.kst import SECOND_NS
from engine.stream import Event


def replay(events: Iterable[Event], engine: Engine) -> Iterator[Alert]:
    """Every alert of the stream, suppressed ones among them, in order."""
    last = None
    for event in events:
        last = event.t if last is None else max(last, event.t)
        yield from engine.apply(event)
    if last is not None:
        yield from engine.advance(after_last_tick(last))


def up_to(events: Iterable[Event], engine: Engine, moment: int) -> int | None:
    """All that happened up to `moment`, its tick among it. → how far the stream went; None: it begins later."""
    last: int | None = None
    for event in events:
        t = event.t if last is None else max(last, event.t)
        if t > moment:
            if last is not None:
                engine.advance(moment + 1)
            return None if last is None else moment
        engine.apply(event)
        last = t
    if last is not None:
        engine.advance(min(moment + 1, after_last_tick(last)))
    return last


def after_last_tick(last: int) -> int:
    """Just after the first whole second at or after `last`: where time has come to when that tick has been run."""
    return -(-last // SECOND_NS) * SECOND_NS + 1
