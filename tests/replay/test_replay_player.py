"""Recordings in the place of the feeds, on a clock of their own; time is virtual."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.kst import SECOND_NS
from engine.recording.reader import UnreadableRecordingError
from engine.replay.player import Player
from engine.stream import Alive, Event

START = 1_795_392_493_000_000_000


def recorded(folder: Path, *seconds: float) -> Path:
    path = folder / "recording"
    path.write_text("".join(f"{START + int(second * SECOND_NS)} #alive\n" for second in seconds))
    return path


async def played(player: Player) -> tuple[list[Event], list[float], int | None]:
    """What came, and when on Trio's clock."""
    events: list[Event] = []
    times: list[float] = []
    began = trio.current_time()

    def apply(event: Event) -> None:
        assert player.clock.now() >= event.t - 1000  # a float of seconds is not as fine
        events.append(event)
        times.append(round(trio.current_time() - began, 3))

    return events, times, await player.play(apply)


@pytest.mark.parametrize("speed", [1.0, 10.0, 0.5])
async def test_lines_come_when_their_time_has_come(autojump_clock: MockClock, tmp_path: Path, speed: float) -> None:
    events, times, end = await played(Player([recorded(tmp_path, 0, 1.5, 2, 10)], speed))
    assert [event.t - START for event in events] == [0, 1.5 * SECOND_NS, 2 * SECOND_NS, 10 * SECOND_NS]
    assert times == [0, round(1.5 / speed, 3), round(2 / speed, 3), round(10 / speed, 3)]
    assert end == START + 10 * SECOND_NS + 1


async def test_a_night_is_not_waited_for(autojump_clock: MockClock, tmp_path: Path) -> None:
    player = Player([recorded(tmp_path, 0, 1, 1 + 17 * 3600, 2 + 17 * 3600)], 1.0)
    _, times, _ = await played(player)
    assert times == [0, 1, 1, 2]
    assert player.clock.now() >= START + (2 + 17 * 3600) * SECOND_NS


async def test_a_time_that_falls_counts_as_the_last(autojump_clock: MockClock, tmp_path: Path) -> None:
    events, times, end = await played(Player([recorded(tmp_path, 5, 3, 6)], 1.0))
    assert events == [Alive(START + second * SECOND_NS) for second in (5, 3, 6)]
    assert times == [0, 0, 1]
    assert end == START + 6 * SECOND_NS + 1


async def test_nothing_recorded_is_nothing_played(tmp_path: Path) -> None:
    assert await played(Player([recorded(tmp_path)], 1.0)) == ([], [], None)


async def test_a_file_that_is_none_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError):
        Player([tmp_path / "nowhere"], 1.0)
