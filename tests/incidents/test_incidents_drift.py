"""Data that differs or cannot be used: told once, and told as blindness where nothing else comes."""

import logging
from dataclasses import replace

import pytest
from incident_stage import FRIDAY, Desk, at, feed, kinds

from engine.evaluation.engine import Counters
from engine.evaluation.gate import Drop
from engine.kis.status import Status
from engine.kst import DAY_NS, SECOND_NS
from engine.rules.model import Severity
from engine.session import Hours

NOON = at("12:00")
FINE = feed(up=NOON)
MONDAY = FRIDAY + 3


def broken(frames: int, records: int = 0, good: int = 0) -> Status:
    return replace(FINE, malformed=(("stride", frames),), dropped=(("number", records),), records=good)


def counted(early: int = 0, bad: int = 0, out_of_order: int = 0, corrections: int = 0) -> Counters:
    dropped = {Drop.EARLY: early, Drop.BAD_TIME: bad, Drop.OUT_OF_ORDER: out_of_order, Drop.UNKNOWN_SYMBOL: 0}
    return Counters(0, 0, corrections, dropped)


def test_a_number_of_fields_is_told_once() -> None:
    desk = Desk(NOON)
    (first,) = desk.run(60, replace(FINE, appended=(2,)))
    assert (first.kind, first.severity) == ("feed-drift", Severity.INFO)
    assert "documents 11 fields; its records now have 13" in first.message
    (second,) = desk.run(60, replace(FINE, appended=(1, 2)), replace(feed("other", up=NOON), appended=(1,)))
    assert "now have 12." in second.message
    desk.now = at("12:00", MONDAY)
    assert desk.run(60, replace(FINE, appended=(1, 2))) == []


def test_a_broker_gone_mad_does_not_fill_the_chat() -> None:
    desk = Desk(NOON)
    for number in range(1, 200):
        desk.run(1, replace(FINE, appended=tuple(range(1, number))))
    assert len(desk.notices) == 10


def test_each_reason_is_told_once_a_date_with_how_many() -> None:
    desk = Desk(NOON)
    assert desk.run(10, broken(1, good=5)) == []
    (first,) = desk.run(60, broken(7, 2, good=6))
    assert (first.kind, first.severity, first.at) == ("feed-malformed", Severity.WARNING, NOON + 10 * SECOND_NS)
    assert "frames 7 (stride), records 2 (number)" in first.message
    assert desk.run(60, broken(700, 200, good=7)) == []
    desk.now = at("12:00", MONDAY)
    assert desk.run(60, broken(700, 200, good=8)) == []
    (again,) = desk.run(60, broken(704, 200, good=9))
    assert "Today so far: frames 4 (stride)." in again.message


def test_a_feed_of_which_nothing_can_be_read_is_blind() -> None:
    desk = Desk(NOON)
    desk.run(30, broken(0, good=100))
    for count in range(1, 90):
        desk.run(1, broken(count // 2, count, good=100))
    malformed, notice = desk.notices
    assert malformed.kind == "feed-malformed"
    assert (notice.kind, notice.severity, notice.at) == (
        "feed-unreadable", Severity.CRITICAL, NOON + 89 * SECOND_NS,
    )  # fmt: skip
    assert "nothing of what came since 12:00:29 could be used (90 faults in 1 min)" in notice.message
    assert "Rules that cannot be judged (2): samsung, both" in notice.message
    assert desk.run(600, broken(500, good=100)) == []


@pytest.mark.parametrize("good", [1, 30, 59])
def test_one_good_record_a_minute_is_not_blindness(good: int) -> None:
    desk = Desk(NOON)
    for second in range(300):
        desk.run(1, broken(second, good=(second + good) // 59))
    assert kinds(desk.notices) == ["feed-malformed"]


def test_one_bad_frame_in_a_quiet_minute_is_not_blindness() -> None:
    assert kinds(Desk(NOON).run(600, broken(2))) == ["feed-malformed"]


def test_garbage_at_night_blinds_nobody() -> None:
    desk = Desk(at("20:00"))
    for count in range(300):
        desk.run(1, broken(count))
    assert kinds(desk.notices) == ["feed-malformed"]


def test_records_from_the_future_point_at_the_machine_s_clock() -> None:
    desk = Desk(NOON)
    assert desk.run(10, FINE, counters=counted(early=3)) == []
    (notice,) = desk.run(60, FINE, counters=counted(early=40))
    assert (notice.kind, notice.severity) == ("records-dropped", Severity.WARNING)
    assert "40 dropped: more than a minute ahead of this machine's clock." in notice.message
    (other,) = desk.run(60, FINE, counters=counted(early=90, bad=1))
    assert other.message == "1 dropped: not a time of day."


def test_everyday_noise_is_in_the_log_at_the_powers_of_ten(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk = Desk(NOON)
    for count in range(150):
        desk.run(1, FINE, counters=counted(out_of_order=count, corrections=count // 10))
    assert desk.notices == []
    assert [record.getMessage() for record in caplog.records] == [
        'records of note kind="out of order" count=1',
        'records of note kind="out of order" count=10',
        'records of note kind="corrected" count=1',
        'records of note kind="out of order" count=100',
        'records of note kind="corrected" count=10',
    ]  # fmt: skip


def test_a_day_of_garbage_is_a_handful_of_notices() -> None:
    desk = Desk(NOON, Hours(0, DAY_NS))
    for minute in range(24 * 60):
        desk.now = NOON + minute * 60 * SECOND_NS
        desk.run(2, broken(minute * 100, minute, good=minute // 300), counters=counted(minute, minute, minute, minute))
    assert len(desk.notices) <= 10
