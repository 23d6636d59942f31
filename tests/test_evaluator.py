"""The task between feeds and notifiers, in virtual time."""

from collections.abc import Sequence
from datetime import date

import pytest
import trio
from trio.testing import MockClock

from engine.alert import Alert, State
from engine.clock import Clock
from engine.evaluation.engine import Engine
from engine.evaluator import Evaluator
from engine.gap import Gap
from engine.kst import DAY_NS, SECOND_NS, clock_time, day_of, day_start
from engine.record import Record
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.stream import Down, Event, Frame, Start, Up

HELD = Rule(
    name="held",
    symbols=("005930",),
    when=Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 10),)),
    for_ns=5 * SECOND_NS,
    resolved=True,
)


NOON = day_start(day_of(date(2026, 11, 20))) + 12 * 3600 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS


def frame(t: int, net: int) -> Frame:
    return Frame(t, (Record("005930", clock_time(t), 0, 0, net, 0, net, 0, 0, 0, 0),), "")


class Wall:
    """The machine's clock: goes with Trio's, virtual or not, until somebody sets it."""

    def __init__(self) -> None:
        self.set_by = 0

    def __call__(self) -> int:
        return NOON + self.set_by + int(trio.current_time() * 1e9)


class Listener(Engine):
    """An engine that keeps when the events were that it heard."""

    def __init__(self, rules: Sequence[Rule], hours: Hours) -> None:
        super().__init__(rules, hours)
        self.heard: list[int] = []

    def apply(self, event: Event) -> list[Alert]:
        self.heard.append(event.t)
        return super().apply(event)


class House:
    """An evaluator on a clock of its own, and what came out of it when."""

    def __init__(self, nursery: trio.Nursery, *rules: Rule) -> None:
        self.wall = Wall()
        self.slept = 0
        self.clock = Clock(self.wall, lambda: self.slept)
        self.gaps: list[tuple[Gap, int, int]] = []
        self.engine = Listener(rules, Hours(0, DAY_NS))
        self.lines: list[Event] = []
        self.batches: list[list[Alert]] = []
        self.times: list[int] = []
        self.evaluator = Evaluator(self.engine, self.clock, self._commit, (), self._note_gap)
        self.evaluator.put(Start(self.clock.now()))
        nursery.start_soon(self.evaluator.run)

    def _commit(self, events: Sequence[Event], alerts: Sequence[Alert]) -> None:
        self.lines += events
        if alerts:
            self.batches.append(list(alerts))
            self.times.append(self.clock.now())

    def sleep(self, seconds: int) -> None:
        """The machine does; nothing runs, and its clock is right afterwards."""
        self.slept += seconds * SECOND_NS
        self.wall.set_by += seconds * SECOND_NS

    def _note_gap(self, kind: Gap, since: int, until: int) -> None:
        self.gaps.append((kind, since, until))

    @property
    def told(self) -> list[tuple[State, int]]:
        return [(alert.state, alert.at) for batch in self.batches for alert in batch]


async def test_a_pending_rule_fires_at_a_tick_though_no_record_comes(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, HELD)
    started = house.clock.now()
    house.evaluator.put(Up(started, ("005930",)))
    house.evaluator.put(frame(started, 11))  # a frame shares its time with nothing before it: a nanosecond later
    await trio.sleep(30)
    due = -(-(started + 1 + 5 * SECOND_NS) // SECOND_NS) * SECOND_NS
    assert house.told == [(State.FIRING, due)]
    assert 0 <= house.times[0] - due < 10_000_000  # told within 10 ms of the tick


async def test_events_are_applied_in_order_and_promptly(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    await trio.sleep(1)
    for net in (11, 5, 12):
        house.evaluator.put(frame(house.clock.now(), net))
        await trio.sleep(7)
    resolved = [at for state, at in house.told if state is State.RESOLVED]
    assert [state for state, _ in house.told] == [State.FIRING, State.RESOLVED, State.FIRING]
    assert resolved[0] in house.times  # in the moment of its record


async def test_a_burst_lets_others_have_their_turn(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    await trio.sleep(0.5)
    for net in range(1_000):
        house.evaluator.put(frame(house.clock.now(), net))
    turns = 0
    while house.engine.counters.records < 1_000:
        await trio.lowlevel.checkpoint()
        turns += 1
    assert turns >= 5  # 200 at a time


async def test_drain_leaves_nothing_behind(nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    for net in range(1_000):
        house.evaluator.put(frame(house.clock.now(), net))
    house.evaluator.drain()
    assert house.engine.counters.records == 1_000


async def test_what_waits_in_the_inbox_comes_before_the_ticks_after_it(nursery: trio.Nursery) -> None:
    """Ticks at once after a stall would look past frames that were received before them."""
    at_once = Rule(name="now", symbols=("005930",), when=HELD.when)
    house = House(nursery, at_once)
    start = house.clock.now()
    for number in range(300):
        house.evaluator.put(frame(start + number, 11 if number == 250 else 0))
    house.clock._wall_ns += 3 * SECOND_NS  # the process was away
    house.evaluator.drain()
    assert house.told[0] == (State.FIRING, start + 250)


async def test_lag_is_how_long_an_event_waited_and_is_told_once(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(nursery, HELD)
    house.evaluator.drain()
    for _ in range(3):
        house.evaluator.put(frame(house.clock.now(), 1))
        house.clock._wall_ns += 2 * SECOND_NS
        house.evaluator.drain()
        assert 2 * SECOND_NS <= house.evaluator.lag_ns < 3 * SECOND_NS
    house.evaluator.put(frame(house.clock.now(), 1))
    house.evaluator.drain()
    assert house.evaluator.lag_ns < SECOND_NS
    assert [record.getMessage().split(" lag_ms")[0] for record in caplog.records] == [
        "evaluation behind",
        "evaluation caught up",
    ]


async def test_an_inbox_without_end_is_our_defect(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.evaluator._MAX_WAITING", 10)
    house = House(nursery, HELD)
    now = house.clock.now()
    for net in range(9):  # the start came first
        house.evaluator.put(frame(now, net))
    with pytest.raises(RuntimeError, match="does not keep up"):
        house.evaluator.put(frame(now, 9))


async def test_dropped_records_are_told_once_for_each_reason(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(nursery, HELD)
    now = house.clock.now()
    early = Frame(now, (frame(now, 1).records[0]._replace(time=clock_time(now + 90 * SECOND_NS)),), "")
    for event in (early, early, Frame(now, (frame(now, 1).records[0]._replace(symbol="000660"),), "")):
        house.evaluator.put(event)
        house.evaluator.drain()
    told = [record.getMessage() for record in caplog.records if "drops" in record.getMessage()]
    if clock_time(now + 90 * SECOND_NS) > clock_time(now):  # not in the last minutes before midnight
        assert "evaluation drops records reason=early" in told
    assert told.count("evaluation drops records reason=unknown_symbol") == 1
    assert len(told) == len(set(told))


WINDOWED = Rule(
    name="burst",
    symbols=("005930",),
    when=Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 10, "4s", 4 * SECOND_NS),)),
)


async def test_what_waited_while_we_were_away_is_no_burst(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """A process stopped for 20 s found the records of 20 s waiting, and took their sum for four seconds' flow."""
    house = House(nursery, WINDOWED)
    house.evaluator.put(Up(house.clock.now(), ("005930",)))
    for second in range(6):
        house.evaluator.put(frame(house.clock.now(), second))
        house.evaluator.drain()
        house.clock._wall_ns += SECOND_NS
    house.clock._wall_ns += 20 * SECOND_NS
    for net in range(10, 40):
        house.evaluator.put(frame(house.clock.now(), net))
    house.evaluator.drain()
    assert house.told == []
    assert [record.getMessage().split(" seconds")[0] for record in caplog.records].count("evaluation away") == 1
    for net in range(40, 50):  # and once the window lies behind the gap, it sees again
        house.clock._wall_ns += SECOND_NS
        house.evaluator.put(frame(house.clock.now(), net + (30 if net == 49 else 0)))
    house.evaluator.drain()
    assert [state for state, _ in house.told] == [State.FIRING]


async def test_what_was_lost_before_an_absence_is_lost_after_it(nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    house.evaluator.put(Up(house.clock.now(), ("005930",)))
    house.evaluator.put(frame(house.clock.now(), 11))
    house.evaluator.put(Down(house.clock.now(), ("005930",)))
    house.clock._wall_ns += 10 * SECOND_NS
    house.evaluator.put(Up(house.clock.now(), ("000660",)))
    house.evaluator.drain()
    house.clock._wall_ns += 200 * SECOND_NS  # two minutes after an `Up` a silent symbol counts as seen again
    house.evaluator.drain()
    house.engine.advance(house.clock.now())
    assert house.engine.state()[0].blind


async def test_a_clock_that_fell_behind_catches_up_as_a_gap(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """After a machine had slept for a minute, every record looked like one from the future, and was dropped."""
    house = House(nursery, HELD)
    house.evaluator.put(Up(house.clock.now(), ("005930",)))
    await trio.sleep(10)
    assert "clock set" not in caplog.text
    before = house.clock.now()
    house.wall.set_by += 70 * SECOND_NS
    await trio.sleep(1.5)
    assert house.clock.now() - before >= 70 * SECOND_NS
    assert caplog.text.count("clock set forward seconds=70.0") == 1
    ((kind, since, until),) = house.gaps
    assert kind is Gap.CLOCK_FORWARD
    assert 70 * SECOND_NS <= until - since <= 72 * SECOND_NS
    house.evaluator.put(frame(house.clock.now(), 1))
    await trio.sleep(0.1)
    assert house.engine.counters.records == 1


async def test_a_clock_set_back_is_a_gap_of_no_length_and_nothing_else(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """Two hours back and, ten minutes later, forth again: what is pending starts anew once, and fires when due."""
    house = House(nursery, HELD)
    started = house.clock.now()
    house.evaluator.put(Up(started, ("005930",)))
    house.evaluator.put(frame(started, 11))
    await trio.sleep(2.5)
    house.wall.set_by -= 2 * HOUR_NS
    await trio.sleep(1)
    back = house.clock.now()
    assert back - started == pytest.approx(3.5 * SECOND_NS, abs=10_000_000)
    house.evaluator.put(frame(back, 12))  # the blindness ends, pending begins again
    await trio.sleep(600)
    (fired,) = (at for state, at in house.told if state is State.FIRING)
    assert back + 5 * SECOND_NS <= fired <= back + 6 * SECOND_NS
    house.wall.set_by += 2 * HOUR_NS
    await trio.sleep(10)
    ((kind, since, until),) = house.gaps
    assert kind is Gap.CLOCK_BACK
    assert until - since == pytest.approx(2 * HOUR_NS, abs=5_000_000)
    assert caplog.text.count("clock set") == 1
    assert house.engine.counters.records == 2
    assert house.engine.heard == sorted(house.engine.heard)


async def test_a_clock_set_back_makes_windows_blind_but_no_symbol_that_was_lost_seen(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, HELD)
    house.evaluator.put(Up(house.clock.now(), ("005930",)))
    house.evaluator.put(frame(house.clock.now(), 1))
    await trio.sleep(1.5)
    house.wall.set_by -= 10 * SECOND_NS
    await trio.sleep(1.5)
    assert house.engine.state()[0].blind
    house.evaluator.put(frame(house.clock.now(), 1))
    house.evaluator.put(Down(house.clock.now(), ("005930",)))
    await trio.sleep(1)
    house.wall.set_by -= 10 * SECOND_NS
    await trio.sleep(200)
    assert len(house.gaps) == 2
    assert house.engine.state()[0].blind


async def test_an_absence_is_told_with_its_span(nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    started = house.clock.now()
    house.clock._wall_ns += 20 * SECOND_NS
    house.evaluator.put(frame(house.clock.now(), 1))
    ((kind, since, until),) = house.gaps
    assert kind is Gap.AWAY
    assert since - started < SECOND_NS
    assert 20 * SECOND_NS <= until - since < 21 * SECOND_NS


async def test_what_was_never_up_is_not_up_after_an_absence(nursery: trio.Nursery) -> None:
    clock = Clock()
    engine = Engine([WINDOWED], Hours(0, DAY_NS))
    evaluator = Evaluator(engine, clock, lambda _events, _alerts: None, ["005930"])
    evaluator.put(Start(clock.now()))
    evaluator.put(frame(clock.now(), 1))  # it came without an answer to our request
    clock._wall_ns += 10 * SECOND_NS
    evaluator.put(frame(clock.now(), 2)._replace(records=()))
    evaluator.drain()
    clock._wall_ns += 200 * SECOND_NS
    engine.advance(clock.now())
    assert engine.state()[0].blind


async def test_what_is_read_first_after_the_machine_slept_is_not_early(nursery: trio.Nursery) -> None:
    """It got the time of before the sleep and was dropped, with a warning that this machine's clock were slow."""
    house = House(nursery, HELD)
    house.evaluator.put(Up(house.clock.now(), ("005930",)))
    house.evaluator.put(frame(house.clock.now(), 1))
    house.evaluator.drain()
    before = house.clock.now()
    house.sleep(600)
    for net in (2, 3):
        house.evaluator.put(frame(house.clock.now(), net))
    house.evaluator.drain()
    assert house.engine.counters.records == 3
    assert not any(house.engine.counters.dropped.values())
    ((kind, since, until),) = house.gaps
    assert kind is Gap.AWAY
    assert since <= before < before + 600 * SECOND_NS <= until
    assert [t for t in house.engine.heard if t > before] == house.engine.heard[-3:]  # back, and then the two frames
    assert house.engine.heard == sorted(house.engine.heard)


async def test_what_waited_while_the_machine_slept_is_no_burst(nursery: trio.Nursery) -> None:
    """An alert was dated before the sleep, of what had flowed in the course of it."""
    house = House(nursery, WINDOWED)
    house.evaluator.put(Up(house.clock.now(), ("005930",)))
    for net in range(6):
        house.evaluator.put(frame(house.clock.now(), net))
        house.evaluator.drain()
        house.clock._wall_ns += SECOND_NS
    house.sleep(50)
    for net in range(10, 40):
        house.evaluator.put(frame(house.clock.now(), net))
    house.evaluator.drain()
    assert house.told == []
    assert [kind for kind, _, _ in house.gaps] == [Gap.AWAY]


async def test_a_clock_set_forward_between_two_looks_may_have_been_set_right_after_the_first(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    house = House(nursery, HELD)
    await trio.sleep(5.9)  # the last look is 0.9 s ago
    house.wall.set_by += 70 * SECOND_NS
    await trio.sleep(0.2)
    ((kind, since, until),) = house.gaps
    assert kind is Gap.CLOCK_FORWARD
    assert until - since == pytest.approx(71 * SECOND_NS, abs=10_000_000)
    assert house.engine.heard[-2:] == [since, until]


async def test_a_process_that_stood_still_while_the_clock_was_set_has_one_gap(nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    await trio.sleep(0.01)
    house.clock._wall_ns += 20 * SECOND_NS  # it stood still for 20 s, and the clock was set by 50 s in the meantime
    house.wall.set_by += 70 * SECOND_NS
    house.evaluator._came.set()
    await trio.sleep(0.01)
    ((kind, since, until),) = house.gaps
    assert kind is Gap.CLOCK_FORWARD
    assert until - since == pytest.approx(70 * SECOND_NS, abs=2 * SECOND_NS)


async def test_what_is_dated_before_an_absence_makes_no_second_one(nursery: trio.Nursery) -> None:
    house = House(nursery, HELD)
    before = house.clock.now()
    house.clock._wall_ns += 20 * SECOND_NS
    for t in (house.clock.now(), before, house.clock.now()):
        house.evaluator.put(frame(t, 1))
    assert [kind for kind, _, _ in house.gaps] == [Gap.AWAY]


CROSSING = Rule(
    name="crossing",
    symbols=("005930",),
    when=Group(Logic.ALL, (Condition("net_resting", Operator.CROSSES_ABOVE, 0),)),
)


def order_book(t: int, net: int) -> Frame:
    return Frame(t, (Record("005930", clock_time(t), 0, 0, 0, 0, 0, 0, 0, 0, net),), "")


async def test_frames_of_one_moment_name_their_alerts_apart(nursery: trio.Nursery) -> None:
    """The clock may stand still: the second of two crossings would pass for the first, and be dropped by the store."""
    house = House(nursery, CROSSING)
    t = house.clock.now() + 1
    for net in (0, 1, 0, 1):
        house.evaluator.put(order_book(t, net))
    house.evaluator.drain()
    alerts = [alert for batch in house.batches for alert in batch]
    assert len(alerts) == 2
    assert len({alert.id for alert in alerts}) == 2
    assert [event.t for event in house.lines if isinstance(event, Frame)] == [t, t + 1, t + 2, t + 3]


async def test_every_second_has_a_line(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """A tick that ran has a line after it: who replays the lines runs it as well."""
    house = House(nursery, HELD)
    await trio.sleep(0.5)
    house.evaluator.put(frame(house.clock.now(), 20))
    await trio.sleep(9)
    seconds = [event.t // SECOND_NS for event in house.lines]
    assert set(range(seconds[0], seconds[-1] + 1)) == set(seconds)
    assert len(house.lines) <= len(set(seconds)) + 2
    replayed = Engine((HELD,), Hours(0, DAY_NS))
    assert [alert for line in house.lines for alert in replayed.apply(line)] == [a for b in house.batches for a in b]
    assert [alert.state for batch in house.batches for alert in batch] == [State.FIRING]


async def test_what_comes_while_the_engine_is_not_ready_waits_and_is_no_absence(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """A restart late in a busy day reads for seconds before the first frame can be evaluated."""
    house = House(nursery)
    batches: list[Sequence[Event]] = []
    evaluator = Evaluator(
        Engine((HELD,), Hours(0, DAY_NS)), house.clock, lambda events, _alerts: batches.append(events), held=True
    )
    nursery.start_soon(evaluator.run)
    for _ in range(6):
        evaluator.put(frame(house.clock.now(), 20))
        await trio.sleep(1)
    assert evaluator.is_held
    assert not batches
    evaluator.release()
    await trio.sleep(1)
    events = [event for batch in batches for event in batch]
    assert sum(isinstance(event, Frame) for event in events) == 6
    assert not [event for event in events if isinstance(event, Down)]
