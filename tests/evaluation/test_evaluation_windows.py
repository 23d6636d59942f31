"""What a window starts from: every edge at which its start becomes known or unknown."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from evaluation_stage import HYNIX, SAMSUNG, Stage, at, condition, record, rule

from engine.evaluation.series import Series
from engine.kst import SECOND_NS
from engine.rules.model import Anchor, Moment, Number, Span
from engine.stream import Frame
from engine.units import duration_ns

NET_5M = rule(condition("net_volume[5m]", above=10**9))
LEVEL_5M = rule(condition("net_resting[5m]", above=10**9))


def test_the_change_is_from_the_last_record_at_or_before_the_start() -> None:
    stage = Stage(NET_5M)
    stage.record("08:50:00", buy_volume=0)
    stage.record("09:10:00.5", buy_volume=10)
    stage.record("09:11:00", buy_volume=30)
    stage.record("09:12:00", buy_volume=70)
    stage.tick("09:15:00")
    assert stage.value() == 70
    stage.record("09:15:00.499999999", buy_volume=100)
    assert stage.value() == 100
    stage.record("09:15:00.5", buy_volume=100)
    assert stage.value() == 90  # t ≤ that moment
    stage.tick("09:16:00")
    assert stage.value() == 70
    stage.tick("09:20:01")
    assert stage.value() == 0


def test_of_records_that_share_a_moment_the_last_one_is_its_value() -> None:
    stage = Stage(NET_5M)
    t = at("09:10:00")
    stage.frame("09:10:00", record(t, buy_volume=1), record(t, buy_volume=5))
    stage.frame("09:10:00", record(t, buy_volume=7))
    stage.record("09:15:00", buy_volume=10)
    assert stage.value() == 3


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("09:04:59.999999999", 100),  # the window starts before the open: the counters were 0
        ("09:05:00", None),  # it starts at the open
        ("09:07:59.999999999", None),
        ("09:08:00", 60),  # it starts at the first record
    ],
)
def test_a_start_without_a_record(now: str, expected: Number | None) -> None:
    stage = Stage(NET_5M)
    stage.record("09:03:00", buy_volume=40)
    stage.record(now, buy_volume=100)
    assert stage.value() == expected


def up_before_the_open(stage: Stage) -> None:
    stage.up("08:59:59.999999999", SAMSUNG)


def up_twice(stage: Stage) -> None:
    stage.up("08:50:00")
    stage.up("09:02:00")


def up_at_the_open(stage: Stage) -> None:
    stage.up("09:00:00", SAMSUNG)


def up_another(stage: Stage) -> None:
    stage.up("08:50:00", HYNIX)


def lost(stage: Stage) -> None:
    stage.up("08:50:00")
    stage.down("09:01:00", SAMSUNG)


def lost_and_back_before_the_open(stage: Stage) -> None:
    stage.up("08:50:00")
    stage.down("08:51:00")
    stage.up("08:52:00")


def lost_and_back_after_the_open(stage: Stage) -> None:
    stage.up("08:50:00")
    stage.down("09:01:00")
    stage.up("09:02:00")


def another_lost(stage: Stage) -> None:
    stage.up("08:50:00")
    stage.down("09:01:00", HYNIX)


def started(stage: Stage) -> None:
    stage.up("08:50:00")
    stage.start("08:51:00")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (up_before_the_open, 100),
        (up_twice, 100),
        (up_at_the_open, None),
        (up_another, None),
        (lost, None),
        (lost_and_back_before_the_open, 100),
        (lost_and_back_after_the_open, None),
        (another_lost, 100),
        (started, None),
    ],
)
def test_when_the_start_of_the_day_is_known(history: Callable[[Stage], None], expected: Number | None) -> None:
    stage = Stage(NET_5M)
    history(stage)
    stage.record("09:06:00", buy_volume=40)
    stage.record("09:08:00", buy_volume=100)
    assert stage.value() == expected


def test_a_first_record_before_the_open_counts_from_zero() -> None:
    """Its window starts before it; one that came at the open knows nothing of what was before."""
    long = rule(condition("net_volume[10m]", above=10**9))
    early, late = Stage(long), Stage(long)
    early.record("08:59:59", buy_volume=5)
    early.record("09:09:58", buy_volume=9)
    late.record("09:00:01", buy_volume=5)
    late.record("09:10:00.5", buy_volume=9)
    assert (early.value(), late.value()) == (9, None)


def test_what_was_known_at_the_first_record_stays_known_when_the_line_is_lost_later() -> None:
    stage = Stage(NET_5M)
    stage.up("08:50:00")
    stage.record("09:06:00", buy_volume=40)
    stage.down("09:06:30")
    stage.record("09:07:00", buy_volume=100)
    assert stage.value() == 100


def test_levels_have_no_zero_to_start_from() -> None:
    stage = Stage(LEVEL_5M)
    stage.up("08:50:00")
    stage.record("08:58:00", net_resting=40)
    stage.record("09:02:59", net_resting=90)
    assert stage.value() is None
    stage.record("09:03:00", net_resting=100)
    assert stage.value() == 60


def blind_from_10_to_12(key: str) -> Stage:
    stage = Stage(rule(condition(key, above=10**9)))
    stage.record("08:50:00", buy_volume=1, net_resting=1)
    stage.record("09:09:00", buy_volume=10, net_resting=10)
    stage.down("09:10:00", SAMSUNG)
    stage.record("09:12:00", buy_volume=50, net_resting=50)
    return stage


@pytest.mark.parametrize("key", ["net_volume[5m]", "net_resting[5m]"])
@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("09:14:59", 90),
        ("09:15:00", 90),  # the moment of the loss is known
        ("09:15:00.000000001", None),
        ("09:16:59.999999999", None),
        ("09:17:00", 50),
    ],
)
def test_a_window_that_starts_in_a_blindness_is_undefined(key: str, now: str, expected: Number | None) -> None:
    stage = blind_from_10_to_12(key)
    stage.record(now, buy_volume=100, net_resting=100)
    assert stage.value() == expected


@pytest.mark.parametrize(("tick", "expected"), [("09:15:00", 40), ("09:15:01", None), ("09:17:00", 0)])
def test_the_edges_of_a_blindness_are_met_at_ticks(tick: str, expected: Number | None) -> None:
    stage = blind_from_10_to_12("net_volume[5m]")
    stage.tick(tick)
    assert stage.value() == expected


def test_a_blindness_that_ends_by_itself_ends_two_minutes_after_the_line_is_back() -> None:
    stage = Stage(NET_5M)
    stage.record("09:09:00", buy_volume=10)
    stage.down("09:10:00")
    stage.up("09:11:00")
    stage.up("09:11:30")
    stage.record("09:17:59.999999999", buy_volume=60)
    assert stage.value() is None
    stage.record("09:18:00", buy_volume=70)
    assert stage.value() == 60  # 09:13 is known again: no news until then is no trade


def test_a_blindness_ends_at_its_moment_not_at_the_next_tick() -> None:
    stage = Stage(NET_5M)
    stage.record("09:09:00", buy_volume=10)
    stage.down("09:10:00")
    stage.up("09:11:00.25")
    stage.record("09:18:00.249999999", buy_volume=70)
    assert stage.value() is None
    stage.record("09:18:00.25", buy_volume=70)
    assert stage.value() == 60


def test_each_blindness_ends_by_itself() -> None:
    stage = Stage(rule(condition("net_volume", above=10**9), symbols=(SAMSUNG, HYNIX)))
    for symbol in (SAMSUNG, HYNIX):
        stage.record("09:09:00", symbol)
        stage.down("09:10:00", symbol)
    stage.up("09:11:00", SAMSUNG)
    stage.up("09:11:30", HYNIX)
    blind = []
    for time in ("09:12:59", "09:13:00", "09:13:29", "09:13:30"):
        stage.tick(time)
        blind.append((stage.shown(symbol=SAMSUNG).blind, stage.shown(symbol=HYNIX).blind))
    assert blind == [(True, True), (False, True), (False, True), (False, False)]


def test_lost_again_before_that_it_goes_on() -> None:
    stage = Stage(NET_5M)
    stage.record("09:09:00", buy_volume=10)
    stage.down("09:10:00")
    stage.up("09:11:00")
    stage.down("09:12:59")
    stage.up("09:14:00")
    stage.record("09:18:00", buy_volume=70)
    assert stage.value() is None  # blind until 09:16
    stage.record("09:21:00", buy_volume=70)
    assert stage.value() == 60


def test_lost_again_at_the_very_end_it_begins_anew() -> None:
    stage = Stage(NET_5M)
    stage.record("09:09:00", buy_volume=10)
    stage.down("09:10:00")
    stage.up("09:11:00")
    stage.down("09:13:00")
    stage.record("09:18:00", buy_volume=70)
    assert stage.value() == 60  # the moment between two blindnesses is inside neither
    stage.record("09:18:00.000000001", buy_volume=70)
    assert stage.value() is None


def test_a_start_makes_blind_since_the_line_before() -> None:
    stage = Stage(NET_5M)
    stage.record("09:09:00", buy_volume=10)
    stage.engine.advance(at("09:09:30"))  # a line without content
    stage.start("09:20:00")
    stage.up("09:20:01")
    assert stage.shown().blind
    stage.record("09:20:30", buy_volume=50)
    assert (stage.shown().blind, stage.value()) == (False, None)
    stage.record("09:25:30", buy_volume=70)
    assert stage.value() == 20


@pytest.mark.parametrize(
    ("now", "expected"),
    [("09:12:00", None), ("09:14:59.999999999", None), ("09:15:00", 5)],
)
def test_a_window_that_starts_before_a_correction_is_undefined(now: str, expected: Number | None) -> None:
    stage = Stage(NET_5M, rule(condition("net_resting[5m]", above=10**9), name="level"))
    stage.record("08:50:00", buy_volume=0, net_resting=0)
    stage.record("09:01:00", buy_volume=100, net_resting=20)
    stage.record("09:10:00", buy_volume=90, net_resting=30)
    assert (stage.engine.counters.corrections, stage.value(), stage.value("level")) == (1, None, 30 - 20)
    stage.record(now, buy_volume=95, net_resting=35)
    assert stage.value() == expected
    assert stage.value("level") is not None


def test_a_window_forgets_a_correction_that_came_while_its_rule_slept() -> None:
    span = Span(Moment(Anchor.MIDNIGHT, duration_ns("9h12m")), Moment(Anchor.CLOSE, 0))
    stage = Stage(replace(NET_5M, active=(span,)))
    stage.record("09:05:00", buy_volume=100)
    stage.record("09:10:00", buy_volume=90)
    stage.record("09:12:30", buy_volume=95)
    assert stage.value() is None
    stage.tick("09:15:00")
    assert stage.value() == 5


@pytest.mark.parametrize("fallen", ["sell_volume", "sell_value", "buy_volume", "buy_value"])
def test_each_cumulative_field_may_fall(fallen: str) -> None:
    stage = Stage(rule(condition("net_value[5m]", above=10**9)))
    full = {"sell_volume": 5, "sell_value": 5, "buy_volume": 5, "buy_value": 5}
    stage.take("08:50:00", full)
    stage.take("09:10:00", {**full, "net_value": 9})
    assert stage.value() == 9
    stage.take("09:10:01", {**full, fallen: 4, "net_value": 9})
    assert (stage.engine.counters.corrections, stage.value()) == (1, None)


def test_net_fields_and_levels_that_fall_are_no_correction() -> None:
    stage = Stage(NET_5M)
    stage.record("08:50:00", net_volume=9, net_value=9, sell_resting=9, buy_resting=9, net_resting=9)
    stage.record("09:10:00", net_volume=2)
    assert (stage.engine.counters.corrections, stage.value()) == (0, -7)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("sell_volume", 10), ("buy_volume", 30), ("net_volume", 21), ("total_volume", 40),
        ("sell_value", 100), ("buy_value", 500), ("net_value", 401), ("total_value", 600),
        ("imbalance", 21 / 40), ("value_imbalance", 401 / 600),
        ("sell_resting", 3), ("buy_resting", 7), ("net_resting", 5), ("resting_imbalance", 0.5),
        ("sell_volume[5m]", 6), ("buy_volume[5m]", 20), ("net_volume[5m]", 15), ("total_volume[5m]", 26),
        ("sell_value[5m]", 60), ("buy_value[5m]", 300), ("net_value[5m]", 241), ("total_value[5m]", 360),
        ("imbalance[5m]", 15 / 26), ("value_imbalance[5m]", 241 / 360),
        ("sell_resting[5m]", 2), ("buy_resting[5m]", 5), ("net_resting[5m]", 4),
    ],
)  # fmt: skip
def test_every_metric(key: str, expected: Number) -> None:
    """Net fields are as the record gives them: here they are not buy − sell."""
    stage = Stage(rule(condition(key, above=10**9)))
    before = {"sell_volume": 4, "buy_volume": 10, "net_volume": 6, "sell_value": 40, "buy_value": 200, "net_value": 160}
    after = {
        "sell_volume": 10,
        "buy_volume": 30,
        "net_volume": 21,
        "sell_value": 100,
        "buy_value": 500,
        "net_value": 401,
    }
    stage.take("09:10:00", {**before, "sell_resting": 1, "buy_resting": 2, "net_resting": 1})
    stage.take("09:15:00", {**after, "sell_resting": 3, "buy_resting": 7, "net_resting": 5})
    assert stage.value() == expected


@pytest.mark.parametrize("key", ["imbalance", "value_imbalance", "resting_imbalance", "imbalance[5m]"])
def test_a_ratio_over_nothing_is_0(key: str) -> None:
    stage = Stage(rule(condition(key, above=10**9)))
    stage.record("08:50:00")
    assert stage.value() == 0


def test_nothing_is_known_before_the_first_record() -> None:
    stage = Stage(rule(condition("net_volume", above=0), condition("net_resting", above=0)))
    stage.up("08:50:00")
    stage.tick("09:01:00")
    assert stage.shown().values == (("net_volume", None), ("net_resting", None))


@pytest.mark.parametrize("negative", ["buy_volume", "sell_volume", "buy_value", "sell_value"])
def test_a_windowed_ratio_with_a_negative_part_is_undefined(negative: str) -> None:
    """Only counters below zero can bring one about without a correction: zero is where the day starts from."""
    keys = ("imbalance[5m]", "value_imbalance[5m]", "imbalance", "value_imbalance")
    parts = {"buy_volume": 9, "sell_volume": 9, "buy_value": 9, "sell_value": 9, "net_value": 3, negative: -18}
    stage = Stage(rule(*(condition(key, above=10**9) for key in keys)))
    stage.take("08:50:00", {**parts, "net_volume": 3})
    of_volume, of_value = "volume" in negative, "value" in negative
    assert [value for _, value in stage.shown().values] == [
        None if of_volume else 3 / 18,
        None if of_value else 3 / 18,
        3 / -9 if of_volume else 3 / 18,
        3 / -9 if of_value else 3 / 18,
    ]


def test_keys_are_as_written() -> None:
    parts = [condition("net_volume[5m]", above=0), condition("net_volume[300s]", above=0)]
    stage = Stage(rule(*parts, condition("net_volume[5m]", below=9)))
    assert [key for key, _ in stage.shown().values] == ["net_volume[5m]", "net_volume[300s]"]


# Memory


def burst(stage: Stage, seconds: int) -> Series:
    """100 records a second, each with one share more."""
    for step in range(seconds * 100):
        t = at("09:10:00") + step * SECOND_NS // 100
        stage.engine.apply(Frame(t, (record(t, buy_volume=step),), ""))
    return stage.engine._series[SAMSUNG]


def test_what_no_window_needs_is_dropped() -> None:
    stage = Stage(NET_5M, rule(condition("net_volume[10s]", above=10**9), name="short"))
    series = burst(stage, seconds=900)
    assert len(series._times) <= 2 * 300 * 100 + 1024
    assert (stage.value(), stage.value("short")) == (300 * 100, 10 * 100)


def test_without_a_window_nothing_is_kept() -> None:
    assert burst(Stage(rule(condition("net_volume", above=10**9))), seconds=20)._times == []


def test_blindnesses_that_no_window_can_start_in_are_dropped() -> None:
    stage = Stage(NET_5M)
    for minute in range(60):
        stage.record(f"10:{minute:02d}:00", buy_volume=minute)
        stage.down(f"10:{minute:02d}:10")
    assert len(stage.engine._series[SAMSUNG]._spans) <= 7
