"""The trading calendar against what the exchange did, or has announced."""

import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from engine.config.load import load
from engine.config.model import Market
from engine.kst import DAY_NS, date_of, day_of, day_start
from engine.session import Hours, Session
from engine.trading_days import EXAM_DAYS, MarketHours
from engine.units import hours_ns

CLOSED = {
    2024: "0101 0209 0212 0301 0410 0501 0506 0515 0606 0815 0916 0917 0918 1001 1003 1009 1225 1231",
    2025: "0101 0127 0128 0129 0130 0303 0501 0505 0506 0603 0606 0815 1003 1006 1007 1008 1009 1225 1231",
    2026: "0101 0216 0217 0218 0302 0501 0505 0525 0603 0717 0817 0924 0925 1005 1009 1225 1231",
}
"""All weekdays without a session: the exchange's own lists, and of 2026 what became a holiday in its course."""
CLOSED_2027 = "0101 0208 0209 0301 0505 0513 0816 0914 0915 0916 1004 1011 1227 1231"
"""What is certain of a year whose list the exchange has not published; substitutes of new holidays may come to it."""

KRX = MarketHours(*Market.KRX.hours_ns)
NXT = MarketHours(*Market.NXT.hours_ns, market=Market.NXT)
UNIFIED = MarketHours(*Market.UNIFIED.hours_ns, market=Market.UNIFIED)


def day(text: str) -> int:
    return day_of(date.fromisoformat(text))


def weekdays(year: int) -> list[date]:
    dates = (date(year, 1, 1) + timedelta(days=n) for n in range(366))
    return [when for when in dates if when.year == year and when.weekday() < 5]


def text(span: Session | tuple[int, int], of: int) -> str:
    """`09:00~15:30`, as offsets from that day's midnight."""
    ends = (span.open, span.close) if isinstance(span, Session) else span
    minutes = [(end - day_start(of)) // 60_000_000_000 for end in ends]
    return "~".join(f"{minute // 60:02d}:{minute % 60:02d}" for minute in minutes)


def pauses(hours: Hours, on: str) -> str:
    return " ".join(text(span, day(on)) for span in hours.pauses(day(on)))


@pytest.mark.parametrize("year", CLOSED)
def test_closed_weekdays_are_those_of_the_exchange(year: int) -> None:
    closed = [when for when in weekdays(year) if not KRX.is_trading_day(day_of(when))]
    assert [f"{when:%m%d}" for when in closed] == CLOSED[year].split()


def test_what_is_certain_of_2027() -> None:
    closed = {f"{when:%m%d}" for when in weekdays(2027) if not KRX.is_trading_day(day_of(when))}
    assert closed >= set(CLOSED_2027.split())
    assert len(closed) <= len(CLOSED_2027.split()) + 2


@pytest.mark.parametrize("on", ["2026-08-15", "2026-11-21", "2026-11-22"])
def test_weekends_are_closed(on: str) -> None:
    assert not KRX.is_trading_day(day(on))


@pytest.mark.parametrize(
    ("hours", "on", "expected"),
    [
        (KRX, "2026-11-20", "09:00~15:30"),
        (KRX, "2026-11-19", "10:00~16:30"),
        (KRX, "2025-11-13", "10:00~16:30"),
        (KRX, "2024-11-14", "10:00~16:30"),
        (KRX, "2023-11-16", "10:00~16:30"),
        (KRX, "2024-01-02", "10:00~15:30"),
        (KRX, "2025-01-02", "10:00~15:30"),
        (KRX, "2026-01-02", "10:00~15:30"),
        (KRX, "2026-01-05", "09:00~15:30"),
        (KRX, "2027-01-04", "10:00~15:30"),
        (KRX, "2027-01-01", "09:00~15:30"),  # closed: the usual hours
        (KRX, "2026-12-31", "09:00~15:30"),
        (NXT, "2026-11-20", "08:00~20:00"),
        (NXT, "2026-11-19", "10:00~20:00"),
        (UNIFIED, "2026-11-19", "10:00~20:00"),
        (UNIFIED, "2027-01-04", "10:00~20:00"),
        (MarketHours(*hours_ns("09:30~15:00")), "2026-11-19", "10:00~16:00"),
        (MarketHours(*hours_ns("11:00~15:00")), "2026-11-19", "11:00~16:00"),
        (MarketHours(*hours_ns("09:00~20:00")), "2026-11-19", "10:00~20:00"),
        (MarketHours(*hours_ns("09:00~09:30")), "2027-01-04", "09:00~09:30"),  # would end before it opens
    ],
)
def test_hours_of_a_date(hours: Hours, on: str, expected: str) -> None:
    assert text(hours.session(day(on)), day(on)) == expected


@pytest.mark.parametrize(
    ("hours", "on", "expected"),
    [
        (KRX, "2026-11-20", "15:20~15:30"),
        (KRX, "2026-11-19", "16:20~16:30"),
        (KRX, "2027-01-04", "15:20~15:30"),
        (NXT, "2026-11-20", "08:50~09:01 15:20~15:40"),
        (UNIFIED, "2026-11-20", "08:50~09:01 15:20~15:40"),
        (UNIFIED, "2026-11-19", "10:00~10:01 16:20~16:40"),
        (UNIFIED, "2027-01-04", "10:00~10:01 15:20~15:40"),
        (MarketHours(*hours_ns("08:30~20:00")), "2026-11-20", "08:30~09:00 15:20~16:00"),
        (MarketHours(*hours_ns("08:30~20:00")), "2026-11-19", "16:20~17:00"),
        (MarketHours(*hours_ns("09:00~15:25")), "2026-11-20", "15:20~15:25"),
        (MarketHours(*hours_ns("10:00~11:00")), "2026-11-20", ""),
        (Hours(0, DAY_NS), "2026-11-20", ""),
    ],
)
def test_pauses_of_a_date(hours: Hours, on: str, expected: str) -> None:
    assert pauses(hours, on) == expected


def own(market: Market, span: str, on: str = "2027-11-18") -> MarketHours:
    """Hours with one date as a user writes it, such as an exam day that no version knows yet."""
    return MarketHours(*market.hours_ns, {day(on): hours_ns(span)}, market=market)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (own(Market.KRX, "10:00~16:30"), "16:20~16:30"),
        (own(Market.KRX, "10:00~15:30"), "15:20~15:30"),
        (own(Market.KRX, "09:00~12:00"), ""),
        (own(Market.NXT, "10:00~20:00"), "10:00~10:01 16:20~16:40"),
        (own(Market.NXT, "08:00~18:00"), "08:50~09:01 15:20~15:40"),
    ],
)
def test_pauses_of_a_date_with_hours_of_its_own(hours: Hours, expected: str) -> None:
    assert pauses(hours, "2027-11-18") == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (MarketHours(*hours_ns("09:00~20:00"), {day("2027-01-04"): hours_ns("10:00~20:00")}), "15:20~16:00"),
        (own(Market.NXT, "10:00~20:00", "2027-01-04"), "10:00~10:01 15:20~15:40"),
        (own(Market.UNIFIED, "10:00~20:00", "2027-01-04"), "10:00~10:01 15:20~15:40"),
        (own(Market.KRX, "10:00~15:30", "2027-01-04"), "15:20~15:30"),
        (own(Market.KRX, "10:00~16:30", "2027-01-04"), "16:20~16:30"),  # somebody knows better
    ],
)
def test_the_year_s_first_hours_written_out_do_not_make_it_an_exam_day(hours: Hours, expected: str) -> None:
    """Its closing auction was looked for an hour late, and the real one taken for a silence."""
    assert pauses(hours, "2027-01-04") == expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        (MarketHours(*hours_ns("10:00~20:00"), market=Market.NXT), "15:20~15:40"),
        (MarketHours(*hours_ns("10:00~20:00"), {day("2026-11-20"): hours_ns("10:30~20:00")}), "15:20~16:00"),
        (MarketHours(*hours_ns("10:00~15:00"), {day("2026-11-20"): hours_ns("10:00~15:30")}), "15:20~15:30"),
    ],
)
def test_who_always_opens_late_is_not_late(hours: Hours, expected: str) -> None:
    assert pauses(hours, "2026-11-20") == expected


def test_written_hours_win_over_known_ones() -> None:
    exam = own(Market.KRX, "11:00~17:00", "2026-11-19")
    assert text(exam.session(day("2026-11-19")), day("2026-11-19")) == "11:00~17:00"


def test_written_hours_make_a_trading_day_and_closed_unmakes_it() -> None:
    saturday = day("2026-11-21")
    special = {saturday: hours_ns("10:00~12:00")}
    assert MarketHours(*Market.KRX.hours_ns, special).is_trading_day(saturday)
    assert not MarketHours(*Market.KRX.hours_ns, special, closed=frozenset({saturday})).is_trading_day(saturday)


def test_a_year_that_begins_later_opens_late_later() -> None:
    hours = MarketHours(*Market.KRX.hours_ns, closed=frozenset({day("2026-01-02")}))
    assert text(hours.session(day("2026-01-02")), day("2026-01-02")) == "09:00~15:30"
    assert text(hours.session(day("2026-01-05")), day("2026-01-05")) == "10:00~15:30"


def test_an_exam_day_that_is_closed_has_the_usual_hours() -> None:
    exam = day("2026-11-19")
    hours = MarketHours(*Market.KRX.hours_ns, closed=frozenset({exam}))
    assert text(hours.session(exam), exam) == "09:00~15:30"


def test_exam_days_are_thursdays_in_november_that_trade() -> None:
    for when in EXAM_DAYS:
        assert (when.month, when.weekday()) == (11, 3)
        assert KRX.is_trading_day(day_of(when))


def test_pauses_lie_in_the_session_in_order() -> None:
    for hours in (KRX, NXT, UNIFIED):
        for number in range(day("2024-01-01"), day("2028-01-01")):
            session = hours.session(number)
            edges = [session.open, *(edge for span in hours.pauses(number) for edge in span), session.close]
            assert edges == sorted(edges), date_of(number)


def test_a_simulated_market_loads_no_calendar() -> None:
    """It costs 50 ms and ten megabytes, and the first alert is to show soon."""
    code = "import sys, engine.cli, engine.config.load; sys.exit('holidays' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_configuration_joins_market_and_calendar(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        """
        [calendar]
        closed = ["2026-11-23"]
        hours = { "2026-11-21" = "10:00~12:00" }
        [feed]
        source = "kis"
        market = "UNIFIED"
        [[feed.account]]
        name = "main"
        app_key = "${KEY}"
        app_secret = "${SECRET}"
        """
    )
    hours = load(path, {"KEY": "CALENDAR-KEY", "SECRET": "CALENDAR-SECRET"}).hours()
    assert [hours.is_trading_day(day(f"2026-11-{number}")) for number in (20, 21, 22, 23)] == [True, True, False, False]
    assert pauses(hours, "2026-11-20") == "08:50~09:01 15:20~15:40"
    assert text(hours.session(day("2026-11-19")), day("2026-11-19")) == "10:00~20:00"
