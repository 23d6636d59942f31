"""What outlives a restart: attempts, refusals, and nothing that could be used as a key."""

import json
import os
import stat
import threading
from pathlib import Path

import pytest
import trio
from pydantic import SecretStr

from engine import attempts, files
from engine.attempts import Attempts
from engine.config.model import Account
from engine.kis.backoff import Memory, State

ACCOUNT = Account(name="main", app_key=SecretStr("TEST-APP-KEY-1"), app_secret=SecretStr("TEST-APP-SECRET-1"))
OTHER = Account(name="second", app_key=SecretStr("TEST-APP-KEY-2"), app_secret=SecretStr("TEST-APP-SECRET-2"))
SEEN = Memory(State(attempts=(1, 2, 3), rounds=(2,), lost=2, refused=1, not_before=77), approved=True)


async def test_what_is_remembered_is_there_after_a_restart(tmp_path: Path) -> None:
    assert await Attempts(tmp_path).remember(ACCOUNT, SEEN)
    again = Attempts(tmp_path)
    assert again.of(ACCOUNT) == SEEN
    assert again.of(OTHER) == Memory()
    assert await again.remember(OTHER, Memory(State(attempts=(9,))))
    assert Attempts(tmp_path).of(ACCOUNT) == SEEN
    assert Attempts(tmp_path).of(OTHER).state.attempts == (9,)


async def test_another_name_is_the_same_key_and_a_mended_secret_is_not_refused(tmp_path: Path) -> None:
    """The broker counts connections by app key; but what it refused was the old secret."""
    await Attempts(tmp_path).remember(ACCOUNT, SEEN)
    assert Attempts(tmp_path).of(ACCOUNT.model_copy(update={"name": "renamed"})) == SEEN
    mended = ACCOUNT.model_copy(update={"app_secret": SecretStr("TEST-APP-SECRET-MENDED")})
    assert Attempts(tmp_path).of(mended) == Memory(State(attempts=(1, 2, 3), rounds=(2,)))


async def test_the_file_is_the_owners_alone_and_holds_no_key(tmp_path: Path) -> None:
    await Attempts(tmp_path).remember(ACCOUNT, SEEN)
    path = tmp_path / attempts.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "TEST-" not in path.read_text()
    assert sum(1 for _ in os.scandir(tmp_path)) == 1  # nothing half-written beside it


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b'{"version": 2, "app_keys": {}}',
    b'{"version": 1}',
    b'{"version": 1, "app_keys": []}',
    b'{"version": 1, "app_keys": {"a": {"credentials": "b"}}}',
    b'{"version": 1, "app_keys": {"a": {"credentials": "b", "memory": {"approved": "yes"}}}}',
    b"[" * 100_000,
    b" " * (attempts.MAX_BYTES + 1),
]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
async def test_a_file_that_cannot_be_used_is_set_aside_loudly(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / attempts.FILE
    path.write_bytes(content)
    kept = Attempts(tmp_path)
    assert kept.of(ACCOUNT) == Memory()
    assert "attempts set aside" in caplog.text
    assert path.with_suffix(".broken").read_bytes() == content
    assert await kept.remember(ACCOUNT, SEEN)
    assert Attempts(tmp_path).of(ACCOUNT) == SEEN


async def test_a_disk_that_does_not_take_it_is_an_answer_not_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Attempts(tmp_path)
    assert await kept.remember(ACCOUNT, SEEN)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "replace", full)
    assert not await kept.remember(ACCOUNT, Memory())
    assert "No space left" in caplog.text
    assert Attempts(tmp_path).of(ACCOUNT) == SEEN


async def test_a_disk_that_hangs_holds_one_thread_and_what_was_written_last_is_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty of its threads would have been all that there are for looking up names: no feed could connect any more."""
    kept = Attempts(tmp_path)
    stuck, replace, running = threading.Event(), files.replace, []

    def hang(path: Path, content: bytes) -> None:
        running.append(content)
        stuck.wait(10)
        replace(path, content)

    monkeypatch.setattr(files, "replace", hang)
    for n in range(3):
        with trio.move_on_after(0.1) as patience:
            await kept.remember(ACCOUNT, Memory(State(attempts=(n,))))
        assert patience.cancelled_caught
    assert len(running) == 1
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
    stuck.set()
    assert await kept.remember(ACCOUNT, Memory(State(attempts=(9,))))
    assert Attempts(tmp_path).of(ACCOUNT).state.attempts == (9,)


async def test_app_keys_are_remembered_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_KEYS", 3)
    kept = Attempts(tmp_path)
    accounts = [ACCOUNT.model_copy(update={"app_key": SecretStr(f"TEST-APP-KEY-{n}")}) for n in range(5)]
    for account in accounts[:3]:
        await kept.remember(account, SEEN)
    await kept.remember(accounts[0], SEEN)  # the latest now
    for account in accounts[3:]:
        await kept.remember(account, SEEN)
    again = Attempts(tmp_path)
    assert [again.of(account) == SEEN for account in accounts] == [True, False, False, True, True]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    files.replace(path, b"old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        files.replace(path, b"new")
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    files.replace(path, json.dumps({"a": 1}).encode())
    assert json.loads(path.read_bytes()) == {"a": 1}
