"""Which recordings are too many. Pure."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple


class Kept(NamedTuple):
    """One day's recording on disk."""

    day: date
    size: int
    """Bytes."""


def superfluous(files: Iterable[Kept], today: date, days: int, size_bytes: int) -> Sequence[Kept]:
    """Those that are to go, oldest first: what is `days` days old, then the oldest until all fit `size_bytes`.

    Today's always stays, even where it alone is too large: it is being written.
    """
    files = sorted(files)
    total = sum(file.size for file in files)
    gone = []
    for file in files:
        if file.day != today and ((today - file.day).days >= days or total > size_bytes):
            gone.append(file)
            total -= file.size
    return gone
