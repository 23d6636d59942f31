"""The daemon's one clock: the wall clock at start plus monotonic time since.

Receive times and durations must not jump with the machine's clock (NTP steps, a person's `date -s`), so the wall clock
is read once. In tests Trio's virtual clock drives it.
"""

import time

import trio


class Clock:
    """Must be made, and is only good, inside a Trio run."""

    def __init__(self) -> None:
        self._wall_ns = time.time_ns()
        self._started_s = trio.current_time()

    def now(self) -> int:
        """Nanoseconds since the epoch; never falls."""
        return self._wall_ns + int((trio.current_time() - self._started_s) * 1e9)
