"""Stages of a replay: a made-up recording of a million records, ten rules over forty symbols.

    .venv/bin/python -m benchmarks.replay [RECORDS]

Records a second of each stage alone, and of the command as a user runs it. The recording is the same each time; it is
written into a temporary folder, 110 bytes a record.
"""

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import zstandard

from engine.evaluation.engine import Engine
from engine.kst import SECOND_NS, clock_time, day_of, day_start
from engine.recording import reader
from engine.replay import run, setup

RECORDS = 1_000_000
MAX_RECORDS = 10_000_000
"""About 1.1 GB of text."""
_SYMBOLS = tuple(f"{number:06d}" for number in range(40))
_OPEN = day_start(day_of(date(2026, 11, 20))) + 9 * 3600 * SECOND_NS
_SESSION_NS = 6 * 3600 * SECOND_NS
_LINES_A_WRITE = 2_000

_RULE = """
[[rule]]
name = "r{number}"
symbols = ["@all"]
{conditions}
"""
_HELD = """all = [
  { metric = "net_volume", window = "5m", above = %d },
  { metric = "imbalance", window = "1m", above = 0.3, reset = 0.2 },
]
for = "30s"
cooldown = "10m"
resolved = true"""
_CROSSING = """metric = "net_value"
crosses_above = %d
reset = 0"""
_SUM = """aggregate = "sum"
all = [{ metric = "net_value", window = "10m", above = %d }]
for = "10s"
repeat = "5m\""""


def rules() -> str:
    """Seven that must hold for a while, two crossings, one sum."""
    kinds = [*(_HELD % (20_000 + 2_000 * n) for n in range(7)), _CROSSING % 10**9, _CROSSING % 10**10, _SUM % 10**9]
    groups = "[groups]\nall = [" + ", ".join(f'"{symbol}"' for symbol in _SYMBOLS) + "]\n"
    return groups + "".join(_RULE.format(number=number, conditions=kind) for number, kind in enumerate(kinds))


def lines(records: int) -> Iterator[str]:
    random = Random(1)
    totals = {symbol: [0, 0] for symbol in _SYMBOLS}
    yield f"{_OPEN - SECOND_NS} #start\n"
    yield f"{_OPEN - SECOND_NS} #up {','.join(_SYMBOLS)}\n"
    for number in range(records):
        t = _OPEN + _SESSION_NS * number // records
        symbol = _SYMBOLS[int(random.random() * 40)]
        total = totals[symbol]
        total[random.random() < 0.52] += int(random.random() * 1000)
        sell, buy = total
        net, price = buy - sell, 70_000
        amounts = f"{sell}^{sell * price}^{buy}^{buy * price}^{net}^{net * price}^500^400^-100"
        yield f"{t} 0|H0STPGM0|001|{symbol}^{clock_time(t)}^{amounts}\n"


def write(folder: Path, records: int) -> tuple[Path, Path]:
    """The same recording plain, and compressed as the daemon does: frame by frame."""
    plain, packed = folder / "day.txt", folder / "day.zst"
    made = lines(records)
    compressor = zstandard.ZstdCompressor()
    with plain.open("wb") as text, packed.open("wb") as frames:
        while part := "".join(islice(made, _LINES_A_WRITE)).encode():
            text.write(part)
            frames.write(compressor.compress(part))
    return plain, packed


def stages(folder: Path, plain: Path, packed: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    (folder / "rules").mkdir()
    (folder / "rules" / "bench.toml").write_text(rules())
    (folder / "config.toml").write_text('locale = "en"\n[feed]\nsource = "simulator"\n')
    config = folder / "config.toml"
    world = setup.world(config, {})
    found = setup.rules(world, None)

    def evaluated() -> object:
        return deque(run.replay(reader.events([packed]), Engine(found, world.configuration.hours())), maxlen=0)

    yield "lines of the .zst", lambda: deque(reader.lines(packed), maxlen=0)
    yield "events of the plain file", lambda: deque(reader.events([plain]), maxlen=0)
    yield "events of the .zst", lambda: deque(reader.events([packed]), maxlen=0)
    yield "events and evaluation", evaluated
    command = [sys.executable, "-m", "engine", "--config", str(config), "replay", str(packed)]
    for name, options in (("replay --json", ["--json"]), ("replay --against", ["--against", str(folder / "rules")])):
        yield name, partial(subprocess.run, [*command, *options], check=True, capture_output=True)


def main() -> None:
    records = min(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS, MAX_RECORDS)
    with TemporaryDirectory() as name:
        folder = Path(name)
        plain, packed = write(folder, records)
        print(f"{records:,} records, {plain.stat().st_size:,} bytes plain, {packed.stat().st_size:,} compressed")
        for stage, work in stages(folder, plain, packed):
            wall, busy = time.perf_counter(), _busy()
            work()
            wall, busy = time.perf_counter() - wall, _busy() - busy
            print(f"{stage:26} {wall:7.2f} s {busy:7.2f} s CPU {records / busy:12,.0f} records/s of CPU", flush=True)


def _busy() -> float:
    """CPU seconds of this process and of those it has waited for: others may be using the machine."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
