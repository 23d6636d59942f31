"""Hypothesis strategies: random rules, and random streams that visit the corners of the rule page."""

from dataclasses import dataclass, field, replace
from datetime import date

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from engine.kst import SECOND_NS, clock_time, day_of, day_start
from engine.record import Record
from engine.rules.model import (
    METRICS,
    RESTING_METRICS,
    Anchor,
    Condition,
    Group,
    Logic,
    Moment,
    Number,
    Operator,
    Rule,
    Severity,
    Span,
)
from engine.session import Hours
from engine.silences.model import Silence
from engine.stream import Alive, Down, Event, Frame, Start, Up

DAY = day_of(date(2026, 11, 20))
MINUTE_NS = 60 * SECOND_NS
SYMBOLS = ("AAAAAA", "BBBBBB", "CCCCCC")

# A stream begins 5 s before the open of an ordinary day, or 10 s before a midnight whose dates both open near it.
MORNING = day_start(DAY) + 9 * 60 * MINUTE_NS - 5 * SECOND_NS
MIDNIGHT = day_start(DAY) - 10 * SECOND_NS
_LATE = 24 * 60 * MINUTE_NS - 7 * SECOND_NS
HOURS = Hours(
    9 * 60 * MINUTE_NS,
    15 * 60 * MINUTE_NS,
    {DAY - 1: (_LATE, _LATE + 4 * SECOND_NS), DAY: (9 * 60 * MINUTE_NS, 15 * 60 * MINUTE_NS)},
)
MIDNIGHT_HOURS = Hours(3 * SECOND_NS, MINUTE_NS, {DAY - 1: (_LATE, _LATE + 4 * SECOND_NS)})

# Rules

_thresholds = st.sampled_from([-3, 0, 0, 1, 2, 3, 4, 8])
_ratios = st.sampled_from([-0.5, 0, 0.2, 0.5])
_windows = st.sampled_from([None, None, "1s", "2s", "5s", "125s"])
_seconds = st.sampled_from([0, 0, 1, 2, 4]).map(lambda seconds: seconds * SECOND_NS)
_cooldowns = st.sampled_from([0, 2, 5, 9]).map(lambda seconds: seconds * SECOND_NS)


@st.composite
def conditions(draw: DrawFn, operators: SearchStrategy[Operator]) -> Condition:
    metric = draw(st.sampled_from(sorted(METRICS) + sorted(RESTING_METRICS)))  # levels go up and down most
    window = None if metric == "resting_imbalance" else draw(_windows)
    operator = draw(operators)
    numbers: SearchStrategy[Number] = _ratios if metric.endswith("imbalance") else _thresholds
    threshold = draw(numbers)
    window_ns = None if window is None else int(window[:-1]) * SECOND_NS
    if operator.is_range:
        high = threshold + draw(st.integers(0, 5))
        return Condition(metric, operator, (threshold, high), window, window_ns)
    upward = operator in (Operator.ABOVE, Operator.AT_LEAST, Operator.CROSSES_ABOVE)
    distance = draw(st.sampled_from([None, None, 0, 1, 4]))
    reset = None if distance is None else threshold - distance if upward else threshold + distance
    return Condition(metric, operator, threshold, window, window_ns, reset)


_CROSSINGS = (Operator.CROSSES_ABOVE, Operator.CROSSES_BELOW)
_levels = st.sampled_from([operator for operator in Operator if not operator.is_crossing])
_any_operator = st.sampled_from([*Operator, *_CROSSINGS, *_CROSSINGS])


@st.composite
def groups(draw: DrawFn, depth: int, *, crossings: bool) -> Group:
    """Crossings only where they are allowed: not under `none`."""
    logic = draw(st.sampled_from(list(Logic)))
    crossings = crossings and logic is not Logic.NONE
    if not depth and draw(st.booleans()):
        return Group(logic, (draw(conditions(_any_operator if crossings else _levels)),))
    entry: SearchStrategy[Condition | Group] = conditions(_any_operator if crossings else _levels)
    if depth:
        entry = entry | entry | groups(depth - 1, crossings=crossings)
    return Group(logic, tuple(draw(st.lists(entry, min_size=1, max_size=2))))


@st.composite
def spans(draw: DrawFn) -> Span:
    start = Moment(Anchor.OPEN, draw(st.integers(-5, 10)) * SECOND_NS)
    end = draw(
        st.integers(1, 12).map(lambda s: Moment(Anchor.OPEN, start.offset_ns + s * SECOND_NS))
        | st.just(Moment(Anchor.CLOSE, 0))
    )
    return Span(start, end)


@st.composite
def rules(draw: DrawFn, name: str) -> Rule:
    when = draw(groups(draw(st.sampled_from([0, 0, 1])), crossings=draw(st.booleans())))
    event = any(condition.operator.is_crossing for condition in when.conditions())
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), min_size=2, max_size=3, unique=True))
    return Rule(
        name=name,
        symbols=tuple(symbols),
        when=when,
        aggregate=draw(st.sampled_from([None, None, "@group"])),
        for_ns=0 if event else draw(_seconds),
        keep_firing_for_ns=0 if event else draw(_seconds),
        cooldown_ns=draw(_cooldowns),
        max_per_day=draw(st.sampled_from([None, None, 1, 2])),
        repeat_ns=None if event else draw(st.none() | st.none() | _cooldowns),
        resolved=not event and draw(st.booleans()),
        active=tuple(draw(st.lists(spans(), max_size=2))) if draw(st.booleans()) else (),
    )


rule_sets = st.integers(1, 3).flatmap(lambda count: st.tuples(*(rules(f"rule {number}") for number in range(count))))

# Streams

_GAPS_NS = (0, 0, 1, 250_000_000, 500_000_000, SECOND_NS, SECOND_NS, 1_750_000_000, 3 * SECOND_NS)
_gaps = st.sampled_from(_GAPS_NS)
_long_gaps = st.sampled_from([119 * SECOND_NS, 120 * SECOND_NS, 121_500_000_000])
_step = st.sampled_from([0, 0, 1, 2, 5])
_times = st.sampled_from([*[0] * 24, -1, -4, 60, 61, None])
_marked = st.sampled_from([("*",), *((symbol,) for symbol in SYMBOLS), SYMBOLS[:2]])


@dataclass
class Market:
    """Where the counters stand, so that a drawn step becomes a record."""

    t: int
    totals: dict[str, list[int]] = field(default_factory=lambda: {symbol: [0] * 4 for symbol in (*SYMBOLS, "XXXXXX")})

    def record(self, draw: DrawFn) -> Record:
        symbol = draw(st.sampled_from([*SYMBOLS * 6, "XXXXXX"]))
        totals = self.totals[symbol]
        sign = draw(st.sampled_from([1] * 12 + [-1]))
        for place in range(4):
            totals[place] = max(0, totals[place] + sign * draw(_step))
        off = draw(st.sampled_from([0, 0, 0, 0, 3]))  # values are as the record gives them
        sell_resting, buy_resting = draw(st.integers(0, 6)), draw(st.integers(0, 6))
        nets = (totals[2] - totals[0] + off, totals[3] - totals[1] - off)
        resting = (sell_resting, buy_resting, buy_resting - sell_resting)
        return Record(symbol, self.time(draw(_times)), *(*totals, *nets, *resting))

    def time(self, offset: int | None) -> str:
        return "240000" if offset is None else clock_time(self.t + offset * SECOND_NS)


@st.composite
def streams(draw: DrawFn, start: int) -> list[Event]:
    market = Market(start)
    events: list[Event] = []
    if draw(st.sampled_from([True, True, False])):
        events.append(Up(start, ("*",)))
    waits = draw(st.integers(0, 2))
    for _ in range(draw(st.integers(5, 40))):
        long = waits and draw(st.sampled_from([False] * 15 + [True]))
        waits -= bool(long)
        market.t += draw(_long_gaps if long else _gaps)
        events.append(_event(draw, market))
        if draw(st.sampled_from([False] * 40 + [True])):  # counters start the day at 0, whenever that is
            market.totals = Market(0).totals
    return [*events, Alive(market.t + draw(st.sampled_from([1, 5, 8])) * SECOND_NS + 1)]


def _event(draw: DrawFn, market: Market) -> Event:
    kind = draw(st.sampled_from(["frame"] * 16 + ["up", "up", "down", "down", "start", "alive"]))
    t = market.t
    if kind == "frame":
        late = draw(st.sampled_from([0] * 9 + [1, SECOND_NS]))  # the clock of receipt may be read late: it still counts
        return Frame(t - late, tuple(market.record(draw) for _ in range(draw(st.integers(1, 3)))), "")
    if kind in ("up", "down"):
        symbols = draw(_marked)
        return Up(t, symbols) if kind == "up" else Down(t, symbols)
    return Start(t) if kind == "start" else Alive(t)


scenarios = st.tuples(rule_sets, st.sampled_from([(MORNING, HOURS), (MIDNIGHT, MIDNIGHT_HOURS)])).flatmap(
    lambda drawn: st.tuples(st.just(drawn[0]), st.just(drawn[1][1]), streams(drawn[1][0]))
)
"""Rules, hours, stream."""

# What people do meanwhile


@dataclass(frozen=True)
class Hush:
    """From now on these silences."""

    silences: tuple[Silence, ...]


@dataclass(frozen=True)
class Reload:
    rules: tuple[Rule, ...]


Step = Event | Hush | Reload


@st.composite
def silences(draw: DrawFn, now: int) -> Silence:
    start = now + draw(st.sampled_from([-5, 0, 0, 1, 2])) * SECOND_NS
    return Silence(
        start,
        start + draw(st.sampled_from([1, 500_000_000, 2 * SECOND_NS, 4 * SECOND_NS, 10 * SECOND_NS])),
        draw(st.sampled_from([None, None, "rule 0", "rule 1"])),
        draw(st.sampled_from([None, None, "@group", *SYMBOLS])),
        draw(st.sampled_from([(), (), (("desk", "a"),)])),
    )


@st.composite
def _edited(draw: DrawFn, rule: Rule) -> Rule:
    kind = draw(st.sampled_from(["same", "same", "shown", "symbols", "decides", "other"]))
    if kind == "shown":
        return replace(rule, severity=Severity.CRITICAL, labels=(("desk", "a"),), description="x", line=7)
    if kind == "symbols":
        return replace(rule, symbols=tuple(draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True))))
    if kind == "decides":
        return replace(rule, cooldown_ns=rule.cooldown_ns + SECOND_NS)
    return draw(rules(rule.name)) if kind == "other" else rule


@st.composite
def edits(draw: DrawFn, before: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Rules changed, left out, put back, in another order."""
    kept = [draw(_edited(rule)) for rule in before if draw(st.sampled_from([True, True, True, False]))]
    names = {f"rule {number}" for number in range(3)} - {rule.name for rule in kept}
    adds, turns = draw(st.booleans()), draw(st.booleans())
    if names and adds:
        kept.append(draw(rules(min(names))))
    return tuple(reversed(kept)) if turns else tuple(kept)


@st.composite
def _with_people(draw: DrawFn, rule_set: tuple[Rule, ...], stream: list[Event]) -> list[Step]:
    steps: list[Step] = []
    now = 0
    for event in stream:
        steps.append(event)
        now = max(now, event.t)
        if draw(st.sampled_from([False] * 6 + [True])):
            steps.append(Hush(tuple(draw(st.lists(silences(now), max_size=2)))))
        if draw(st.sampled_from([False] * 8 + [True])):
            rule_set = draw(edits(rule_set))
            steps.append(Reload(rule_set))
    return steps


lively_scenarios = scenarios.flatmap(
    lambda drawn: st.tuples(st.just(drawn[0]), st.just(drawn[1]), _with_people(drawn[0], drawn[2]))
)
"""Rules, hours, and a stream in which rules are reloaded and silences come and go."""
