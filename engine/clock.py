"""The daemon's one clock: the wall clock at start plus the time since, led after the wall clock with care.

The time since is monotonic time, which stands still while the machine sleeps, and what the machine slept. A frame that
waited through the sleep may be the first thing that is read after it, before anybody looks at the wall clock: it must
get the time after the sleep, or it would pass for one of before. Linux says how long the machine slept; where nothing
does, a sleep shows as a wall clock that was set forward.

Receive times and durations must not jump with the machine's clock (NTP steps, a person's `date -s`), and must not stay
away from it either: a clock that is a minute behind takes every record for one from the future. So, at every look:

- What differs by up to a second is made good by 1 ms a second, twice as fast as NTP ever slews. On Linux monotonic time
  is slewed along and there is nothing to make good; where it is not, 500 ppm are 43 s a day.
- A wall clock further ahead was set forward, or the machine slept and nothing told: taken over.
- One further behind was set back. Time here never falls, and holding it until the wall has come after would stop every
  `for` and cooldown; so it goes on by itself, that far ahead, and comes back by the same 1 ms a second: a minute takes
  17 h. When the wall clock comes up again before that, nothing happens.

In tests Trio's virtual clock drives it.
"""

import sys
import time
from collections.abc import Callable

import trio

_STEP_NS = 1_000_000_000
_SLEW = 1000
"""Nanoseconds that pass for each one that is made good."""
_LONGEST_NS = 10_000_000_000
"""What counts as passed since the last look: time may stand still for 10 ms at most."""
_NOISE_NS = 1_000_000
"""How long the machine slept is a difference of two readings, made one after the other."""

if sys.platform == "linux":

    def _slept() -> int:
        # In this order: a process that is stopped in between reads too little, and less does not count.
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)

else:

    def _slept() -> int:
        return 0


class Clock:
    """Must be made, and is only good, inside a Trio run."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, suspended: Callable[[], int] = _slept) -> None:
        """`wall`: nanoseconds since the epoch, as the machine has them.

        `suspended`: grows, from anywhere, by the nanoseconds that the machine sleeps.
        """
        self._wall = wall
        self._suspended = suspended
        self._slept_ns = suspended()
        self._wall_ns = wall()
        self._started_s = trio.current_time()
        self._latest = 0
        self._ahead = 0
        self._looked = self._wall_ns

    def now(self) -> int:
        """Nanoseconds since the epoch; never falls."""
        self._latest = max(self._latest, self._reading())
        return self._latest

    @property
    def ahead(self) -> int:
        """How far our time is ahead of a wall clock that was set back (ns); not negative, and 0 mostly."""
        return self._ahead

    def catch_up(self) -> int:
        """Look at the wall clock, every second or so: → how far it was set forward, negative for back, mostly 0 (ns).

        Only forward changes `now`.
        """
        behind = self._behind()
        if behind > _STEP_NS:
            return self._follow(behind)
        if behind < -_STEP_NS:
            self._ahead -= behind
            return behind
        self._slew(behind - self._ahead)
        return 0

    def _slew(self, departure: int) -> None:
        now = self._reading()
        self._looked = max(self._looked, now - _LONGEST_NS)
        most = (now - self._looked) // _SLEW
        self._looked += most * _SLEW  # what is less than a nanosecond's worth counts next time
        change = max(-most, min(departure, most))
        self._wall_ns += change
        self._ahead = max(0, self._ahead + min(0, change))

    def _reading(self) -> int:
        passed = int((trio.current_time() - self._started_s) * 1e9)
        slept = self._suspended() - self._slept_ns
        if slept > _NOISE_NS:
            self._slept_ns += slept
            self._wall_ns += slept
        return self._wall_ns + passed

    def _behind(self) -> int:
        """How far this clock is behind of where the wall clock wants it.

        The process may be stopped between two readings; then the smallest difference that explains both is taken.
        """
        before = self._reading() - self._ahead
        wall = self._wall()
        after = self._reading() - self._ahead
        return wall - max(before, min(wall, after))

    def _follow(self, behind: int) -> int:
        """The wall clock is ahead of where it was expected, but perhaps only back where it once had been."""
        skipped = max(0, behind - self._ahead)
        self._ahead = max(0, self._ahead - behind)
        if skipped <= _STEP_NS:
            return 0  # and what is left is made good slowly
        self._wall_ns += skipped
        return skipped
