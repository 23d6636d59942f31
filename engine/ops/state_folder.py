"""The folder in which a daemon keeps what it writes: the owner's alone, and one daemon's at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import PgmwatchError


class StateFolderError(PgmwatchError):
    """The state folder cannot be used."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder (0700) if need be and hold it. The kernel lets go of the lock however the process ends.

    Raises StateFolderError where it cannot be written or another daemon holds it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        descriptor = os.open(folder / "daemon.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateFolderError(f"{folder}: cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateFolderError(f"{folder}: another pgmwatch daemon is running on this folder") from None
        yield
    finally:
        os.close(descriptor)
