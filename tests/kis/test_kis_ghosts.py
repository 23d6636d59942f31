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
A, B = "A", "B"


@dataclass(frozen=True, slots=True)
class Closed(Hours):
    def is_trading_day(self, day: int) -> bool:
        return False


class Watch:
    """Looks every second, as a session does; each moment is judged at its end."""

    def __init__(self, hours: Hours = KRX, **records: int) -> None:
        self.ghosts = Ghosts(hours)
        self.records = records
        self.now = 0

    def until(self, end: int, *up: str) -> dict[str, int]:
        """→ who became a ghost, and when."""
        found: dict[str, int] = {}
        while self.now < end:
            self.now += SECOND_NS
            found.update(dict.fromkeys(self.ghosts.due(self.now, up, self.records), self.now))
        return found

    def up_at(self, t: int, *symbols: str) -> "Watch":
        """Whatever was before, nobody looked for a while."""
        self.now = t
        self.ghosts.due(t, (), {})
        for symbol in symbols:
            self.ghosts.came_up(symbol)
        return self

    def today(self, now: int) -> tuple[str, ...]:
        return self.ghosts.today(now, self.records)


def test_half_an_hour_after_the_open_and_once() -> None:
    watch = Watch(B=OPEN + MINUTE).up_at(OPEN - 5 * MINUTE, A, B)
    assert watch.until(OPEN + 3 * HOUR, A, B) == {A: OPEN + 30 * MINUTE}
    assert watch.today(OPEN + 3 * HOUR) == (A,)


def test_half_an_hour_after_it_came_up() -> None:
    watch = Watch().up_at(OPEN + HOUR, A)
    assert watch.until(OPEN + 2 * HOUR, A) == {A: OPEN + HOUR + 30 * MINUTE}


def test_an_outage_over_the_open_leaves_everyone_his_half_hour() -> None:
    """Up at 08:55, lost at 08:59, back at 09:43: nine of ten were unsubscribed before their first record could come."""
    watch = Watch().up_at(OPEN - 5 * MINUTE, A)
    assert not watch.until(OPEN - MINUTE, A)
    assert watch.up_at(OPEN + 43 * MINUTE, A).until(OPEN + 2 * HOUR, A) == {A: OPEN + 73 * MINUTE}


def test_time_spent_up_adds_up_and_the_last_time_up_has_five_minutes() -> None:
    watch = Watch().up_at(OPEN, A)
    assert not watch.until(OPEN + 29 * MINUTE, A)
    assert watch.up_at(OPEN + HOUR, A).until(OPEN + 2 * HOUR, A) == {A: OPEN + HOUR + 5 * MINUTE}


def test_a_line_that_is_lost_every_four_minutes_does_not_put_it_off_for_the_day() -> None:
    watch, found = Watch().up_at(OPEN, A), dict[str, int]()
    for start in range(OPEN, OPEN + 2 * HOUR, 6 * MINUTE):
        found.update(watch.up_at(start, A).until(start + 4 * MINUTE, A))
    assert found == {A: OPEN + 14 * 6 * MINUTE + 4 * MINUTE}  # four minutes fifteen times


def test_while_the_machine_sleeps_nothing_is_waited_for() -> None:
    watch = Watch().up_at(OPEN - 5 * MINUTE, A)
    assert not watch.until(OPEN - MINUTE, A)
    watch.now = OPEN + HOUR
    assert watch.until(OPEN + 2 * HOUR, A) == {A: OPEN + HOUR + 30 * MINUTE + SECOND_NS}


def test_only_what_is_up_counts() -> None:
    watch = Watch(B=OPEN).up_at(OPEN, A, B)
    assert not watch.until(OPEN + HOUR, B)
    assert watch.until(OPEN + 2 * HOUR, A, B) == {A: OPEN + HOUR + 30 * MINUTE}


def test_up_since_yesterday_without_a_record_today() -> None:
    watch = Watch(A=OPEN - DAY_NS + HOUR).up_at(OPEN - DAY_NS, A)
    assert not watch.until(OPEN - DAY_NS + 3 * HOUR, A)
    watch.ghosts.came_up(A)  # with three hours behind it, that are yesterday's
    watch.now = OPEN - MINUTE
    assert watch.until(OPEN + HOUR, A) == {A: OPEN + 30 * MINUTE}


def test_a_record_before_the_open_shows_that_it_lives() -> None:
    assert not Watch(A=OPEN - 20 * MINUTE).up_at(OPEN - 5 * MINUTE, A).until(OPEN + HOUR, A)


def test_a_record_takes_it_off_the_list_and_a_new_date_empties_it() -> None:
    watch = Watch().up_at(OPEN, A, B)
    assert list(watch.until(OPEN + HOUR, A, B)) == [A, B]
    watch.records = {A: OPEN + HOUR}
    assert watch.today(OPEN + 2 * HOUR) == (B,)
    assert watch.today(MIDNIGHT + DAY_NS) == ()
    watch.now = OPEN + DAY_NS - MINUTE
    assert watch.until(OPEN + DAY_NS + HOUR, A, B) == dict.fromkeys([A, B], OPEN + DAY_NS + 30 * MINUTE)


def test_after_the_close_and_on_closed_days_nobody_is_a_ghost() -> None:
    close = OPEN + 6 * HOUR + 30 * MINUTE
    assert not Watch().up_at(close - 29 * MINUTE, A).until(close + HOUR, A)
    assert not Watch(Closed(0, DAY_NS)).up_at(OPEN, A).until(OPEN + HOUR, A)


def test_where_it_is_always_open_midnight_counts() -> None:
    watch = Watch(ALWAYS, A=MIDNIGHT - 25 * MINUTE).up_at(MIDNIGHT - 50 * MINUTE, A)
    assert watch.until(MIDNIGHT + HOUR, A) == {A: MIDNIGHT + 30 * MINUTE}
