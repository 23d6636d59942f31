"""A clock that was set back, and an evaluation that does not keep up."""

import pytest
from incident_stage import FRIDAY, Desk, at, feed, kinds

from engine.gap import Gap
from engine.kst import DAY_NS, SECOND_NS
from engine.rules.model import Severity
from engine.session import Hours

NOON = at("12:00")
NIGHT = at("03:00")
UP = feed(up=NIGHT)
HOUR_NS = 3600 * SECOND_NS
MONDAY = FRIDAY + 3


def set_back(desk: Desk, ns: int) -> list[str]:
    return kinds(desk.monitor.gap(desk.now, desk.now - ns, Gap.CLOCK_BACK))


@pytest.mark.parametrize(
    ("kind", "seconds", "severity"),
    [
        (Gap.CLOCK_BACK, 60, Severity.WARNING),
        (Gap.CLOCK_BACK, 61, Severity.CRITICAL),
        (Gap.CLOCK_FORWARD, 7200, Severity.WARNING),
        (Gap.AWAY, 7200, Severity.WARNING),
    ],
)
def test_a_clock_set_back_by_more_than_a_minute_is_critical(kind: Gap, seconds: int, severity: Severity) -> None:
    """Trading hours were off by two hours for the rest of the run, and a warning said that all goes on as before."""
    (notice,) = Desk(NOON).monitor.gap(NOON, NOON - seconds * SECOND_NS, kind)
    assert notice.severity is severity
    assert ("trading hours" in notice.message) == (severity is Severity.CRITICAL)
    assert ("A restart of pgmwatch puts that right" in notice.message) == (severity is Severity.CRITICAL)


def test_a_far_step_back_does_not_go_untold_because_of_a_small_one() -> None:
    desk = Desk(NIGHT)
    assert [len(set_back(desk, seconds * SECOND_NS)) for seconds in (2, 7200, 2, 7200)] == [1, 1, 0, 0]


def test_a_clock_that_stays_ahead_is_told_ten_minutes_before_each_open() -> None:
    desk = Desk(NIGHT)
    assert set_back(desk, 2 * HOUR_NS) == ["clock-back"]
    desk.now = at("08:45")
    (notice,) = desk.until(at("09:15"), UP, ahead_ns=2 * HOUR_NS)
    assert (notice.kind, notice.severity, notice.at) == ("clock-ahead", Severity.CRITICAL, at("08:50"))
    assert "2 h ahead of it" in notice.message
    desk.now = at("08:45", FRIDAY + 1)
    assert desk.run(1800, UP, ahead_ns=2 * HOUR_NS) == []  # a Saturday
    desk.now = at("08:45", MONDAY)
    (again,) = desk.run(1800, UP, ahead_ns=2 * HOUR_NS)
    assert again.at == at("08:50", MONDAY)


def test_what_was_told_in_the_session_is_told_again_on_the_next_day() -> None:
    desk = Desk(NOON)
    set_back(desk, 2 * HOUR_NS)
    assert desk.run(3600, UP, ahead_ns=2 * HOUR_NS) == []
    desk.now = at("09:30", MONDAY)
    assert kinds(desk.run(3600, UP, ahead_ns=2 * HOUR_NS)) == ["clock-ahead"]


def test_many_small_steps_add_up() -> None:
    desk = Desk(NOON)
    assert set_back(desk, 40 * SECOND_NS) == ["clock-back"]
    assert desk.run(60, UP, ahead_ns=40 * SECOND_NS) == []
    assert set_back(desk, 40 * SECOND_NS) == []
    assert kinds(desk.run(60, UP, ahead_ns=80 * SECOND_NS)) == ["clock-ahead"]


@pytest.mark.parametrize(("seconds", "told"), [(60, 0), (61, 1)])
def test_a_minute_is_nothing_for_trading_hours(seconds: int, told: int) -> None:
    assert len(Desk(NOON).run(60, UP, ahead_ns=seconds * SECOND_NS)) == told


def test_a_lag_is_told_when_it_lasts_and_when_it_is_over_with_the_largest() -> None:
    desk = Desk(NOON)
    assert desk.run(4, UP, lag_ns=2 * SECOND_NS) == []
    (lag,) = desk.run(60, UP, lag_ns=2 * SECOND_NS)
    assert (lag.kind, lag.severity, lag.at, lag.title) == (
        "lag", Severity.WARNING, NOON + 4 * SECOND_NS, "⚠️ pgmwatch · Evaluation lags by 2.0 s",
    )  # fmt: skip
    assert desk.run(1, UP, lag_ns=7_300_000_000) == []
    fine = desk.now
    assert desk.run(9, UP, lag_ns=SECOND_NS) == []
    (over,) = desk.run(600, UP)
    assert (over.kind, over.severity, over.at) == ("lag-over", Severity.INFO, fine + 9 * SECOND_NS)
    assert over.title == "✅ pgmwatch · Evaluation keeps up again"
    assert "It lagged by up to 7.3 s, from 12:00:00 to 12:01:14." in over.message


def test_a_burst_that_is_worked_off_is_no_lag() -> None:
    desk = Desk(NOON)
    for _ in range(100):
        desk.run(4, UP, lag_ns=20 * SECOND_NS)
        desk.run(1, UP, lag_ns=SECOND_NS)
    assert desk.notices == []


def test_a_lag_that_comes_and_goes_goes_on() -> None:
    desk = Desk(NOON)
    desk.run(5, UP, lag_ns=3 * SECOND_NS)
    for _ in range(20):
        desk.run(9, UP)
        desk.run(1, UP, lag_ns=2 * SECOND_NS)
    assert kinds(desk.notices) == ["lag"]
    (over,) = desk.run(10, UP)
    assert "by up to 3.0 s, from 12:00:00" in over.message


def test_the_largest_lag_is_this_one_s() -> None:
    desk = Desk(NOON)
    desk.run(10, UP, lag_ns=9 * SECOND_NS)
    desk.run(700, UP)
    desk.run(10, UP, lag_ns=3 * SECOND_NS)
    (over,) = desk.run(60, UP)
    assert "up to 3.0 s" in over.message


def test_a_machine_that_is_just_too_slow_does_not_chatter() -> None:
    desk = Desk(NOON, Hours(0, DAY_NS))
    for _ in range(240):
        desk.run(5, UP, lag_ns=2 * SECOND_NS)
        desk.run(10, UP)
    assert 6 <= len(desk.notices) <= 12
