"""Rules that change while they are watched: who goes on, who starts anew, and what is known of the past."""

from dataclasses import replace
from typing import Any

import pytest
from evaluation_stage import HYNIX, SAMSUNG, Stage, at, condition, every, record, rule, some, told

from engine.evaluation.engine import Engine
from engine.evaluation.fingerprint import fingerprint
from engine.evaluation.lifecycle import Phase
from engine.evaluation.watch import Transition
from engine.kst import SECOND_NS
from engine.rules.model import Anchor, Moment, Rule, Severity, Span
from engine.stream import Alive, Event, Frame

BUYING = condition("net_volume", above=0)
HELD = replace(rule(BUYING, for_="30s", cooldown="1m"), resolved=True)
NIGHT = Span(Moment(Anchor.OPEN, 1), Moment(Anchor.CLOSE, 0))

SHOWN: list[dict[str, Any]] = [
    {"description": "x"},
    {"title": "x"},
    {"message": "x"},
    {"notify": ("x",)},
    {"severity": Severity.CRITICAL},
    {"labels": (("a", "b"),)},
    {"chart": True},
    {"file": "x.toml", "line": 9},
]
DECIDES: list[dict[str, Any]] = [
    {"for_ns": 1},
    {"keep_firing_for_ns": 1},
    {"cooldown_ns": 1},
    {"max_per_day": 1},
    {"repeat_ns": 1},
    {"resolved": False},
    {"active": (NIGHT,)},
    {"aggregate": "@x"},
    {"when": every(condition("net_volume", above=1))},
    {"when": every(condition("net_volume", at_least=0))},
    {"when": every(condition("net_value", above=0))},
    {"when": every(condition("net_volume[1m]", above=0))},
    {"when": every(condition("net_volume", above=0, reset=0))},
    {"when": some(BUYING)},
    {"when": every(every(BUYING))},
    {"when": every(BUYING, BUYING)},
]


@pytest.mark.parametrize("change", SHOWN)
def test_what_is_only_shown_has_no_part_in_a_definition(change: dict[str, Any]) -> None:
    assert fingerprint(replace(HELD, **change)) == fingerprint(HELD)
    stage = Stage(HELD)
    stage.record("09:10:00", buy_volume=1)
    assert stage.reload("09:10:10", replace(HELD, **change)) == ()
    (alert,) = stage.tick("09:10:40")
    assert (alert.at, alert.since) == (at("09:10:30"), at("09:10:00"))
    assert (alert.severity, alert.labels) == (change.get("severity", HELD.severity), change.get("labels", ()))


@pytest.mark.parametrize("change", DECIDES)
def test_what_decides_makes_a_new_definition(change: dict[str, Any]) -> None:
    changed = replace(HELD, **change)
    prints = [fingerprint(replace(HELD, **other)) for other in DECIDES]
    assert len({*prints, fingerprint(HELD)}) == len(DECIDES) + 1
    stage = Stage(HELD)
    stage.record("09:10:00", buy_volume=1)
    stage.tick("09:10:30")
    (ended,) = stage.reload("09:10:40", changed)
    assert ended == Transition("rule", SAMSUNG, at("09:10:40"), Phase.FIRING, Phase.INACTIVE)


def test_a_definition_has_the_same_name_in_every_process() -> None:
    assert fingerprint(HELD) == "0b09e300aa03b59abbcd49c0941743fb"
    ratio = condition("imbalance[5m]", inside=(0.1, 3.0))
    assert fingerprint(rule(ratio)) == fingerprint(rule(condition("imbalance[5m]", inside=(0.1, 3))))


def test_a_sum_is_defined_by_its_members_and_not_by_their_order() -> None:
    total = replace(HELD, aggregate="@semis", symbols=(SAMSUNG, HYNIX))
    assert fingerprint(total) == fingerprint(replace(total, symbols=(HYNIX, SAMSUNG)))
    assert fingerprint(total) != fingerprint(replace(total, symbols=(HYNIX,)))
    assert fingerprint(HELD) == fingerprint(replace(HELD, symbols=(HYNIX,)))


def test_a_changed_rule_starts_inactive_and_looks_at_the_next_tick() -> None:
    stage = Stage(HELD)
    stage.record("09:10:00", buy_volume=1)
    stage.reload("09:10:10.5", replace(HELD, for_ns=10 * SECOND_NS))
    assert told(stage.tick("09:10:40")) == [("firing", "09:10:21")]


def test_counts_belong_to_rule_and_symbol_and_stay() -> None:
    """Over a change, and over removal and return on the same day; not over the night."""
    limited = replace(rule(BUYING), max_per_day=1)
    stage = Stage(limited)
    assert told(stage.record("09:10:00", buy_volume=1)) == [("firing", "09:10:00")]
    stage.reload("09:10:01.5", replace(limited, resolved=True))
    assert told(stage.tick("09:10:05")) == [("max_per_day", "09:10:02")]
    stage.reload("09:10:06")
    assert stage.engine.explain("rule", SAMSUNG) is None
    assert [standing.tally.sent for standing in stage.engine.standings()] == [1]
    stage.reload("09:10:07.5", limited)
    assert told(stage.tick("09:10:10")) == [("max_per_day", "09:10:08")]
    stage.reload("09:10:11")
    stage.day += 1
    stage.reload("09:00:00", limited)
    assert told(stage.record("09:10:00", buy_volume=1)) == [("firing", "09:10:00")]


def test_a_removed_rule_ends_without_a_word() -> None:
    noted: list[Transition] = []
    engine = Engine([replace(HELD, for_ns=0), rule(BUYING, name="other")], Stage().engine._hours, noted.append)
    t = at("09:10:00")
    engine.apply(Frame(t, (record(t, buy_volume=1),), ""))
    noted.clear()
    ended = engine.reload([rule(BUYING, name="other")], t + 5)
    assert ended == (Transition("rule", SAMSUNG, t + 5, Phase.FIRING, Phase.INACTIVE),)
    assert noted == list(ended)
    assert engine.apply(Frame(t + 9, (record(t),), "")) == []


def test_symbols_that_stay_keep_their_state() -> None:
    stage = Stage(HELD)
    stage.record("09:10:00", buy_volume=1)
    stage.reload("09:10:10", replace(HELD, symbols=(HYNIX, SAMSUNG)))
    stage.record("09:10:20", HYNIX, buy_volume=1)
    assert [(alert.symbol, alert.at) for alert in stage.tick("09:11:00")] == [
        (SAMSUNG, at("09:10:30")),
        (HYNIX, at("09:10:50")),
    ]


def test_alerts_stand_in_the_new_order() -> None:
    one, two = rule(BUYING, name="one"), rule(BUYING, name="two")
    stage = Stage(one, two)
    stage.reload("09:00:00", two, one)
    assert [alert.rule for alert in stage.record("09:10:00", buy_volume=1)] == ["two", "one"]


def test_memories_are_kept() -> None:
    turn = rule(condition("net_volume", crosses_above=0))
    stage = Stage(turn)
    stage.record("09:10:00", sell_volume=1)
    stage.reload("09:10:01", replace(turn, description="x"))
    assert stage.record("09:10:02", buy_volume=2, sell_volume=1) != []
    stage.record("09:10:03", buy_volume=2, sell_volume=3)
    stage.reload("09:10:03.5", replace(turn, max_per_day=5))
    assert stage.record("09:10:03.6", buy_volume=4, sell_volume=3) == []


def test_a_new_sum_knows_what_its_members_have_heard() -> None:
    stage = Stage(rule(BUYING, symbols=(SAMSUNG, HYNIX)))
    stage.record("09:10:00", SAMSUNG, buy_volume=3)
    stage.record("09:10:01", HYNIX, buy_volume=4)
    total = replace(rule(condition("net_volume", above=6), name="sum", symbols=(SAMSUNG, HYNIX)), aggregate="@semis")
    stage.reload("09:10:02", total)
    (alert,) = stage.tick("09:10:03")
    assert alert.values == (("net_volume", 7),)
    assert stage.record("09:10:04", HYNIX, buy_volume=5) == []
    assert stage.value("sum", "@semis") == 8


# Windows


def minutes(count: int) -> list[Event]:
    """A record a second for each of these minutes from 09:10 on, one share more each."""
    times = (at("09:10:00") + second * SECOND_NS for second in range(count * 60))
    return [Frame(t, (record(t, buy_volume=second),), "") for second, t in enumerate(times)]


SHORT, LONG = (rule(condition(f"net_volume[{window}]", above=10**9)) for window in ("1m", "20m"))


@pytest.mark.parametrize("before", [SHORT, rule(BUYING), rule(BUYING, symbols=(HYNIX,))])
def test_a_longer_window_is_undefined_until_the_past_is_adopted(before: Rule) -> None:
    stage = Stage(before)
    past = minutes(40)
    for event in past:
        stage.engine.apply(event)
    assert stage.engine.lacks([LONG])
    assert not stage.engine.lacks([before])
    stage.reload("09:49:59.5", LONG)
    stage.tick("09:50:00")
    assert stage.value() is None
    assert stage.engine.lacks([LONG])
    learned = Engine([LONG], stage.engine._hours)
    for event in past:
        learned.learn(event)
    learned.learn(Alive(at("09:50:00")))
    stage.engine.adopt_past(learned)
    assert not stage.engine.lacks([LONG])
    stage.tick("09:50:01")
    assert stage.value() == 39 * 60 + 59 - 20 * 60 - 1
    stage.record("09:50:01.5", buy_volume=5000)
    assert stage.value() == 5000 - 20 * 60 - 1


def test_records_that_came_while_the_past_was_read_are_kept() -> None:
    stage = Stage(rule(BUYING))
    past = minutes(30)
    for event in past[:1200]:
        stage.engine.apply(event)
    stage.engine.reload([LONG], stage.engine.now or 0)
    for event in past[1200:]:
        stage.engine.apply(event)
    learned = Engine([LONG], stage.engine._hours)
    for event in past[:1300]:
        learned.learn(event)
    stage.engine.adopt_past(learned)
    for time in ("09:40:00", "09:42:00", "09:52:00"):
        stage.tick(time)
        second = (at(time) - at("09:10:00")) // SECOND_NS
        assert stage.value() == 30 * 60 - 1 - (second - 20 * 60)


def test_a_past_that_ends_before_our_memory_begins_is_not_taken() -> None:
    stage = Stage(rule(BUYING))
    past = minutes(30)
    for event in past:
        stage.engine.apply(event)
    stage.engine.reload([LONG], stage.engine.now or 0)
    learned = Engine([LONG], stage.engine._hours)
    for event in past[:1000]:
        learned.learn(event)
    stage.engine.adopt_past(learned)
    stage.tick("09:40:00")
    assert stage.value() is None


def test_a_symbol_that_comes_back_finds_its_history() -> None:
    stage = Stage(SHORT)
    stage.record("09:10:00", buy_volume=5)
    stage.reload("09:10:10", rule(BUYING, symbols=(HYNIX,)))
    assert stage.record("09:10:20", buy_volume=7) == []
    stage.reload("09:10:30", SHORT)
    stage.tick("09:11:10")
    assert stage.value() == 2
    stage.reload("09:11:11", rule(BUYING, symbols=(HYNIX,)))
    stage.engine.advance(at("00:00:01", stage.day + 1))
    assert list(stage.engine._series) == [HYNIX]
