"""Records to alerts: the engine with all of its rules' semantics, against one window and one comparison by hand."""

from collections import deque
from collections.abc import Callable, Iterator
from random import Random

from benchmarks.measure import Case
from engine.evaluation.engine import Engine
from engine.kst import DAY_NS, SECOND_NS, clock_time
from engine.record import Record
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.stream import Frame, Start, Up

RECORDS = 40_000
SYMBOLS = tuple(f"{number:06d}" for number in range(40))
START = 1_790_000_000 * SECOND_NS
GAP_NS = 5_000_000  # 200 records a second


def stream() -> list[Frame]:
    random = Random(1)
    totals = {symbol: [0, 0] for symbol in SYMBOLS}
    found = []
    for number in range(RECORDS):
        t = START + number * GAP_NS
        symbol = random.choice(SYMBOLS)
        total = totals[symbol]
        total[random.randrange(2)] += random.randrange(1000)
        sell, buy = total
        numbers = (sell, sell * 70_000, buy, buy * 70_000, buy - sell, (buy - sell) * 70_000, 500, 400, -100)
        found.append(Frame(t, (Record(symbol, clock_time(t), *numbers),), ""))
    return found


def rules(count: int) -> list[Rule]:
    """A typical mix: a window and an imbalance with a reset, held for a while."""
    return [
        Rule(
            name=f"r{number}",
            symbols=SYMBOLS,
            when=Group(
                Logic.ALL,
                (
                    Condition("net_volume", Operator.ABOVE, 20_000 + 500 * number, "5m", 300 * SECOND_NS),
                    Condition("imbalance", Operator.ABOVE, 0.3, "1m", 60 * SECOND_NS, 0.2),
                ),
            ),
            for_ns=30 * SECOND_NS,
            cooldown_ns=600 * SECOND_NS,
        )
        for number in range(count)
    ]


def cases() -> Iterator[Case]:
    frames = stream()
    for count in (1, 10):
        name = f"evaluate, {count} rules on each record"
        yield Case(name, f"{count} windows by hand", RECORDS, _ours(frames, count), _by_hand(frames, count))


def _ours(frames: list[Frame], count: int) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        engine = Engine(rules(count), Hours(0, DAY_NS))
        engine.apply(Start(START))
        engine.apply(Up(START, SYMBOLS))
        return lambda: [engine.apply(frame) for frame in frames]

    return make


def _by_hand(frames: list[Frame], count: int) -> Callable[[], Callable[[], object]]:
    def make() -> Callable[[], object]:
        pasts = {symbol: [deque[tuple[int, int]]() for _ in range(count)] for symbol in SYMBOLS}

        def apply(frame: Frame) -> int:
            fired = 0
            for record in frame.records:
                for number, past in enumerate(pasts[record.symbol]):
                    past.append((frame.t, record.net_volume))
                    while past[0][0] < frame.t - 300 * SECOND_NS:
                        past.popleft()
                    fired += record.net_volume - past[0][1] > 20_000 + 500 * number
            return fired

        return lambda: [apply(frame) for frame in frames]

    return make
