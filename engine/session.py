"""Trading hours: when a date's session opens and closes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.kst import day_start


@dataclass(frozen=True, slots=True)
class Session:
    """One date's session in nanoseconds since the epoch: `open` included, `close` excluded."""

    open: int
    close: int


@dataclass(frozen=True, slots=True)
class Hours:
    """Session of any date: the usual hours, and the days that differ. Offsets are nanoseconds from KST midnight."""

    open_ns: int
    close_ns: int
    special: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """By KST day number (engine.kst)."""

    def session(self, day: int) -> Session:
        open_ns, close_ns = self.special.get(day, (self.open_ns, self.close_ns))
        start = day_start(day)
        return Session(start + open_ns, start + close_ns)
