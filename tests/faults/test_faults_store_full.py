"""A disk that is full, and has room again: alerts go out meanwhile, and what could not be stored is stored later."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
from fault_delivering import Delivering, Played, delivering
from receivers import until

from engine import keeper
from engine.delivery import retry
from engine.delivery.target import Failed, Message, Outcome
from engine.keeper import Trouble, Work
from engine.stream import Alive

BEFORE, MEANWHILE = 5, 40


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a disk is tried again after ten seconds, and a target after one."""
    monkeypatch.setattr(keeper, "RETRY_S", 0.1)
    monkeypatch.setattr(retry, "FIRST_S", 0.05)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)  # also where a failed test left a file open


def filled(disk: Path) -> Path:
    """To the last byte; → the file that takes the room."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 512)
    return filler


@asynccontextmanager
async def busy(disk: Path, target: Played) -> AsyncIterator[Delivering]:
    """As the daemon is: something comes all the time."""

    async def live(made: Delivering) -> None:
        while True:
            made.keeper.put(Work([Alive(made.clock.now())], mark=made.clock.now(), checkpoint="x" * 3_000))
            await trio.sleep(0.05)

    async with delivering(disk, [target], digest_s=0.0) as made, trio.open_nursery() as nursery:
        nursery.start_soon(live, made)
        yield made
        nursery.cancel_scope.cancel()


async def tell(made: Delivering, first: int, count: int) -> None:
    for number in range(first, first + count):
        made.keeper.put(Work(notices=[made.alert(f"n-{number}")], mark=made.clock.now()))
        await trio.sleep(0.005)


def told(target: Played) -> list[str]:
    """Every notice by its title, as often as it was told."""
    lines = [line for each in target.sent for line in (each.body.split("\n") if "more" in each.title else [each.title])]
    return [line.removeprefix("notice ") for line in lines]


def idents(count: int) -> set[str]:
    return {f"n-{number}" for number in range(count)}


def statuses(made: Delivering) -> dict[str, int]:
    return dict(made.asked("SELECT status, count(*) FROM delivery GROUP BY status"))


async def assert_a_restart_finds_nothing_to_do(disk: Path, stored: int) -> None:
    target = Played("desk")
    async with busy(disk, target) as made:
        await trio.sleep(0.3)
        assert {ident for (ident,) in made.asked("SELECT id FROM history")} == idents(stored)
        assert statuses(made) == {"delivered": stored}
    assert target.sent == []


async def test_alerts_go_out_from_a_full_disk_and_are_stored_when_there_is_room(disk: Path) -> None:
    target = Played("desk")
    async with busy(disk, target) as made:
        await tell(made, 0, BEFORE)
        await until(lambda: len(made.asked("SELECT * FROM history")) == BEFORE)
        filler = filled(disk)
        await until(lambda: made.keeper.trouble.store is not None)
        await tell(made, BEFORE, MEANWHILE)
        await until(lambda: set(told(target)) == idents(BEFORE + MEANWHILE))
        assert len(made.asked("SELECT * FROM history")) < BEFORE + MEANWHILE
        filler.unlink()
        await until(lambda: made.keeper.trouble == Trouble())
        await made.end()
    assert len(told(target)) == BEFORE + MEANWHILE  # each once
    await assert_a_restart_finds_nothing_to_do(disk, BEFORE + MEANWHILE)


async def test_a_run_that_ends_as_soon_as_there_is_room_has_stored_all(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RETRY_S", 60.0)
    async with busy(disk, Played("desk")) as made:
        await tell(made, 0, BEFORE)
        filler = filled(disk)
        await until(lambda: made.keeper.trouble.store is not None)
        await tell(made, BEFORE, MEANWHILE)
        filler.unlink()
        await made.end()
    await assert_a_restart_finds_nothing_to_do(disk, BEFORE + MEANWHILE)


@pytest.mark.parametrize("clean", [True, False], ids=["ended", "killed"])
async def test_what_an_earlier_run_left_goes_out_from_a_disk_that_is_full_at_the_start(
    disk: Path, *, clean: bool
) -> None:
    """The index beside the log did not fit, so nothing could be read, and alerts waited for another restart."""
    async with busy(disk, Played("desk", refusing)) as made:
        await tell(made, 0, BEFORE)
        await until(lambda: statuses(made).get("queued") == BEFORE)
        if clean:
            await made.end()
        else:
            killed(disk)
    if not clean:
        revived(disk)
    filler, target = filled(disk), Played("desk")
    async with busy(disk, target) as made:
        await until(lambda: set(told(target)) == idents(BEFORE))
        await until(lambda: made.keeper.trouble.store is not None)
        filler.unlink()
        await until(lambda: made.keeper.trouble == Trouble())
        await made.end()
    assert len(told(target)) == BEFORE
    await assert_a_restart_finds_nothing_to_do(disk, BEFORE)


def refusing(_: Message) -> Outcome:
    return Failed("no connection")


FILES = ("state.db", "state.db-wal", "state.db-shm")


def killed(disk: Path) -> None:
    """The files as a kill leaves them: what closes them later is not there to do so."""
    for name in FILES:
        (disk.parent / name).write_bytes((disk / name).read_bytes())


def revived(disk: Path) -> None:
    for name in FILES:
        (disk / name).unlink(missing_ok=True)
        (disk / name).write_bytes((disk.parent / name).read_bytes())
