import re
from collections.abc import Callable
from datetime import datetime

import pytest

from engine.commands import past
from engine.kst import KST, SECOND_NS
from engine.locale import Locale
from engine.silences.moments import MomentError


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=KST).timestamp()) * SECOND_NS


NOW = at("2026-11-23T10:00:00") + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("09:30", at("2026-11-23T09:30:00")),
        ("09:30:15", at("2026-11-23T09:30:15")),
        ("2026-11-20", at("2026-11-20T00:00:00")),
        ("2026-11-20 09:30", at("2026-11-20T09:30:00")),
        ("2026-11-20T09:05:30.000000+09:00", at("2026-11-20T09:05:30")),
        ("2h", NOW - 7_200 * SECOND_NS),
        ("1h30m", NOW - 5_400 * SECOND_NS),
        ("0s", NOW),
    ],
)
def test_since_when(text: str, expected: int) -> None:
    assert past.since(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("09:30", at("2026-11-23T09:30:00")),
        ("2026-11-20", at("2026-11-21T00:00:00")),
        ("2026-11-23", at("2026-11-24T00:00:00")),
        ("30m", NOW - 1_800 * SECOND_NS),
        ("11:00", at("2026-11-23T11:00:00")),
    ],
)
def test_until_when_a_date_means_its_end(text: str, expected: int) -> None:
    assert past.until(text, NOW) == expected


def test_today_begins_at_midnight_in_seoul() -> None:
    assert past.today(NOW) == at("2026-11-23T00:00:00")
    assert past.today(at("2026-11-23T00:00:00") - 1) == at("2026-11-22T00:00:00")


@pytest.mark.parametrize(
    "text", ["", "x", "-", "2", "25:00", "9:30", "2026-02-30", "2026-11", "-2h", "2h-", "어제", "²h"]
)
@pytest.mark.parametrize("read", [past.since, past.until])
def test_what_is_no_time(text: str, read: Callable[[str, int], int]) -> None:
    with pytest.raises(MomentError, match=re.escape(f'"{text}" is no time')) as caught:
        read(text, NOW)
    assert "시각이 아닙니다" in caught.value.text(Locale.KO)


def test_nothing_can_be_shown_of_what_is_still_to_come() -> None:
    for text in ("10:01", "2026-11-24", "2026-11-23 10:00:01"):
        with pytest.raises(MomentError, match="still to come"):
            past.since(text, NOW)
