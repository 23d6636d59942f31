"""Is the peer dead, or were we away? Pure, with `now` passed in; seconds of one monotonic clock."""

from enum import Enum, auto
from typing import NamedTuple

AWAY_S = 3.0
"""A look so much later than it was due means that this process did not run: stopped, starved, suspended."""


class Verdict(Enum):
    ALIVE = auto()
    DEAD = auto()


class Look(NamedTuple):
    verdict: Verdict
    away_s: float = 0.0
    """How long we were not there, if that was long."""


class Watchdog:
    """Looks every `period_s`. Dead is who sent no frame of any kind for `idle_s`, seen by someone who was there.

    After a pause, frames that came meanwhile wait in the kernel and nobody has read them yet; calling the peer dead
    would end a good session. So a pause starts the silence anew, but only once for the same silence: a machine that
    stutters for ever must still notice a dead peer.
    """

    def __init__(self, idle_s: float, now: float) -> None:
        self._idle_s = idle_s
        self.period_s = min(1.0, idle_s / 4)
        self._looked = now
        self._back = now
        self._excused: float | None = None

    def look(self, now: float, heard: float) -> Look:
        """`heard`: when the last frame came."""
        away_s = now - self._looked - self.period_s
        self._looked = now
        if away_s < AWAY_S:
            away_s = 0.0
        elif self._excused != heard:
            self._back, self._excused = now, heard
        silent_s = now - max(heard, self._back)
        return Look(Verdict.DEAD if silent_s >= self._idle_s else Verdict.ALIVE, away_s)
