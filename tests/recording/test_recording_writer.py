"""The recording as it is written: one file a day, readable by itself, by ours and by others' means."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import zstandard
from recording_days import MORNING, at, frame, frames, read

from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.recording import writer as writing
from engine.recording.lines import line
from engine.recording.reader import day_file
from engine.recording.writer import RecordingError, Writer
from engine.stream import Alive, Down, Event, Frame, Start, Up

TODAY = date(2026, 11, 20)
MIDNIGHT = at("2026-11-21T00:00:00")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def writer(folder: Path) -> Iterator[Writer]:
    writer = made(folder)
    yield writer
    writer.close()


def made(folder: Path, days: int = 60, size_bytes: int = 10**9) -> Writer:
    writer = Writer(folder, days=days, size_bytes=size_bytes)
    writer.open(MORNING)
    return writer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def today(folder: Path) -> Path:
    path = day_file(folder, TODAY)
    assert path is not None
    return path


# -- what is written


def test_what_was_written_is_read_back_at_once(writer: Writer, folder: Path) -> None:
    said: list[Event] = [Start(MORNING), Up(MORNING, ("005930",)), *frames(5), Alive(MORNING + SECOND_NS)]
    for number, event in enumerate(said):
        writer.write([event])
        assert read(today(folder)) == said[: number + 1]


def test_zstdcat_reads_it_while_it_is_written(writer: Writer, folder: Path) -> None:
    if not (zstdcat := shutil.which("zstdcat")):
        pytest.skip("zstdcat is not installed")
    said = frames(300)
    for some in (said[:100], said[100:150], said[150:]):
        writer.write(some)
        done = said[: said.index(some[-1]) + 1]
        shown = subprocess.run([zstdcat, today(folder)], capture_output=True, check=True)
        assert shown.stdout.decode() == "".join(f"{line(event)}\n" for event in done)
        assert shown.stderr == b""


def test_each_write_is_one_zstd_frame_with_whole_lines(writer: Writer, folder: Path) -> None:
    sizes = []
    for some in (frames(1), frames(200), frames(7)):
        writer.write(some)
        sizes.append(today(folder).stat().st_size)
    data = today(folder).read_bytes()
    for start, end in zip([0, *sizes], sizes, strict=False):
        assert zstandard.ZstdDecompressor().decompress(data[start:end]).endswith(b"\n")


def test_nothing_to_write_makes_no_file(writer: Writer, folder: Path) -> None:
    writer.write([])
    assert names(folder) == []


def test_a_large_batch_is_cut_into_frames_that_a_reader_can_hold(writer: Writer, folder: Path) -> None:
    said = frames(20_000, step=1000)
    writer.write(said)
    data, unpacked = today(folder).read_bytes(), []
    while data:
        frame_of_it = zstandard.ZstdDecompressor().decompressobj()
        unpacked.append(len(frame_of_it.decompress(data)))
        data = frame_of_it.unused_data
    assert len(unpacked) > 1
    assert max(unpacked) < writing.FRAME_CHARACTERS + 300
    assert read(today(folder)) == said


def test_a_time_that_falls_is_kept_as_it_was(writer: Writer, folder: Path) -> None:
    said: list[Event] = [frame(MORNING + 5), frame(MORNING), Down(MORNING - SECOND_NS, ("*",)), frame(MORNING + 9)]
    writer.write(said)
    assert read(today(folder)) == said


# -- days


def test_a_batch_over_midnight_is_split_and_the_new_file_stands_by_itself(writer: Writer, folder: Path) -> None:
    before: list[Event] = [
        Up(MIDNIGHT - 5, ("005930", "000660", "035420")),
        Down(MIDNIGHT - 4, ("000660",)),
        frame(MIDNIGHT - 1),
    ]
    after: list[Event] = [frame(MIDNIGHT), frame(MIDNIGHT + 1)]
    writer.write([*before, *after])
    assert names(folder) == ["2026-11-20.zst", "2026-11-21.zst"]
    assert read(today(folder)) == before
    assert read(folder / "2026-11-21.zst") == [Up(MIDNIGHT, ("005930", "035420")), *after]


@pytest.mark.parametrize(
    ("marks", "up"),
    [
        ([], []),
        ([Up(0, ("005930",)), Down(0, ("005930",))], []),
        ([Up(0, ("005930",)), Down(0, ("*",))], []),
        ([Up(0, ("005930",)), Start(0)], []),
        ([Up(0, ("005930",)), Start(0), Up(0, ("000660",))], [Up(0, ("000660",))]),
        ([Up(0, ("*",))], [Up(0, ("*",))]),
        ([Up(0, ("*",)), Down(0, ("005930",))], [Up(0, ("*",)), Down(0, ("005930",))]),
        ([Up(0, ("*",)), Down(0, ("005930",)), Up(0, ("005930",))], [Up(0, ("*",))]),
        ([Up(0, ("*",)), Up(0, ("005930",))], [Up(0, ("*",))]),
        ([Down(0, ("*",)), Up(0, ("*",)), Down(0, ("*",)), Up(0, ("A00001",))], [Up(0, ("A00001",))]),
    ],
)
def test_the_new_days_file_begins_with_what_is_up(
    writer: Writer, folder: Path, marks: list[Event], up: list[Event]
) -> None:
    writer.write([Alive(MIDNIGHT - 9), *(mark._replace(t=MIDNIGHT - 8) for mark in marks)])
    writer.write([Alive(MIDNIGHT + 7)])
    expected = [mark._replace(t=MIDNIGHT + 7) for mark in up]
    assert read(folder / "2026-11-21.zst") == [*expected, Alive(MIDNIGHT + 7)]


def test_a_time_that_falls_over_midnight_does_not_change_the_order_of_lines(writer: Writer, folder: Path) -> None:
    said = [frame(MIDNIGHT - 2, 1), frame(MIDNIGHT + 5, 2), frame(MIDNIGHT - 1, 3), frame(MIDNIGHT + 6, 4)]
    for event in said:
        writer.write([event])
    assert read(*(folder / name for name in names(folder))) == said


def test_a_clock_that_was_a_day_ahead_does_not_keep_its_file(writer: Writer, folder: Path) -> None:
    writer.write([frame(MIDNIGHT + 9 * 3600 * SECOND_NS)])
    writer.write([frame(MORNING)])
    assert read(today(folder)) == [frame(MORNING)]


def test_after_a_restart_the_days_file_goes_on_without_a_beginning(folder: Path) -> None:
    first = made(folder)
    first.write([Up(MORNING, ("005930",)), frame(MORNING)])
    first.close()
    second = made(folder)
    second.write([Start(MORNING + 9)])
    second.close()
    assert read(today(folder)) == [Up(MORNING, ("005930",)), frame(MORNING), Start(MORNING + 9)]


def test_an_empty_file_is_a_beginning(folder: Path) -> None:
    folder.mkdir()
    (folder / "2026-11-20.zst").touch()
    writer = made(folder)
    writer.write(frames(2))
    writer.close()
    assert read(today(folder)) == frames(2)


# -- the file's place


def test_files_are_the_owners_alone_whatever_they_were(folder: Path) -> None:
    old = os.umask(0)
    try:
        first = made(folder)
        first.write(frames(1))
        first.close()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(today(folder).stat().st_mode) == 0o600
        today(folder).chmod(0o666)
        second = made(folder)
        second.write(frames(1))
        second.close()
        assert stat.S_IMODE(today(folder).stat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_a_file_that_is_moved_away_is_begun_anew(writer: Writer, folder: Path) -> None:
    writer.write([Up(MORNING, ("005930",)), frame(MORNING)])
    today(folder).rename(folder / "moved")
    writer.write([frame(MORNING + 1)])
    assert read(folder / "moved") == [Up(MORNING, ("005930",)), frame(MORNING)]
    assert read(today(folder)) == [Up(MORNING + 1, ("005930",)), frame(MORNING + 1)]


def test_a_folder_that_is_removed_comes_back(writer: Writer, folder: Path) -> None:
    writer.write(frames(1))
    shutil.rmtree(folder)
    writer.write(frames(2))
    assert read(today(folder)) == frames(2)


# -- holes


def test_what_cannot_be_written_is_an_error_and_the_hole_is_marked(writer: Writer, folder: Path) -> None:
    said: list[Event] = [Up(MORNING, ("005930", "000660")), frame(MORNING + 1)]
    writer.write(said)
    folder.rename(folder.with_name("away"))
    folder.touch()  # a file where the folder was
    marks: list[Event] = [Down(MORNING + 3, ("000660",)), Up(MORNING + 3, ("035420",))]
    for lost in ([frame(MORNING + 2)], marks):
        with pytest.raises(RecordingError) as told:
            writer.write(lost)
        assert str(told.value) == told.value.text(Locale.EN)
    folder.unlink()
    folder.with_name("away").rename(folder)
    writer.write([frame(MORNING + 4)])
    writer.write([frame(MORNING + 5)])
    assert read(today(folder)) == [
        *said,
        Down(MORNING + 1, ("*",)),
        Up(MORNING + 4, ("005930", "035420")),
        frame(MORNING + 4),
        frame(MORNING + 5),
    ]


def test_what_the_caller_had_to_drop_is_a_hole_too(writer: Writer, folder: Path) -> None:
    writer.write([Up(MORNING, ("005930",))])
    writer.lose([frame(MORNING + 1), Up(MORNING + 1, ("000660",))])
    writer.write([frame(MORNING + 2)])
    assert read(today(folder))[1:] == [
        Down(MORNING, ("*",)),
        Up(MORNING + 2, ("005930", "000660")),
        frame(MORNING + 2),
    ]


def test_a_hole_over_midnight_ends_the_old_day_and_begins_the_new_one(writer: Writer, folder: Path) -> None:
    writer.write([Up(MORNING, ("005930",)), frame(MORNING)])
    writer.lose([frame(MIDNIGHT - 1)])
    writer.write([frame(MIDNIGHT + 1)])
    assert read(today(folder))[-1] == Down(MORNING, ("*",))
    assert read(folder / "2026-11-21.zst") == [Up(MIDNIGHT + 1, ("005930",)), frame(MIDNIGHT + 1)]


def test_a_start_that_was_lost_is_made_up_for(folder: Path) -> None:
    first = made(folder)
    first.write([Up(MORNING, ("005930",)), frame(MORNING)])
    first.close()
    second = made(folder)
    second.lose([Start(MORNING + 5), Up(MORNING + 6, ("000660",))])
    second.write([frame(MORNING + 7)])
    second.close()
    assert read(today(folder))[2:] == [Start(MORNING + 7), Up(MORNING + 7, ("000660",)), frame(MORNING + 7)]


# -- retention


def test_old_recordings_go_when_the_writer_opens_and_when_a_day_begins(folder: Path) -> None:
    folder.mkdir()
    for day in (1, 17, 18, 19):
        (folder / f"2026-11-{day:02d}.zst").write_bytes(zstandard.compress(b"1 #alive\n"))
    (folder / "2026-11-01.zst.set-aside-1").touch()
    (folder / "notes.txt").touch()
    writer = made(folder, days=3)
    others = ["2026-11-01.zst.set-aside-1", "notes.txt"]
    assert names(folder) == sorted(["2026-11-18.zst", "2026-11-19.zst", *others])
    writer.write([Alive(MORNING), Alive(MIDNIGHT)])
    assert names(folder) == sorted(["2026-11-19.zst", "2026-11-20.zst", "2026-11-21.zst", *others])
    writer.close()


def test_the_total_is_looked_at_while_a_day_grows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_GROWTH", 4000)
    folder.mkdir()
    (folder / "2026-11-19.zst").write_bytes(zstandard.compress(b"1 #alive\n"))
    writer = made(folder, size_bytes=3000)
    writer.write(frames(1))
    assert (folder / "2026-11-19.zst").exists()
    for number in range(60):
        writer.write([frame(MORNING + number, number)])
    writer.close()
    assert names(folder) == ["2026-11-20.zst"]


def test_a_recording_that_cannot_be_removed_does_not_stop_the_recording(folder: Path) -> None:
    (folder / "2026-01-01.zst").mkdir(parents=True)
    writer = made(folder, days=1)
    writer.write(frames(1))
    writer.close()
    assert read(today(folder)) == frames(1)


def test_frames_of_all_markets_may_stand_together(writer: Writer, folder: Path) -> None:
    said = [frame(MORNING + number, number) for number in range(3)]
    mixed: list[Event] = [
        Frame(event.t, event.records, event.text.replace("H0STPGM0", tr_id))
        for event, tr_id in zip(said, ("H0STPGM0", "H0NXPGM0", "H0UNPGM0"), strict=True)
    ]
    writer.write(mixed)
    assert read(today(folder)) == mixed
