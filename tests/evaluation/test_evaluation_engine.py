"""Records, ticks, marks, dates and sums, as the engine puts them together."""

from dataclasses import replace

import pytest
from evaluation_stage import DAY, HYNIX, SAMSUNG, Stage, at, condition, every, record, rule, some, told

from engine.alert import Alert
from engine.evaluation.engine import Engine
from engine.evaluation.gate import Drop
from engine.evaluation.lifecycle import Phase
from engine.kst import DAY_NS, SECOND_NS, iso
from engine.rules.model import Anchor, Moment, Rule, Severity, Span
from engine.stream import Frame
from engine.units import duration_ns

BUYING = condition("net_volume", above=0)
TURN = condition("net_volume", crosses_above=0)


# The worked example of the rule language


def semis() -> Rule:
    conditions = (condition("net_volume[5m]", above=100_000), condition("imbalance[5m]", above=0.3, reset=0.2))
    return replace(rule(*conditions, name="semis-program-buying", for_="30s", cooldown="10m"), resolved=True)


def test_semis_program_buying() -> None:
    """A record every 10 s from 09:10 on: the window is known at 5m, and it must hold 30 s."""
    stage = Stage(semis())
    alerts: list[Alert] = []
    for step in range(60):
        minute, second = divmod(step * 10, 60)
        alerts += stage.record(f"09:{10 + minute:02d}:{second:02d}", buy_volume=30_000 * step, sell_volume=5_000 * step)
        if step == 29:
            assert stage.shown("semis-program-buying").verdict is None
        if step == 30:
            assert stage.shown("semis-program-buying").phase is Phase.PENDING
    assert told(alerts) == [("firing", "09:15:30")]
    (alert,) = alerts
    assert (alert.rule, alert.symbol, alert.since) == ("semis-program-buying", SAMSUNG, at("09:15:00"))
    assert alert.values == (("net_volume[5m]", 750_000), ("imbalance[5m]", 750_000 / 1_050_000))
    # The last record came at 09:19:50. What was bought leaves the window; 100 000 are reached, then passed.
    assert told(stage.tick("09:25:00")) == [("resolved", "09:24:10")]


def test_samsung_turns_net_buyer() -> None:
    stage = Stage(rule(TURN))
    assert stage.record("08:40:00", buy_resting=500) == []
    assert stage.record("09:00:05", buy_volume=7) == []  # the first trade is no crossing
    assert stage.record("09:00:06", buy_volume=7, sell_volume=7) == []
    (alert,) = stage.record("09:00:07.5", buy_volume=8, sell_volume=7)
    assert (alert.at, alert.since, alert.values) == (at("09:00:07.5"), at("09:00:07.5"), (("net_volume", 1),))
    assert stage.tick("09:00:20") == []


def test_an_event_needs_a_crossing_and_all_the_rest() -> None:
    stage = Stage(rule(TURN, condition("buy_resting", above=5)), rule(some(TURN, BUYING), name="either"))
    stage.record("09:10:00", sell_volume=1)
    found = [
        [alert.rule for alert in stage.record(time, sell_volume=sell, buy_volume=9, buy_resting=book)]
        for time, sell, book in (
            ("09:10:01", 8, 5),  # a crossing, but the book is thin
            ("09:10:02", 8, 6),  # the book has filled, but the crossing is over
            ("09:10:03", 9, 6),
        )
    ]
    assert found == [["either"], [], []]
    both = [alert.rule for alert in stage.record("09:10:04", sell_volume=9, buy_volume=10, buy_resting=6)]
    assert both == ["rule", "either"]


def test_a_crossing_is_over_at_the_next_tick() -> None:
    stage = Stage(rule(TURN))
    stage.record("09:10:00", sell_volume=1)
    stage.record("09:10:01.5", sell_volume=1, buy_volume=2)
    assert stage.shown().conditions == (True,)
    stage.tick("09:10:02")
    assert stage.shown().conditions == (False,)


# Records


@pytest.mark.parametrize(
    ("stamp", "drop"),
    [
        ("090959", None),
        ("091000", None),
        ("091100", None),  # 60 s ahead of 09:10:00.5 is 09:11:00.5
        ("091101", Drop.EARLY),
        ("240000", Drop.BAD_TIME),
        ("096000", Drop.BAD_TIME),
        ("090060", Drop.BAD_TIME),
        ("90959", Drop.BAD_TIME),
        ("", Drop.BAD_TIME),
        ("09095x", Drop.BAD_TIME),
        ("09１059", Drop.BAD_TIME),
        ("090958", Drop.OUT_OF_ORDER),
    ],
)
def test_a_record_is_accepted_or_dropped_and_counted(stamp: str, drop: Drop | None) -> None:
    stage = Stage(rule(BUYING))
    stage.record("09:10:00", stamp="090959")
    alerts = stage.record("09:10:00.5", stamp=stamp, buy_volume=1)
    assert [alert.record_time for alert in alerts] == ([] if drop else [stamp])
    counters = stage.engine.counters
    assert (counters.frames, counters.records) == (2, 1 if drop else 2)
    assert {reason for reason, count in counters.dropped.items() if count} == ({drop} if drop else set())


def test_times_of_a_day_do_not_reach_into_the_next() -> None:
    stage = Stage(rule(BUYING))
    assert stage.record("23:59:30", stamp="235959", buy_volume=1) != []
    tomorrow = Stage(rule(BUYING), day=DAY + 1)
    assert tomorrow.record("00:00:00", stamp="235959", buy_volume=1) == []
    assert tomorrow.engine.counters.dropped[Drop.EARLY] == 1


def test_order_is_kept_for_each_symbol_and_date() -> None:
    stage = Stage(rule(BUYING, symbols=(SAMSUNG, HYNIX)))
    stage.record("09:10:00", SAMSUNG, stamp="091000")
    stage.record("09:10:00", HYNIX, stamp="090930")
    stage.day += 1
    stage.record("09:05:00", SAMSUNG, stamp="090500")
    assert stage.engine.counters.dropped[Drop.OUT_OF_ORDER] == 0


def test_a_record_of_a_symbol_that_no_rule_names_is_counted() -> None:
    stage = Stage(rule(BUYING))
    assert stage.record("09:10:00", HYNIX, buy_volume=1) == []
    assert stage.engine.counters.dropped[Drop.UNKNOWN_SYMBOL] == 1


def test_a_dropped_record_is_no_record() -> None:
    """It evaluates nothing and ends no blindness."""
    stage = Stage(rule(BUYING, for_="1s"))
    stage.record("09:10:00", buy_volume=1)
    stage.down("09:10:00.5")
    stage.record("09:10:01", stamp="091500", buy_volume=1)
    assert (stage.shown().blind, stage.shown().phase) == (True, Phase.PENDING)


def test_a_disabled_rule_is_left_out() -> None:
    stage = Stage(replace(rule(BUYING), enabled=False))
    stage.record("09:10:00", buy_volume=1)
    assert (stage.engine.state(), stage.engine.counters.dropped[Drop.UNKNOWN_SYMBOL]) == ((), 1)


def test_a_lower_time_counts_as_the_last() -> None:
    stage = Stage(rule(BUYING))
    stage.record("09:10:00.7")
    (alert,) = stage.record("09:10:00.2", buy_volume=1)
    assert alert.at == at("09:10:00.7")


def test_records_of_a_frame_share_its_time_and_are_applied_in_order() -> None:
    stage = Stage(rule(TURN))
    t = at("09:10:00")
    nets = [(1, 2), (3, 2), (3, 3), (4, 3)]
    alerts = stage.frame("09:10:00", *(record(t, buy_volume=buy, sell_volume=sell) for buy, sell in nets))
    assert [alert.at for alert in alerts] == [t, t]
    assert [dict(alert.values)["net_volume"] for alert in alerts] == [1, 1]
    assert len({alert.id for alert in alerts}) == 2


def test_a_correction_empties_memories() -> None:
    sticky = rule(condition("net_volume", above=10, reset=5), name="sticky")
    book = rule(condition("net_resting", crosses_above=0), name="book")
    stage = Stage(rule(TURN), sticky, book)
    stage.record("09:10:00", buy_volume=1, sell_volume=2)
    stage.record("09:10:01", buy_volume=20, sell_volume=2)
    assert stage.shown("sticky").phase is Phase.FIRING
    stage.record("09:10:02", buy_volume=9, sell_volume=10)
    assert stage.shown("sticky").phase is Phase.INACTIVE
    assert stage.record("09:10:03", buy_volume=9, sell_volume=9, net_volume=8, net_resting=1) == []  # −1 is forgotten
    assert stage.shown("sticky").verdict is False  # 8 is above the reset, but it did not hold any more
    assert [alert.rule for alert in stage.record("09:10:04", buy_volume=19, sell_volume=9, net_resting=0)] == []


# Ticks


@pytest.mark.parametrize(
    ("first", "expected"),
    [("09:10:00", "09:10:03"), ("09:10:00.000000001", "09:10:04"), ("09:10:00.999999999", "09:10:04")],
)
def test_a_tick_is_a_whole_second(first: str, expected: str) -> None:
    stage = Stage(rule(BUYING, for_="3s"))
    stage.record(first, buy_volume=1)
    assert told(stage.tick("09:10:20")) == [("firing", expected)]


def test_a_frame_comes_before_the_tick_of_its_moment() -> None:
    stage = Stage(rule(BUYING, for_="3s"))
    stage.record("09:10:00", buy_volume=1)
    assert stage.record("09:10:03", buy_volume=1, sell_volume=1) == []
    assert stage.tick("09:10:20") == []


def test_every_tick_before_a_frame_comes_before_it() -> None:
    stage = Stage(rule(BUYING, for_="3s"))
    stage.record("09:10:00", buy_volume=1)
    assert told(stage.record("09:10:03.000000001", buy_volume=1, sell_volume=1)) == [("firing", "09:10:03")]


def test_advance_runs_ticks_before_now_and_each_once() -> None:
    stage = Stage(replace(rule(BUYING), repeat_ns=SECOND_NS))
    stage.record("09:10:00.5", buy_volume=1)
    assert stage.engine.advance(at("09:10:02")) == []
    assert told(stage.engine.advance(at("09:10:02") + 1)) == [("repeat 1", "09:10:02")]
    assert stage.engine.advance(at("09:10:02") + 1) == []
    assert stage.engine.advance(at("09:10:01")) == []
    assert told(stage.engine.advance(at("09:10:04.5"))) == [("repeat 2", "09:10:03"), ("repeat 3", "09:10:04")]


def test_before_the_first_event_there_are_no_ticks() -> None:
    stage = Stage(rule(BUYING))
    assert stage.engine.advance(at("09:10:00")) == []
    assert [shown.phase for shown in stage.engine.state()] == [Phase.INACTIVE]
    assert stage.record("09:00:00", buy_volume=1) != []


def test_a_night_costs_nothing_and_still_ends_the_day() -> None:
    """No second of ten years without a record is worth a look, but each midnight is."""
    stage = Stage(rule(BUYING))
    stage.record("15:20:00", buy_volume=1)
    assert stage.engine.advance(at("15:20:00") + 3650 * DAY_NS) == []
    assert stage.shown().phase is Phase.INACTIVE


# Blindness


def test_what_was_pending_starts_anew_when_a_blindness_ends_with_a_record() -> None:
    stage = Stage(rule(BUYING, for_="30s"))
    stage.record("09:10:00", buy_volume=1)
    stage.down("09:10:10")
    assert stage.record("09:11:00", buy_volume=1) == []
    assert told(stage.tick("09:12:00")) == [("firing", "09:11:30")]


def test_what_was_pending_starts_anew_when_a_blindness_ends_by_itself() -> None:
    stage = Stage(rule(BUYING, for_="30s"))
    stage.record("09:10:00", buy_volume=1)
    stage.down("09:10:10")
    stage.up("09:10:20.5")
    (alert,) = stage.tick("09:20:00")
    assert (alert.since, alert.at) == (at("09:12:21"), at("09:12:51"))


@pytest.mark.parametrize("ends_by", ["record", "itself"])
def test_what_was_firing_stays_firing_through_a_blindness(ends_by: str) -> None:
    stage = Stage(replace(rule(condition("net_volume[1m]", above=5)), resolved=True))
    stage.up("08:50:00")
    assert told(stage.record("09:00:10", buy_volume=10)) == [("firing", "09:00:10")]
    stage.down("09:00:20")
    stage.up("09:00:40")
    assert stage.tick("09:02:39") == []  # at 09:01:10 the window let go of it, but nobody looked
    if ends_by == "record":
        assert told(stage.record("09:02:39.5", buy_volume=11)) == []  # the window starts in the blindness
        assert told(stage.tick("09:05:00")) == [("resolved", "09:03:40")]
    else:
        assert stage.tick("09:03:39") == []
        assert told(stage.tick("09:05:00")) == [("resolved", "09:03:40")]


def test_without_a_record_nothing_is_blind() -> None:
    stage = Stage(rule(BUYING))
    stage.up("08:50:00")
    stage.down("08:55:00")
    assert not stage.shown().blind


def test_ticks_before_a_start_never_happened() -> None:
    stage = Stage(rule(BUYING, for_="3s"))
    stage.record("09:10:00", buy_volume=1)
    assert stage.start("09:10:30") == []
    assert stage.tick("09:11:00") == []
    stage.up("09:11:00.5")
    assert told(stage.tick("09:20:00")) == [("firing", "09:13:04")]


def test_a_blindness_that_would_have_ended_before_a_start_goes_on() -> None:
    stage = Stage(rule(BUYING, for_="3s"))
    stage.record("09:10:00", buy_volume=1)
    stage.down("09:10:01")
    stage.up("09:10:02")
    stage.start("09:15:00")
    assert stage.tick("09:30:00") == []
    assert stage.shown().blind


def test_what_was_pending_does_not_outlive_a_start() -> None:
    """Not in a sum either that a member without a record yet evaluates before the others can be seen again."""
    stage = Stage(total("net_volume", for_="1m"))
    stage.record("09:10:00", SAMSUNG, buy_volume=99)
    stage.start("09:20:00")
    assert stage.record("09:20:30", HYNIX, buy_volume=1) == []
    assert stage.shown("sum", "@semis").since == at("09:20:30")


def test_what_fires_through_a_start_sleeps_only_if_a_tick_saw_it() -> None:
    stage = Stage(replace(rule(BUYING), active=MORNING, resolved=True))
    stage.record("09:59:00", buy_volume=1)
    stage.start("13:10:00")
    assert told(stage.record("13:11:00", buy_volume=1, sell_volume=1)) == [("resolved", "13:11:00")]


# Dates


def test_a_new_date_starts_empty() -> None:
    stage = Stage(replace(rule(BUYING, cooldown="23h"), max_per_day=1, resolved=True))
    assert told(stage.record("15:00:00", buy_volume=1)) == [("firing", "15:00:00")]
    stage.day += 1
    assert stage.record("08:40:00") == []  # what was firing ended without a word
    assert stage.shown().phase is Phase.INACTIVE
    assert told(stage.record("09:00:01", buy_volume=1)) == [("firing", "09:00:01")]  # so did counts and cooldown


def test_a_new_date_knows_no_crossing_from_the_old_one() -> None:
    stage = Stage(rule(TURN))
    stage.record("15:00:00", buy_volume=1, sell_volume=9)
    stage.day += 1
    assert stage.record("09:00:01", buy_volume=9, sell_volume=1) == []


def test_subscriptions_outlive_the_date() -> None:
    stage = Stage(rule(condition("net_volume[5m]", above=10**9)))
    stage.up("08:50:00")
    stage.record("09:00:01", buy_volume=5)
    stage.day += 1
    stage.record("09:06:00", buy_volume=40)
    assert stage.value() == 40


def test_each_date_has_its_session() -> None:
    late = replace(Stage(rule(BUYING)).engine._hours, special={DAY + 1: (duration_ns("10h"), duration_ns("16h"))})
    stage = Stage(rule(condition("net_volume[5m]", above=10**9)), hours=late)
    stage.record("10:01:00", buy_volume=1)
    assert stage.value() is None
    stage.day += 1
    stage.record("10:01:00", buy_volume=1)
    assert stage.value() == 1


# Active


def active(*spans: tuple[Anchor, str, Anchor, str]) -> tuple[Span, ...]:
    def moment(anchor: Anchor, offset: str) -> Moment:
        return Moment(anchor, -duration_ns(offset[1:]) if offset.startswith("-") else duration_ns(offset))

    return tuple(Span(moment(a, start), moment(b, end)) for a, start, b, end in spans)


MORNING = active((Anchor.OPEN, "5m", Anchor.MIDNIGHT, "10h"), (Anchor.MIDNIGHT, "13h", Anchor.CLOSE, "-10m"))


@pytest.mark.parametrize(
    ("time", "awake"),
    [
        ("09:04:59.999999999", False),
        ("09:05:00", True),
        ("09:59:59.999999999", True),
        ("10:00:00", False),
        ("13:00:00", True),
        ("15:19:59", True),
        ("15:20:00", False),
    ],
)
def test_spans(time: str, awake: bool) -> None:
    stage = Stage(replace(rule(BUYING), active=MORNING))
    assert (stage.record(time, buy_volume=1) != [], stage.shown().awake) == (awake, awake)


def test_a_rule_wakes_at_a_tick_and_falls_asleep_without_a_word() -> None:
    stage = Stage(replace(rule(BUYING, for_="10s"), active=MORNING, resolved=True))
    stage.record("09:00:01", buy_volume=1)
    assert told(stage.tick("10:00:00")) == [("firing", "09:05:10")]
    assert (stage.shown().phase, stage.shown().values) == (Phase.INACTIVE, (("net_volume", None),))
    assert told(stage.tick("14:00:00")) == [("firing", "13:00:10")]


def test_counts_and_cooldown_outlast_sleep_but_memories_do_not() -> None:
    stage = Stage(replace(rule(TURN, cooldown="4h"), active=MORNING, max_per_day=1))
    stage.record("09:10:00", sell_volume=1)
    assert told(stage.record("09:10:01", sell_volume=1, buy_volume=2)) == [("firing", "09:10:01")]
    stage.record("09:59:00", sell_volume=3, buy_volume=2)
    assert stage.record("13:00:00", sell_volume=3, buy_volume=4) == []  # −1 is forgotten
    stage.record("13:00:01", sell_volume=5, buy_volume=4)
    assert told(stage.record("13:00:02", sell_volume=5, buy_volume=6)) == [("cooldown", "13:00:02")]
    stage.record("13:10:01", sell_volume=7, buy_volume=6)
    assert told(stage.record("13:10:02", sell_volume=7, buy_volume=8)) == [("max_per_day", "13:10:02")]


def test_a_blind_symbol_falls_asleep_like_others() -> None:
    stage = Stage(replace(rule(BUYING), active=MORNING))
    stage.record("09:10:00", buy_volume=1)
    stage.down("09:30:00")
    assert stage.shown().phase is Phase.FIRING
    stage.tick("10:00:00")
    assert stage.shown().phase is Phase.INACTIVE


# Sums


def total(*conditions: str, name: str = "sum", **keys: str) -> Rule:
    parts = [condition(key, above=10) for key in conditions]
    return replace(rule(*parts, name=name, symbols=(SAMSUNG, HYNIX), **keys), aggregate="@semis")


def test_a_sum_is_over_those_that_have_a_record() -> None:
    stage = Stage(total("net_volume"))
    assert stage.record("09:10:00", SAMSUNG, buy_volume=9) == []
    (alert,) = stage.record("09:10:01", HYNIX, buy_volume=3, stamp="091002")
    assert (alert.symbol, alert.values, alert.record_time) == ("@semis", (("net_volume", 12),), "091002")


def test_a_window_of_a_sum_needs_the_start_of_each_member() -> None:
    stage = Stage(total("net_volume[1m]"))
    stage.record("09:10:00", SAMSUNG, buy_volume=100)
    stage.record("09:11:00", SAMSUNG, buy_volume=105)
    assert stage.value("sum", "@semis") == 5
    stage.record("09:11:10", HYNIX, buy_volume=100)
    assert stage.value("sum", "@semis") is None
    stage.tick("09:12:10")
    assert stage.value("sum", "@semis") == 0
    stage.record("09:12:10", HYNIX, buy_volume=103)
    assert stage.value("sum", "@semis") == 3


@pytest.mark.parametrize(
    ("up", "first", "known"),
    [
        (None, "08:59:59.999999999", True),
        (None, "09:00:00", False),
        (None, "09:10:00", False),
        ("08:50:00", "09:10:00", True),
    ],
)
def test_a_member_with_an_unknown_start_empties_the_memories(up: str | None, first: str, known: bool) -> None:
    """The sum jumps by all that the symbol did before: that is no crossing."""
    stage = Stage(replace(total(), when=every(TURN)))
    if up is not None:
        stage.up(up)
    stage.record("08:59:00", SAMSUNG, sell_volume=5)
    assert (stage.record(first, HYNIX, buy_volume=9) != []) is known


def test_a_correction_of_a_member_empties_the_memories_of_the_sum() -> None:
    stage = Stage(replace(total(), when=every(TURN)))
    stage.record("09:10:00", SAMSUNG, sell_volume=5, buy_volume=1)
    stage.record("09:10:01", HYNIX, buy_volume=1)
    assert stage.record("09:10:02", SAMSUNG, sell_volume=0, buy_volume=2) == []


def test_a_sum_with_a_blind_member_is_not_evaluated_at_ticks_but_after_records() -> None:
    stage = Stage(total("net_volume", for_="5s"))
    stage.record("09:10:00", SAMSUNG, buy_volume=9)
    stage.record("09:10:01", HYNIX, buy_volume=3)
    stage.down("09:10:02", HYNIX)
    assert stage.tick("09:10:20") == []
    assert told(stage.record("09:10:20.5", SAMSUNG, buy_volume=9)) == [("firing", "09:10:20.5")]


def test_pending_of_a_sum_starts_anew_when_a_members_blindness_ends() -> None:
    stage = Stage(total("net_volume", for_="10s"))
    stage.record("09:10:00", SAMSUNG, buy_volume=9)
    stage.record("09:10:01", HYNIX, buy_volume=3)
    stage.down("09:10:02", HYNIX)
    stage.record("09:10:10", HYNIX, buy_volume=3)
    assert told(stage.tick("09:11:00")) == [("firing", "09:10:20")]


def test_two_sums_over_the_same_symbols_share_their_numbers() -> None:
    stage = Stage(total("net_volume"), total("net_volume[1m]", name="other"))
    assert len(stage.engine._sums) == 1


# Order and names


def test_alerts_of_one_evaluation_stand_in_the_order_of_rules_then_symbols() -> None:
    both = (HYNIX, SAMSUNG)
    rules = [rule(BUYING, name=name, symbols=both, for_="5s") for name in ("b", "a")]
    stage = Stage(*rules)
    stage.record("09:10:00", SAMSUNG, buy_volume=1)
    stage.record("09:10:00", HYNIX, buy_volume=1)
    found = [(alert.rule, alert.symbol) for alert in stage.tick("09:10:05")]
    assert found == [("b", HYNIX), ("b", SAMSUNG), ("a", HYNIX), ("a", SAMSUNG)]


def test_an_alert_carries_what_its_rule_says() -> None:
    stage = Stage(replace(rule(BUYING), severity=Severity.CRITICAL, labels=(("desk", "a"),)))
    (alert,) = stage.record("09:10:00.1234567", stamp="090959", buy_volume=1)
    assert (alert.severity, alert.labels, alert.record_time) == (Severity.CRITICAL, (("desk", "a"),), "090959")
    assert iso(alert.at) == "2026-11-20T09:10:00.123456+09:00"


def test_two_engines_name_the_same_alert_alike_whatever_other_rules_they_have() -> None:
    alone, among = Stage(rule(BUYING)), Stage(rule(TURN, name="other"), rule(BUYING))
    for stage in (alone, among):
        stage.record("09:10:00", sell_volume=1)
    (first,) = alone.record("09:10:01", sell_volume=1, buy_volume=2)
    other, second = among.record("09:10:01", sell_volume=1, buy_volume=2)
    assert first == second
    assert other.id != first.id


def test_every_part_of_the_evaluation_is_in_the_name() -> None:
    """Rule, symbol, state, moment, place in the frame or tick, repeat."""
    rules = [
        replace(rule(BUYING, name=name, symbols=(SAMSUNG, HYNIX)), resolved=True, repeat_ns=0) for name in ("a", "b")
    ]
    stage = Stage(*rules)
    t = at("09:10:00")
    buys = [record(t, symbol, buy_volume=1) for symbol in (SAMSUNG, HYNIX)]
    sells = [record(t, symbol, buy_volume=1, sell_volume=1) for symbol in (SAMSUNG, HYNIX)]
    alerts = stage.frame("09:10:00", *buys, *buys, *sells, *buys)
    alerts += stage.tick("09:10:01")
    names = [alert.id for alert in alerts]
    assert len(names) == 2 * 2 * (1 + 1 + 1 + 1 + 2)
    assert len(set(names)) == len(names)


# What status and why show


def test_a_snapshot() -> None:
    parts = some(condition("net_volume", above=10), condition("net_volume[1m]", above=0))
    stage = Stage(replace(rule(parts, for_="3s", cooldown="1m"), max_per_day=1))
    stage.record("09:10:00", buy_volume=20)
    shown = stage.shown()
    assert (shown.phase, shown.since, shown.verdict) == (Phase.PENDING, at("09:10:00"), True)
    assert shown.values == (("net_volume", 20), ("net_volume[1m]", None))
    assert shown.conditions == (True, None)
    assert (shown.awake, shown.blind, shown.unsent, shown.blocked_by) == (True, False, False, None)
    stage.tick("09:10:03")
    shown = stage.shown()
    assert (shown.phase, shown.since, shown.unsent) == (Phase.FIRING, at("09:10:00"), False)
    assert shown.blocked_by == "cooldown"
    stage.tick("09:12:00")
    assert stage.shown().blocked_by == "max_per_day"


def test_a_representation_is_one_honest_line() -> None:
    stage = Stage(rule(BUYING))
    stage.record("09:10:00", buy_volume=1)
    engine = stage.engine
    for thing in (engine, engine._watches[0], engine._series[SAMSUNG]):
        assert "\n" not in repr(thing)
    assert "firing" in repr(engine._watches[0])


def test_an_empty_rule_set_hears_everything_and_says_nothing() -> None:
    engine = Engine((), Stage().engine._hours)
    assert engine.apply(Frame(at("09:10:00"), (record(at("09:10:00")),), "")) == []
    assert engine.advance(at("09:10:00") + 2 * DAY_NS) == []
