"""A person's silences: what is kept back, what is sent when they end, and which they are."""

from dataclasses import replace

import pytest
from evaluation_stage import DAY, HYNIX, SAMSUNG, Stage, at, condition, rule, told

from engine.alert import Alert
from engine.evaluation.quiet import next_edge, quiet, silenced_until
from engine.evaluation.series import NEVER
from engine.rules.model import Rule
from engine.silences.model import Silence

BUYING = condition("net_volume", above=0)
HELD = replace(rule(BUYING, cooldown="1m"), resolved=True)


def silence(start: str, until: str, *, rule: str | None = None, symbol: str | None = None) -> Silence:
    return Silence(at(start), at(until), rule, symbol)


def test_a_silenced_firing_is_kept_and_sent_when_the_silence_is_over() -> None:
    stage = Stage(HELD)
    stage.silence("09:00:00", silence("09:00:00", "09:10:30.5"))
    alerts = stage.record("09:10:00", buy_volume=1) + stage.tick("09:11:00")
    assert told(alerts) == [("silence", "09:10:00"), ("firing", "09:10:31")]
    assert [alert.since for alert in alerts] == [at("09:10:00")] * 2
    assert len({alert.id for alert in alerts}) == 2


def test_a_silence_that_is_removed_is_over_at_the_next_evaluation() -> None:
    stage = Stage(HELD)
    stage.silence("09:00:00", silence("09:00:00", "10:00:00"))
    assert told(stage.record("09:10:00", buy_volume=1)) == [("silence", "09:10:00")]
    assert stage.silence("09:10:20.25") == []
    assert told(stage.tick("09:11:00")) == [("firing", "09:10:21")]


def test_one_silence_giving_way_to_another_makes_no_alert() -> None:
    stage = Stage(HELD)
    stage.silence("09:00:00", silence("09:00:00", "09:10:30"), silence("09:10:30", "09:11:00"))
    stage.record("09:10:00", buy_volume=1)
    assert told(stage.tick("09:20:00")) == [("firing", "09:11:00")]


def test_a_silence_giving_way_to_a_cooldown_makes_no_alert() -> None:
    stage = Stage(HELD)
    stage.record("09:10:00", buy_volume=1)
    stage.record("09:10:05", buy_volume=1, sell_volume=1)
    stage.silence("09:10:08", silence("09:10:08", "09:10:30"))
    assert told(stage.record("09:10:10", buy_volume=3, sell_volume=1)) == [("silence", "09:10:10")]
    assert told(stage.tick("09:20:00")) == [("firing", "09:11:00")]


def test_a_silenced_firing_that_ends_meanwhile_says_nothing_more() -> None:
    stage = Stage(replace(HELD, repeat_ns=1))
    stage.silence("09:00:00", silence("09:00:00", "09:20:00"))
    assert told(stage.record("09:10:00", buy_volume=1)) == [("silence", "09:10:00")]
    assert stage.tick("09:10:10") == []  # never sent: no repeats
    assert stage.record("09:10:11", buy_volume=1, sell_volume=1) == []
    assert stage.tick("09:30:00") == []


def test_repeats_and_the_end_of_one_that_was_sent_are_kept_back() -> None:
    """A kept repeat is a repeat: the next one is due `repeat` after it, and has the next number."""
    stage = Stage(replace(rule(BUYING, repeat="10s"), resolved=True))
    alerts = stage.record("09:10:00", buy_volume=1)
    alerts += stage.silence("09:10:15", silence("09:10:15", "09:10:35"))
    alerts += stage.tick("09:10:40")
    stage.silence("09:10:41", silence("09:10:41", "10:00:00"))
    alerts += stage.record("09:10:42", buy_volume=1, sell_volume=1)
    assert told(alerts) == [
        ("firing", "09:10:00"),
        ("repeat 1", "09:10:10"),
        ("silence", "09:10:20"),
        ("silence", "09:10:30"),
        ("repeat 4", "09:10:40"),
        ("silence", "09:10:42"),
    ]
    assert [(alert.state.value, alert.repeat) for alert in alerts[2:]] == [
        ("firing", 2),
        ("firing", 3),
        ("firing", 4),
        ("resolved", 0),
    ]


def test_what_a_silence_kept_back_counts_for_nothing() -> None:
    stage = Stage(replace(rule(condition("net_volume", crosses_above=0), cooldown="1h"), max_per_day=1))
    stage.silence("09:00:00", silence("09:00:00", "09:10:05"))
    alerts: list[Alert] = []
    for second in range(8):
        alerts += stage.record(f"09:10:0{second}", buy_volume=9 + second % 2, sell_volume=9)
    assert told(alerts) == [
        ("silence", "09:10:01"),
        ("silence", "09:10:03"),
        ("firing", "09:10:05"),
        ("cooldown", "09:10:07"),
    ]


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (Silence(at("09:00:00"), at("10:00:00")), {"a", "b"}),
        (silence("09:00:00", "10:00:00", rule="a"), {"a"}),
        (silence("09:00:00", "10:00:00", symbol=SAMSUNG), {"a"}),
        (silence("09:00:00", "10:00:00", symbol="@semis"), {"b"}),
        (silence("09:00:00", "10:00:00", rule="a", symbol=HYNIX), set()),
        (Silence(at("09:00:00"), at("10:00:00"), labels=(("desk", "x"),)), {"b"}),
        (Silence(at("09:00:00"), at("10:00:00"), labels=(("desk", "x"), ("who", "y"))), set()),
        (silence("09:00:00", "09:10:00"), set()),  # its end is not in it
        (silence("09:10:00", "09:10:01"), {"a", "b"}),  # its start is
        (silence("09:10:00.000000001", "10:00:00"), set()),
    ],
)
def test_which_alerts_a_silence_speaks_of(found: Silence, kept: set[str]) -> None:
    rules: list[Rule] = [
        rule(BUYING, name="a"),
        replace(rule(BUYING, name="b"), aggregate="@semis", labels=(("desk", "x"),)),
    ]
    stage = Stage(*rules)
    stage.silence("09:00:00", found)
    alerts = stage.record("09:10:00", buy_volume=1)
    assert {alert.rule for alert in alerts if alert.suppressed} == kept


def test_a_silence_outlives_the_date_and_a_reload() -> None:
    stage = Stage(HELD)
    stage.silence("15:00:00", replace(silence("15:00:00", "16:00:00"), until=at("09:00:00", DAY + 2)))
    stage.record("15:00:01", buy_volume=1)
    stage.day += 1
    assert told(stage.record("09:10:00", buy_volume=1)) == [("silence", "09:10:00")]
    stage.reload("09:10:01.5", replace(HELD, cooldown_ns=0))
    assert told(stage.tick("09:10:05")) == [("silence", "09:10:02")]


def test_a_silence_of_a_label_looks_at_the_labels_of_now() -> None:
    stage = Stage(HELD)
    stage.silence("09:00:00", Silence(at("09:00:00"), at("10:00:00"), labels=(("desk", "x"),)))
    stage.reload("09:05:00", replace(HELD, labels=(("desk", "x"),)))
    assert told(stage.record("09:10:00", buy_volume=1)) == [("silence", "09:10:00")]
    stage.reload("09:10:10.5", HELD)
    assert told(stage.tick("09:10:20")) == [("firing", "09:10:11")]


def test_spans_are_merged() -> None:
    spans = [(5, 7), (1, 2), (2, 3), (6, 9), (8, 8), (0, 1), (20, 20), (30, 29)]
    assert quiet((Silence(start, until) for start, until in spans), HELD, SAMSUNG, 1) == ((1, 3), (5, 9))
    assert [silenced_until(((1, 3), (5, 9)), now) for now in (0, 1, 2, 3, 5, 8, 9)] == [None, 3, 3, None, 9, 9, None]
    assert [next_edge(((1, 3), (5, 9)), now) for now in (0, 1, 3, 8, 9)] == [1, 3, 5, 9, NEVER]
