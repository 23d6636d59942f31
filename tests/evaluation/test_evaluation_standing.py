"""What outlives the process: standings, and checkpoints as text."""

from dataclasses import replace

import pytest
from evaluation_stage import HYNIX, SAMSUNG, Stage, at, condition, record, rule, told

from engine.evaluation.checkpoint import Checkpoint
from engine.evaluation.engine import Engine
from engine.evaluation.fingerprint import fingerprint
from engine.evaluation.lifecycle import Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.kst import DAY_NS
from engine.stream import Alive, Frame, Start, Up

BUYING = condition("net_volume", above=0)
RULE = replace(rule(BUYING, cooldown="1m"), resolved=True)
PRINT = fingerprint(RULE)
FIRED = at("09:10:00")


def test_changed_tells_each_change_once_and_nothing_else() -> None:
    stage = Stage(replace(rule(BUYING, for_="5s"), resolved=True), rule(BUYING, name="idle", symbols=(HYNIX,)))
    seen = []
    for time, net in (("09:10:00", 1), ("09:10:01", 2), ("09:10:05", 3), ("09:10:06", 4), ("09:10:07", 0)):
        stage.record(time, buy_volume=net, sell_volume=0 if net else 1)
        seen.append([(found.symbol, found.life.phase.value, found.tally.sent) for found in stage.engine.changed()])
    assert seen == [[], [], [(SAMSUNG, "firing", 1)], [], [(SAMSUNG, "inactive", 1)]]


def test_the_night_changes_what_fired_and_what_was_counted() -> None:
    stage = Stage(RULE)
    stage.record("09:10:00", buy_volume=1)
    assert [found.tally.sent for found in stage.engine.changed()] == [1]
    stage.engine.advance(at("00:00:01", stage.day + 1))
    assert stage.engine.changed() == (Standing("rule", SAMSUNG, PRINT),)
    assert (stage.engine.changed(), stage.engine.standings()) == ((), ())


def test_counts_of_a_removed_rule_end_with_the_day() -> None:
    stage = Stage(RULE)
    stage.record("09:10:00", buy_volume=1)
    stage.reload("09:10:01")
    assert stage.engine.changed() == (Standing("rule", SAMSUNG, PRINT, tally=Tally(1, FIRED)),)
    stage.engine.advance(at("00:00:01", stage.day + 1))
    assert stage.engine.changed() == (Standing("rule", SAMSUNG, PRINT),)
    stage.engine.advance(at("00:00:01", stage.day + 2))
    assert (stage.engine.changed(), stage.engine._left) == ((), {})


def restarted(*standings: Standing) -> Stage:
    """It fired at 09:10 and was away for the last five seconds before 09:12."""
    stage = Stage(RULE)
    stage.engine.learn(Up(at("08:50:00"), ("*",)))
    stage.engine.learn(Frame(FIRED, (record(FIRED, buy_volume=1),), ""))
    stage.engine.learn(Alive(at("09:11:55")))
    stage.engine.stand(standings, at("09:11:55"))
    stage.start("09:12:00")
    return stage


def test_what_was_told_is_not_told_again_after_a_restart() -> None:
    stage = restarted(Standing("rule", SAMSUNG, PRINT, Life(Phase.FIRING, FIRED, told_at=FIRED), Tally(1, FIRED)))
    assert stage.record("09:12:01", buy_volume=2) == []
    assert stage.engine.changed() == ()
    (alert,) = stage.record("09:12:02", buy_volume=2, sell_volume=2)
    assert (alert.state.value, alert.since) == ("resolved", FIRED)


def test_what_is_not_named_is_at_rest() -> None:
    stage = restarted()
    assert stage.engine.standings() == ()
    assert told(stage.record("09:12:01", buy_volume=2)) == [("firing", "09:12:01")]


def test_of_another_definition_only_the_count_is_taken() -> None:
    stage = restarted(
        Standing("rule", SAMSUNG, "other", Life(Phase.FIRING, FIRED, told_at=FIRED), Tally(1, at("09:11:50")))
    )
    assert told(stage.record("09:12:01", buy_volume=2)) == [("cooldown", "09:12:01")]


def test_of_another_date_nothing_is_taken() -> None:
    before = FIRED - DAY_NS
    stage = restarted(Standing("rule", SAMSUNG, PRINT, Life(Phase.FIRING, before, told_at=before), Tally(1, before)))
    assert stage.engine.standings() == ()


def test_counts_of_what_is_not_watched_are_kept() -> None:
    gone = Standing("gone", SAMSUNG, "x", tally=Tally(2, FIRED))
    stage = restarted(gone)
    assert stage.engine.standings() == (gone,)


def test_learning_says_counts_and_evaluates_nothing() -> None:
    stage = Stage(RULE)
    stage.engine.learn(Frame(FIRED, (record(FIRED, buy_volume=1), record(FIRED, HYNIX)), ""))
    stage.engine.learn(Start(FIRED + 1))
    counters = stage.engine.counters
    assert (counters.frames, counters.records, sum(counters.dropped.values())) == (0, 0, 0)
    assert (stage.engine.changed(), stage.shown().phase, stage.shown().blind) == ((), Phase.INACTIVE, True)


def test_what_was_learned_is_looked_at_by_the_next_tick() -> None:
    stage = Stage(RULE)
    stage.engine.learn(Frame(FIRED, (record(FIRED, buy_volume=1),), ""))
    assert told(stage.tick("09:10:05")) == [("firing", "09:10:00")]


def test_a_line_without_content_begins_and_brings_time() -> None:
    stage = Stage(replace(RULE, for_ns=2 * 10**9))
    assert stage.engine.now is None
    assert stage.engine.apply(Alive(at("09:09:59.5"))) == []
    assert stage.engine.now == at("09:09:59.5")
    stage.record("09:10:00", buy_volume=1)
    assert stage.engine.apply(Alive(at("09:10:02"))) == []  # the tick of that moment is yet to come
    assert told(stage.engine.apply(Alive(at("09:10:02") + 1))) == [("firing", "09:10:02")]


# Checkpoints


def checkpoint() -> Checkpoint:
    stage = Stage(RULE, rule(condition("imbalance", above=0.5, reset=0.1), name="ratio"))
    stage.record("09:10:00", buy_volume=3, sell_volume=1)
    return stage.engine.checkpoint()


def test_a_checkpoint_comes_back_from_its_text() -> None:
    made = checkpoint()
    assert Checkpoint.from_json(made.to_json()) == made
    assert made.now == FIRED


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "[1]", "[99,null,[],[]]", "[1,null,[1],[]]", "[1,null,[],[[1]]]"]
)
def test_what_is_no_checkpoint(text: str) -> None:
    with pytest.raises(ValueError, match="no checkpoint"):
        Checkpoint.from_json(text)


def test_a_rule_that_a_checkpoint_does_not_know_starts_there() -> None:
    """It was edited or added while the daemon was away: the others go on, and the day is not evaluated for it."""
    made = Stage(RULE, rule(BUYING, name="edited", cooldown="1m"), rule(BUYING, name="left"))
    made.record("09:10:00", buy_volume=1)
    made.reload("09:10:00.5", RULE, rule(BUYING, name="edited", cooldown="1m"))
    edited = rule(BUYING, condition("buy_volume", above=0), name="edited", for_="1s", cooldown="2m")
    stage = Stage(RULE, edited, rule(BUYING, name="left"), rule(BUYING, name="new"))
    stage.engine.learn(Frame(FIRED, (record(FIRED, buy_volume=1),), ""))
    assert stage.engine.restore(made.engine.checkpoint())
    assert [(found.rule, found.life.phase.value, found.tally.sent) for found in stage.engine.standings()] == [
        ("rule", "firing", 1),
        ("edited", "inactive", 1),
        ("left", "inactive", 1),
    ]
    assert stage.engine.changed() == ()
    alerts = stage.record("09:10:02", buy_volume=2) + stage.record("09:10:04", buy_volume=3)
    found = [(alert.rule, *told([alert])[0]) for alert in alerts]
    assert sorted(found) == [
        ("edited", "cooldown", "09:10:02"),
        ("left", "firing", "09:10:01"),
        ("new", "firing", "09:10:01"),
    ]


def test_a_checkpoint_of_another_date_changes_nothing() -> None:
    stage = Stage(RULE)
    stage.engine.learn(Alive(FIRED - DAY_NS))
    before = stage.engine.state()
    assert not stage.engine.restore(checkpoint())
    assert (stage.engine.now, stage.engine.state()) == (FIRED - DAY_NS, before)


def test_what_is_pending_is_never_stored_and_goes_on() -> None:
    """Killed between a line and its commit: what was stored does not speak of it."""
    stage = Stage(replace(RULE, for_ns=5 * 10**9))
    stage.record("09:10:00", buy_volume=1)
    stage.engine.stand([], at("09:10:02"))
    assert stage.shown().phase is Phase.PENDING
    assert told(stage.tick("09:10:05")) == [("firing", "09:10:05")]


def test_what_is_pending_does_not_go_on_where_another_definition_was_stored() -> None:
    stage = Stage(replace(RULE, for_ns=5 * 10**9))
    stage.record("09:10:00", buy_volume=1)
    stage.engine.stand([Standing("rule", SAMSUNG, PRINT, tally=Tally(1, FIRED))], at("09:10:02"))
    assert (stage.shown().phase, stage.shown().blocked_by) == (Phase.INACTIVE, "cooldown")


def test_what_a_wrong_clock_put_into_the_future_is_of_now() -> None:
    """Or its cooldown and its repeats would wait for that time."""
    late, now = at("11:00:00"), at("09:11:00")
    stage = Stage(RULE)
    life = Life(Phase.FIRING, late, unmet_since=late, told_at=late)
    stage.engine.stand([Standing("rule", SAMSUNG, PRINT, life, Tally(1, late))], now)
    (found,) = stage.engine.standings()
    assert (found.life, found.tally) == (Life(Phase.FIRING, now, unmet_since=now, told_at=now), Tally(1, now))


def test_a_checkpoint_from_before_what_was_learned_changes_nothing() -> None:
    engine = Engine([RULE], Stage().engine._hours)
    engine.learn(Alive(at("09:10:00.5")))
    assert not engine.restore(checkpoint())
    assert not engine.restore(Stage(RULE).engine.checkpoint())


def test_a_checkpoint_may_know_more_rules_than_there_are() -> None:
    """One was removed while the daemon was away: what it had sent is still counted today."""
    made = Stage(RULE, replace(RULE, name="gone"))
    made.record("09:10:00", buy_volume=1)
    stage = Stage(RULE)
    assert stage.engine.restore(made.engine.checkpoint())
    assert [(found.rule, found.life.phase.value, found.tally.sent) for found in stage.engine.standings()] == [
        ("rule", "firing", 1),
        ("gone", "inactive", 1),
    ]
