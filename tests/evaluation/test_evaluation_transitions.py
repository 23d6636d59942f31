"""What is said of every change of phase, also of those that make no alert."""

from engine.evaluation.engine import Engine
from engine.evaluation.lifecycle import Phase
from engine.evaluation.watch import Transition
from engine.kst import DAY_NS, SECOND_NS, clock_time, day_number, day_start
from engine.record import Record
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.stream import Frame, Up

START = day_start(day_number(1_790_000_000 * SECOND_NS)) + 10 * 3600 * SECOND_NS
RULE = Rule(
    name="r",
    symbols=("005930",),
    when=Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 10),)),
    for_ns=5 * SECOND_NS,
)


def frame(second: float, net: int) -> Frame:
    t = START + int(second * SECOND_NS)
    return Frame(t, (Record("005930", clock_time(t), 0, 0, net, 0, net, 0, 0, 0, 0),), "")


def test_every_change_of_phase_is_told_in_its_moment() -> None:
    told: list[Transition] = []
    engine = Engine([RULE], Hours(0, DAY_NS), told.append)
    engine.apply(Up(START, ("005930",)))
    for second, net in ((1, 11), (2, 5), (3, 12), (4, 13), (10, 14), (11, 1), (12, 20)):
        engine.apply(frame(second, net))
    engine.advance(START + 20 * SECOND_NS)
    engine.advance(day_start(day_number(START) + 1) + 1)
    inactive, pending, firing = Phase.INACTIVE, Phase.PENDING, Phase.FIRING
    assert [(change.before, change.after, (change.at - START) / SECOND_NS) for change in told] == [
        (inactive, pending, 1),
        (pending, inactive, 2),
        (inactive, pending, 3),
        (pending, firing, 8),
        (firing, inactive, 11),
        (inactive, pending, 12),
        (pending, firing, 17),
        (firing, inactive, 14 * 3600),  # a new date ends it without an alert
    ]
    assert {(change.rule, change.symbol) for change in told} == {("r", "005930")}


def test_an_event_is_no_change_of_phase() -> None:
    told: list[Transition] = []
    crossing = Group(Logic.ALL, (Condition("net_volume", Operator.CROSSES_ABOVE, 10),))
    engine = Engine([Rule(name="r", symbols=("005930",), when=crossing)], Hours(0, DAY_NS), told.append)
    engine.apply(frame(1, 5))
    assert engine.apply(frame(2, 11))
    assert told == []


def test_what_fires_ends_with_its_own_date_however_long_nothing_came() -> None:
    """Friday evening, then Monday morning: a replay says the same as the daemon that was there on Saturday."""
    told: list[Transition] = []
    engine = Engine([RULE], Hours(0, DAY_NS), told.append)
    engine.apply(frame(1, 11))
    engine.apply(frame(3 * 24 * 3600, 1))
    assert [(change.after, (change.at - START) / SECOND_NS) for change in told] == [
        (Phase.PENDING, 1),
        (Phase.FIRING, 6),
        (Phase.INACTIVE, 14 * 3600),
    ]
