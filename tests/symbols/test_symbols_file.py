"""The stock master on disk: whole or not at all, and never believed blindly."""

import errno
import json
import os
import threading
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.locale import Locale
from engine.symbols import file
from engine.symbols.master import BUILTIN, Master, Stock

MASTER = Master((Stock("005930", "KR7005930003", "삼성전자", "KOSPI", "ST"),), date(2026, 11, 20))
GOOD: dict[str, Any] = {
    "version": 1,
    "loaded": "2026-11-20",
    "stocks": [["005930", "KR7005930003", "삼성전자", "KOSPI", "ST"]],
}


def test_what_is_saved_is_what_is_loaded_and_the_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "symbols.json"
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


def test_readers_find_a_whole_file_while_two_write(tmp_path: Path) -> None:
    path = tmp_path / "symbols.json"
    file.save(path, MASTER)
    done = threading.Event()
    failures: list[Exception] = []

    def write(master: Master) -> None:
        try:
            for _ in range(40):
                file.save(path, master)
        except OSError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(each,)) for each in (MASTER, BUILTIN_LOADED)]

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
