"""kill -9 at a system call of store and delivery: nothing stored is lost, and what comes twice says that it may."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fault_hooks import Told, Verdict, judged
from fault_kills import Point, Tally, forks, killed, need_strace, points, spread

SEED = int(os.environ.get("FAULT_SEED", "1"))
"""Another one tries other calls."""
FEW = 24


def told(*messages: tuple[str, str]) -> list[Told]:
    return [Told(title, message, 0.0) for title, message in messages]


def test_the_judge_sees_what_is_lost_and_what_came_twice_without_saying_so() -> None:
    two = judged(told(("n-1 · and 1 more", "n-1\nn-2"), ("n-1", "")), ["n-1", "n-2", "n-3"])
    assert two == Verdict(frozenset({"n-3"}), 1, 1)
    marked = judged(
        told(("n-1", ""), ("n-1", "may repeat an earlier message"), ("n-1", "n-2\n1 of them may repeat an earlier")), []
    )
    assert (marked.doubled, marked.unmarked) == (2, 0)


def tried(folder: Path, few: int | None, *, threads: bool, old: int = 0) -> Tally:
    """Kills at `few` calls, spread over all of them, or at each; two at a time."""
    need_strace()
    (folder / "whole").mkdir()
    with forks() as runner:
        every = points(runner, folder / "whole", threads=threads, old=old)
    chosen = every if few is None else spread(every, few, SEED)

    def play(mine: Iterable[Point]) -> Tally:
        tally = Tally()
        with forks() as runner:
            for point in mine:
                tally += killed(runner, folder / f"{point.call}-{point.number}", point, threads=threads, old=old)
        return tally

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(play, (chosen[::2], chosen[1::2])), Tally())


@pytest.mark.slow  # each kill is two processes: a third of a second
@pytest.mark.parametrize("threads", [False, True], ids=["in one thread", "in threads"])
def test_a_kill_at_some_system_calls_loses_nothing_and_doubles_nothing_unsaid(tmp_path: Path, *, threads: bool) -> None:
    tally = tried(tmp_path, FEW // 2, threads=threads, old=50)
    assert not tally.wrong
    assert tally.kills >= FEW // 4, tally  # the others had come to their end before


@pytest.mark.soak  # hundreds of kills, and each call of the scenario is one
@pytest.mark.parametrize("threads", [False, True], ids=["in one thread", "in threads"])
def test_a_kill_at_every_system_call_loses_nothing_and_doubles_nothing_unsaid(tmp_path: Path, *, threads: bool) -> None:
    tally = tried(tmp_path, None, threads=threads)
    print(tally)  # noqa: T201  for who runs them by hand, with -s
    assert not tally.wrong
    assert tally.kills > 200, tally
    assert tally.healthy.doubled > 0, tally  # between delivered and written down there is a moment, and it was hit


@pytest.mark.soak  # hundreds of kills again
def test_a_kill_at_every_system_call_of_bringing_an_old_database_up_loses_nothing(tmp_path: Path) -> None:
    tally = tried(tmp_path, None, threads=False, old=50)
    print(tally)  # noqa: T201  for who runs them by hand, with -s
    assert not tally.wrong
    assert tally.kills > 200, tally
