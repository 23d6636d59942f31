"""The stock master on disk: whole or not at all, and never believed blindly."""

import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.errors import ConfigurationError
from engine.locale import Locale
from engine.symbols import file, update
from engine.symbols.master import BUILTIN, Master, Stock
from engine.symbols.update import alone

MASTER = Master((Stock("005930", "KR7005930003", "삼성전자", "KOSPI", "ST"),), date(2026, 11, 20))
GOOD: dict[str, Any] = {
    "version": 1,
    "loaded": "2026-11-20",
    "stocks": [["005930", "KR7005930003", "삼성전자", "KOSPI", "ST"]],
}


async def test_what_is_saved_is_what_is_loaded_and_the_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "symbols.json"
    async with alone(path.parent):
        file.save(path, MASTER)
    assert file.load(path) == MASTER
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == ["symbols.json"]  # noqa: PTH208  names are what is compared
    assert json.loads(path.read_text()) == GOOD


def test_without_a_file_the_built_in_names_serve(tmp_path: Path) -> None:
    assert file.load(tmp_path / "symbols.json") is BUILTIN


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "damaged"),
        (json.dumps(GOOD).encode()[:-20], "damaged"),
        (b"[]", "damaged"),
        (b"3", "damaged"),
        (b"{}", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[" * 100_000, "damaged"),
        (json.dumps({**GOOD, "version": 2}).encode(), "version 2"),
        (json.dumps({**GOOD, "loaded": "yesterday"}).encode(), "damaged"),
        (json.dumps({**GOOD, "loaded": 3}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": []}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": GOOD["stocks"] * 2}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": [["005930"]]}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": [["00593", "", "삼성전자", "KOSPI", "ST"]]}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": [["005930", "", "", "KOSPI", "ST"]]}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": [["005930", "", "삼\x1b[31m성", "KOSPI", "ST"]]}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": [["005930", "", "삼성전자", "NYSE", "ST"]]}).encode(), "damaged"),
        (json.dumps({**GOOD, "stocks": [["005930", None, "삼성전자", "KOSPI", "ST"]]}).encode(), "damaged"),
        (b" " * (file.MAX_BYTES + 1), "larger than 16 MB"),
    ],
)
def test_a_broken_file_is_told_and_the_built_in_names_serve(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "symbols.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        file.load(path)
    (problem,) = caught.value.problems
    assert problem.text(Locale.EN) == (
        f"{path}: is no usable stock master ({reason}), so only the built-in names are known; "
        "run: pgmwatch symbols update"
    )
    assert reason in problem.text(Locale.KO)
    assert file.load_or_builtin(path) == (BUILTIN, (problem,))


def test_a_folder_in_the_file_s_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "symbols.json").mkdir()
    master, (problem,) = file.load_or_builtin(tmp_path / "symbols.json")
    assert (master, problem.detail["reason"]) == (BUILTIN, os.strerror(errno.EISDIR))


def test_what_a_crash_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "symbols.json"
    (tmp_path / "symbols.json.new").write_text("half")
    file.save(path, MASTER)
    assert file.load(path) == MASTER


def test_a_disk_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "symbols.json"
    file.save(path, MASTER)
    before = path.read_bytes()

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        file.save(path, BUILTIN_LOADED)
    assert path.read_bytes() == before


BUILTIN_LOADED = Master(BUILTIN.stocks, date(2026, 11, 21))


def test_readers_find_a_whole_file_while_two_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "_TRIES", 10_000)  # they write without a break, and one may find no opening for long
    monkeypatch.setattr(update, "_PAUSE_S", 0.001)
    path = tmp_path / "symbols.json"
    file.save(path, MASTER)
    done = threading.Event()
    failures: list[Exception] = []

    async def write(master: Master) -> None:
        try:
            for _ in range(40):
                async with alone(tmp_path):
                    file.save(path, master)
        except OSError as error:
            failures.append(error)

    writers = [threading.Thread(target=trio.run, args=(write, each)) for each in (MASTER, BUILTIN_LOADED)]

    def wait() -> None:
        for each in writers:
            each.join()
        done.set()

    waiter = threading.Thread(target=wait)
    for thread in (*writers, waiter):
        thread.start()
    seen = {len(file.load(path))}
    while not done.is_set():
        seen.add(len(file.load(path)))
    waiter.join()
    assert (failures, seen) == ([], {1, 30})


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """By another process, as far as the kernel can see."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


async def test_an_update_that_does_not_end_holds_the_next_one_up_for_two_seconds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It waited in the kernel, for ever and without a word."""
    with held(tmp_path):
        started = trio.current_time()
        with pytest.raises(BlockingIOError):
            await alone(tmp_path).__aenter__()
        assert trio.current_time() - started == pytest.approx(2)


async def test_what_has_changed_is_said_against_what_the_other_update_has_written(
    tmp_path: Path, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    path = tmp_path / "symbols.json"
    found: list[Master] = []

    async def replace() -> None:
        found.append(await update._replace(path, BUILTIN_LOADED))

    with held(tmp_path):
        nursery.start_soon(replace)
        await trio.sleep(1)
        assert found == []
        file.save(path, MASTER)
    await trio.sleep(1)
    assert found == [MASTER]
    assert file.load(path) == BUILTIN_LOADED
