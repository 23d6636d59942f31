"""A disk that fails at one call, for a moment, or is full: alerts go out, it is told, and later all of it is stored."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_kills import DISK, Point, Tally, failed, forks, need_strace, points, spread

SEED = int(os.environ.get("FAULT_SEED", "1"))
"""Another one tries other calls."""


def tried(folder: Path, few: int | None) -> Tally:
    need_strace()
    (folder / "whole").mkdir()
    with forks() as runner:
        every = [point for point in points(runner, folder / "whole", threads=False) if point.call in DISK]
    every.remove(Point("newfstatat", 1))  # trio's, of a socket of its own
    chosen = every if few is None else spread(every, few, SEED)

    def play(mine: Iterable[tuple[int, Point]]) -> Tally:
        tally = Tally()
        with forks() as runner:
            for number, point in mine:
                where = folder / f"{point.call}-{point.number}"
                error, times = ("EIO", "ENOSPC")[number % 2], (1, 1, 25)[number % 3]
                tally += failed(runner, where, point, error, times)
        return tally

    numbered = list(enumerate(chosen))
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(play, (numbered[::2], numbered[1::2])), Tally())


@pytest.mark.slow  # each fault is two processes: half a second
def test_a_call_that_fails_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    tally = tried(tmp_path, 12)
    assert not tally.wrong
    assert tally.kills >= 6, tally
    assert tally.told > 0, tally


@pytest.mark.soak  # hundreds of faults: each call that the database makes
def test_every_call_that_fails_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    tally = tried(tmp_path, None)
    print(tally)  # noqa: T201  for who runs them by hand, with -s
    assert not tally.wrong
    assert tally.kills > 150, tally
    assert tally.told > 50, tally
