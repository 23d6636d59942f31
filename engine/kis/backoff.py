"""When to connect again: pure, with `now` and the random number passed in. Times are nanoseconds since the epoch.

The broker blocks addresses and app keys that connect and close again and again, and publishes no threshold; retrying a
refused key every few seconds got app keys locked for a day. So the delay grows by the kind of ending, no hour sees more
than `max_per_hour` attempts, and only data proves a connection good: a handshake succeeds also for a key that is in use
elsewhere.

What holds for an account in every sliding hour, with the default settings, over all restarts that remember:

| at most                                      | by default | in general                               |
|----------------------------------------------|------------|------------------------------------------|
| connections attempted                        | 20         | `max_per_hour`                           |
| requests to subscribe (engine.kis.budget)    | 1,025      | (`max_per_hour` + 5) × `max_registrations` |
| waiting once a connection was lost           | 5 min 28 s | an hour / (half of `max_per_hour` + 1)   |

The last line is without restarts; a crash loop uses up the hour and then waits for it to pass. Refused credentials wait
longer, up to an hour.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self

from engine.config.model import Backoff
from engine.kst import SECOND_NS

HOUR_NS = 3600 * SECOND_NS
PROOF_NS = 60 * SECOND_NS
"""Data over this long resets the counters."""
_MINUTE_NS = 60 * SECOND_NS
_CREDENTIALS_NS = tuple(minutes * _MINUTE_NS for minutes in (1, 5, 15, 30, 60))
_TOO_OFTEN_NS = (_MINUTE_NS, 2 * _MINUTE_NS)  # the broker counts requests for keys by the minute
_MAX_DOUBLINGS = 32  # any first delay is over any maximum by then, and 2**n stays small
_MAX_KEPT = 128
"""Numbers in one list of what is remembered: `max_per_hour` is 60 at most."""
_MAX_NUMBER = 2**63 - 1


class Ending(StrEnum):
    """Why an attempt or a connection ended."""

    LOST = "lost"
    IN_USE = "in use"
    KEY_REFUSED = "approval key refused"
    """By the WebSocket server, of a key just issued: once it may have been a slow hand-over inside the broker."""
    CREDENTIALS = "credentials refused"
    """By the approval endpoint."""
    TOO_OFTEN = "asked too often"
    SILENT = "silent"
    """The connection lived, and data stayed away for longer than is usual."""


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
    denied: bool = False
    """The approval endpoint's last word on these credentials was no.

    That may have been in an earlier run, long ago: once `not_before` is over it says nothing until it is asked again.
    """
    rounds: tuple[int, ...] = ()
    """When rounds of repeated requests were begun (engine.kis.budget), oldest first; the last hour's only."""

    @property
    def failures(self) -> int:
        return self.lost + self.in_use + self.refused + self.too_often


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept of an account over restarts."""

    state: State = State()
    approved: bool = False
    """These credentials were given a key before: they were right once."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: object) -> Self | None:
        """What `to_dict` gave, also by way of JSON; None for anything else, of which nothing can be believed."""
        if not isinstance(data, Mapping) or set(data) != {"state", "approved"} or type(data["approved"]) is not bool:
            return None
        state = data["state"]
        if not isinstance(state, Mapping) or set(state) != {field.name for field in fields(State)}:
            return None
        if not all(_is_like(state[field.name], field.default) for field in fields(State)):
            return None
        return cls(
            State(**{**state, "attempts": tuple(state["attempts"]), "rounds": tuple(state["rounds"])}),
            data["approved"],
        )


def recalled(state: State, now: int) -> State:
    """A state from disk, at the start. The clock may have been ahead then: no attempt counts for more than an hour."""
    return replace(
        state,
        attempts=tuple(sorted(min(t, now) for t in state.attempts)),
        rounds=tuple(sorted(min(t, now) for t in state.rounds)),
        not_before=min(state.not_before, now + HOUR_NS),
    )


def attempted(state: State, now: int) -> State:
    """A connection is being attempted now."""
    return replace(state, attempts=(*_recent(state.attempts, now), now))


def approved(state: State) -> State:
    """The approval endpoint gave a key."""
    return replace(state, denied=False)


def ended(state: State, ending: Ending, now: int, settings: Backoff, random: float) -> State:
    """An attempt or a connection ended; `random` is uniform in [0, 1)."""
    match ending:
        case Ending.LOST | Ending.SILENT:
            state = replace(state, lost=state.lost + 1)
            delay = _doubling(state.lost, settings, random)
        case Ending.IN_USE:
            state = replace(state, in_use=state.in_use + 1)
            delay = _ns(settings.in_use) * min(state.in_use, 2)
        case Ending.KEY_REFUSED:
            state = replace(state, refused=state.refused + 1)
            delay = _ns(settings.first) if state.refused == 1 else _step(_CREDENTIALS_NS, state.refused - 1)
        case Ending.CREDENTIALS:
            state = replace(state, refused=state.refused + 1, denied=True)
            delay = _step(_CREDENTIALS_NS, state.refused)
        case Ending.TOO_OFTEN:
            state = replace(state, too_often=state.too_often + 1)
            delay = _step(_TOO_OFTEN_NS, state.too_often)
    return replace(state, not_before=now + max(delay, _stretch(state, now, settings.max_per_hour)))


def proven(state: State) -> State:
    """Data has flowed for a minute (`PROOF_NS`): the next ending is a first one. What counts by the hour still does."""
    return State(attempts=state.attempts, rounds=state.rounds)


def attempts_last_hour(state: State, now: int) -> int:
    return len(_recent(state.attempts, now))


def share(state: State, now: int, settings: Backoff) -> int:
    """How far apart attempts must be that cannot be written down, on top of those of `state`, which are.

    Nobody will know of them after a crash; so far apart, they and the known ones keep to `max_per_hour` all the same.
    """
    return HOUR_NS // max(1, settings.max_per_hour - attempts_last_hour(state, now))


def ready_at(state: State, now: int, settings: Backoff) -> int:
    """The earliest moment for the next attempt; not in the future: at once.

    A stored state may come from a machine whose clock was ahead: nothing in it holds longer than an hour from now.
    """
    recent = sorted(min(t, now) for t in state.attempts if t > now - HOUR_NS)
    not_before = min(state.not_before, now + HOUR_NS)
    if len(recent) < settings.max_per_hour:
        return not_before
    return max(not_before, recent[-settings.max_per_hour] + HOUR_NS)


def _stretch(state: State, now: int, limit: int) -> int:
    """Once half of the hour's attempts are used: what is between the others, so that there is always one left.

    Quick attempts used to eat up the hour within 17 minutes, and the feed then stayed away for up to 43, even if the
    broker was back at once. With as much as this between them, `limit` + 1 attempts never fall into one hour (a long
    outage has eleven), so the hard limit holds only restarts, which do not wait so. Where they have used more than
    half, the rest is spread over the time until the oldest leaves.
    """
    recent = _recent(state.attempts, now)
    half = (limit + 1) // 2
    if len(recent) < half:
        return 0
    until_free = min(recent[0], now) + HOUR_NS - now
    return max(HOUR_NS // (limit + 1 - half), until_free // max(1, limit + 1 - len(recent)))


def _recent(times: tuple[int, ...], now: int) -> tuple[int, ...]:
    return tuple(t for t in times if t > now - HOUR_NS)


def _is_like(value: object, default: object) -> bool:
    """Of the kind of a State's field: a list of times, yes or no, or a count."""
    if isinstance(default, tuple):
        return isinstance(value, list | tuple) and len(value) <= _MAX_KEPT and all(_is_like(t, 0) for t in value)
    if isinstance(default, bool):
        return isinstance(value, bool)
    return type(value) is int and 0 <= value <= _MAX_NUMBER


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
