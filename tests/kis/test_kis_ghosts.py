"""Acknowledged and never sent: half an hour of patience, then once a date."""

from dataclasses import dataclass

from engine.kis.ghosts import Ghosts
from engine.kst import DAY_NS, SECOND_NS, day_start
from engine.session import Hours

MINUTE = 60 * SECOND_NS
HOUR = 60 * MINUTE
DAY = 20_000
MIDNIGHT = day_start(DAY)
OPEN = MIDNIGHT + 9 * HOUR
KRX = Hours(9 * HOUR, 15 * HOUR + 30 * MINUTE)
ALWAYS = Hours(0, DAY_NS)
A, B = "005930", "000660"


@dataclass(frozen=True, slots=True)
class Closed(Hours):
    def is_trading_day(self, day: int) -> bool:
        return False


def up_at(t: int, hours: Hours = KRX) -> Ghosts:
    ghosts = Ghosts(hours)
    for symbol in (A, B):
        ghosts.came_up(symbol, t)
    return ghosts


def test_half_an_hour_after_the_open_and_once() -> None:
    ghosts, records = up_at(OPEN - HOUR), {B: OPEN + MINUTE}
    assert ghosts.due(OPEN + 30 * MINUTE - 1, [A, B], records) == ()
    assert ghosts.due(OPEN + 30 * MINUTE, [A, B], records) == (A,)
    assert ghosts.due(OPEN + 30 * MINUTE, [A, B], records) == ()
    assert ghosts.today(OPEN + HOUR, records) == (A,)
    assert ghosts.due(OPEN + 3 * HOUR, [A, B], records) == ()


def test_half_an_hour_after_it_came_up_and_a_second_time_up_does_not_count() -> None:
    """A line lost every twenty minutes must not put the answer off for the day."""
    ghosts = up_at(OPEN + HOUR)
    ghosts.came_up(A, OPEN + HOUR + 20 * MINUTE)
    assert ghosts.due(OPEN + HOUR + 29 * MINUTE, [A], {}) == ()
    assert ghosts.due(OPEN + HOUR + 30 * MINUTE, [A], {}) == (A,)


def test_only_what_is_up_counts() -> None:
    ghosts = up_at(OPEN)
    assert ghosts.due(OPEN + HOUR, [B], {B: OPEN}) == ()
    assert ghosts.due(OPEN + HOUR, [A], {}) == (A,)


def test_up_since_yesterday_without_a_record_today() -> None:
    ghosts, yesterday = up_at(OPEN - DAY_NS), {A: OPEN - DAY_NS + HOUR}
    assert ghosts.due(OPEN + 29 * MINUTE, [A], yesterday) == ()
    assert ghosts.due(OPEN + 30 * MINUTE, [A], yesterday) == (A,)


def test_a_record_before_the_open_shows_that_it_lives() -> None:
    assert up_at(OPEN - HOUR).due(OPEN + HOUR, [A], {A: OPEN - 20 * MINUTE}) == ()


def test_a_record_takes_it_off_the_list_and_a_new_date_empties_it() -> None:
    ghosts = up_at(OPEN)
    assert ghosts.due(OPEN + HOUR, [A, B], {}) == (A, B)
    assert ghosts.today(OPEN + 2 * HOUR, {A: OPEN + HOUR}) == (B,)
    assert ghosts.today(OPEN + DAY_NS - 9 * HOUR, {}) == ()
    assert ghosts.due(OPEN + DAY_NS + 30 * MINUTE, [A, B], {}) == (A, B)


def test_after_the_close_and_on_closed_days_nobody_is_a_ghost() -> None:
    close = OPEN + 6 * HOUR + 30 * MINUTE
    assert up_at(close - 10 * MINUTE).due(close + 20 * MINUTE, [A], {}) == ()
    assert up_at(OPEN, Closed(0, DAY_NS)).due(OPEN + HOUR, [A], {}) == ()


def test_where_it_is_always_open_midnight_counts() -> None:
    ghosts = up_at(MIDNIGHT - HOUR, ALWAYS)
    assert ghosts.due(MIDNIGHT - 20 * MINUTE, [A], {A: MIDNIGHT - 25 * MINUTE}) == ()
    assert ghosts.due(MIDNIGHT + 29 * MINUTE, [A], {A: MIDNIGHT - 1}) == ()
    assert ghosts.due(MIDNIGHT + 30 * MINUTE, [A], {A: MIDNIGHT - 1}) == (A,)
