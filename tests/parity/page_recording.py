"""Recordings as the rule language's page and the broker's description of a frame read: text in, lines out."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

SECOND = 1_000_000_000
TR_IDS = ("H0STPGM0", "H0NXPGM0", "H0UNPGM0")
FIELDS = (
    "sell_volume", "sell_value", "buy_volume", "buy_value", "net_volume", "net_value",
    "sell_resting", "buy_resting", "net_resting",
)  # fmt: skip
"""Columns 2–10."""
WIDTH = 11
EARLIEST = 60 * SECOND
"""A record's own time may be this far ahead of its receipt."""


@dataclass(frozen=True)
class Record:
    symbol: str
    time: str
    fields: dict[str, int]


@dataclass(frozen=True)
class Line:
    """One line that has a time. `kind` is frame, up, down, start, alive, or nothing where the rest says nothing."""

    t: int
    kind: str
    symbols: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)

    def touches(self, symbol: str) -> bool:
        return self.kind == "start" or "*" in self.symbols or symbol in self.symbols


def seoul(t: int) -> datetime:
    """Wall clock in Korea, whole seconds, as if it were UTC."""
    return datetime.fromtimestamp(t // SECOND, UTC) + timedelta(hours=9)


def iso(t: int) -> str:
    return f"{seoul(t):%Y-%m-%dT%H:%M:%S}.{t % SECOND // 1000:06d}+09:00"


def at(date: str, time: str) -> int:
    """`2026-11-20`, `09:00:00` → ns since the epoch."""
    return int((datetime.fromisoformat(f"{date}T{time}+00:00") - timedelta(hours=9)).timestamp()) * SECOND


def lines(text: str) -> list[Line]:
    """A lower time than the last counts as the last; what has no time is no line."""
    found: list[Line] = []
    for raw in text.split("\n"):
        shape = re.fullmatch(r"([0-9]+)(?: (.*))?", raw)
        if shape is not None:
            t = max([int(shape[1]), *(line.t for line in found[-1:])])
            found.append(line(t, shape[2] or ""))
    return found


def line(t: int, content: str) -> Line:
    if content in ("#start", "#alive"):
        return Line(t, content[1:])
    marked = re.fullmatch(r"#(up|down) (\S+)", content)
    if marked is not None:
        return Line(t, marked[1], symbols=tuple(marked[2].split(",")))
    if content.startswith("#"):
        return Line(t, "nothing")
    return Line(t, "frame", records=records(content, t))


def records(frame: str, t: int) -> list[Record]:
    """The well-formed records of a frame received at `t`, in order."""
    parts = frame.split("|", 3)
    if len(parts) != 4 or parts[0] != "0" or parts[1] not in TR_IDS or not re.fullmatch("[0-9]+", parts[2]):
        return []
    count, columns = int(parts[2]), parts[3].split("^")
    if count == 0:
        return []
    if len(columns) % count and columns[-1] == "":
        columns = columns[:-1]
    if len(columns) % count or len(columns) // count < WIDTH:
        return []
    stride = len(columns) // count
    rows = [columns[start : start + WIDTH] for start in range(0, len(columns), stride)]
    return [record(row) for row in rows if is_well_formed(row, t)]


def is_well_formed(row: list[str], t: int) -> bool:
    if not all(re.fullmatch("-?[0-9]+", column) for column in row[2:]):
        return False
    if not re.fullmatch("([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", row[1]):
        return False
    own = at(f"{seoul(t):%Y-%m-%d}", f"{row[1][:2]}:{row[1][2:4]}:{row[1][4:]}")
    return own - t <= EARLIEST


def record(row: list[str]) -> Record:
    return Record(row[0], row[1], dict(zip(FIELDS, map(int, row[2:]), strict=True)))
