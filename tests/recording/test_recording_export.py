"""`pgmwatch export`: recordings for other programs, and what it says where it cannot."""

import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result
from pyarrow import parquet  # type: ignore[import-untyped] # it ships no types
from recording_days import FIELDS, MORNING, frame, frames, text

from engine.cli import commands
from engine.kst import KST
from engine.recording import parquet as ours
from engine.recording.lines import line
from engine.stream import Alive, Event, Start, Up


def recording(path: Path, events: list[Event], more: str = "") -> Path:
    path.write_bytes(zstandard.compress(("".join(f"{line(event)}\n" for event in events) + more).encode()))
    return path


def export(*arguments: str | Path, config: Path = Path("nowhere.toml")) -> Result:
    return CliRunner().invoke(
        commands, ["--config", str(config), "export", *map(str, arguments)], standalone_mode=False
    )


def english(folder: Path) -> Path:
    """A configuration."""
    (folder / "config.toml").write_text('locale = "en"\n')
    return folder / "config.toml"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out.parquet"


def test_every_record_is_a_row_with_its_types_and_units(tmp_path: Path, target: Path) -> None:
    marks: list[Event] = [Start(MORNING), Up(MORNING, ("005930",)), Alive(MORNING)]
    two = frame(MORNING + 1_500)._replace(records=(*frame(0).records, *frame(0, 7, "0162Z0").records))
    two = two._replace(text=f"0|H0STPGM0|002|{text().split('|')[3]}^{text(7, '0162Z0').split('|')[3]}")
    result = export(recording(tmp_path / "a.zst", [*marks, two, frame(MORNING - 1, 9)]), "--to", target)
    assert (result.return_value, result.stderr) == (0, "")
    assert result.stdout == f"{target}: 레코드 3개\n"
    table = parquet.read_table(target)
    assert {field.name: str(field.type) for field in table.schema} == {
        "received_at": "timestamp[ns, tz=Asia/Seoul]",
        "symbol": "dictionary<values=string, indices=int32, ordered=0>",
        "time": "string",
        **dict.fromkeys(
            ["sell_volume", "sell_value", "buy_volume", "buy_value", "net_volume", "net_value", "sell_resting",
             "buy_resting", "net_resting"],
            "int64",
        ),
    }  # fmt: skip
    assert table.column("received_at").cast("int64").to_pylist() == [MORNING + 1_500, MORNING + 1_500, MORNING - 1]
    assert table.column("symbol").to_pylist() == ["005930", "0162Z0", "005930"]
    records = [*two.records, *frame(0, 9).records]
    numbers = zip(*(column.to_pylist() for column in table.columns[2:]), strict=True)
    assert list(numbers) == [record[1:] for record in records]
    units = {field.name: field.metadata[b"unit"] for field in table.schema if b"unit" in field.metadata}
    assert (units["buy_value"], units["buy_volume"], units["net_resting"]) == (b"won", b"shares", b"shares")
    assert table.schema.metadata[b"recordings"] == b"a.zst"
    assert table.schema.metadata[b"creator"].startswith(b"pgmwatch ")


def test_times_are_korean_for_who_opens_it(tmp_path: Path, target: Path) -> None:
    export(recording(tmp_path / "a", [frame(MORNING)]), "--to", target)
    (when,) = parquet.read_table(target).column("received_at").to_pylist()
    assert when == datetime(2026, 11, 20, 9, tzinfo=KST)
    assert when.utcoffset() == timedelta(hours=9)


def test_several_files_and_many_rows_in_groups(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "ROWS", 100)
    late, early = frames(130, MORNING + 10**12), frames(120)
    files = [recording(tmp_path / "late", late), recording(tmp_path / "early", early)]
    assert export(*files, "--to", target).return_value == 0
    found = parquet.ParquetFile(target)
    assert [found.metadata.row_group(at).num_rows for at in range(found.num_row_groups)] == [100, 100, 50]
    assert found.read().column("received_at").cast("int64").to_pylist() == [event.t for event in [*early, *late]]


def test_what_could_not_be_used_is_told(tmp_path: Path, target: Path) -> None:
    config = english(tmp_path)
    bad = FIELDS.replace("1413444", "x")
    path = recording(tmp_path / "a", frames(2), f"{MORNING} 0|H0STPGM0|001|{bad}\nrubbish\n")
    with path.open("ab") as file:
        file.write(zstandard.compress(b"x" * 100)[:9])
    result = export(path, "--to", target, config=config)
    assert (result.return_value, result.stdout) == (0, f"{target}: 2 records\n")
    assert result.stderr.splitlines() == [
        f"pgmwatch: {path}: torn at its end, 9 bytes are not used",
        "pgmwatch: lines that cannot be read: time 1",
        "pgmwatch: malformed records: number 1",
    ]


def test_overlapping_files_and_those_named_twice_are_told(tmp_path: Path, target: Path) -> None:
    """The rows stay as the files have them, one file after the other."""
    first = recording(tmp_path / "a.zst", [frame(0), frame(10 * 10**9)])
    second = recording(tmp_path / "b.zst", [frame(5 * 10**9), frame(15 * 10**9)])
    result = export(first, second, first, "--to", target, config=english(tmp_path))
    assert result.return_value == 0
    assert f"{first}: named twice, read once" in result.stderr
    assert "1 lines are earlier than one before them: do the files overlap" in result.stderr
    assert parquet.read_table(target).num_rows == 4


def test_a_recording_without_records_is_an_empty_table(tmp_path: Path, target: Path) -> None:
    assert export(recording(tmp_path / "a", [Start(MORNING)]), "--to", target).return_value == 0
    assert parquet.read_table(target).num_rows == 0


def test_what_cannot_be_read_leaves_the_old_file(tmp_path: Path, target: Path) -> None:
    target.write_bytes(b"of yesterday")
    (tmp_path / "no").write_text("no recording\n")
    for name in ("no", "missing"):
        result = export(recording(tmp_path / "a", frames(3)), tmp_path / name, "--to", target)
        assert result.return_value == 2
        assert result.stderr.startswith(f"pgmwatch: {tmp_path / name}: ")
    assert target.read_bytes() == b"of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "no", "out.parquet"]


def test_a_failure_in_the_middle_leaves_the_old_file(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    target.write_bytes(b"of yesterday")
    monkeypatch.setattr("engine.recording.parquet.os.fsync", full)
    result = export(recording(tmp_path / "a", frames(3)), "--to", target)
    assert (result.return_value, result.stdout) == (1, "")
    assert result.stderr == f"pgmwatch: {target}: 쓸 수 없습니다: No space left on device\n"
    assert target.read_bytes() == b"of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out.parquet"]


def test_a_recording_is_never_exported_onto_itself(tmp_path: Path) -> None:
    path = recording(tmp_path / "a", frames(3))
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    for target in (path, tmp_path / "link"):
        assert export(path, "--to", target).return_value == 2
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = export(recording(tmp_path / "a", frames(1)), "--to", tmp_path / "no" / "out.parquet")
    assert (result.return_value, result.stdout) == (1, "")
    assert "No such file" in result.stderr


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.commands.export.find_spec", lambda _name: None)
    result = export(recording(tmp_path / "a", frames(1)), "--to", target)
    assert result.return_value == 2
    assert "pip install 'pgmwatch[export]'" in result.stderr
    assert not target.exists()


@pytest.mark.slow  # a process that starts and imports
def test_nothing_else_loads_pyarrow() -> None:
    code = "import sys, engine.commands.export, engine.recording.reader, engine.recording.writer\n"
    code += "sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
