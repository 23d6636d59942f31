"""The daemon's clock against a machine's clock that is set, slewed, and wrong. Time is virtual."""

import pytest
import trio
from trio.testing import MockClock

from engine.clock import Clock
from engine.kst import SECOND_NS

START = 1_800_000_000 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
MS = 1_000_000


class Wall:
    """A machine's clock. `rate`: how fast it goes, measured by Trio's."""

    def __init__(self) -> None:
        self.t = START
        self.rate = 1.0
        self._read = trio.current_time()

    def __call__(self) -> int:
        now = trio.current_time()
        self.t += int((now - self._read) * self.rate * 1e9)
        self._read = now
        return self.t


class Desk:
    """A clock that is looked at every second, and what it said."""

    def __init__(self, time: MockClock) -> None:
        self.time = time
        self.wall = Wall()
        self.slept = -12_345
        self.clock = Clock(self.wall, lambda: self.slept)
        self.steps: list[int] = []
        self.last = 0

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.time.jump(1)
            self.last = self.clock.now()
            if step := self.clock.catch_up():
                self.steps.append(step)
            assert self.clock.now() >= self.last
            self.last = self.clock.now()

    @property
    def off_ms(self) -> int:
        """How far the clock is ahead of the machine's."""
        return round((self.clock.now() - self.wall()) / MS)


async def test_nothing_happens_where_nothing_is_set(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.run(1000)
    assert (it.steps, it.off_ms) == ([], 0)


@pytest.mark.parametrize("rate", [1 + 500e-6, 1 - 500e-6])
async def test_a_day_of_slewing_is_followed_without_a_word(mock_clock: MockClock, rate: float) -> None:
    it = Desk(mock_clock)
    it.wall.rate = rate
    it.run(86_400)
    assert it.steps == []
    assert abs(it.off_ms) <= 1


async def test_two_hours_forth_are_taken_over_at_once(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.run(10)
    it.wall.t += 2 * HOUR_NS
    it.run(10)
    assert it.steps == [pytest.approx(2 * HOUR_NS, abs=MS)]
    assert it.off_ms == 0


async def test_two_hours_back_change_nothing_and_are_said_once(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.run(10)
    before = it.clock.now()
    it.wall.t -= 2 * HOUR_NS
    it.run(600)
    assert it.steps == [pytest.approx(-2 * HOUR_NS, abs=MS)]
    assert it.clock.now() - before == pytest.approx(600 * SECOND_NS, abs=601 * MS)  # it comes back by 1 ms a second
    it.wall.t += 2 * HOUR_NS
    it.run(1000)
    assert len(it.steps) == 1
    assert it.off_ms == 0


async def test_back_and_further_forth_than_before_is_one_of_each(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t -= 10 * SECOND_NS
    it.run(1)
    it.wall.t += 40 * SECOND_NS
    it.run(1)
    back, forth = it.steps
    assert back == pytest.approx(-10 * SECOND_NS, abs=2 * MS)
    assert forth == pytest.approx(30 * SECOND_NS, abs=2 * MS)
    assert abs(it.off_ms) <= 2


async def test_a_minute_back_is_made_good_within_a_day(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t -= 60 * SECOND_NS
    it.run(17 * 3600)
    assert len(it.steps) == 1
    assert it.off_ms == 0


async def test_a_step_back_is_said_also_on_the_way_back(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t -= 60 * SECOND_NS
    it.run(900)
    it.wall.t -= 1500 * MS
    it.run(1)
    assert it.steps[1:] == [pytest.approx(-1500 * MS, abs=2 * MS)]


@pytest.mark.parametrize("sign", [1, -1])
async def test_small_steps_are_made_good_slowly(mock_clock: MockClock, sign: int) -> None:
    it = Desk(mock_clock)
    it.wall.t += sign * 900 * MS
    it.run(100)
    assert it.off_ms * -sign == pytest.approx(800, abs=2)
    it.run(900)
    assert (it.steps, it.off_ms) == ([], 0)


@pytest.mark.parametrize("sign", [1, -1])
async def test_small_steps_add_up(mock_clock: MockClock, sign: int) -> None:
    it = Desk(mock_clock)
    for _ in range(4):
        it.wall.t += sign * 600 * MS
        it.run(5)
    assert sum(it.steps) == pytest.approx(sign * 2400 * MS, abs=25 * MS)
    assert len(it.steps) == 2
    it.run(2500)
    assert (len(it.steps), it.off_ms) == (2, 0)


async def test_steps_back_add_up_too(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    for _ in range(3):
        it.wall.t -= HOUR_NS
        it.run(5)
    it.wall.t += 3 * HOUR_NS
    it.run(100)
    assert len(it.steps) == 3
    assert abs(it.off_ms) <= 1


async def test_looking_often_slews_no_faster(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t += 500 * MS
    for _ in range(10_000):
        mock_clock.jump(0.0001)
        it.clock.catch_up()
    assert it.off_ms == pytest.approx(-499, abs=1)


async def test_looking_rarely_holds_time_for_no_more_than_a_moment(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t -= 120 * SECOND_NS
    it.run(1)
    mock_clock.jump(3 * 3600)
    before = it.clock.now()
    it.clock.catch_up()
    mock_clock.jump(0.011)
    assert it.clock.now() > before


@pytest.mark.parametrize("first", [False, True])
async def test_a_process_stopped_between_two_readings_saw_no_step(mock_clock: MockClock, first: bool) -> None:
    """Before the wall clock was read, or after."""

    def wall() -> int:
        if stopped and first:
            mock_clock.jump(30)
        t = START + int((trio.current_time() - started) * 1e9)
        if stopped and not first:
            mock_clock.jump(30)
        return t

    started, stopped = trio.current_time(), False
    clock = Clock(wall, lambda: 0)
    stopped = True
    assert clock.catch_up() == 0
    stopped = False
    assert clock.catch_up() == 0


async def test_what_the_machine_slept_has_passed_before_anybody_looks_at_the_wall(mock_clock: MockClock) -> None:
    """Frames that were read first got the time of before the sleep."""
    it = Desk(mock_clock)
    it.run(10)
    before = it.clock.now()
    it.slept += 600 * SECOND_NS
    it.wall.t += 600 * SECOND_NS
    assert it.clock.now() - before == 600 * SECOND_NS
    it.run(10)
    it.slept += 50 * SECOND_NS
    it.wall.t += 50 * SECOND_NS
    it.run(10)
    assert (it.steps, it.off_ms) == ([], 0)


async def test_a_sleep_that_nothing_tells_of_is_a_clock_set_forward(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t += 600 * SECOND_NS
    it.run(2)
    assert it.steps == [pytest.approx(600 * SECOND_NS, abs=MS)]


async def test_the_noise_of_two_readings_is_no_sleep(mock_clock: MockClock) -> None:
    """A process that was stopped between them reads too little, once."""
    it = Desk(mock_clock)
    start = it.clock.now()
    for noise in (300_000, -300_000, -9 * SECOND_NS, 999_999):
        it.slept = -12_345 + noise
        assert it.clock.now() == start


async def test_this_machine_has_not_slept_since_a_moment_ago() -> None:
    clock = Clock()
    start, at = clock.now(), trio.current_time()
    await trio.sleep(0.01)
    assert clock.now() - start == pytest.approx((trio.current_time() - at) * SECOND_NS, abs=5 * MS)


async def test_half_of_the_way_back_up_is_no_second_set_back(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.wall.t -= 60 * SECOND_NS
    it.run(5)
    assert it.clock.ahead == pytest.approx(60 * SECOND_NS, abs=10 * MS)
    it.wall.t += 30 * SECOND_NS
    it.run(5)
    assert it.steps == [pytest.approx(-60 * SECOND_NS, abs=2 * MS)]
    assert it.clock.ahead == pytest.approx(30 * SECOND_NS, abs=20 * MS)
    assert it.off_ms == pytest.approx(30_000, abs=20)


async def test_ahead_is_nothing_where_the_clock_was_set_forward_or_came_back(mock_clock: MockClock) -> None:
    it = Desk(mock_clock)
    it.run(1)
    assert it.clock.ahead == 0
    it.wall.t += HOUR_NS
    it.run(1)
    assert it.clock.ahead == 0
    it.wall.t -= 60 * SECOND_NS
    it.run(1)
    it.wall.t += 90 * SECOND_NS
    it.run(1)
    assert it.clock.ahead == 0


async def test_what_is_less_than_a_nanosecond_s_worth_counts_at_the_next_look(mock_clock: MockClock) -> None:
    """Else a clock that is looked at all the time is never made good."""
    started = trio.current_time()
    set_by = 0

    def passed() -> int:
        return int((trio.current_time() - started) * 1e9)

    clock = Clock(lambda: START + set_by + passed(), lambda: 0)
    set_by = 500 * MS
    for _ in range(10_000):
        mock_clock.jump(1500e-9)
        clock.catch_up()
    assert clock.now() - START - passed() == pytest.approx(15_015, abs=10)
