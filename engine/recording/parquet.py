"""Recordings as one Parquet file with typed columns, for those who study them elsewhere. Needs the extra `export`."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped] # it ships no types
from pyarrow import parquet

from engine import __version__
from engine.record import FIELDS, Record
from engine.stream import Event, Frame

ROWS = 100_000
"""Of a row group: 10 MB in memory while it is made."""
_WON = frozenset({"sell_value", "buy_value", "net_value"})
_DESCRIPTION = (
    "Program trading of Korean stocks as the broker's real-time feed gave it: one row a well-formed record, in order "
    "of receipt; nothing is derived, sorted or taken out. Totals add up over the day; resting quantities are levels."
)


def schema(sources: Sequence[str]) -> pa.Schema:
    """Columns with their units; `sources` (names of recordings) stand in the file's metadata."""
    columns = [
        pa.field("received_at", pa.timestamp("ns", tz="Asia/Seoul"), False, {"description": "when the frame came"}),
        pa.field("symbol", pa.dictionary(pa.int32(), pa.string()), False, {"description": "short code"}),
        pa.field(
            "time", pa.string(), False, {"unit": "HHMMSS, KST", "description": "the broker's own, without a date"}
        ),
        *(pa.field(name, pa.int64(), False, {"unit": "won" if name in _WON else "shares"}) for name in FIELDS[2:]),
    ]
    return pa.schema(columns, {"creator": f"pgmwatch {__version__}", "recordings": "\n".join(sources),
                               "description": _DESCRIPTION})  # fmt: skip


def write(path: Path, events: Iterable[Event], sources: Sequence[str]) -> int:
    """Every record of the frames among `events`; the number of rows. Replaces a file that is there.

    Whole or not at all. Raises OSError, and what `events` raises.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("xb") as file:
            with parquet.ParquetWriter(file, schema(sources), compression="zstd") as writer:
                rows = _write_all(writer, events)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    return rows


def _write_all(writer: parquet.ParquetWriter, events: Iterable[Event]) -> int:
    rows = _rows(events)
    count = 0
    while group := list(itertools.islice(rows, ROWS)):
        writer.write_table(_table(group, writer.schema), row_group_size=ROWS)
        count += len(group)
    return count


def _rows(events: Iterable[Event]) -> Iterator[tuple[int, Record]]:
    for event in events:
        if isinstance(event, Frame):
            for record in event.records:
                yield event.t, record


def _table(rows: Sequence[tuple[int, Record]], columns: pa.Schema) -> pa.Table:
    times, records = zip(*rows, strict=True)
    values = (times, *zip(*records, strict=True))
    return pa.Table.from_arrays(
        [pa.array(each, field.type) for each, field in zip(values, columns, strict=True)], schema=columns
    )
