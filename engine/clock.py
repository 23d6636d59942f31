"""The daemon's one clock: the wall clock at start plus monotonic time since.

Receive times and durations must not jump with the machine's clock (NTP steps, a person's `date -s`), so the wall clock
is read once, and again only where it ran ahead: monotonic time stands still while a machine sleeps, and a clock that
stays a minute behind would take every record for one from the future. In tests Trio's virtual clock drives it.
"""

import time

import trio

_TOLERANCE_NS = 1_000_000_000


class Clock:
    """Must be made, and is only good, inside a Trio run."""

    def __init__(self) -> None:
        self._wall_ns = time.time_ns()
        self._started_s = trio.current_time()

    def now(self) -> int:
        """Nanoseconds since the epoch; never falls."""
        return self._wall_ns + int((trio.current_time() - self._started_s) * 1e9)

    def catch_up(self) -> int:
        """Take the wall clock over where it is more than a second ahead; → nanoseconds skipped, mostly 0."""
        ahead = time.time_ns() - self.now()
        if ahead <= _TOLERANCE_NS:
            return 0
        self._wall_ns += ahead
        return ahead
