"""The folder in which a daemon keeps what it writes: the owner's alone, and one daemon's at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import PlaceError
from engine.locale import Text


class StateFolderError(PlaceError):
    """The state folder cannot be used."""


_BUSY = Text("another pgmwatch daemon is running on this folder", "이 폴더에서 다른 pgmwatch 데몬이 실행 중입니다")
TOO_LONG = Text(
    "the path is too long for a socket; choose a shorter `state` folder",
    "소켓을 두기에 경로가 너무 깁니다. 더 짧은 `state` 폴더를 고르세요",
)


def cannot_be_used(path: Path, error: OSError) -> StateFolderError:
    reason = error.strerror or type(error).__name__
    return StateFolderError(path, Text(f"cannot be used: {reason}", f"쓸 수 없습니다: {reason}"))


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder (0700) if need be and hold it. The kernel lets go of the lock however the process ends.

    Raises StateFolderError where it cannot be written or another daemon holds it.
    """
    try:
        _make(folder)
        folder.chmod(0o700)
        descriptor = os.open(folder / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_be_used(folder, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateFolderError(folder, _BUSY) from None
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """With its parents 0700 as well, which `parents=True` leaves to the umask; one that is there keeps its mode."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    for each in (*reversed(missing), folder):
        each.mkdir(mode=0o700, exist_ok=True)
