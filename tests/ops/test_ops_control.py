"""The control socket, over a real one."""

import json
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.errors import PgmwatchError
from engine.ops import control
from engine.ops.state_folder import StateFolderError, held


def echo(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"got": dict(request)}


async def raw(folder: Path, line: bytes) -> dict[str, Any]:
    async with await trio.open_unix_socket(str(folder / control.NAME)) as stream:
        await stream.send_all(line)
        received = b"".join([chunk async for chunk in stream])
    answer = json.loads(received)
    assert isinstance(answer, dict)
    return answer


async def test_ask_and_answer(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(control.serve, tmp_path, {"echo": echo})
    assert await control.ask(tmp_path, "echo", rule="매수") == {"got": {"command": "echo", "rule": "매수"}}
    with pytest.raises(PgmwatchError, match="unknown command; known: echo"):
        await control.ask(tmp_path, "nonsense")
    assert (tmp_path / control.NAME).stat().st_mode & 0o777 == 0o600


async def test_an_answer_may_be_waited_for_and_holds_up_no_other(tmp_path: Path, nursery: trio.Nursery) -> None:
    asked, known = trio.Event(), trio.Event()

    async def slow(request: Mapping[str, Any]) -> dict[str, Any]:
        asked.set()
        await known.wait()
        if request["fail"]:
            raise PgmwatchError("it is not known")
        return {"got": "it"}

    async def ask(fail: bool) -> None:
        if fail:
            with pytest.raises(PgmwatchError, match="it is not known"):
                await control.ask(tmp_path, "slow", fail=True)
        else:
            assert await control.ask(tmp_path, "slow", fail=False) == {"got": "it"}

    await nursery.start(control.serve, tmp_path, {"echo": echo, "slow": slow})
    async with trio.open_nursery() as asking:
        asking.start_soon(ask, False)
        asking.start_soon(ask, True)
        await asked.wait()
        assert await control.ask(tmp_path, "echo")
        known.set()


@pytest.mark.parametrize(
    "line", [b"\n", b"nonsense\n", b"[]\n", b"3\n", b"{}\n", b'{"command": []}\n', b"\xff\n", b"[" * 60_000 + b"\n"]
)
async def test_whatever_is_said_there_the_daemon_answers_and_lives(
    tmp_path: Path, nursery: trio.Nursery, line: bytes
) -> None:
    await nursery.start(control.serve, tmp_path, {"echo": echo})
    assert set(await raw(tmp_path, line)) == {"error"}
    assert await control.ask(tmp_path, "echo")


async def test_who_says_nothing_or_leaves_holds_nobody_up(tmp_path: Path, nursery: trio.Nursery) -> None:
    await nursery.start(control.serve, tmp_path, {"echo": echo})
    silent = await trio.open_unix_socket(str(tmp_path / control.NAME))
    gone = await trio.open_unix_socket(str(tmp_path / control.NAME))
    await gone.send_all(b'{"command": "echo"}\n')
    await gone.aclose()
    with trio.fail_after(2):
        assert await control.ask(tmp_path, "echo")
    await silent.aclose()


async def test_who_says_nothing_is_let_go(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_TIMEOUT_S", 0.1)
    await nursery.start(control.serve, tmp_path, {"echo": echo})
    async with await trio.open_unix_socket(str(tmp_path / control.NAME)) as silent:
        with trio.fail_after(5):
            assert await silent.receive_some() == b""


async def test_an_answer_of_thousands_lets_others_have_their_turn() -> None:
    order: list[int] = []

    def say(number: int) -> dict[str, Any]:
        order.append(number)
        return {"n": number}

    async def other() -> None:
        while len(order) < 1000:
            order.append(-1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as both:
        both.start_soon(other)
        said = await control.each_said(range(1000), say)
    assert [each["n"] for each in said] == [*range(1000)]
    assert order.count(-1) >= 5  # of ten: who is first among two is left to chance


async def test_some_of_two_hundred_who_asked_at_once_were_told_that_no_daemon_is_running(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen had a place to wait in; for all others it was as if nobody listened."""
    answered: list[int] = []

    async def ask(number: int) -> None:
        assert await control.ask(tmp_path, "echo", n=number) == {"got": {"command": "echo", "n": number}}
        answered.append(number)

    for backlog in (control._BACKLOG, 4):  # as many as a kernel may allow
        monkeypatch.setattr(control, "_BACKLOG", backlog)
        await nursery.start(control.serve, tmp_path, {"echo": echo})
        async with trio.open_nursery() as asking:
            for number in range(200):
                asking.start_soon(ask, number)
    assert sorted(answered) == sorted([*range(200)] * 2)


async def test_a_daemon_that_takes_no_more_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_TIMEOUT_S", 0.2)
    path = str(tmp_path / control.NAME)
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(path)
        stuck.listen(1)
        for _ in range(4):
            with pytest.raises(PgmwatchError, match="a daemon is there, but does not answer"):
                await control.ask(tmp_path, "status")
    with pytest.raises(control.NoDaemonError):  # left behind by one that was killed
        await control.ask(tmp_path, "status")


async def test_without_a_daemon(tmp_path: Path) -> None:
    with pytest.raises(control.NoDaemonError):
        await control.ask(tmp_path, "status")
    (tmp_path / control.NAME).write_text("no socket")
    with pytest.raises(control.NoDaemonError):
        await control.ask(tmp_path, "status")


async def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path, nursery: trio.Nursery) -> None:
    (tmp_path / control.NAME).write_text("left by kill -9")
    await nursery.start(control.serve, tmp_path, {"echo": echo})
    assert await control.ask(tmp_path, "echo")


async def test_a_path_too_long_for_a_socket_says_so(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with pytest.raises(PgmwatchError, match="too long for a socket"):
        await control.serve(folder, {})


async def test_a_long_path_is_fine_where_the_relative_one_is_short(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    monkeypatch.chdir(folder)
    await nursery.start(partial(control.serve, folder, {"echo": echo}))
    assert await control.ask(folder, "echo")


def test_one_daemon_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "kis-KRX"
    with held(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(StateFolderError, match="another pgmwatch daemon"), held(folder):
            raise AssertionError
    with held(folder):
        pass


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "kis-KRX"
    folder.mkdir(mode=0o755)
    with held(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "daemon.lock").stat().st_mode & 0o777 == 0o600


def test_the_folders_above_it_are_the_owner_s_alone_where_we_make_them(tmp_path: Path) -> None:
    """Else what else is kept in `state`, such as a recording, lies in a folder that everybody can list."""
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    there.chmod(0o755)
    umask = os.umask(0o022)
    try:
        with held(there / "my" / "state" / "kis-KRX"):
            pass
    finally:
        os.umask(umask)
    modes = [folder.stat().st_mode & 0o777 for folder in (there, there / "my", there / "my" / "state")]
    assert modes == [0o755, 0o700, 0o700]


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    mode = (tmp_path / "file").stat().st_mode
    for folder in (tmp_path / "file", tmp_path / "file" / "state"):
        with pytest.raises(StateFolderError, match="cannot be used"), held(folder):
            raise AssertionError
    assert (tmp_path / "file").stat().st_mode == mode
