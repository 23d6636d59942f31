"""Dead, or were we away? One look a second; `heard` is when the last frame came."""

import pytest

from engine.kis.watchdog import Verdict, Watchdog


def looks(*steps: tuple[float, float], idle_s: float = 60) -> list[Verdict]:
    watchdog = Watchdog(idle_s, 0)
    return [watchdog.look(now, heard).verdict for now, heard in steps]


def seconds(start: int, stop: int, heard: float) -> list[tuple[float, float]]:
    return [(now, heard) for now in range(start, stop)]


def test_a_minute_without_a_frame_is_death() -> None:
    verdicts = looks(*seconds(1, 70, 5))
    assert verdicts.index(Verdict.DEAD) == 64  # the 65th second: 60 after the last frame


def test_frames_keep_it_alive() -> None:
    assert set(looks(*[(now, now - 59.5) for now in range(1, 300)])) == {Verdict.ALIVE}


def test_a_pause_excuses_a_silence_and_is_told() -> None:
    watchdog = Watchdog(60, 0)
    assert watchdog.look(1, 0.5).away_s == 0
    look = watchdog.look(102, 0.5)
    assert (look.verdict, look.away_s) == (Verdict.ALIVE, 100)
    assert [watchdog.look(now, 0.5).verdict for now in (103, 161, 162)][-1] is Verdict.DEAD


def test_one_silence_is_excused_once() -> None:
    """A machine that stutters every 40 s must still see that nobody has spoken for minutes."""
    verdicts = looks((1, 0.5), (41, 0.5), (81, 0.5), (101, 0.5))
    assert verdicts == [Verdict.ALIVE, Verdict.ALIVE, Verdict.ALIVE, Verdict.DEAD]
    assert looks((1, 0.5), (61, 0.5), (62, 61.5), (130, 61.5))[-1] is Verdict.ALIVE  # spoke in between: excused again


@pytest.mark.parametrize("late", [1.0, 2.0, 2.9])
def test_a_busy_moment_is_no_pause(late: float) -> None:
    assert Watchdog(60, 0).look(1 + late, 0).away_s == 0


def test_it_looks_often_enough_for_short_limits() -> None:
    assert Watchdog(1, 0).period_s == 0.25
    assert Watchdog(60, 0).period_s == 1.0
