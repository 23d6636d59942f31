"""Data that stays away although the connection lives: pure, with `now` passed in; times are nanoseconds.

PINGPONG shows that the broker is there, not that it sends. How long nothing may come depends on the symbols, so it is
learnt from each date's own data. What is judged is time in the session of a trading day, outside the pauses in which
the whole market is silent, while at least one symbol is up; other time does not count, neither for nor against.
"""

from engine.kst import SECOND_NS, day_number, day_start
from engine.session import Hours

_MINUTE_NS = 60 * SECOND_NS
LEAST_NS = 3 * _MINUTE_NS
"""A volatility interruption stops a single stock for two minutes and a random half."""
FACTOR = 3
"""Times the longest gap of the date."""
LEARNT_NS = 10 * _MINUTE_NS
"""So much data makes the date's longest gap worth something."""
UNLEARNT_NS = 30 * _MINUTE_NS
"""Before that: for a single symbol; with more of them so much less, but `UNLEARNT_LEAST_NS`."""
UNLEARNT_LEAST_NS = 5 * _MINUTE_NS
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
        self._longest = 0
        self._seen: int | None = None  # judged time from the date's first data to its last
        self.since: int | None = None
        """The date's last data, or where it had none the beginning of the wait, once that is out of the ordinary."""

    def __repr__(self) -> str:
        return f"<Silence quiet={self.quiet_s:.0f}s longest={self._longest / SECOND_NS:.0f}s>"

    @property
    def quiet_s(self) -> float:
        """How long no data has come, of the time that counts."""
        return self._quiet / SECOND_NS

    def connected(self, now: int) -> None:
        """A session begins: the time before it was spent without a connection."""
        self._looked = now

    def look(self, now: int, up: int, last_data: int | None) -> bool:
        """True once for each silence and date: end the session, a new one may help. `up`: how many symbols are."""
        self._turn(now)
        start, self._looked = max(self._looked, day_start(self._day)), now
        span = self._judged(start, now) if up and now - start < _AWAY_NS else 0
        if last_data is not None and last_data != self._heard:
            self._heard = last_data
            self._hear(last_data, span)
        elif span:
            self._wait(start, span)
        if not span or self.since is not None or self._quiet <= self._limit(up):
            return False
        self.since = self._quiet_from
        return True

    def _hear(self, t: int, span: int) -> None:
        if self._seen is None:
            self._seen = 0  # what was before the first data is no gap between two
        else:
            self._longest = max(self._longest, self._quiet + span)
            self._seen += self._quiet + span
        self._quiet, self._quiet_from, self.since = 0, t, None

    def _wait(self, start: int, span: int) -> None:
        if self._quiet == 0 and self._seen is None:
            self._quiet_from = start
        self._quiet += span

    def _limit(self, up: int) -> int:
        if self._seen is not None and self._seen >= LEARNT_NS:
            return max(LEAST_NS, FACTOR * self._longest)
        return max(UNLEARNT_LEAST_NS, UNLEARNT_NS // max(1, up))

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
            self._day, self._quiet, self._longest, self._seen, self.since = day, 0, 0, None, None


def _overlap(start: int, end: int, other_start: int, other_end: int) -> int:
    return max(0, min(end, other_end) - max(start, other_start))
