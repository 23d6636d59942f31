"""Making a recording whole again before more is written to it.

A recording is a sequence of zstd frames, each written at once and ending with a line break. A kill in the middle of a
write leaves a part of the last frame, which nobody can read and behind which nothing can be read: it goes. Everything
else that is found in a recording's place is somebody's, so it is set aside under another name and never overwritten.
"""

import itertools
import mmap
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import zstandard

MAGIC = b"\x28\xb5\x2f\xfd"
"""The first bytes of a zstd frame. In valid UTF-8 they cannot stand, so no line stored as it is looks like a frame."""
MAX_TORN = 4 * 2**20
"""Bytes that a torn write may have left: the writer's frames are smaller. More is no torn write."""
_STEP = 64 * 1024
_BEGINNING = re.compile(rb"[0-9]{1,19}(?: |\Z)")


class Repair(NamedTuple):
    """What was done to a file."""

    path: Path
    dropped: int
    """Bytes of a torn write that were cut off."""
    set_aside: Path | None
    """The name that a file has now which was no recording of ours."""


def repair(path: Path) -> Repair | None:
    """Leave at `path` a recording that can be appended to, or nothing. None: nothing was to be done. Raises OSError."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):  # a link may lead anywhere
        return _set_aside(path)
    if not found.st_size:
        return None
    with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size, whole = len(data), whole_bytes(data)
        if whole is None:
            return _set_aside(path)
        if whole == size:
            return None
        file.truncate(whole)
        return Repair(path, size - whole, None)


def whole_bytes(data: mmap.mmap | bytes) -> int | None:
    """Up to where this is a whole recording, apart from a torn last write; None where it is no recording of ours.

    Looks from the end for the last whole frame: the time does not grow with the file.
    """
    size = len(data)
    if not _is_ours(data):
        return None
    at = size
    while (at := data.rfind(MAGIC, 0, at + len(MAGIC) - 1)) >= 0:
        end, last = _frame_end(data, at)
        if end is not None:
            return end if last == b"\n" and size - end <= MAX_TORN else None
    return 0 if size <= MAX_TORN else None


def _is_ours(data: mmap.mmap | bytes) -> bool:
    """Whether the first line begins with a time, as far as it can be told."""
    head = data[: len(MAGIC)]
    if head != MAGIC:
        return MAGIC.startswith(head)
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    for at in range(0, min(len(data), MAX_TORN), _STEP):
        try:
            text = unpacker.decompress(data[at : at + _STEP])
        except zstandard.ZstdError:
            return True  # a frame torn before its first line
        if text or unpacker.eof:
            return _BEGINNING.match(text) is not None
    return True


def _frame_end(data: mmap.mmap | bytes, start: int) -> tuple[int | None, bytes]:
    """Where the frame that starts here ends (None: it is not whole), and the last byte of its content."""
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    last = b""
    for at in range(start, len(data), _STEP):
        chunk = data[at : at + _STEP]
        try:
            last = unpacker.decompress(chunk)[-1:] or last
        except zstandard.ZstdError:
            break
        if unpacker.eof:
            return at + len(chunk) - len(unpacker.unused_data), last
    return None, b""


def _set_aside(path: Path) -> Repair:
    """One writer at a time, so a name that is free stays free."""
    names = (path.with_name(f"{path.name}.set-aside-{number}") for number in itertools.count(1))
    free = next(name for name in names if not os.path.lexists(name))
    path.rename(free)
    return Repair(path, 0, free)
