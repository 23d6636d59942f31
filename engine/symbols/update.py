"""A newer stock master: downloaded, checked, compared with the last one, and only then put in its place."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import trio

from engine.config.load import Configuration
from engine.errors import ConfigurationError, PlaceError
from engine.locale import Text
from engine.loopback import is_loopback
from engine.symbols import file
from engine.symbols.download import DEADLINE_S, download
from engine.symbols.master import Changes, Master, changes
from engine.symbols.mst import parse


class SaveError(PlaceError):
    """The new master could not be written; the old one is as it was."""


_BUSY = Text("another update is running; try again", "다른 업데이트가 진행 중입니다. 잠시 후 다시 시도하세요")
_TRIES, _PAUSE_S = 11, 0.2
"""To get the lock: two seconds. Another needs a few hundredths of one, on a slow disk perhaps half of it."""


@dataclass(frozen=True, slots=True)
class Update:
    """What came of it."""

    master: Master
    since: date | None
    """When the last master was loaded; None where there was none that can be compared."""
    changes: Changes
    """Empty without a last one."""
    unfit: int
    """Lines of the broker's files that could not be read."""


async def update(configuration: Configuration, today: date, *, deadline_s: float = DEADLINE_S) -> Update:
    """Load both files and replace the master. Until everything was right, the old file stays as it is.

    Raises ConfigurationError for an address that is not to be used, DownloadError, MasterError or SaveError.
    """
    check_address(configuration)
    kospi, kosdaq = await download(configuration.settings.symbols.master_url, deadline_s=deadline_s)
    master, unfit = parse(kospi, kosdaq, today)
    before = await _replace(configuration.master_file, master)
    found = Changes((), (), ()) if before.loaded is None else changes(before, master)
    return Update(master, before.loaded, found, unfit)


async def _replace(path: Path, master: Master) -> Master:
    """→ the last one, or the built-in names, if that was broken: then there is nothing to compare with."""
    try:
        async with alone(path.parent):
            before, _ = file.load_or_builtin(path)
            file.save(path, master)
    except BlockingIOError as error:
        raise SaveError(str(path), _BUSY) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SaveError(str(path), Text(f"cannot be written: {reason}", f"쓸 수 없습니다: {reason}")) from error
    return before


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[None]:
    """One updater at a time, by a lock on the folder itself. It goes with the process, however that ends.

    The folder is made if need be (0700); one that is there keeps its mode, as the user may have chosen it.
    Raises OSError; that is BlockingIOError where another updater does not come to an end.
    """
    descriptor = _opened(folder)
    try:
        await _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _opened(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(folder, os.O_RDONLY | os.O_CLOEXEC)


async def _lock(descriptor: int) -> None:
    """Without the kernel's own waiting: that has no deadline, and holds up all else on this thread."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await trio.sleep(_PAUSE_S)
    return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_address(configuration: Configuration) -> None:
    """Names decide which stocks are watched: they come over TLS, or from this machine. Raises ConfigurationError."""
    at = ("symbols", "master_url")
    try:
        parts = urlsplit(configuration.settings.symbols.master_url)
        host = parts.hostname or ""
        host.encode("idna")  # as the resolver will; raises for labels that are empty or too long
        usable = bool(host) and parts.port != 0  # reading the port raises where it is no number
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError([configuration.document.problem(at, "not-a-url")])
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigurationError([configuration.document.problem(at, "wrong-scheme", allowed="https")])
    _, login, place = parts.netloc.rpartition("@")
    if login:  # the broker asks for none, and errors show the address
        allowed = f"{parts.scheme}://{place}"
        raise ConfigurationError([configuration.document.problem(at, "wrong-scheme", allowed=allowed)])
