"""A live connection without data, and gaps that are not the feed's."""

from dataclasses import replace

import pytest
from incident_stage import Desk, at, feed, kinds

from engine.gap import Gap
from engine.kis.backoff import Ending
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
    assert (speaks.kind, speaks.severity) == ("feed-speaks", Severity.INFO)
    assert "none for 15 min, since 11:55:00" in speaks.message
    assert kinds(desk.run(60, SILENT)) == ["feed-silent"]


def test_a_silence_into_the_night_ends_without_a_word() -> None:
    desk = Desk(at("15:00"))
    desk.run(60, SILENT)
    assert desk.run(60, replace(SILENT, silent_since=None)) == []


def test_a_silence_from_birth_has_no_last_record() -> None:
    desk = Desk(NOON)
    assert kinds(desk.run(60, replace(SILENT, last_records=()))) == ["feed-silent"]
    assert kinds(desk.run(60, replace(UP, last_records=(("005930", desk.now),)))) == ["feed-speaks"]


def test_silences_of_one_look_are_one_notice() -> None:
    desk = Desk(NOON)
    (silent,) = desk.run(60, SILENT, replace(SILENT, account="other"))
    assert silent.title == "🚨 pgmwatch · Connected, but no data: main, other"


def test_the_reconnect_that_a_silence_calls_for_is_no_news() -> None:
    desk = Desk(NOON)
    desk.run(60, SILENT)
    down = replace(feed(down=desk.now, ending=Ending.SILENT), silent_since=at("11:55"))
    assert desk.run(8, down) == []
    assert desk.run(60, replace(SILENT, up_since=desk.now)) == []


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
