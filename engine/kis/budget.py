"""How many requests to subscribe an account may send: pure, with `now` passed in; times are ns since the epoch.

The broker blocks who subscribes endlessly, and publishes no threshold. Ours: (`max_per_hour` + 5) × `max_registrations`
in any sliding hour, over all sessions, crashes and restarts; by default 1,025. It is made of two parts:

- Each connection has `max_registrations` requests of its own: the first for each of its first so many symbols, those
  that come while it lasts among them. Connections are counted already (engine.kis.backoff), and written down before
  they are made; with the one that began before the hour they are `max_per_hour` + 1 times all registrations. So these
  requests need no counting of their own, and are never refused.
- What is asked for again (no answer, a failure of the server, a ghost, a symbol that returns after it was let go), and
  what is new in a session that has used its own, comes out of rounds of `max_registrations` requests, three an hour,
  and with the one that began before the hour four. A round is written down before it is used, and what is left of it is
  lost in a crash: nobody knows then how much was.

Without writing down the rounds a crash loop would ask three times as much as it may, and know nothing of it.
"""

from collections.abc import Iterable

from engine.kis.backoff import HOUR_NS

ROUNDS_PER_HOUR = 3
"""Enough to ask for everything again after each of three failures. Where nothing at all is answered, one symbol asks
for all (engine.kis.registrations), so that this is plenty."""


def per_hour(attempts: int, registrations: int) -> int:
    """The bound: most requests to subscribe in an hour."""
    return (attempts + 1 + ROUNDS_PER_HOUR + 1) * registrations


def ready_at(rounds: Iterable[int], now: int) -> int:
    """The earliest moment for another round; not in the future: at once. `rounds`: when they began, oldest first."""
    recent = _recent(rounds, now)
    return now if len(recent) < ROUNDS_PER_HOUR else recent[-ROUNDS_PER_HOUR] + HOUR_NS


def begun(rounds: Iterable[int], now: int) -> tuple[int, ...]:
    """A round is begun now."""
    return (*_recent(rounds, now), now)


def _recent(rounds: Iterable[int], now: int) -> tuple[int, ...]:
    return tuple(t for t in rounds if t > now - HOUR_NS)
