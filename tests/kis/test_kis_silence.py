"""Silence of data with a live connection, one look a second."""

from collections.abc import Container
from dataclasses import dataclass

import pytest

from engine.kis.silence import Silence
from engine.kst import DAY_NS, SECOND_NS, day_number, day_start
from engine.session import Hours

MINUTE = 60 * SECOND_NS
HOUR = 60 * MINUTE
OPEN_S, CLOSE_S = 9 * 3600, 15 * 3600 + 1800
MIDNIGHT = day_start(20_000)
EVER = range(10**9)
NEVER = range(0)


@dataclass(frozen=True, slots=True)
class Market(Hours):
    """Closed tomorrow, and with a break 12:00–13:00."""

    def is_trading_day(self, day: int) -> bool:
        return day != 20_001

    def pauses(self, day: int) -> tuple[tuple[int, int], ...]:
        return ((day_start(day) + 12 * HOUR, day_start(day) + 13 * HOUR),)


KRX = Market(9 * HOUR, 15 * HOUR + 30 * MINUTE)


class Watch:
    """Looks at all seconds since MIDNIGHT from one to the other."""

    def __init__(self, hours: Hours = KRX) -> None:
        self.silence = Silence(hours)
        self.data: int | None = None
        self.ends: list[int] = []
        """Seconds at which the session was to be ended."""

    def look(self, start_s: int, end_s: int, data: Container[int] = NEVER, up: int = 41) -> "Watch":
        for second in range(start_s, end_s):
            now = MIDNIGHT + second * SECOND_NS
            if second in data:
                self.data = now - SECOND_NS // 2
            if self.silence.look(now, up, self.data):
                self.ends.append(second)
        return self

    @property
    def since_s(self) -> float | None:
        return None if self.silence.since is None else (self.silence.since - MIDNIGHT) / SECOND_NS


@pytest.mark.parametrize(("up", "minutes"), [(1, 30), (19, 30), (20, 10), (41, 10)])
def test_silent_from_birth_it_depends_on_how_many_there_are(up: int, minutes: int) -> None:
    watch = Watch().look(OPEN_S + 100, OPEN_S + 100 + minutes * 60 + 60, up=up)
    (end,) = watch.ends
    assert end == pytest.approx(OPEN_S + 100 + minutes * 60, abs=3)
    assert watch.since_s == pytest.approx(OPEN_S + 100, abs=2)


def test_the_wait_begins_at_the_open() -> None:
    (end,) = Watch().look(OPEN_S - 3600, OPEN_S + 1800).ends
    assert end == pytest.approx(OPEN_S + 600, abs=2)


@pytest.mark.parametrize(("every_s", "limit_s"), [(1, 360), (15, 360), (20, 400), (60, 1200)])
def test_twenty_times_the_mean_gap_but_six_minutes(every_s: int, limit_s: int) -> None:
    last = OPEN_S + 1200
    watch = Watch().look(OPEN_S, last + 1, range(OPEN_S, last + 1, every_s))
    assert not watch.ends
    watch.look(last + 1, last + 1500)
    assert watch.ends == [pytest.approx(last + limit_s, abs=3)]
    assert watch.since_s == last - 0.5


def test_the_mean_is_of_the_latest_gaps_a_busy_opening_says_nothing_of_noon() -> None:
    noon = OPEN_S + 3 * 1800
    busy = Watch().look(OPEN_S, OPEN_S + 3600, EVER)
    busy.look(OPEN_S + 3600, noon, range(OPEN_S + 3600, noon, 30))
    (end,) = busy.look(noon, noon + 1200).ends
    assert end == pytest.approx(noon - 30 + 20 * 30, abs=35)


def test_a_few_gaps_teach_nothing() -> None:
    for gaps, minutes in ((9, 10), (10, 6)):
        watch = Watch().look(OPEN_S, OPEN_S + gaps + 1, EVER)
        (end,) = watch.look(OPEN_S + gaps + 1, OPEN_S + 900).ends
        assert end == pytest.approx(OPEN_S + gaps + minutes * 60, abs=3)


def test_a_silence_is_one_until_data_comes_and_a_new_session_is_tried_every_half_hour() -> None:
    """It was tried once: where the new session met the same broken server, the feed stayed blind for the day."""
    watch = Watch().look(OPEN_S, OPEN_S + 900, EVER).look(OPEN_S + 900, OPEN_S + 6300)
    first = OPEN_S + 899 + 360
    assert watch.ends == [pytest.approx(first + 1800 * n, abs=3) for n in range(3)]
    assert watch.since_s == OPEN_S + 898.5
    watch.look(OPEN_S + 6300, OPEN_S + 6301, EVER)
    assert watch.since_s is None


def test_a_silence_that_outlives_its_date_is_judged_anew_on_the_next() -> None:
    """Data stopped on Thursday afternoon; one session was ended, and all of Friday nobody said a word."""
    watch = Watch().look(OPEN_S, CLOSE_S - 1500, EVER).look(CLOSE_S - 1500, CLOSE_S)
    assert len(watch.ends) == 1
    assert watch.since_s == CLOSE_S - 1501.5
    watch.look(86400, 86401)
    assert watch.since_s is None
    morning = 2 * 86400 + OPEN_S
    watch.look(morning, morning + 1800)
    assert watch.ends[1:] == [pytest.approx(morning + 600, abs=3)]
    assert watch.since_s == pytest.approx(morning, abs=2)


def test_a_silence_just_before_midnight_takes_nothing_along() -> None:
    """Nor does its wait: the new date would be judged too soon."""
    watch = Watch(Hours(0, DAY_NS)).look(86400 - 900, 86400 - 100, EVER).look(86400 - 100, 86400 + 700)
    assert watch.ends == [pytest.approx(86400 + 600, abs=3)]
    assert watch.since_s == pytest.approx(86400, abs=2)


@pytest.mark.parametrize(
    ("start_s", "end_s"),
    [(0, OPEN_S), (CLOSE_S, 86400), (86400, 2 * 86400), (12 * 3600, 13 * 3600)],
    ids=["before the open", "after the close", "on a closed day", "in a break"],
)
def test_where_silence_is_normal(start_s: int, end_s: int) -> None:
    watch = Watch().look(start_s, end_s)
    assert not watch.ends
    assert watch.since_s is None


def test_a_break_and_a_night_do_not_count_into_the_wait_nor_into_the_gaps() -> None:
    noon, one = 12 * 3600, 13 * 3600
    watch = Watch().look(OPEN_S, noon - 60, EVER).look(noon - 60, one + 200)
    assert not watch.ends  # 260 s of 3,860
    watch.look(one + 200, one + 201, EVER)
    (end,) = watch.look(one + 201, one + 1200).ends
    assert end == pytest.approx(one + 200 + 360, abs=5)  # a mean of 1 s and once 260, not 3,860, a twentieth of it


def test_a_new_date_learns_anew() -> None:
    watch = Watch().look(OPEN_S, OPEN_S + 7200, range(OPEN_S, OPEN_S + 7200, 100), up=1)
    morning = 2 * 86400 + OPEN_S
    watch.look(morning, morning + 5, EVER)
    (end,) = watch.look(morning + 5, morning + 1200).ends
    assert end == pytest.approx(morning + 4 + 600, abs=3)


def test_without_a_connection_or_a_symbol_time_does_not_count() -> None:
    watch = Watch().look(OPEN_S, OPEN_S + 900, EVER).look(OPEN_S + 900, OPEN_S + 1000)
    watch.look(OPEN_S + 1000, OPEN_S + 2000, up=0)
    watch.silence.connected(MIDNIGHT + (OPEN_S + 3000) * SECOND_NS)
    (end,) = watch.look(OPEN_S + 3000, OPEN_S + 4000).ends
    assert end == pytest.approx(OPEN_S + 3000 + 260, abs=3)


def test_short_disconnections_do_not_add_up_to_a_silence() -> None:
    watch = Watch().look(OPEN_S, OPEN_S + 900, EVER)
    for second in range(OPEN_S + 900, OPEN_S + 1700, 4):
        watch.silence.connected(MIDNIGHT + (second + 3) * SECOND_NS)
        watch.look(second + 4, second + 5)
    assert not watch.ends


def test_more_symbols_after_the_close_do_not_make_a_silence() -> None:
    """With them the limit falls, and a wait that was in order would be too long at once."""
    watch = Watch().look(CLOSE_S - 1200, CLOSE_S + 1, up=1).look(CLOSE_S + 1, CLOSE_S + 60)
    assert not watch.ends


def test_a_pause_of_ours_is_no_silence_of_theirs() -> None:
    watch = Watch().look(OPEN_S, OPEN_S + 900, EVER)
    watch.look(OPEN_S + 1500, OPEN_S + 1500 + 340)  # the 600 s in between are not known to have been silent
    assert not watch.ends
    (end,) = watch.look(OPEN_S + 1840, OPEN_S + 1900).ends
    assert end == pytest.approx(OPEN_S + 1500 + 360, abs=3)


def test_always_open_is_the_day_of_24_hours() -> None:
    watch = Watch(Hours(0, DAY_NS)).look(0, 900, EVER)
    (end,) = watch.look(900, 2000).ends
    assert end == pytest.approx(900 + 360, abs=3)
    assert day_number(MIDNIGHT) == 20_000


def test_with_fewer_symbols_gaps_are_learnt_anew_and_what_is_quiet_already_counts() -> None:
    watch = Watch().look(OPEN_S, OPEN_S + 900, EVER).look(OPEN_S + 900, OPEN_S + 1200)
    watch.silence.relearn()
    (end,) = watch.look(OPEN_S + 1200, OPEN_S + 2400).ends
    assert end == pytest.approx(OPEN_S + 900 + 600, abs=3)  # ten minutes, as at the start of a day


def test_before_the_first_data_there_is_nothing_to_learn_anew() -> None:
    watch = Watch().look(OPEN_S, OPEN_S + 60)
    watch.silence.relearn()
    watch.look(OPEN_S + 60, OPEN_S + 500, range(OPEN_S + 400, OPEN_S + 500))
    (end,) = watch.look(OPEN_S + 500, OPEN_S + 1200).ends
    assert end == pytest.approx(OPEN_S + 500 + 360, abs=3)  # the wait before the first data was no gap of 400 s
