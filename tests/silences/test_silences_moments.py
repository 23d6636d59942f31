from collections.abc import Callable
from datetime import datetime
from functools import partial

import pytest

from engine.config.model import Market
from engine.kst import DAY_NS, KST, SECOND_NS, day_of
from engine.locale import Locale
from engine.session import Hours
from engine.silences import moments
from engine.silences.moments import MomentError
from engine.trading_days import MarketHours


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=KST).timestamp()) * SECOND_NS


NOW = at("23T10:00:00") + 1
"""A Monday, a nanosecond after ten."""
HOURS = Hours(9 * 3600 * SECOND_NS, (15 * 60 + 30) * 60 * SECOND_NS)


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (partial(moments.after, "2h"), "23T12:00:01"),
        (partial(moments.after, "1h30m"), "23T11:30:01"),
        (partial(moments.at, "15:00"), "23T15:00:00"),
        (partial(moments.at, "24:00"), "24T00:00:00"),
        (partial(moments.at, "2026-11-24T09:00"), "24T09:00:00"),
        (partial(moments.at, "2026-11-24 09:00:30"), "24T09:00:30"),
        (partial(moments.at, "2026-11-24T00:00Z"), "24T09:00:00"),
        (partial(moments.at_the_close, HOURS), "23T15:30:00"),
        (partial(moments.at_the_close, Hours(0, DAY_NS)), "24T00:00:00"),
    ],
)
def test_until_when(until: Callable[[int], int], expected: str) -> None:
    assert until(NOW) == at(expected)


def test_a_day_of_other_hours_has_its_own_close() -> None:
    special = {day_of(datetime(2026, 11, 19, tzinfo=KST).date()): (10 * 3600 * SECOND_NS, 16 * 3600 * SECOND_NS)}
    hours = MarketHours(HOURS.open_ns, HOURS.close_ns, special, market=Market.KRX)
    assert moments.at_the_close(hours, at("19T15:45:00")) == at("19T16:00:00")


@pytest.mark.parametrize(
    ("until", "now", "said", "said_in_korean"),
    [
        (partial(moments.after, "2x"), NOW, "no duration", "시간 길이가 아닙니다"),
        (partial(moments.after, "0s"), NOW, "longer than 0 s", "0초보다"),
        (partial(moments.at, "25:00"), NOW, "no time", "시각이 아닙니다"),
        (partial(moments.at, "noon"), NOW, "no time", "시각이 아닙니다"),
        (partial(moments.at, "09:59"), NOW, "2026-11-23 09:59 KST is over", "이미 지났습니다"),
        (partial(moments.at, "2026-11-22T10:00"), NOW, "2026-11-22 10:00 KST is over", "이미 지났습니다"),
        (partial(moments.at_the_close, HOURS), at("23T15:30:00"), "closed at 15:30 KST today", "마감했습니다"),
        (
            partial(moments.at_the_close, MarketHours(HOURS.open_ns, HOURS.close_ns, market=Market.KRX)),
            at("22T10:00:00"),
            "no session today (2026-11-22)",
            "열리지 않습니다",
        ),
    ],
)
def test_what_is_no_moment_to_come_is_said(
    until: Callable[[int], int], now: int, said: str, said_in_korean: str
) -> None:
    with pytest.raises(MomentError) as caught:
        until(now)
    assert said in caught.value.text(Locale.EN)
    assert said_in_korean in caught.value.text(Locale.KO)
