"""A live connection without data, and gaps that are not the feed's."""

from dataclasses import replace

import pytest
from incident_stage import FRIDAY, Desk, at, feed, kinds

from engine.gap import Gap
from engine.kis.backoff import Ending
from engine.kis.status import Phase
from engine.kst import SECOND_NS
from engine.rules.model import Severity

NOON = at("12:00")
UP = feed(up=at("09:00"))
SILENT = replace(UP, silent_since=at("11:55"), last_records=(("005930", at("11:55")),))


def test_a_silence_is_told_once_and_once_when_it_ends() -> None:
    desk = Desk(NOON)
    (silent,) = desk.run(600, SILENT)
    assert (silent.kind, silent.severity, silent.at) == ("feed-silent", Severity.CRITICAL, NOON)
    assert "without data since 11:55:00 (5 min)" in silent.message
    (speaks,) = desk.run(60, replace(UP, last_records=(("005930", desk.now),)))
    assert (speaks.kind, speaks.severity, speaks.title) == (
        "feed-speaks", Severity.INFO, "✅ pgmwatch · Data is back: main",
    )  # fmt: skip
    assert "none for 15 min, since 11:55:00" in speaks.message
    assert kinds(desk.run(60, SILENT)) == ["feed-silent"]


def test_data_that_the_feed_has_not_looked_at_yet_begins_no_silence() -> None:
    """Feed and watch look once a second each: in between it was silent and had spoken, and both were told."""
    desk = Desk(NOON)
    assert kinds(desk.run(30, SILENT)) == ["feed-silent"]
    spoken = replace(SILENT, last_records=(("005930", desk.now),))
    assert kinds(desk.run(1, spoken)) == ["feed-speaks"]
    assert desk.run(1, spoken) == []


MONDAY = FRIDAY + 3


def test_a_silence_into_the_next_session_is_told_again_and_over_once() -> None:
    """It was told on Friday, and on Monday, blind all day, nobody said a word."""
    desk = Desk(at("15:00"))
    assert kinds(desk.until(at("15:31"), SILENT)) == ["feed-silent"]
    new_date = replace(SILENT, silent_since=None)
    desk.now = at("08:30", MONDAY)
    assert desk.until(at("09:05", MONDAY), new_date) == []  # no data, and no all-clear
    (again,) = desk.run(600, replace(SILENT, silent_since=at("09:00", MONDAY)))
    assert again.kind == "feed-silent"
    assert "without data since 09:00:00 (5 min)" in again.message
    (speaks,) = desk.run(600, replace(UP, last_records=(("005930", desk.now),)))
    assert "since 11-20 11:55:00" in speaks.message


def test_a_silence_that_the_close_cut_short_is_over_when_the_next_session_brings_data() -> None:
    desk = Desk(at("15:00"))
    desk.run(60, SILENT)
    desk.now = at("09:00", MONDAY)
    assert desk.run(60, replace(SILENT, silent_since=None)) == []
    assert kinds(desk.run(60, replace(UP, last_records=(("005930", desk.now),)))) == ["feed-speaks"]


def test_a_silence_left_over_of_a_feed_that_is_down_is_an_outage() -> None:
    """Lost in the night after a silence: what is silent has not been judged since."""
    desk = Desk(at("09:00", MONDAY))
    down = replace(feed(down=at("21:00"), ending=Ending.LOST), silent_since=at("15:10"))
    assert kinds(desk.run(600, down)) == ["feed-lost"]


@pytest.mark.parametrize("time", [at("15:31"), at("08:59", MONDAY), at("12:00", FRIDAY + 1)])
def test_a_silence_outside_the_session_is_none(time: int) -> None:
    assert Desk(time).run(30, replace(SILENT, silent_since=time - 300 * SECOND_NS)) == []


def test_a_silence_that_goes_on_after_data_that_nobody_could_use_is_the_same() -> None:
    desk = Desk(NOON)
    assert kinds(desk.run(60, SILENT)) == ["feed-silent"]
    assert desk.run(60, replace(SILENT, silent_since=None)) == []
    assert desk.run(60, replace(SILENT, silent_since=desk.now - SECOND_NS)) == []


def test_a_silence_from_birth_has_no_last_record() -> None:
    desk = Desk(NOON)
    assert kinds(desk.run(60, replace(SILENT, last_records=()))) == ["feed-silent"]
    assert kinds(desk.run(60, replace(UP, last_records=(("005930", desk.now),)))) == ["feed-speaks"]


def test_silences_of_one_look_are_one_notice() -> None:
    desk = Desk(NOON)
    (silent,) = desk.run(60, SILENT, replace(SILENT, account="other"))
    assert silent.title == "🚨 pgmwatch · Connected, but no data: main, other"


@pytest.mark.parametrize("seconds", [8, 59])
def test_the_reconnect_that_a_silence_calls_for_is_no_news(seconds: int, caplog: pytest.LogCaptureFixture) -> None:
    """One silence gave three messages when that took more than ten seconds: silent, lost, and back without data."""
    desk = Desk(NOON)
    down = replace(feed(down=NOON, ending=Ending.SILENT), silent_since=at("11:55"))
    closing = replace(down, phase=Phase.ENDING, last_ending=None)
    assert kinds(desk.run(1, closing)) == ["feed-silent"]
    assert desk.run(seconds, down) == []
    assert desk.run(60, replace(SILENT, up_since=desk.now)) == []
    assert "outage outside" not in caplog.text


def test_a_reconnect_after_a_silence_that_does_not_come_about_is_told() -> None:
    desk = Desk(NOON)
    down = replace(feed(down=NOON, ending=Ending.SILENT), silent_since=at("11:55"))
    assert [(notice.kind, notice.at - NOON) for notice in desk.run(120, down)] == [
        ("feed-silent", 0), ("feed-lost", 60 * SECOND_NS),
    ]  # fmt: skip
    assert kinds(desk.run(20, replace(SILENT, up_since=desk.now))) == ["feed-back"]


@pytest.mark.parametrize("ending", [Ending.LOST, Ending.SILENT])
def test_another_loss_of_a_silent_feed_or_of_one_that_was_not_told_is_told(ending: Ending) -> None:
    desk = Desk(NOON)
    silent_since = at("11:55") if ending is Ending.LOST else None
    desk.run(30, replace(feed(down=NOON, ending=ending), silent_since=silent_since))
    assert kinds(desk.notices)[-1] == "feed-lost"


@pytest.mark.parametrize(("kind", "seconds", "told"), [
    (Gap.AWAY, 4, 0), (Gap.AWAY, 10, 0), (Gap.AWAY, 11, 1), (Gap.CLOCK_FORWARD, 2, 1), (Gap.CLOCK_BACK, 2, 1),
])  # fmt: skip
def test_which_gaps_are_told(kind: Gap, seconds: int, told: int) -> None:
    notices = Desk(NOON).monitor.gap(NOON, NOON - seconds * SECOND_NS, kind)
    assert [(notice.kind, notice.severity, notice.at) for notice in notices] == [
        (kind, Severity.WARNING, NOON),
    ] * told  # fmt: skip


def test_a_clock_that_two_programs_set_does_not_fill_the_chat() -> None:
    desk = Desk(NOON)
    notices = []
    for second in range(3600):
        now = NOON + second * SECOND_NS
        notices += desk.monitor.gap(now, now - 2 * SECOND_NS, (Gap.CLOCK_BACK, Gap.CLOCK_FORWARD)[second % 2])
    assert len(notices) == 12
    assert "299 more like this" in notices[-1].message


def test_kinds_of_gaps_do_not_hide_each_other() -> None:
    desk = Desk(NOON)
    for number, kind in enumerate(Gap):
        now = NOON + number * SECOND_NS
        assert len(desk.monitor.gap(now, now - 60 * SECOND_NS, kind)) == 1


def test_nobody_waits_for_data_of_a_feed_without_symbols() -> None:
    desk = Desk(NOON)
    assert kinds(desk.run(60, SILENT)) == ["feed-silent"]
    assert desk.run(600, feed(symbols=(), phase=Phase.IDLE)) == []
    spoken = replace(UP, last_records=(("005930", desk.now),))
    assert desk.run(60, spoken) == []
    assert kinds(desk.run(60, replace(spoken, silent_since=desk.now))) == ["feed-silent"]
