import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from engine.watching import Quiet, Watcher, signature, signature_of_file

Step = Callable[[Path], None]

RULE = '[[rule]]\nname = "a"\nsymbols = ["005930"]\nmetric = "net_volume"\nabove = 1\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.toml").write_text(RULE)
    return rules


def in_place(rules: Path) -> None:
    with (rules / "a.toml").open("r+") as file:
        file.truncate()
        file.write(RULE[:20])
        file.flush()
        time.sleep(0.02)
        file.write(RULE[20:])


def appended(rules: Path) -> None:
    with (rules / "a.toml").open("a") as file:
        file.write("# more\n")


def same_size(rules: Path) -> None:
    with (rules / "a.toml").open("r+") as file:
        file.write(RULE.replace("above = 1", "above = 2"))


def by_renaming(rules: Path) -> None:
    (rules / ".a.toml.swp").write_text(RULE)
    (rules / ".a.toml.swp").rename(rules / "a.toml")


def with_a_backup(rules: Path) -> None:
    (rules / "a.toml").rename(rules / "a.toml~")
    (rules / "a.toml").write_text(RULE)


def deleted_and_made(rules: Path) -> None:
    (rules / "a.toml").unlink()
    time.sleep(0.02)
    (rules / "a.toml").write_text(RULE)


def the_old_times_kept(rules: Path) -> None:
    old = (rules / "a.toml").stat()
    (rules / "a.toml").write_text(RULE.replace("above = 1", "above = 2"))
    os.utime(rules / "a.toml", ns=(old.st_atime_ns, old.st_mtime_ns))


def folder_made_again(rules: Path) -> None:
    shutil.rmtree(rules)
    rules.mkdir()
    (rules / "a.toml").write_text(RULE)


def folder_swapped(rules: Path) -> None:
    other = rules.with_name("other")
    shutil.copytree(rules, other, copy_function=shutil.copy2)
    rules.rename(rules.with_name("old"))
    other.rename(rules)


def new_file(rules: Path) -> None:
    (rules / "b.toml").write_text("")


def new_file_below(rules: Path) -> None:
    (rules / "deep").mkdir()
    (rules / "deep" / "b.toml").write_text("")


def file_gone(rules: Path) -> None:
    (rules / "a.toml").unlink()


def file_renamed(rules: Path) -> None:
    (rules / "a.toml").rename(rules / "b.toml")


def folder_gone(rules: Path) -> None:
    shutil.rmtree(rules)


def made_unreadable(rules: Path) -> None:
    (rules / "a.toml").chmod(0)


def touched(rules: Path) -> None:
    (rules / "a.toml").touch()


def replaced_by_a_folder(rules: Path) -> None:
    (rules / "a.toml").unlink()
    (rules / "a.toml").mkdir()


def replaced_by_a_dangling_link(rules: Path) -> None:
    (rules / "a.toml").unlink()
    (rules / "a.toml").symlink_to("nowhere")


CHANGES: list[Step] = [
    in_place, appended, same_size, by_renaming, with_a_backup, deleted_and_made, the_old_times_kept, folder_made_again,
    folder_swapped, new_file, new_file_below, file_gone, file_renamed, folder_gone, made_unreadable, touched,
    replaced_by_a_folder, replaced_by_a_dangling_link,
]  # fmt: skip


def editor_litter(rules: Path) -> None:
    for name in (".a.toml.swp", "a.toml~", "#a.toml#", "4913", "_draft.toml", ".hidden.toml"):
        (rules / name).write_text("x")


def rule_tests(rules: Path) -> None:
    (rules / "tests").mkdir()
    (rules / "tests" / "a.toml").write_text("x")


def only_read(rules: Path) -> None:
    (rules / "a.toml").read_text()


def fast(look: Callable[[], Hashable]) -> Watcher:
    return Watcher(look, period_s=0.02, quiet_s=0.06)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
async def test_every_way_of_saving_is_told_and_told_once(folder: Path, change: Step) -> None:
    watcher = fast(partial(signature, folder))
    await trio.to_thread.run_sync(change, folder)
    with trio.fail_after(2):
        await watcher.wait_changed()
    assert await watcher.still()
    with trio.move_on_after(0.2) as more:
        await watcher.wait_changed()
    assert more.cancelled_caught


@pytest.mark.parametrize("change", [editor_litter, rule_tests, only_read], ids=lambda change: change.__name__)
def test_what_is_no_rule_changes_nothing(folder: Path, change: Step) -> None:
    before = signature(folder)
    change(folder)
    assert signature(folder) == before


def test_a_link_pointed_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes delivers files: `a.toml` → `..data/a.toml`, and `..data` is swapped."""
    rules = tmp_path / "rules"
    for number in (1, 2):
        (rules / f"..{number}").mkdir(parents=True)
        (rules / f"..{number}" / "a.toml").write_text(RULE)
    (rules / "..data").symlink_to("..1")
    (rules / "a.toml").symlink_to("..data/a.toml")
    before = signature(rules)
    (rules / "..new").symlink_to("..2")
    (rules / "..new").rename(rules / "..data")
    assert signature(rules) != before


def test_a_folder_that_comes_later_is_a_change(tmp_path: Path) -> None:
    before = signature(tmp_path / "rules")
    (tmp_path / "rules").mkdir()
    assert signature(tmp_path / "rules") != before


@pytest.mark.parametrize("place", ["a\0b", "x" * 5_000, "a.toml/below"])
def test_looking_never_raises(folder: Path, place: str) -> None:
    assert signature(folder / place) == signature(folder / place)
    assert signature_of_file(folder / place) == signature_of_file(folder / place)


def test_a_loop_of_links_ends(folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    (folder / "self.toml").symlink_to("self.toml")
    assert signature(folder) == signature(folder)


@pytest.mark.parametrize(
    "change", [by_renaming, deleted_and_made, file_gone, same_size], ids=lambda each: each.__name__
)
def test_one_file_is_followed_likewise(folder: Path, change: Step) -> None:
    before = signature_of_file(folder / "a.toml")
    assert signature_of_file(folder / "a.toml") == before
    change(folder)
    assert signature_of_file(folder / "a.toml") != before


async def test_a_file_written_in_two_halves_is_told_when_it_is_whole(folder: Path) -> None:
    watcher = Watcher(partial(signature, folder), period_s=0.02, quiet_s=0.3)
    file = folder / "a.toml"
    file.write_text(RULE[:20])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _second_half() -> None:
            await trio.sleep(0.1)
            with file.open("a") as rest:
                rest.write(RULE[20:])

        with trio.fail_after(2):
            await watcher.wait_changed()
        assert file.read_text() == RULE


async def test_what_changes_while_it_is_read_is_not_still_so_and_is_told_again(folder: Path) -> None:
    watcher = fast(partial(signature, folder))
    new_file(folder)
    await watcher.wait_changed()
    appended(folder)
    assert not await watcher.still()
    with trio.fail_after(2):
        await watcher.wait_changed()
    assert await watcher.still()


async def test_a_change_between_its_making_and_its_first_look_is_seen(folder: Path) -> None:
    watcher = fast(partial(signature, folder))
    appended(folder)
    await trio.sleep(0.3)
    with trio.fail_after(1):
        await watcher.wait_changed()


@pytest.mark.slow  # threads write for a second
async def test_many_racing_writers_end_in_one_telling_of_the_last_state(folder: Path) -> None:
    watcher = Watcher(partial(signature, folder), period_s=0.02, quiet_s=0.3)
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            (folder / f".{number}").write_text(RULE)
            (folder / f".{number}").rename(folder / f"{number % 3}.toml")

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for each in writers:
        each.start()
    with trio.move_on_after(1) as racing:
        await watcher.wait_changed()
    stop.set()
    for each in writers:
        await trio.to_thread.run_sync(each.join)
    assert racing.cancelled_caught
    with trio.fail_after(1):
        await watcher.wait_changed()
    assert await watcher.still()


class Disk:
    """Looks of which each takes its time, under a virtual clock."""

    def __init__(self, clock: trio.testing.MockClock, took_s: float = 0.0) -> None:
        self.seen: Hashable = 0
        self.looks: list[float] = []
        self._clock = clock
        self._took_s = took_s

    def look(self) -> Hashable:
        seen = self.seen
        if self.looks or self._took_s == 0.0:
            self._clock.jump(self._took_s)
        self.looks.append(self._clock.current_time())
        return seen


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock(autojump_threshold=0.01)


async def test_a_change_is_told_within_a_second_of_the_last_write(clock: trio.testing.MockClock) -> None:
    disk = Disk(clock)
    watcher = Watcher(disk.look)
    told: list[float] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _write() -> None:
            for at in (1.0, 1.25, 1.5):
                await trio.sleep_until(at)
                disk.seen = at

        await watcher.wait_changed()
        told.append(trio.current_time())
    assert 1.8 <= told[0] <= 2.1


async def test_where_writes_never_stop_a_change_is_told_all_the_same(clock: trio.testing.MockClock) -> None:
    disk = Disk(clock)
    watcher = Watcher(disk.look, patience_s=5)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _write() -> None:
            while True:
                await trio.sleep(0.07)
                disk.seen = trio.current_time()

        told = []
        for _ in range(2):
            await watcher.wait_changed()
            told.append(trio.current_time())
        nursery.cancel_scope.cancel()
    assert 5 <= told[0] <= 5.8
    assert 5 <= told[1] - told[0] <= 5.8


async def test_a_slow_look_is_taken_less_often(clock: trio.testing.MockClock) -> None:
    disk = Disk(clock, took_s=0.5)
    watcher = Watcher(disk.look)
    with trio.move_on_after(60):
        await watcher.wait_changed()
    assert 60 / 2.5 - 3 <= len(disk.looks) <= 60 / 2.5 + 3


def test_what_came_back_to_what_was_told_is_no_change() -> None:
    quiet = Quiet("a", quiet_s=1, patience_s=10)
    assert not quiet.look("b", 0, 0)
    assert not quiet.look("a", 0.5, 0.5)
    assert not quiet.look("a", 5, 5)
    assert quiet.pause_s(5, 0.2) == 0.2


def test_quiet_is_counted_from_the_end_of_the_look_that_saw_it_first() -> None:
    quiet = Quiet("a", quiet_s=1, patience_s=10)
    assert not quiet.look("b", 0, 3)
    assert quiet.pause_s(3, math.inf) == 1
    assert not quiet.look("b", 3.9, 3.9)
    assert quiet.look("b", 4, 4)


async def test_it_can_be_cancelled_while_a_disk_hangs() -> None:
    hangs, freed = threading.Event(), threading.Event()

    def look() -> Hashable:
        return freed.wait(5) if hangs.is_set() else None

    watcher = Watcher(look, period_s=0.01)
    hangs.set()
    began = time.monotonic()
    with trio.move_on_after(0.1):
        await watcher.wait_changed()
    assert time.monotonic() - began < 1
    freed.set()


def test_ten_thousand_files_are_looked_at_in_well_under_a_second(tmp_path: Path) -> None:
    for number in range(10_000):
        (tmp_path / f"{number:05d}.toml").touch()
    before = signature(tmp_path)
    best = min(_seconds(partial(signature, tmp_path)) for _ in range(3))
    assert best < 0.5
    (tmp_path / "07777.toml").write_text("x")
    assert signature(tmp_path) != before


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
