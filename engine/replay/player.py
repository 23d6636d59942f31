"""Recordings as the upstream of a daemon: each line when its time has come, on a clock that shows their time.

What is evaluated is what a replay of the same files evaluates: ticks come with the lines, and none is made up. Hours in
which there is no line, the nights between two files, are not waited for.
"""

import logging
import time
from collections.abc import Callable, Sequence
from itertools import chain, islice
from pathlib import Path

import trio

from engine.clock import Clock
from engine.kis.status import Status
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.recording import reader
from engine.recording.reader import Tally
from engine.replay.run import after_last_tick
from engine.stream import Event

log = logging.getLogger(__name__)

LONGEST_WAIT_NS = 60 * SECOND_NS
"""Of recorded time without a line. While the daemon that recorded ran, there was one each second."""
_TURN = 200
"""Lines applied before others get their turn, where nothing is to be waited for: a few milliseconds."""


class PlayedClock(Clock):
    """Shows the time of the recording, `speed` times as fast as time passes. Never falls."""

    def __init__(self, start: int, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._began_s = trio.current_time()

    def now(self) -> int:
        return self._start + int((trio.current_time() - self._began_s) * self._speed * SECOND_NS)

    @property
    def ahead(self) -> int:
        return 0

    def catch_up(self) -> int:
        """There is no other clock to depart from."""
        return 0

    def skip_to(self, t: int) -> None:
        """It is `t` now, if it is not later already."""
        self._start += max(0, t - self.now())

    def until_s(self, t: int) -> float:
        """Seconds that pass before it is `t`; not negative."""
        return max(0.0, (t - self.now()) / SECOND_NS / self._speed)


class Player:
    """Takes the place of the feeds: subscribes to nothing, and covers whatever the recording has."""

    not_covered: tuple[str, ...] = ()

    def __init__(self, paths: Sequence[Path], speed: float) -> None:
        """Looks into the files; raises UnreadableRecordingError."""
        self._tally = Tally()
        events = reader.events(paths, tally=self._tally)
        first = list(islice(events, 1))
        self.clock = PlayedClock(first[0].t if first else time.time_ns(), speed)
        self._events = chain(first, events)

    def status(self) -> list[Status]:
        """Of feeds: there are none."""
        return []

    def watch(self, _symbols: Sequence[str]) -> list[str]:
        """A recording has what it has."""
        return []

    async def run(self, stop: trio.Event) -> None:
        """Nothing has to be ended cleanly."""
        await stop.wait()

    async def play(self, apply: Callable[[Event], None]) -> int | None:
        """Every line, in its time. → just after the last tick; None where there was no line."""
        last: int | None = None
        for number, event in enumerate(self._events):
            last = event.t if last is None else max(last, event.t)
            if last - self.clock.now() > LONGEST_WAIT_NS:
                self.clock.skip_to(last)
            wait_s = self.clock.until_s(last)
            if wait_s or number % _TURN == 0:
                await trio.sleep(wait_s)
            apply(event)
        for line in self._tally.words(Locale.EN):
            log.warning("recording %s", line)
        return None if last is None else after_last_tick(last)
