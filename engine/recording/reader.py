"""A recording as it is read: plain or compressed, the file's first bytes decide; also one that is being written."""

import itertools
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import zstandard

from engine.errors import PlaceError
from engine.kis.protocol import MAX_TEXT
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.recording.dayfiles import name_of
from engine.recording.lines import Lines
from engine.recording.repair import MAGIC
from engine.stream import Event

Progress = Callable[[int, int], None]
"""Bytes read so far, and of all files together as they were found."""

MAX_LINE = 4 * MAX_TEXT + 64
"""Bytes: of the longest frame that the decoder takes, with its time."""
MAX_HELD = 4 * 2**20
"""Bytes of a zstd frame's content that wait for its end, so that nothing of a torn one is read. Ours are smaller;
other programs make one frame of a whole file."""
_READ = 64 * 1024
_FEED = 256
"""Bytes given to the unpacker at once: it may make 32,000 times as many of them, and it copies what follows a frame."""

STEP_NS = SECOND_NS
"""The daemon's own clock falls by less, or a mark stands where it did."""
_BLANKS = re.compile(rb"\n(?:\r?+\n)++")
_FIRST_LINES = 10
"""One of these has a time, or the file is no recording: the first may be a blank one, or somebody's heading."""

_TORN = Text(
    "{path}: torn at its end, {bytes} bytes are not used", "{path}: 끝이 잘려 있어 {bytes}바이트를 쓰지 않습니다"
)
_UNREADABLE = Text("lines that cannot be read: {counts}", "읽을 수 없는 줄: {counts}")
_EARLIER = Text(
    "{count:,} lines are earlier than one before them: do the files overlap, or is one out of order?",
    "앞줄보다 이른 줄이 {count:,}개 있습니다. 기록이 서로 겹치거나 순서가 뒤섞이지 않았는지 확인하세요",
)
_TWICE = Text("{path}: named twice, read once", "{path}: 두 번 지정했습니다. 한 번만 읽습니다")
_DROPPED = Text("malformed records: {counts}", "형식이 잘못된 레코드: {counts}")
_NO_RECORDING = Text("is no recording", "기록 파일이 아닙니다")
_NO_FILE = Text("is no file", "파일이 아닙니다")
_CANNOT = Text("cannot be read: {reason}", "읽을 수 없습니다: {reason}")


class UnreadableRecordingError(PlaceError):
    """A file that cannot be read as a recording."""


@dataclass(slots=True)
class Tally:
    """What was not used of the files read, or not as it stands there."""

    lines: Lines = field(default_factory=Lines)
    torn: dict[Path, int] = field(default_factory=dict)
    """Bytes at the end of a file that are no whole zstd frame: a write that was cut short or is going on, or damage."""

    earlier: int = 0
    """Lines that are earlier than one before them, by more than the `STEP_NS` that a clock may be set back."""
    twice: list[Path] = field(default_factory=list)
    """Files that were named before, perhaps by another name."""

    def words(self, locale: Locale) -> list[str]:
        """One line for each kind of thing; none if all was used."""
        told = [_TWICE.of(locale).format(path=path) for path in self.twice]
        told += [_TORN.of(locale).format(path=path, bytes=size) for path, size in self.torn.items()]
        if self.earlier:
            told.append(_EARLIER.of(locale).format(count=self.earlier))
        for text, counts in ((_UNREADABLE, self.lines.unreadable), (_DROPPED, self.lines.dropped)):
            if counts:
                each = ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())
                told.append(text.of(locale).format(counts=each))
        return told


def events(paths: Iterable[Path], progress: Progress | None = None, tally: Tally | None = None) -> Iterator[Event]:
    """All events, file by file in the order of their first times; a file that is named twice is read once.

    What cannot be used, and what is out of order, is counted in `tally`. Raises UnreadableRecordingError, for a missing
    file before the first event. Memory does not grow with the files.
    """
    tally = tally or Tally()
    event = tally.lines.event
    latest = 0
    for batch in _all_batches(_ordered(paths, tally), progress, tally):
        for line in batch:
            found = event(line)
            if found is not None:
                if found.t >= latest:
                    latest = found.t
                elif latest - found.t > STEP_NS:
                    tally.earlier += 1
                yield found


def lines(path: Path, tally: Tally | None = None) -> Iterator[str]:
    """The lines of one file as they stand there, without their line breaks. Raises UnreadableRecordingError."""
    for batch in _batches(path, lambda _: None, tally or Tally()):
        yield from batch


def day_file(folder: Path, day: date) -> Path | None:
    """The recording of this date in KST, if the folder has one."""
    path = folder / name_of(day)
    try:
        return path if path.is_file() else None
    except OSError:  # of a folder or disk that fails: reading says why
        return path


def _ordered(paths: Iterable[Path], tally: Tally) -> list[Path]:
    """By first time. A single one is not looked into: it may be a pipe, which can be read once."""
    once: dict[tuple[int, int], Path] = {}
    for path in paths:
        found = _stat(path)
        key = found.st_dev, found.st_ino
        if key in once:
            tally.twice.append(path)
        else:
            once[key] = path
    files = list(once.values())
    return files if len(files) < 2 else sorted(files, key=_first_time)


def _stat(path: Path) -> os.stat_result:
    try:
        found = path.stat()
    except OSError as error:
        raise _cannot(path, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise UnreadableRecordingError(path, _NO_FILE)
    return found


def _first_time(path: Path) -> int:
    """Of an empty file, nothing matters."""
    reader = Lines()
    for batch in _batches(path, lambda _: None, Tally()):
        for line in batch:
            event = reader.event(line)
            if event is not None:
                return event.t
    return 0


def _all_batches(paths: Sequence[Path], progress: Progress | None, tally: Tally) -> Iterator[list[str]]:
    total = sum(_stat(path).st_size for path in paths)
    done = 0

    def read(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    for path in paths:
        yield from _batches(path, read, tally)


def _batches(path: Path, read: Callable[[int], None], tally: Tally) -> Iterator[list[str]]:
    """The file's lines, some at a time. Checks that one of the first is of a recording; blank ones alone are none."""
    batches = _split(_content(_chunks(path, read), path, tally), path, tally)
    reader, looked = Lines(), 0
    held: list[list[str]] = []
    for batch in batches:
        held.append(batch)
        first = batch[: _FIRST_LINES - looked]
        looked += len(first)
        if any(reader.event(line) for line in first):
            break
        if looked == _FIRST_LINES:
            raise UnreadableRecordingError(path, _NO_RECORDING)
    else:
        if held:
            raise UnreadableRecordingError(path, _NO_RECORDING)
    yield from held
    yield from batches


def _chunks(path: Path, read: Callable[[int], None]) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_READ):
                read(len(chunk))
                yield chunk
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> UnreadableRecordingError:
    reason = error.strerror or type(error).__name__
    return UnreadableRecordingError(path, Text(*(text.format(reason=reason) for text in _CANNOT)))


def _content(chunks: Iterator[bytes], path: Path, tally: Tally) -> Iterator[bytes]:
    """The text of a file, plain or not; nothing of a torn zstd frame unless it is larger than what we hold."""
    first = next(chunks, b"")
    if not MAGIC.startswith(first[: len(MAGIC)]) or not first:
        yield first
        yield from chunks
        return
    unpacking = _Unpacking()
    for chunk in itertools.chain((first,), chunks):
        for at in range(0, len(chunk), _FEED):
            yield from unpacking.feed(chunk[at : at + _FEED])
    if unpacking.torn:
        tally.torn[path] = unpacking.torn


class _Unpacking:
    """Zstd frames, one after the other, until one is not whole."""

    def __init__(self) -> None:
        self._unpacker = zstandard.ZstdDecompressor()
        self._frame = self._unpacker.decompressobj()
        self._held: list[bytes] = []
        self._size = 0
        self._limit = MAX_HELD
        self._damaged = False
        self.torn = 0
        """Bytes since the end of the last whole frame."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self.torn += len(data)
        while data and not self._damaged:
            try:
                self._hold(self._frame.decompress(data))
            except zstandard.ZstdError:
                self._damaged = True
                return
            data = b""
            if self._frame.eof:
                data = self._frame.unused_data
                self._frame = self._unpacker.decompressobj()
                self.torn = len(data)
                self._limit = MAX_HELD
                yield self._release()
            elif self._size > self._limit:
                self._limit = _READ
                yield self._release()

    def _hold(self, text: bytes) -> None:
        self._held.append(text)
        self._size += len(text)

    def _release(self) -> bytes:
        text = b"".join(self._held)
        self._held, self._size = [], 0
        return text


def _split(chunks: Iterator[bytes], path: Path, tally: Tally) -> Iterator[list[str]]:
    """Text to lines. The last one needs no line break, unless the file is torn: then it may be half a line."""
    rest = b""
    for chunk in chunks:
        whole, newline, tail = chunk.rpartition(b"\n")
        if newline:
            yield _without_blanks(rest + whole).decode("utf-8", "replace").split("\n")
            rest = tail
        else:
            rest = (rest + tail)[:MAX_LINE]  # of a longer one, enough is left to be counted as too long
    if rest and path not in tally.torn:
        yield [rest.decode("utf-8", "replace")]


def _without_blanks(text: bytes) -> bytes:
    """Nothing stands in an empty line, and three thousand bytes of a file can unpack to a hundred million of them."""
    return _BLANKS.sub(b"\n", text) if b"\n\n" in text or b"\n\r\n" in text else text
