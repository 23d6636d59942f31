"""Made-up series → the events that an engine hears. Pure."""

from collections.abc import Iterator, Sequence
from heapq import merge

from engine.kst import clock_time
from engine.record import Record
from engine.rule_tests.load import Trace
from engine.stream import Frame


def events(traces: Sequence[Trace], start: int) -> Iterator[Frame]:
    """A frame for each record, merged in time; at one moment in the order in which the series are written.

    The first record of each is at `start`. Nothing is subscribed, as nothing is acknowledged: a window is known once
    the series is as long, or from the first record if that comes before the session opens.
    """
    timed = ((_rows(trace, start, place)) for place, trace in enumerate(traces))
    return (Frame(t, (record,), "") for t, _, record in merge(*timed))


def _rows(trace: Trace, start: int, place: int) -> Iterator[tuple[int, int, Record]]:
    for number, row in enumerate(trace.rows):
        t = start + number * trace.every_ns
        yield t, place, _record(trace.symbol, clock_time(t), row)


def _record(symbol: str, time: str, row: Sequence[int]) -> Record:
    """What is net follows from the rest."""
    sold, sold_won, bought, bought_won, selling, buying = row
    net = bought - sold, bought_won - sold_won
    return Record(symbol, time, sold, sold_won, bought, bought_won, *net, selling, buying, buying - selling)
