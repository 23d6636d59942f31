"""The recording as it is written: lines, compressed, to one file a day.

Each call's lines go to the operating system at once, as a zstd frame of their own: a kill loses what was not yet handed
over and no more, and both our reader and `zstdcat` read the file while it grows. What was handed over is not forced to
the disk: a power cut may cost the last seconds.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import zstandard

from engine.errors import PlaceError
from engine.kst import SECOND_NS, date_of, day_number, day_start
from engine.locale import Text
from engine.recording.dayfiles import kept, name_of
from engine.recording.lines import line
from engine.recording.repair import Repair, repair
from engine.recording.retention import superfluous
from engine.recording.upstream import EVERY, Upstream
from engine.stream import Down, Event, Start

log = logging.getLogger(__name__)

FRAME_CHARACTERS = 512 * 1024
"""Of text in a zstd frame, before its last line (which may have 256 K itself): bounds what a reader holds."""
_LEVEL = 3
_STEP_BACK_NS = 3600 * SECOND_NS
"""A line this much before midnight may still stand in the new day's file. Times may fall a little when a clock is set,
and the order of lines is what counts: a replay reads the files one after the other."""
_GROWTH = 64 * 2**20
"""Bytes written until the total is looked at again within a day."""


class RecordingError(PlaceError):
    """The recording cannot be written now."""

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or type(error).__name__
        super().__init__(path, Text(f"cannot be written: {reason}", f"쓸 수 없습니다: {reason}"))


class Writer:
    """Blocks; from one thread at a time, and one at a time on a folder. Makes the folder if need be (0700; files 0600).

    A file begins with what is up, so that it can be replayed without the one before.
    """

    def __init__(self, folder: Path, *, days: int, size_bytes: int) -> None:
        """Recordings are kept for so many days and up to so many bytes in all; the current one always."""
        self._folder = folder
        self._days = days
        self._size_bytes = size_bytes
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._descriptor: int | None = None
        self._path = folder
        """The file that is open, or was last."""
        self._day: int | None = None
        """Date of the file with the newest line."""
        self._last: int | None = None
        """Time of the newest line (ns); None: nothing says from when on lines are missing."""
        self._upstream = Upstream()
        self._hole = False
        self._grown = 0

    def __repr__(self) -> str:
        return f"<Writer {self._folder} open={self._descriptor is not None} hole={self._hole}>"

    def open(self, now: int) -> tuple[Repair, ...]:
        """Make the newest files whole, and the current date's (of `now`, ns); remove what is too much.

        Call it before the day's recording is read. Raises RecordingError; `write` then tries again by itself.
        """
        today = date_of(day_number(now))
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            # The newest two: it may have ended right after a midnight, in the middle of the old file's last write.
            names = {name_of(today), *(name_of(each.day) for each in kept(self._folder)[-2:])}
            found = tuple(filter(None, (self._repair(self._folder / name) for name in sorted(names))))
        except OSError as error:
            raise RecordingError(self._folder, error) from error
        self._tidy(day_number(now))
        return found

    def write(self, events: Iterable[Event]) -> None:
        """Hand the events to the operating system, in this order.

        Raises RecordingError: what was not written is lost (do not give it again), the file is whole, and the next
        write that succeeds begins with marks which say that something is missing.
        """
        waiting = list(events)
        if not waiting:
            return
        if self._hole:
            waiting = self._marks_of_the_hole(waiting[0].t) + waiting
        done = 0
        try:
            while done < len(waiting):
                done = self._write_some(waiting, done)
        except OSError as error:
            self.close()
            self.lose(waiting[done:])
            raise RecordingError(self._path, error) from error
        self._hole = False

    def lose(self, events: Iterable[Event] = ()) -> None:
        """These will not be written; what comes next must not look as if it followed what was."""
        for event in events:
            self._upstream.follow(event)
            if isinstance(event, Start):
                self._last = None
        self._hole = True

    def close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # it is closed all the same, and what was written was told then
                os.close(descriptor)

    # -- lines

    def _marks_of_the_hole(self, t: int) -> list[Event]:
        """All was lost at the last line; now, at `t`, this much is up. Without a last line: as if just started."""
        lost: Event = Start(t) if self._last is None else Down(self._last, (EVERY,))
        return [lost, *self._upstream.marks(t)]

    def _write_some(self, events: Sequence[Event], start: int) -> int:
        """Write what fits one zstd frame and one day, from `start` on; where the rest begins."""
        day = self._day_for(events[start].t)
        if not self._is_open(day):
            self._open_file(day)
        assert self._descriptor is not None
        earliest, midnight = day_start(day) - _STEP_BACK_NS, day_start(day + 1)
        before = os.fstat(self._descriptor).st_size
        lines = [] if before else self._beginning(events[start])
        size, at = 0, start
        while at < len(events) and size < FRAME_CHARACTERS and earliest <= events[at].t < midnight:
            lines.append(line(events[at]))
            size += len(lines[-1]) + 1
            at += 1
        self._append("\n".join([*lines, ""]), before)
        for event in events[start:at]:
            self._upstream.follow(event)
        self._last, self._day = events[at - 1].t, day
        if self._grown >= _GROWTH:
            self._tidy(day)
        return at

    def _beginning(self, first: Event) -> list[str]:
        """What was up before a file's first event; at a start that does not matter any more."""
        return [] if isinstance(first, Start) else [line(mark) for mark in self._upstream.marks(first.t)]

    def _append(self, text: str, before: int) -> None:
        assert self._descriptor is not None
        rest = memoryview(self._compressor.compress(text.encode("utf-8", "replace")))
        self._grown += len(rest)
        try:
            while rest:  # one write unless the disk is nearly full: then the second says so
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            with suppress(OSError):  # then the file is made whole when it is opened again
                os.ftruncate(self._descriptor, before)
            raise

    # -- files

    def _day_for(self, t: int) -> int:
        if self._day is not None and 0 < day_start(self._day) - t <= _STEP_BACK_NS:
            return self._day
        return day_number(t)

    def _is_open(self, day: int) -> bool:
        """Open, and still in its place: it may have been moved away since the last line."""
        if self._descriptor is None or self._path.name != name_of(date_of(day)):
            return False
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _open_file(self, day: int) -> None:
        self.close()
        self._path = self._folder / name_of(date_of(day))
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._repair(self._path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        os.fchmod(self._descriptor, 0o600)
        self._tidy(day)

    def _repair(self, path: Path) -> Repair | None:
        found = repair(path)
        if found is None:
            return None
        if found.set_aside is None:
            log.warning("recording torn file=%s dropped_bytes=%d", path.name, found.dropped)
        else:
            log.error("recording set aside file=%s as=%s: it is none of ours", path.name, found.set_aside.name)
        return found

    def _tidy(self, today: int) -> None:
        self._grown = 0
        try:
            for file in superfluous(kept(self._folder), date_of(today), self._days, self._size_bytes):
                (self._folder / name_of(file.day)).unlink()
                log.info("recording removed file=%s bytes=%d", name_of(file.day), file.size)
        except OSError as error:  # no reason to stop recording
            log.warning("recording cannot be removed reason=%s", error.strerror)
