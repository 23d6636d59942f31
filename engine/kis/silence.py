"""Data that stays away although the connection lives: pure, with `now` passed in; times are nanoseconds.

PINGPONG shows that the broker is there, not that it sends. How long nothing may come depends on the symbols, so it is
learnt from each date's own data. What is judged is time in the session of a trading day, outside the pauses in which
the whole market is silent, while at least one symbol is up; other time does not count, neither for nor against.
"""

from engine.kst import SECOND_NS, day_number, day_start
from engine.session import Hours

_MINUTE_NS = 60 * SECOND_NS
LEAST_NS = 6 * _MINUTE_NS
"""A sidecar suspends the whole market's program trading for five minutes; a volatility interruption stops one stock for
two and a random half."""
FACTOR = 20
"""Times the mean of the date's latest gaps. Where data comes at random, gaps of twenty times their mean do not occur in
a lifetime; this leaves room for a mean that rises over noon. Simulated days (one symbol with data every 100 to 300 s at
the open and a fourth of that at noon): an alarm without a reason on less than one in a hundred."""
_WEIGHT = 20
"""Gaps that the mean is mostly made of."""
LEARNT_GAPS = 10
"""So many make the mean worth something; before that nothing shorter than the two below is silence."""
UNLEARNT_NS = 30 * _MINUTE_NS
UNLEARNT_MANY_NS = 10 * _MINUTE_NS
_MANY = 20
"""Symbols: among so many one always trades."""
AGAIN_NS = 30 * _MINUTE_NS
"""A new session that is silent too may have met the same broken server: every half hour another one is tried."""
_AWAY_NS = 5 * SECOND_NS
"""Looks are a second apart. More than this between two, and we were away: what came meanwhile is still to be read."""


class Silence:
    """One account's, over all its sessions. Looks about every second; what is finer than that does not matter here."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._looked = 0
        self._day = 0
        self._heard: int | None = None
        self._quiet_from = 0
        self._quiet = 0
        self._tried = 0
        """How long it had been quiet when the session was last ended."""
        self._gaps: int | None = None
        """Of the date; None before its first data."""
        self._mean = 0.0
        self.since: int | None = None
        """The date's last data, or where it had none the beginning of the wait, once that is out of the ordinary."""

    def __repr__(self) -> str:
        return f"<Silence quiet={self.quiet_s:.0f}s mean={self._mean / SECOND_NS:.0f}s>"

    @property
    def quiet_s(self) -> float:
        """How long no data has come, of the time that counts."""
        return self._quiet / SECOND_NS

    def connected(self, now: int) -> None:
        """A session begins: the time before it was spent without a connection."""
        self._looked = now

    def relearn(self) -> None:
        """One symbol less: gaps get longer, and what was learnt of more of them would call a quiet one silent."""
        self._gaps, self._mean = None if self._gaps is None else 0, 0.0

    def look(self, now: int, up: int, last_data: int | None) -> bool:
        """True: end the session, a new one may help. `up`: how many symbols are."""
        self._turn(now)
        start, self._looked = max(self._looked, day_start(self._day)), now
        span = self._judged(start, now) if up and now - start < _AWAY_NS else 0
        if last_data is not None and last_data != self._heard:
            self._heard = last_data
            self._hear(last_data, span)
        elif span:
            self._wait(start, span)
        if not span or self._quiet <= self._limit(up) or (self._tried and self._quiet < self._tried + AGAIN_NS):
            return False
        self.since, self._tried = self._quiet_from, self._quiet
        return True

    def _hear(self, t: int, span: int) -> None:
        if self._gaps is None:
            self._gaps = 0  # what was before the first data is no gap between two
        else:
            self._gaps += 1
            self._mean += (self._quiet + span - self._mean) / min(self._gaps, _WEIGHT)
        self._quiet, self._tried, self._quiet_from, self.since = 0, 0, t, None

    def _wait(self, start: int, span: int) -> None:
        if self._quiet == 0 and self._gaps is None:
            self._quiet_from = start
        self._quiet += span

    def _limit(self, up: int) -> int:
        unlearnt = UNLEARNT_MANY_NS if up >= _MANY else UNLEARNT_NS
        least = LEAST_NS if (self._gaps or 0) >= LEARNT_GAPS else unlearnt
        return max(least, int(FACTOR * self._mean))

    def _judged(self, start: int, end: int) -> int:
        """How much of a span of today counts."""
        if not self._hours.is_trading_day(self._day):
            return 0
        session = self._hours.session(self._day)
        pauses = sum(_overlap(start, end, *pause) for pause in self._hours.pauses(self._day))
        return _overlap(start, end, session.open, session.close) - pauses

    def _turn(self, now: int) -> None:
        """A new date starts anew, also for a silence that goes on: it is a reason to try a new session once a date."""
        day = day_number(now)
        if day != self._day:
            self._day, self._quiet, self._tried, self._gaps, self._mean, self.since = day, 0, 0, None, 0.0, None


def _overlap(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(0, min(end, other_end) - max(start, other_start))
