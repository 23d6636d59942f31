"""Recordings as files of all sorts: plain, compressed by us or by others, several, torn, and no recordings at all."""

import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import zstandard
from recording_days import FIELDS, MORNING, at, framed, frames, read

from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.recording import reader
from engine.recording.lines import line
from engine.recording.reader import Tally, UnreadableRecordingError, day_file, events, lines
from engine.stream import Alive, Event, Frame, Start, Up

SAID: list[Event] = [Start(MORNING), Up(MORNING, ("005930",)), *frames(200), Alive(MORNING + 60 * SECOND_NS)]
TEXT = "".join(f"{line(event)}\n" for event in SAID).encode()


def streamed(data: bytes) -> bytes:
    """As `zstd` makes it from a pipe: one frame that does not say how large its content is."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


def cut_anywhere(data: bytes) -> bytes:
    """Frames that end in the middle of lines, with one to skip among them, as parallel packers make them."""
    skipped = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"else"
    return zstandard.compress(data[:1000]) + skipped + zstandard.compress(data[1000:1007]) + streamed(data[1007:])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TEXT, id="plain"),
        pytest.param(TEXT.rstrip(b"\n"), id="plain, last line not ended"),
        pytest.param(b"\xef\xbb\xbf" + TEXT.replace(b"\n", b"\r\n"), id="plain, saved on Windows"),
        pytest.param(zstandard.compress(TEXT), id="zstd"),
        pytest.param(streamed(TEXT), id="zstd from a pipe"),
        pytest.param(cut_anywhere(TEXT), id="zstd in parts"),
        pytest.param(b"".join(zstandard.compress(part + b"\n") for part in TEXT.splitlines()), id="zstd by line"),
    ],
)
@pytest.mark.parametrize("name", ["a.zst", "a.txt", "a"])
def test_the_content_decides_not_the_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    tally = Tally()
    assert read(tmp_path / name, tally=tally) == SAID
    assert tally.words(Locale.EN) == []


def test_the_lines_as_they_stand(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(zstandard.compress(TEXT + b"rubbish\n"))
    assert list(lines(tmp_path / "a")) == [*TEXT.decode().splitlines(), "rubbish"]


def test_files_are_read_in_the_order_of_their_times_and_each_once(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(TEXT)
    (tmp_path / "a").write_bytes(zstandard.compress(f"{MORNING + 10**15} #alive\n".encode()))
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    named = [tmp_path / name for name in ("a", "b", "empty", "link")]
    tally = Tally()
    assert read(*named, named[0], tally=tally) == [*SAID, Alive(MORNING + 10**15)]
    assert tally.twice == [tmp_path / "link", tmp_path / "a"]
    assert tally.words(Locale.EN)[0] == f"{tmp_path / 'link'}: named twice, read once"


def test_overlapping_files_are_told(tmp_path: Path) -> None:
    """Every line of the second that is not later than all of the first, whatever stands just before it."""
    for name, first in (("a", 0), ("b", 6)):
        times = [MORNING + (first + second) * SECOND_NS for second in range(10)]
        (tmp_path / name).write_text("".join(f"{t} #alive\n" for t in times))
    tally = Tally()
    assert len(read(tmp_path / "a", tmp_path / "b", tally=tally)) == 20
    assert tally.earlier == 2, "of the four lines :06 to :09, those that are more than a second before :09"
    (said,) = tally.words(Locale.EN)
    assert said.startswith("2 lines are earlier than one before them: do the files overlap")


@pytest.mark.parametrize(("back_ns", "count"), [(SECOND_NS, 0), (SECOND_NS + 1, 1)])
def test_a_clock_that_was_set_back_a_little_is_no_disorder(tmp_path: Path, back_ns: int, count: int) -> None:
    (tmp_path / "a").write_text(f"{MORNING} #alive\n{MORNING - back_ns} #alive\n{MORNING} #alive\n")
    tally = Tally()
    read(tmp_path / "a", tally=tally)
    assert tally.earlier == count


def test_progress_ends_with_all_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(TEXT * 20)
    (tmp_path / "b").write_bytes(zstandard.compress(TEXT))
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    seen: list[tuple[int, int]] = []
    list(events(tmp_path.iterdir(), lambda done, of: seen.append((done, of))))
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == (total, total)


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(TEXT,), daemon=True).start()
    assert read(tmp_path / "pipe") == SAID


@pytest.mark.parametrize(
    "content",
    [b"hello\nworld\n", b"\x00" * 5000, b"\n\n", b"{}\n" * 9, zstandard.compress(b"no recording\n"), b"\xff\xfe1\x00"],
)
def test_what_is_no_recording_is_told_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UnreadableRecordingError) as told:
        read(tmp_path / "a")
    assert str(told.value) == f"{tmp_path / 'a'}: is no recording"
    assert told.value.text(Locale.KO) == f"{tmp_path / 'a'}: 기록 파일이 아닙니다"


def test_a_file_that_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecordingError, match="nowhere: cannot be read: No such file"):
        read(tmp_path / "nowhere")
    with pytest.raises(UnreadableRecordingError, match="is no file"):
        read(tmp_path)


def test_a_first_piece_without_a_line_of_ours_does_not_make_it_none(tmp_path: Path) -> None:
    pieces = [zstandard.compress(each) for each in (b"heading\n", b"\n", b"1 #start\n")]
    (tmp_path / "a").write_bytes(b"".join(pieces))
    assert list(reader.events([tmp_path / "a"])) == [Start(1)]


def test_a_heading_or_a_blank_line_does_not_make_it_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"from the morning\n\n" + TEXT)
    tally = Tally()
    assert read(tmp_path / "a", tally=tally) == SAID
    assert tally.words(Locale.EN) == ["lines that cannot be read: time 1"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_a_hundred_million_empty_lines_in_three_kilobytes_took_a_minute(tmp_path: Path, newline: bytes) -> None:
    text = TEXT + newline * 20_000_000 + TEXT.replace(b"\n", newline + newline)
    (tmp_path / "a").write_bytes(zstandard.compress(text))
    start = time.process_time()
    tally = Tally()
    assert read(tmp_path / "a", tally=tally) == [*SAID, *SAID]
    assert time.process_time() - start < 3
    assert not tally.lines.unreadable.total()


def test_what_was_not_used_is_counted(tmp_path: Path) -> None:
    bad = FIELDS.replace("1413444", "many")
    t = SAID[-1].t
    (tmp_path / "a").write_bytes(TEXT + f"{t} 0|H0STPGM0|001|{bad}\n{t} 0|H0\n{t} #up ?\n".encode())
    tally = Tally()
    read(tmp_path / "a", tally=tally)
    assert tally.words(Locale.EN) == ["lines that cannot be read: envelope 1, mark 1", "malformed records: number 1"]
    assert tally.words(Locale.KO)[1] == "형식이 잘못된 레코드: number 1"


def test_bytes_that_are_no_text_do_not_lose_the_frame(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(f"{MORNING} 0|H0STPGM0|001|{FIELDS}^".encode() + b"\xff\xed\xa0\x80\n")
    (found,) = read(tmp_path / "a")
    assert found == framed(MORNING, f"0|H0STPGM0|001|{FIELDS}^" + "\ufffd" * 4)
    assert isinstance(found, Frame)
    assert len(found.records) == 1


@pytest.mark.parametrize("pack", [bytes, zstandard.compress], ids=["plain", "zstd"])
def test_a_line_without_end_is_counted_and_costs_no_memory(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    endless = f"{MORNING} 0|H0STPGM0|001|".encode() + b"^" * (100 * 2**20)
    (tmp_path / "a").write_bytes(pack(TEXT + endless + b"\n" + TEXT))
    tally = Tally()
    tracemalloc.start()
    try:
        found = read(tmp_path / "a", tally=tally)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [*SAID, Alive(MORNING), *SAID]
    assert dict(tally.lines.unreadable) == {"too-long": 1}
    assert peak < 60 * 2**20


def test_a_damaged_file_ends_where_it_is_damaged(tmp_path: Path) -> None:
    whole = zstandard.ZstdCompressor(write_checksum=True).compress(TEXT)
    broken = bytearray(whole)
    broken[len(broken) // 2] ^= 0xFF
    (tmp_path / "a").write_bytes(whole + broken + whole)
    tally = Tally()
    assert read(tmp_path / "a", tally=tally) == SAID
    assert tally.torn == {tmp_path / "a": len(broken) + len(whole)}
    assert tally.words(Locale.EN)[0].startswith(f"{tmp_path / 'a'}: torn at its end")


def test_a_torn_file_that_is_one_large_frame_is_read_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody packed it again, and the copy was cut short. Half a line at its end would be a wrong number."""
    monkeypatch.setattr(reader, "MAX_HELD", 200_000)
    said = frames(20_000, step=1000)
    data = zstandard.compress("".join(f"{line(event)}\n" for event in said).encode())
    (tmp_path / "a").write_bytes(data[: len(data) * 3 // 4])
    tally = Tally()
    found = read(tmp_path / "a", tally=tally)
    assert found == said[: len(found)]
    assert len(found) > 5_000
    assert tally.torn == {tmp_path / "a": len(data) * 3 // 4}
    assert not tally.lines.unreadable


def test_the_file_of_a_day(tmp_path: Path) -> None:
    assert day_file(tmp_path, date(2026, 11, 20)) is None
    (tmp_path / "2026-11-20.zst").touch()
    assert day_file(tmp_path, date(2026, 11, 20)) == tmp_path / "2026-11-20.zst"


def test_a_disk_that_does_not_say_whether_there_is_a_file_is_asked_again_by_who_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", fails)
    assert reader.day_file(tmp_path, date(2026, 11, 20)) == tmp_path / "2026-11-20.zst"


def test_times_of_the_made_up_days_are_korean() -> None:
    assert at("1970-01-01T09:00:00") == 0
