"""Hours without a calendar: what the simulator and most tests have."""

from datetime import date

import pytest

from engine.config.model import Market
from engine.kst import DAY_NS, SECOND_NS, day_of, day_start
from engine.session import Hours, Session
from engine.trading_days import MarketHours
from engine.units import hours_ns

FRIDAY = day_of(date(2026, 11, 20))
ALWAYS = Hours(0, DAY_NS)
KRX = MarketHours(*Market.KRX.hours_ns)


@pytest.mark.parametrize("offset", [0, 3 * 3600 * SECOND_NS, DAY_NS - 1, DAY_NS, 2 * DAY_NS])
def test_the_simulator_is_always_open(offset: int) -> None:
    assert ALWAYS.is_open(day_start(FRIDAY) + offset)  # over the weekend, too


def test_every_date_trades_without_a_calendar() -> None:
    assert all(ALWAYS.is_trading_day(FRIDAY + number) for number in range(366))


def test_special_days_have_their_hours() -> None:
    hours = Hours(*hours_ns("09:00~15:30"), {FRIDAY: hours_ns("10:00~16:30")})
    start = day_start(FRIDAY)
    assert hours.session(FRIDAY) == Session(start + 36_000 * SECOND_NS, start + 59_400 * SECOND_NS)
    assert hours.session(FRIDAY + 1).open == start + DAY_NS + 32_400 * SECOND_NS


@pytest.mark.parametrize(
    ("days", "time", "is_open"),
    [
        (0, "08:59", False),
        (0, "09:00", True),
        (0, "15:29", True),
        (0, "15:30", False),
        (1, "10:00", False),  # a Saturday
        (-1, "09:30", False),  # an exam day
        (-1, "16:29", True),
    ],
)
def test_open_is_in_the_session_of_a_trading_day(days: int, time: str, *, is_open: bool) -> None:
    hour, minute = map(int, time.split(":"))
    t = day_start(FRIDAY + days) + (hour * 60 + minute) * 60 * SECOND_NS
    assert KRX.is_open(t) is is_open
