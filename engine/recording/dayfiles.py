"""The recordings of a folder: one file a day, named by its date in KST."""

import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

from engine.recording.retention import Kept

_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.zst")


def name_of(day: date) -> str:
    return f"{day.isoformat()}.zst"


def kept(folder: Path) -> list[Kept]:
    """All recordings of the folder, oldest first; files with other names are not ours. Raises OSError."""
    return sorted(_kept(folder))


def _kept(folder: Path) -> Iterator[Kept]:
    for path in folder.iterdir():
        day = _day_of(path.name)
        if day is None:
            continue
        with suppress(FileNotFoundError):  # removed since
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield Kept(day, found.st_size)


def _day_of(name: str) -> date | None:
    match = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
