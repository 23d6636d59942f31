"""Trading hours: on which dates there is a session, when it opens and closes, and when it pauses."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.kst import day_number, day_start


@dataclass(frozen=True, slots=True)
class Session:
    """One date's session in nanoseconds since the epoch: `open` included, `close` excluded."""

    open: int
    close: int


@dataclass(frozen=True, slots=True)
class Hours:
    """The usual hours, and the dates that differ; every date is a trading day (engine.trading_days knows better).

    Offsets are nanoseconds from KST midnight; a `day` is a KST day number (engine.kst).
    """

    open_ns: int
    close_ns: int
    special: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """By day."""

    def session(self, day: int) -> Session:
        """Of any date: on a closed one these are the hours in which a record, if one came, would be evaluated."""
        open_ns, close_ns = self._span(day)
        start = day_start(day)
        return Session(start + open_ns, start + close_ns)

    def is_trading_day(self, day: int) -> bool:  # noqa: ARG002 -- who knows a calendar overrides it
        """False: the market is closed all day, and silence means nothing."""
        return True

    def is_open(self, t: int) -> bool:
        day = day_number(t)
        session = self.session(day)
        return session.open <= t < session.close and self.is_trading_day(day)

    def pauses(self, day: int) -> tuple[tuple[int, int], ...]:  # noqa: ARG002 -- likewise
        """Spans of the session, as times, in which silence of the whole market is normal: ends excluded, in order."""
        return ()

    def _span(self, day: int) -> tuple[int, int]:
        return self.special.get(day, (self.open_ns, self.close_ns))
