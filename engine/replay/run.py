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


def after_last_tick(last: int) -> int:
    """Just after the first whole second at or after `last`: where time has come to when that tick has been run."""
    return -(-last // SECOND_NS) * SECOND_NS + 1
