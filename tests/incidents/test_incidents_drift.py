"""Data that differs or cannot be used: told once, and told as blindness where nothing else comes."""

import logging
from collections import Counter
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


def counted(early: int = 0, bad: int = 0, out_of_order: int = 0, corrections: int = 0, good: int = 0) -> Counters:
    dropped = {Drop.EARLY: early, Drop.BAD_TIME: bad, Drop.OUT_OF_ORDER: out_of_order, Drop.UNKNOWN_SYMBOL: 0}
    return Counters(0, good, corrections, dropped)


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


def test_a_reason_is_collected_for_ten_seconds_also_over_midnight() -> None:
    desk = Desk(at("23:59:55"))
    desk.run(5, broken(1, good=1))
    (notice,) = desk.run(60, broken(3, good=2))
    assert notice.at == at("00:00:10", FRIDAY + 1)


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


def test_garbage_before_the_last_good_data_does_not_blind_a_quiet_feed() -> None:
    desk = Desk(NOON)
    desk.run(30, broken(5, good=1))
    assert kinds(desk.run(600, broken(5, good=2))) == []
    assert kinds(desk.notices) == ["feed-malformed"]


def test_garbage_that_came_before_the_first_look_counts_when_nothing_else_came() -> None:
    assert kinds(Desk(NOON).run(61, broken(3))) == ["feed-malformed", "feed-unreadable"]
    assert kinds(Desk(NOON).run(600, broken(3, good=1))) == ["feed-malformed"]


def test_a_feed_that_can_be_read_again_is_told_so() -> None:
    """The start of it was told, and its end never was."""
    desk = Desk(NOON)
    for count in range(70):
        desk.run(1, broken(count, good=100))
    assert kinds(desk.notices) == ["feed-malformed", "feed-unreadable"]
    (notice,) = desk.run(600, broken(70, good=101))
    assert (notice.kind, notice.severity, notice.at) == ("feed-readable", Severity.INFO, NOON + 70 * SECOND_NS)
    assert notice.title == "✅ pgmwatch · Data can be read again: main"
    assert "none could for 1 min 10 s, since 12:00:00" in notice.message


def test_a_feed_that_cannot_be_read_for_a_second_time_is_told_again() -> None:
    """The last word on that date was that data could be read again; nothing could, until the close."""
    desk = Desk(NOON)
    told = []
    for good in range(2):
        for frames in range(20):
            told += desk.run(60, broken(good * 100 + frames, good=good))
        told += desk.run(60, broken(good * 100 + 20, good=good + 1))
    assert [notice.kind for notice in told if notice.kind.startswith(("feed-unr", "feed-rea"))] == [
        "feed-unreadable",
        "feed-readable",
    ] * 2


def test_a_feed_that_could_be_read_all_along_is_not_told_to_be_so_again() -> None:
    desk = Desk(NOON)
    for count in range(300):
        desk.run(1, broken(count, good=count // 50))
    assert "feed-readable" not in kinds(desk.notices)


def test_nothing_passed_for_well_while_data_came_of_which_none_could_be_read() -> None:
    """The heartbeat went on through it."""
    desk = Desk(NOON)
    other = replace(feed("other", up=NOON), records=1)
    seen: list[tuple[str, ...]] = []
    for count in range(120):
        desk.run(1, broken(count, good=100 + (count >= 90)), replace(other, records=count))
        seen.append(desk.monitor.unreadable)
    assert (seen[59], seen[61], seen[89], seen[90]) == ((), ("main",), ("main",), ())
    for count in range(120, 190):  # too soon for another message, and no less blind
        desk.run(1, broken(count, good=101), other)
    assert desk.monitor.unreadable == ("main",)
    assert kinds(desk.notices).count("feed-unreadable") == 1
    desk.now = at("15:30")
    desk.run(1, broken(190, good=101), other)
    assert not desk.monitor.unreadable


def test_nothing_passed_for_well_while_every_record_was_dropped_for_its_time() -> None:
    desk = Desk(NOON)
    for count in range(61):
        assert not desk.monitor.is_all_dropped
        desk.run(1, FINE, counters=counted(early=count))
    assert desk.monitor.is_all_dropped
    desk.run(1, FINE, counters=counted(early=62, good=1))
    assert not desk.monitor.is_all_dropped


def test_a_feed_that_stays_unreadable_is_told_again_on_the_next_date() -> None:
    desk = Desk(NOON)
    for count in range(70):
        desk.run(1, broken(count))
    desk.until(desk.now + 3600 * SECOND_NS, broken(70))
    desk.now = at("08:59", MONDAY)
    for count in range(70, 300):
        desk.run(1, broken(count))
    (again,) = (notice for notice in desk.notices[2:] if notice.kind == "feed-unreadable")
    assert again.at == at("09:00:59", MONDAY)
    assert "since 08:59:59" in again.message
    (over,) = desk.run(1, broken(300, good=1))
    assert "since 11-20 12:00:00" in over.message  # as a whole


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
    (notice,) = desk.run(50, FINE, counters=counted(early=40))
    assert (notice.kind, notice.severity) == ("records-dropped", Severity.WARNING)
    assert "40 dropped: more than a minute ahead of this machine's clock." in notice.message
    desk = Desk(NOON)
    desk.run(60, FINE, counters=counted(early=40, good=1))
    later = desk.now
    desk.run(5, FINE, counters=counted(early=90, bad=1, good=2))
    (other,) = desk.run(60, FINE, counters=counted(early=90, bad=7, good=3))
    assert other.message == "7 dropped: not a time of day."
    assert other.at == later + 10 * SECOND_NS  # each reason is collected for ten seconds of its own


def test_a_slow_clock_makes_everything_blind() -> None:
    """Every record was dropped as one from the future, and all that was said of it was a warning a day."""
    desk = Desk(NOON)
    desk.run(30, FINE, counters=counted(good=100))
    for count in range(1, 90):
        desk.run(1, FINE, counters=counted(early=count * 10, good=100))
    dropped, notice = desk.notices
    assert dropped.kind == "records-dropped"
    assert (notice.kind, notice.severity, notice.at) == (
        "records-unusable", Severity.CRITICAL, NOON + 89 * SECOND_NS,
    )  # fmt: skip
    assert "All records since 12:00:29 were dropped (600 in 1 min)." in notice.message
    assert "ahead of this machine's clock, which is most likely slow" in notice.message
    assert "Symbols not seen (2): 삼성전자(005930), SK하이닉스(000660)" in notice.message
    assert "Rules that cannot be judged (2): samsung, both" in notice.message
    assert desk.run(600, FINE, counters=counted(early=9000, good=100)) == []
    (over,) = desk.run(600, FINE, counters=counted(early=9000, good=101))
    assert (over.kind, over.severity, over.title) == (
        "records-usable", Severity.INFO, "✅ pgmwatch · Records are evaluated again",
    )  # fmt: skip


def test_records_without_a_time_do_not_blame_the_clock() -> None:
    desk = Desk(NOON)
    for count in range(70):
        desk.run(1, FINE, counters=counted(bad=count, early=1))
    assert desk.notices[-1].kind == "records-unusable"
    assert "clock" not in desk.notices[-1].message


def test_dropped_records_at_night_or_among_good_ones_blind_nobody() -> None:
    night, noon = Desk(at("20:00")), Desk(NOON)
    for count in range(300):
        night.run(1, FINE, counters=counted(early=count))
        noon.run(1, FINE, counters=counted(early=count, good=count // 50))
    assert kinds(night.notices) == kinds(noon.notices) == ["records-dropped"]


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
    told = Counter(notice.kind for notice in desk.notices)
    assert (told.pop("feed-unreadable"), told.pop("feed-readable")) == (6, 4)  # every five hours one record was good
    assert told.total() == 6
