"""What a kill, a full disk and other people's files do to a recording."""

import errno
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest
import zstandard
from recording_days import MORNING, frame, frames, read

from engine.kst import SECOND_NS
from engine.recording import repair as repairing
from engine.recording.lines import line
from engine.recording.reader import Tally, day_file
from engine.recording.repair import MAGIC, Repair, repair, whole_bytes
from engine.recording.writer import RecordingError, Writer
from engine.stream import Down, Event, Start, Up

TODAY = date(2026, 11, 20)
NAME = "2026-11-20.zst"


def written(folder: Path, *batches: list[Event]) -> list[int]:
    """Write them; the size of the file after each."""
    writer = Writer(folder, days=60, size_bytes=10**9)
    writer.open(MORNING)
    sizes = []
    for batch in batches:
        writer.write(batch)
        sizes.append((folder / NAME).stat().st_size)
    writer.close()
    return sizes


# -- torn


def test_a_file_cut_at_every_byte_keeps_every_whole_frame_and_goes_on(tmp_path: Path) -> None:
    batches = [frames(count, MORNING + number * SECOND_NS) for number, count in enumerate((1, 40, 3, 1))]
    sizes = written(tmp_path, *batches)
    data = (tmp_path / NAME).read_bytes()
    assert sizes[-1] == len(data)
    for cut in range(len(data) + 1):
        (tmp_path / NAME).write_bytes(data[:cut])
        kept = [event for batch, size in zip(batches, sizes, strict=True) if size <= cut for event in batch]
        dropped = cut - max((size for size in sizes if size <= cut), default=0)
        tally = Tally()
        assert read(tmp_path / NAME, tally=tally) == kept  # also before it is repaired
        assert tally.torn == ({tmp_path / NAME: dropped} if dropped else {})
        writer = Writer(tmp_path, days=60, size_bytes=10**9)
        assert writer.open(MORNING) == ((Repair(tmp_path / NAME, dropped, None),) if dropped else ())
        writer.write([frame(MORNING + 100)])
        writer.close()
        assert read(tmp_path / NAME) == [*kept, frame(MORNING + 100)]


@pytest.mark.parametrize(
    "tail", [b"\x00" * 70_000, MAGIC, MAGIC * 500, os.urandom(1000), b"text\n", MAGIC + b"\x00" * 9]
)
def test_rubbish_behind_the_last_frame_goes(tmp_path: Path, tail: bytes) -> None:
    """A power cut may leave zeros where data had not reached the disk."""
    said = frames(20)
    written(tmp_path, said)
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + tail)
    assert repair(tmp_path / NAME) == Repair(tmp_path / NAME, len(tail), None)
    assert (tmp_path / NAME).read_bytes() == whole
    assert repair(tmp_path / NAME) is None


def test_a_byte_that_a_disk_changed_never_becomes_a_number(tmp_path: Path) -> None:
    first, second = frames(3), frames(3, MORNING + SECOND_NS)
    start, end = written(tmp_path, first, second)
    data = (tmp_path / NAME).read_bytes()
    for place in range(start, end):
        (tmp_path / NAME).write_bytes(data[:place] + bytes([data[place] ^ 0x11]) + data[place + 1 :])
        assert read(tmp_path / NAME) in (first, [*first, *second])


def test_an_older_file_that_was_torn_at_midnight_is_made_whole_too(tmp_path: Path) -> None:
    written(tmp_path, frames(3))
    os.truncate(tmp_path / NAME, (tmp_path / NAME).stat().st_size - 1)
    found = Writer(tmp_path, days=60, size_bytes=10**9).open(MORNING + 86_400 * SECOND_NS)
    assert [repair.path.name for repair in found] == [NAME]
    assert (tmp_path / NAME).stat().st_size == 0


# -- not ours


def tar_like() -> bytes:
    return zstandard.compress(b"somebody's archive" * 100)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"notes of mine\n", id="text"),
        pytest.param(f"{MORNING} #alive\n".encode(), id="a plain recording"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(b"\x1f\x8b\x08" + b"x" * 50, id="gzip"),
        pytest.param(tar_like(), id="other content"),
        pytest.param(zstandard.compress(f"{MORNING} #alive".encode()), id="ends in the middle of a line"),
        pytest.param(zstandard.compress(b""), id="an empty frame"),
    ],
)
def test_a_file_that_is_none_of_ours_is_set_aside_and_never_overwritten(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).write_bytes(content)
    (tmp_path / f"{NAME}.set-aside-1").write_bytes(b"an earlier one")
    writer = Writer(tmp_path, days=60, size_bytes=10**9)
    assert writer.open(MORNING) == (Repair(tmp_path / NAME, 0, tmp_path / f"{NAME}.set-aside-2"),)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    writer.write(frames(2))
    writer.close()
    assert read(tmp_path / NAME) == frames(2)
    assert (tmp_path / f"{NAME}.set-aside-2").read_bytes() == content
    assert (tmp_path / f"{NAME}.set-aside-1").read_bytes() == b"an earlier one"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/passwd")])
def test_what_is_no_file_is_set_aside_and_a_link_is_not_followed(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / NAME)
    writer = Writer(tmp_path, days=60, size_bytes=10**9)
    writer.open(MORNING)
    writer.write(frames(1))
    writer.close()
    assert (tmp_path / NAME).is_file()
    assert not (tmp_path / NAME).is_symlink()
    assert os.path.lexists(tmp_path / f"{NAME}.set-aside-1")


def test_a_tail_too_large_for_a_torn_write_is_kept_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairing, "MAX_TORN", 5000)
    written(tmp_path, frames(3))
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"\x00" * 6000)
    size = (tmp_path / NAME).stat().st_size
    assert repair(tmp_path / NAME) == Repair(tmp_path / NAME, 0, tmp_path / f"{NAME}.set-aside-1")
    assert (tmp_path / f"{NAME}.set-aside-1").stat().st_size == size
    one_large_frame = zstandard.compress("".join(f"{line(event)}\n" for event in frames(9000)).encode())[:-1]
    assert len(one_large_frame) > 5000
    assert whole_bytes(one_large_frame) is None


def test_a_recording_that_was_packed_again_can_be_appended_to(tmp_path: Path) -> None:
    said = frames(3000)
    (tmp_path / NAME).write_bytes(zstandard.compress("".join(f"{line(event)}\n" for event in said).encode(), 19))
    written(tmp_path, frames(2))
    assert read(tmp_path / NAME) == [*said, *frames(2)]


# -- killed

CHILD = """
import sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from recording_days import MORNING, frame
from engine.recording.writer import Writer
writer = Writer(Path(sys.argv[1]), days=60, size_bytes=10**9)
writer.open(MORNING)
number = int(sys.argv[2])
while True:
    count = 1 + number * 7919 % 400
    writer.write([frame(MORNING + number + each, number + each) for each in range(count)])
    number += count
    sys.stdout.write(f"{{number}}\\n")
    sys.stdout.flush()
"""


def killed_child(folder: Path, first: int, rng: random.Random) -> int:
    """Let it write for a moment, kill it, and return the number up to which it said it had written."""
    code = CHILD.format(tests=str(Path(__file__).parent))
    child = subprocess.Popen([sys.executable, "-c", code, folder, str(first)], stdout=subprocess.PIPE)
    assert child.stdout
    said = [child.stdout.readline()]
    time.sleep(rng.uniform(0, 0.08))
    child.send_signal(signal.SIGKILL)
    said += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return max(int(one) for one in said if one.endswith(b"\n"))


@pytest.mark.slow  # eight processes, each with Python to start
def test_a_kill_at_any_moment_loses_nothing_that_was_handed_over(tmp_path: Path) -> None:
    rng = random.Random(11)
    count = 0
    for _ in range(8):
        handed_over = killed_child(tmp_path, count, rng)
        Writer(tmp_path, days=60, size_bytes=10**9).open(MORNING)
        tally = Tally()
        numbers = [event.records[0].sell_volume for event in read(tmp_path / NAME, tally=tally)]  # type: ignore[union-attr]
        assert numbers == list(range(len(numbers)))  # none missing, none twice, none torn
        assert len(numbers) >= handed_over
        assert tally == Tally(tally.lines)
        count = len(numbers)


# -- full


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file may grow beyond this: write(2) takes what fits, then refuses. Python ignores SIGXFSZ."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def batch(number: int) -> list[Event]:
    return frames(30, MORNING + number * 1000, 1)


def fill(writer: Writer) -> int:
    """Write batches until one is refused: how many were written."""
    for number in range(10_000):
        try:
            writer.write(batch(number))
        except RecordingError as error:
            assert "2026-11-20.zst" in str(error)
            return number
    raise AssertionError("it was never full")


def check_full_and_on(writer: Writer, folder: Path, make_room: Callable[[], None]) -> None:
    writer.write([Up(MORNING, ("005930",))])
    count = fill(writer)
    path = day_file(folder, TODAY)
    assert path
    said = [Up(MORNING, ("005930",)), *(event for number in range(count) for event in batch(number))]
    tally = Tally()
    assert read(path, tally=tally) == said
    assert tally.torn == {}
    assert whole_bytes(path.read_bytes()) == path.stat().st_size
    for _ in range(3):
        with pytest.raises(RecordingError):
            writer.write([frame(MORNING + 10**9 + each, each) for each in range(5000)])
        assert read(path) == said
    make_room()
    later = batch(10_001)
    writer.write(later)
    hole = [Down(said[-1].t, ("*",)), Up(later[0].t, ("005930",))]
    assert read(path) == [*said, *hole, *later]


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """Cut in the middle of a frame: the first write(2) takes a part, the second refuses."""
    writer = Writer(tmp_path, days=60, size_bytes=10**9)
    writer.open(MORNING)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with limited(6001):
        check_full_and_on(writer, tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before))
    writer.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for few frames."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system needs root's rights to mount")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)  # also where a failed test left a file open


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
def test_a_full_disk_and_room_again(small_disk: Path) -> None:
    (small_disk / "else").write_bytes(b"x" * 30_000)
    writer = Writer(small_disk, days=60, size_bytes=10**9)
    writer.open(MORNING)
    check_full_and_on(writer, small_disk, (small_disk / "else").unlink)
    writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
def test_a_disk_that_is_full_from_the_start(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "else").write_bytes(b"x" * 70_000)
    writer = Writer(small_disk, days=60, size_bytes=10**9)
    writer.open(MORNING)
    with pytest.raises(RecordingError, match="No space"):
        writer.write([Up(MORNING, ("005930",)), *frames(2)])
    (small_disk / "else").unlink()
    later = batch(1)
    writer.write(later)
    found = read(small_disk / NAME)
    writer.close()
    # A start: nothing is known of what was before.
    assert found == [Start(later[0].t), Up(later[0].t, ("005930",)), *later]


@pytest.mark.parametrize("number", range(1, 7))
def test_the_nth_write_fails_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """EIO after half of a frame, and the disk that failed cannot cut it off either."""
    write, calls = os.write, 0

    def failing(descriptor: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == number:
            return write(descriptor, data[: len(data) // 2])
        if calls == number + 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(descriptor, data)

    def refusing(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("engine.recording.writer.os.write", failing)
    monkeypatch.setattr("engine.recording.writer.os.ftruncate", refusing)
    writer = Writer(tmp_path, days=60, size_bytes=10**9)
    writer.open(MORNING)
    lost = []
    for each in range(6):
        try:
            writer.write(batch(each))
        except RecordingError:
            lost.append(each)
    writer.close()
    monkeypatch.undo()
    assert lost == [number - 1]
    numbers = [event for event in read(tmp_path / NAME) if hasattr(event, "records")]
    assert numbers == [event for each in range(6) if each not in lost for event in batch(each)]
    marks = [event for event in read(tmp_path / NAME) if not hasattr(event, "records")]
    assert len(marks) == (number < 6)
