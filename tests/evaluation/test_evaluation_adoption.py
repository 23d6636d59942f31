"""A past that is adopted while the stream goes on: from then on all is as if it had been watched from the start."""

from dataclasses import replace
from itertools import accumulate

import pytest
from evaluation_stage import HOURS, HYNIX, SAMSUNG, Stage, at, condition, record, rule
from evaluation_streams import HOURS as STREAM_HOURS
from evaluation_streams import MORNING, rule_sets, streams
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.evaluation.engine import Engine
from engine.kst import SECOND_NS, clock_time
from engine.rules.model import Number, Rule
from engine.session import Hours
from engine.stream import Alive, Down, Event, Frame, Up

LATER = rule(condition("net_volume[1m]", at_most=0), name="later", symbols=(HYNIX,))
FIRST = rule(condition("net_volume", above=10**9), name="first")

Seen = list[tuple[str, str, bool, tuple[Number | None, ...]]]


def seen(engine: Engine) -> Seen:
    """Of every rule and symbol: whether it is blind, and what its conditions measure at this moment."""
    found = []
    for shown in engine.state():
        why = engine.explain(shown.rule, shown.symbol)
        assert why is not None
        found.append((shown.rule, shown.symbol, shown.blind, tuple(each.value for each in why.conditions)))
    return found


def learned(rules: tuple[Rule, ...], hours: Hours, events: list[Event]) -> Engine:
    engine = Engine(rules, hours)
    for event in events:
        engine.learn(event)
    return engine


def apart(stream: list[Event]) -> list[Event]:
    """No two events at one moment, as a recording has them, and no record ahead of its time.

    Who knows of one that was would have dropped the next ones as late, which nobody can tell afterwards.
    """
    times = accumulate((event.t for event in stream), lambda before, t: max(before + 1, t))
    return [_at(t, event) for event, t in zip(stream, times, strict=True)]


def _at(t: int, event: Event) -> Event:
    if isinstance(event, Frame):
        return Frame(t, tuple(each._replace(time=clock_time(t)) for each in event.records), "")
    return event._replace(t=t)


@given(rule_sets, rule_sets, streams(MORNING), st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_who_adopts_a_past_knows_what_one_knows_who_watched_all_along(
    before: tuple[Rule, ...], after: tuple[Rule, ...], stream: list[Event], data: st.DataObject
) -> None:
    """Rules are reloaded, the recording is read up to that moment or a later one, and adopted at a later one still."""
    stream = apart(stream)
    reloaded = data.draw(st.integers(1, len(stream) - 1))
    heard = data.draw(st.integers(reloaded, len(stream) - 1))
    adopted = data.draw(st.integers(heard, len(stream) - 1))
    before = tuple(replace(each, symbols=each.symbols[: data.draw(st.integers(1, 2))]) for each in before)
    engine = Engine(before, STREAM_HOURS)
    for event in stream[:reloaded]:
        engine.apply(event)
    engine.reload(after, engine.now or 0)
    for event in stream[reloaded:adopted]:
        engine.apply(event)
    engine.adopt_past(learned(after, STREAM_HOURS, stream[:heard]))
    all_along = learned(after, STREAM_HOURS, stream[:adopted])
    for event in stream[adopted:]:
        engine.apply(event)
        all_along.apply(event)
        assert seen(engine) == seen(all_along)


def reloaded_while(*meanwhile: Event, tell: tuple[Event, ...] = (), minutes: int = 2) -> tuple[Engine, Engine]:
    """One that got a rule for a symbol it did not watch at 09:11:56, with these events before the past was adopted;
    and one that had the rule from the start."""
    engine, all_along = Engine([FIRST], HOURS), Engine([FIRST, LATER], HOURS)
    past: list[Event] = [Up(at("08:59:00"), (SAMSUNG, HYNIX)), *tell]
    for second in range(0, minutes * 60 - 4, 5):
        t = at("09:10:00") + second * SECOND_NS
        records = (record(t, SAMSUNG, buy_volume=second), record(t, HYNIX, buy_volume=second))
        past.append(Frame(t, records, ""))
    past.append(Alive(at("09:11:56")))
    for event in past:
        engine.apply(event)
        all_along.apply(event)
    engine.reload([FIRST, LATER], at("09:11:56"))
    for event in meanwhile:
        engine.apply(event)
        all_along.apply(event)
    engine.adopt_past(learned((FIRST, LATER), HOURS, past))
    return engine, all_along


DOWN, UP = Down(at("09:11:57"), ("*",)), Up(at("09:11:58"), (HYNIX,))


def heard(time: str, buy_volume: int) -> Event:
    return Frame(at(time), (record(at(time), HYNIX, buy_volume=buy_volume),), "")


@pytest.mark.parametrize(
    "meanwhile",
    [
        (DOWN,),
        (Down(at("09:11:56"), ("*",)),),
        (DOWN, UP),
        (DOWN, UP, heard("09:12:10", buy_volume=500)),
        (DOWN, UP, heard("09:14:10", buy_volume=500)),
        (DOWN, UP, Down(at("09:12:30"), (HYNIX,))),
        (DOWN, UP, Down(at("09:14:30"), (HYNIX,)), heard("09:14:40", buy_volume=500)),
        (DOWN, heard("09:12:10", buy_volume=500), Down(at("09:12:20"), ("*",))),
    ],
)
def test_a_loss_between_the_reading_and_the_adoption_was_forgotten(meanwhile: tuple[Event, ...]) -> None:
    """So the flow of the gap looked like the flow of the window: a false alert."""
    engine, all_along = reloaded_while(*meanwhile)
    for second in range(200, 400, 7):
        now = at("09:11:00") + second * SECOND_NS
        assert [alert.id for alert in engine.advance(now)] == [alert.id for alert in all_along.advance(now)]
        assert seen(engine) == seen(all_along)


def test_a_symbol_lost_meanwhile_says_nothing() -> None:
    engine, _ = reloaded_while(DOWN)
    assert engine.advance(at("09:14:00")) == []
    (shown,) = (each for each in engine.state() if each.symbol == HYNIX)
    assert shown.blind


def test_only_so_many_marks_are_kept_of_a_symbol_that_never_trades() -> None:
    stage = Stage(LATER)
    for second in range(3_000):
        stage.engine.apply(Down(at("09:00:00") + 2 * second, ("*",)))
        stage.engine.apply(Up(at("09:00:00") + 2 * second + 1, ("*",)))
    marks = stage.engine._series[HYNIX].known().marks
    assert len(marks) == 1_000
    assert marks[-1] == (at("09:00:00") + 5_999, False)


def test_a_blindness_of_ours_stays_where_theirs_ended_before_it() -> None:
    """Two spans, one that only they have heard of and one that only we have."""
    rules = (rule(condition("net_volume[5m]", above=10**9)),)
    stream: list[Event] = [Up(at("08:59:00"), ("*",))]
    stream += [Frame(at(time), (record(at(time), buy_volume=10),), "") for time in ("09:01:00", "09:02:00")]
    stream += [Down(at("09:02:10"), ("*",)), Frame(at("09:02:20"), (record(at("09:02:20"), buy_volume=20),), "")]
    late: list[Event] = [
        Down(at("09:04:10"), ("*",)),
        Frame(at("09:04:20"), (record(at("09:04:20"), buy_volume=90),), ""),
    ]
    engine = Engine([FIRST], HOURS)
    for event in stream:
        engine.apply(event)
    engine.reload(rules, at("09:03:00"))
    for event in late:
        engine.apply(event)
    engine.adopt_past(learned(rules, HOURS, stream))
    values = {}
    for time in ("09:07:15", "09:07:25", "09:09:15", "09:09:25"):
        engine.advance(at(time))
        values[time] = engine.state()[0].values[0][1]
        ((_, _, _, (values[time],)),) = seen(engine)
    assert values == {"09:07:15": None, "09:07:25": 70, "09:09:15": None, "09:09:25": 0}
