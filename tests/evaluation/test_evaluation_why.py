"""The first thing that keeps a rule silent, and what else is shown of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from evaluation_stage import HYNIX, SAMSUNG, Stage, at, condition, rule, some

from engine.evaluation.conditions import Truth, verdict_of
from engine.evaluation.explanation import Reason, Situation, reason_of
from engine.evaluation.lifecycle import REST, Phase, Tally
from engine.rules.model import Anchor, Moment, Rule, Span
from engine.silences.model import Silence

BUYING = condition("net_volume", above=10, reset=5)
TURN = condition("net_volume", crosses_above=0, reset=-5)
RULE = replace(rule(BUYING, for_="10s", keep_firing_for="20s", cooldown="1m", repeat="2m"), max_per_day=2)
AFTERNOON = (Span(Moment(Anchor.MIDNIGHT, 13 * 3600 * 10**9), Moment(Anchor.CLOSE, 0)),)


def nothing(_: Stage) -> None:
    return


def one_record(stage: Stage, *, buy_volume: int = 20) -> None:
    stage.record("09:10:00", buy_volume=buy_volume)


def fired(stage: Stage) -> None:
    one_record(stage)
    stage.tick("09:10:10")


def fired_and_over(stage: Stage) -> None:
    fired(stage)
    stage.record("09:10:11", buy_volume=20, sell_volume=20)
    stage.tick("09:10:31")


def again(stage: Stage) -> None:
    fired_and_over(stage)
    stage.record("09:10:32", buy_volume=50, sell_volume=20)
    stage.tick("09:10:42")


def a_third_time(stage: Stage) -> None:
    again(stage)
    stage.tick("09:11:10")
    stage.record("09:12:00", buy_volume=50, sell_volume=50)
    stage.tick("09:12:20")
    stage.record("09:13:00", buy_volume=90, sell_volume=50)
    stage.tick("09:13:10")


def silenced(stage: Stage) -> None:
    stage.silence("09:00:00", Silence(at("09:00:00"), at("10:00:00")))
    fired(stage)


def silenced_after_it_spoke(stage: Stage) -> None:
    fired(stage)
    stage.silence("09:10:20", Silence(at("09:10:20"), at("10:00:00")))


def lost(stage: Stage) -> None:
    one_record(stage)
    stage.down("09:10:05")


def crossed(stage: Stage) -> None:
    stage.record("09:10:00", sell_volume=1)
    stage.record("09:10:01", buy_volume=2, sell_volume=1)


def crossed_a_second_ago(stage: Stage) -> None:
    crossed(stage)
    stage.tick("09:10:02")


EVENT = rule(TURN, cooldown="1m")


@pytest.mark.parametrize(
    ("tried", "history", "reason"),
    [
        (replace(RULE, active=AFTERNOON), fired, Reason.ASLEEP),
        (RULE, nothing, Reason.NO_RECORD),
        (RULE, lost, Reason.BLIND),
        (rule(condition("net_volume[5m]", above=0)), one_record, Reason.UNDEFINED),
        (RULE, lambda stage: one_record(stage, buy_volume=10), Reason.NOT_MET),
        (RULE, one_record, Reason.PENDING),
        (RULE, fired, Reason.TOLD),
        (RULE, fired_and_over, Reason.NOT_MET),
        (RULE, again, Reason.COOLDOWN),
        (RULE, a_third_time, Reason.MAX_PER_DAY),
        (RULE, silenced, Reason.SILENCE),
        (RULE, silenced_after_it_spoke, Reason.SILENCE),
        (EVENT, crossed_a_second_ago, Reason.NO_CROSSING),
        (EVENT, crossed, Reason.TOLD),
        (rule(TURN, condition("buy_resting", above=5)), crossed, Reason.NOT_MET),
        (rule(some(TURN, condition("buy_volume", above=1))), crossed_a_second_ago, Reason.NO_CROSSING),
    ],
)
def test_the_first_reason(tried: Rule, history: Callable[[Stage], None], reason: Reason) -> None:
    stage = Stage(tried)
    history(stage)
    assert stage.why().reason is reason


def test_nothing_keeps_it_silent_any_more() -> None:
    """A silence was taken away, and the tick that will find out is yet to come."""
    stage = Stage(RULE)
    silenced(stage)
    stage.silence("09:20:00.5")
    assert stage.why().reason is None


def test_what_is_not_looked_at_cannot_be_explained() -> None:
    stage = Stage(RULE)
    assert stage.engine.explain("rule", HYNIX) is None
    assert stage.engine.explain("other", SAMSUNG) is None


def test_all_that_is_shown_of_a_condition_rule() -> None:
    stage = Stage(RULE)
    one_record(stage)
    why = stage.why()
    (shown,) = why.conditions
    assert (shown.key, shown.threshold, shown.reset, shown.value, shown.truth) == ("net_volume", 10, 5, 20, True)
    assert (why.phase, why.since, why.fires_at) == (Phase.PENDING, at("09:10:00"), at("09:10:10"))
    assert (why.record and why.record.buy_volume, why.blind_since, why.awake) == (20, None, True)
    stage.tick("09:10:10")
    why = stage.why()
    assert (why.told_at, why.repeats_at, why.tally) == (at("09:10:10"), at("09:12:10"), Tally(1, at("09:10:10")))
    assert (why.cooldown_until, why.fires_at, why.resolves_at) == (at("09:11:10"), None, None)
    stage.record("09:10:20", buy_volume=20, sell_volume=20)
    why = stage.why()
    assert (why.unmet_since, why.resolves_at, why.repeats_at) == (at("09:10:20"), at("09:10:40"), None)
    stage.tick("09:20:00")
    assert stage.why().cooldown_until is None


def test_a_reset_holds_back() -> None:
    stage = Stage(rule(BUYING, some(condition("net_volume", above=0))), rule(TURN, name="turn"))
    stage.record("09:10:00", sell_volume=1)
    seen = []
    for second, net in enumerate((11, 7, 5, -5), 1):
        stage.record(f"09:10:0{second}", buy_volume=12, sell_volume=12 - net)
        seen.append((stage.why().conditions[0].holds_back, stage.why("turn").conditions[0].holds_back))
    assert seen == [(True, True), (True, True), (False, True), (False, False)]
    assert stage.why().conditions[1].holds_back is None


def test_blind_asleep_and_silenced_since_and_until() -> None:
    stage = Stage(replace(RULE, active=AFTERNOON), replace(RULE, name="sum", aggregate="@semis"))
    lost(stage)
    stage.silence("09:10:06", Silence(at("09:00:00"), at("09:30:00")), Silence(at("09:20:00"), at("09:40:00")))
    asleep, blind = stage.why(), stage.why("sum", "@semis")
    assert (asleep.awake, asleep.changes_at, asleep.conditions[0].value) == (False, at("13:00:00"), 20)
    assert (blind.awake, blind.changes_at, blind.blind_since) == (True, None, at("09:10:05"))
    assert blind.silenced_until == at("09:40:00")


WINDOWED = rule(condition("net_volume[5m]", above=10**9))


def unknown_start(stage: Stage) -> None:
    stage.record("09:10:00", buy_volume=1)
    stage.record("09:11:00", buy_volume=1)


def corrected(stage: Stage) -> None:
    unknown_start(stage)
    stage.record("09:12:00", buy_volume=0)


def corrected_in_a_gap(stage: Stage) -> None:
    """The correction ended one blindness; right after it another began, which lasted until 09:14."""
    corrected(stage)
    stage.down("09:12:00")
    stage.record("09:12:30", buy_volume=0)


def still_blind(stage: Stage) -> None:
    stage.record("09:01:00", buy_volume=1)
    stage.down("09:01:01")
    stage.up("09:08:00")
    stage.tick("09:08:01")


@pytest.mark.parametrize(
    ("history", "known_at"),
    [
        (unknown_start, "09:15:00"),
        (corrected, "09:17:00"),
        (corrected_in_a_gap, "09:17:00"),
        (still_blind, None),
    ],
)
def test_when_a_window_is_known_at_the_earliest(history: Callable[[Stage], None], known_at: str | None) -> None:
    stage = Stage(WINDOWED)
    history(stage)
    assert stage.why().conditions[0].known_at == (None if known_at is None else at(known_at))
    if known_at is not None:
        stage.tick(known_at)
        assert stage.value() is not None


def test_when_a_window_of_a_sum_is_known() -> None:
    """At 09:15 that of the one is, but the other then starts in its blindness."""
    stage = Stage(replace(WINDOWED, symbols=(SAMSUNG, HYNIX), aggregate="@semis"))
    stage.record("09:08:00", HYNIX, buy_volume=1)
    stage.record("09:10:00", SAMSUNG, buy_volume=1)
    stage.down("09:09:30", HYNIX)
    stage.record("09:12:00", HYNIX, buy_volume=1)
    assert stage.why(symbol="@semis").conditions[0].known_at == at("09:15:00")
    stage.down("09:12:01", SAMSUNG)
    stage.record("09:12:30", SAMSUNG, buy_volume=1)
    stage.tick("09:15:00.5")
    known_at = stage.why(symbol="@semis").conditions[0].known_at
    assert known_at == at("09:17:00")
    stage.tick("09:17:00")
    assert stage.value(symbol="@semis") == 0


@pytest.mark.parametrize(
    ("truths", "verdict", "reason"),
    [
        ((True, False), False, Reason.NOT_MET),
        ((False, True), False, Reason.NO_CROSSING),
        ((None, True), None, Reason.UNDEFINED),
        ((True, True), True, None),
        ((True, True), False, Reason.NO_CROSSING),
    ],
)
def test_an_event_rule_waits_for_a_crossing_that_makes_it_met(
    truths: tuple[Truth, Truth], verdict: Truth, reason: Reason | None
) -> None:
    """An undefined crossing is not taken for one that has happened."""
    event = rule(TURN, BUYING)
    at_work = Situation(
        event, 1, True, True, False, truths, verdict, REST, Tally(0, None), silenced=False, spoken=False
    )  # fmt: skip
    assert reason_of(at_work, verdict_of(event.when)) is reason


def test_met_but_not_for_long_enough_is_pending_also_before_it_has_begun() -> None:
    waits = rule(BUYING, for_="10s")
    given_it = Situation(
        waits, 1, True, True, False, (True,), True, REST, Tally(0, None), silenced=False, spoken=False
    )  # fmt: skip
    assert reason_of(given_it, verdict_of(waits.when)) is Reason.PENDING
    assert reason_of(replace(given_it, rule=rule(BUYING)), verdict_of(waits.when)) is None
