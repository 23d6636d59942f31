"""When to connect again: pure, with `now` and the random number passed in. Times are nanoseconds since the epoch.

The broker blocks addresses and app keys that connect and close again and again, and publishes no threshold; retrying a
refused key every few seconds got app keys locked for a day. So the delay grows by the kind of ending, no hour sees more
than `max_per_hour` attempts, and only data proves a connection good: a handshake succeeds also for a key that is in use
elsewhere.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from engine.config.model import Backoff
from engine.kst import SECOND_NS

HOUR_NS = 3600 * SECOND_NS
PROOF_NS = 60 * SECOND_NS
"""Data over this long resets the counters."""
_MINUTE_NS = 60 * SECOND_NS
_CREDENTIALS_NS = tuple(minutes * _MINUTE_NS for minutes in (1, 5, 15, 30, 60))
_TOO_OFTEN_NS = (_MINUTE_NS, 2 * _MINUTE_NS)  # the broker counts requests for keys by the minute
_MAX_DOUBLINGS = 32  # any first delay is over any maximum by then, and 2**n stays small


class Ending(StrEnum):
    """Why an attempt or a connection ended."""

    LOST = "lost"
    IN_USE = "in use"
    KEY_REFUSED = "approval key refused"
    """By the WebSocket server, of a key just issued: once it may have been a slow hand-over inside the broker."""
    CREDENTIALS = "credentials refused"
    """By the approval endpoint."""
    TOO_OFTEN = "asked too often"


@dataclass(frozen=True, slots=True)
class State:
    """All that must be known of the past; plain integers, so that it can be stored and outlive a restart."""

    attempts: tuple[int, ...] = ()
    """When connections were attempted, oldest first; the last hour's only."""
    lost: int = 0
    """Endings of this kind since data last flowed for a minute; likewise the next three."""
    in_use: int = 0
    refused: int = 0
    too_often: int = 0
    not_before: int = 0

    @property
    def failures(self) -> int:
        return self.lost + self.in_use + self.refused + self.too_often


def attempted(state: State, now: int) -> State:
    """A connection is being attempted now."""
    recent = tuple(t for t in state.attempts if t > now - HOUR_NS)
    return replace(state, attempts=(*recent, now))


def ended(state: State, ending: Ending, now: int, settings: Backoff, random: float) -> State:
    """An attempt or a connection ended; `random` is uniform in [0, 1)."""
    match ending:
        case Ending.LOST:
            state = replace(state, lost=state.lost + 1)
            delay = _doubling(state.lost, settings, random)
        case Ending.IN_USE:
            state = replace(state, in_use=state.in_use + 1)
            delay = _ns(settings.in_use) * min(state.in_use, 2)
        case Ending.KEY_REFUSED:
            state = replace(state, refused=state.refused + 1)
            delay = _ns(settings.first) if state.refused == 1 else _step(_CREDENTIALS_NS, state.refused - 1)
        case Ending.CREDENTIALS:
            state = replace(state, refused=state.refused + 1)
            delay = _step(_CREDENTIALS_NS, state.refused)
        case Ending.TOO_OFTEN:
            state = replace(state, too_often=state.too_often + 1)
            delay = _step(_TOO_OFTEN_NS, state.too_often)
    return replace(state, not_before=now + delay)


def proven(state: State) -> State:
    """Data has flowed for a minute (`PROOF_NS`): the next ending is a first one. The hour's attempts still count."""
    return State(attempts=state.attempts)


def attempts_last_hour(state: State, now: int) -> int:
    return sum(t > now - HOUR_NS for t in state.attempts)


def ready_at(state: State, now: int, settings: Backoff) -> int:
    """The earliest moment for the next attempt; not in the future: at once.

    A stored state may come from a machine whose clock was ahead: nothing in it holds longer than an hour from now.
    """
    recent = sorted(min(t, now) for t in state.attempts if t > now - HOUR_NS)
    not_before = min(state.not_before, now + HOUR_NS)
    if len(recent) < settings.max_per_hour:
        return not_before
    return max(not_before, recent[-settings.max_per_hour] + HOUR_NS)


def _doubling(failures: int, settings: Backoff, random: float) -> int:
    """First, twice, four times … with up to a quarter on top.

    What would exceed the maximum is mirrored below it, so that several accounts of one address do not come back in step
    after a long outage either.
    """
    top = _ns(settings.max)
    delay = min(top, _ns(settings.first) << min(failures - 1, _MAX_DOUBLINGS))
    spread = delay + int(delay * random / 4)
    return spread if spread <= top else 2 * top - spread


def _step(steps: tuple[int, ...], failures: int) -> int:
    return steps[min(failures, len(steps)) - 1]


def _ns(delay: timedelta) -> int:
    return delay // timedelta(microseconds=1) * 1000
