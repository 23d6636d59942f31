import pytest

from engine import units
from engine.kst import SECOND_NS, clock_time, day_number, day_start, iso
from engine.locale import Locale
from engine.problems import WrongValueError


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("5m", 300), ("1h30m", 5400), ("1h30m15s", 5415), ("0s", 0), ("90m", 5400)]
)
def test_durations(text: str, seconds: int) -> None:
    assert units.duration_ns(text) == seconds * SECOND_NS


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1.5m", "-5m", "5m1h", "５m", "5M", "1_0s", "99999999s", "5m "])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(WrongValueError) as caught:
        units.duration_ns(text)
    assert caught.value.code == "not-a-duration"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (0.9, "0s"), (45, "45s"), (5400, "1h30m"), (3601, "1h1s")])
def test_durations_back(seconds: float, text: str) -> None:
    assert units.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("3만", 30_000, ""),
        ("3만주", 30_000, "주"),
        ("50억", 5_000_000_000, ""),
        ("50억원", 5_000_000_000, "원"),
        ("-1.5조", -1_500_000_000_000, ""),
        ("1,234만 주", 12_340_000, "주"),
        ("0.00001만", 0.1, ""),
        ("30000", 30_000, ""),
    ],
)
def test_amounts(text: str, number: float, unit: str) -> None:
    assert units.amount(text) == (number, unit)
    assert type(units.amount(text)[0]) is type(number)


@pytest.mark.parametrize(
    "text", ["", "만", "3천", "3만만", "3만주원", "1,23만", "1_0", "３만", "1e9", "nan", "3 만 주 x"]
)
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(WrongValueError):
        units.amount(text)


@pytest.mark.parametrize(
    ("number", "korean", "english"),
    [
        (0, "0", "0"),
        (-9_999, "-9,999", "-9,999"),
        (10_000, "1만", "10K"),
        (12_345, "1만 2,345", "12.35K"),
        (1_234_567_890, "12억 3,456만", "1.23B"),
        (-2_500_000_000_000, "-2조 5,000억", "-2.5T"),
        (100_000_000, "1억", "100M"),
        (999_999_999, "9억 9,999만", "1B"),
    ],
)
def test_amounts_as_a_trader_reads_them(number: float, korean: str, english: str) -> None:
    assert units.amount_text(number, Locale.KO) == korean
    assert units.amount_text(number, Locale.EN) == english


def test_times_of_day_and_spans() -> None:
    assert units.time_of_day_ns("09:05") == (9 * 60 + 5) * 60 * SECOND_NS
    assert units.hours_ns("10:00~16:30") == (36_000 * SECOND_NS, 59_400 * SECOND_NS)
    for text in ("9:05", "24:01", "09:60", "09:05~", "10:00~09:00", "09:00-15:30"):
        with pytest.raises(WrongValueError):
            units.hours_ns(text)


def test_korean_time() -> None:
    t = 1_700_000_000 * SECOND_NS + 123_456_789  # 2023-11-15 07:13:20 KST
    assert iso(t) == "2023-11-15T07:13:20.123456+09:00"
    assert clock_time(t) == "071320"
    assert day_start(day_number(t)) <= t < day_start(day_number(t) + 1)
    assert clock_time(day_start(day_number(t))) == "000000"
