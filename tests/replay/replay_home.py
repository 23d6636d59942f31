"""A folder with rules, a configuration and recordings, and the commands in it."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

import zstandard
from click.testing import CliRunner, Result

from engine.cli import commands
from engine.kst import SECOND_NS, clock_time, day_of, day_start

DAY = day_of(date(2026, 11, 20))
SAMSUNG = "005930"

RULES = """
[[rule]]
name = "buys"
symbols = ["삼성전자"]
metric = "net_volume"
above = 100
cooldown = "1m"
resolved = true
"""


def at(clock: str, day: int = DAY) -> int:
    """`09:05:30.25` → nanoseconds since the epoch."""
    whole, _, fraction = clock.partition(".")
    hour, minute, second = map(int, whole.split(":"))
    return day_start(day) + ((hour * 60 + minute) * 60 + second) * SECOND_NS + int(fraction.ljust(9, "0"))


def line(clock: str, net: int, *, symbol: str = SAMSUNG, tr: str = "H0STPGM0") -> str:
    """A frame with one record. As time goes on both sides grow by more than `net` changes, so no total ever falls."""
    t = at(clock)
    sell = (t - day_start(DAY)) // 10**5
    buy = sell + net
    return f"{t} 0|{tr}|001|{symbol}^{clock_time(t)}^{sell}^0^{buy}^0^{net}^0^0^0^0"


def mark(clock: str, text: str) -> str:
    return f"{at(clock)} {text}"


class Home:
    def __init__(self, folder: Path, rules: str = RULES, *, locale: str = "en") -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        self.rules("rules", rules)
        self.configure(f'locale = "{locale}"\n[feed]\nsource = "simulator"\n')

    def configure(self, text: str) -> None:
        self.config.write_text(text)

    def rules(self, name: str, text: str) -> Path:
        (self.folder / name).mkdir(exist_ok=True)
        (self.folder / name / "a.toml").write_text(text)
        return self.folder / name

    def record(self, name: str, lines: Iterable[str], *, frames: int = 0) -> str:
        """A recording: plain, or so many lines to a compressed frame."""
        path, whole = self.folder / name, [f"{each}\n".encode() for each in lines]
        if frames:
            pack = zstandard.ZstdCompressor().compress
            parts = [pack(b"".join(whole[first : first + frames])) for first in range(0, len(whole), frames)]
            path.write_bytes(b"".join(parts))
        else:
            path.write_bytes(b"".join(whole))
        return str(path)

    def run(self, *arguments: str) -> tuple[int, str, str]:
        result: Result = CliRunner().invoke(commands, ["--config", str(self.config), *arguments], standalone_mode=False)
        assert result.exception is None, result.exception
        return result.return_value, result.stdout, result.stderr
