"""Outages: when a lost feed is worth a message, and when it is over. One per account; times are ns since the epoch.

A feed that comes and goes must not chatter: it is back only after it stayed up for a while, and that while doubles with
each loss within the hour. So no hour brings more than 24 messages, whatever the feed does: 21 of outages and of their
ends, and one for each of three causes that turned up later.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from engine.kis.backoff import Ending
from engine.kis.status import Phase, Status
from engine.kst import SECOND_NS, day_number
from engine.session import Hours

TOLD_AFTER_NS = 10 * SECOND_NS
"""A reconnect at once after a loss takes 3 to 8 s, and is nothing to be woken for."""
_WITH_OTHERS_NS = TOLD_AFTER_NS // 2
"""When one outage is told, others that have lasted half as long come with it: one cable, one message."""
_AFTER_SILENCE_NS = 60 * SECOND_NS
"""Of an account that was told silent, the one new connection that this calls for is no news."""
BEFORE_OPEN_NS = 600 * SECOND_NS
"""Just time to do something."""
_STAYS_UP_NS = 10 * SECOND_NS
_LONGEST_STAY_NS = 600 * SECOND_NS
_HOUR_NS = 3600 * SECOND_NS
_MOST_LOSSES = 16
"""Those remembered; the time to stay up is at its longest after seven."""

_LASTING_NS = 190 * SECOND_NS
"""After an unclean end the broker keeps our own slot for 18 to 90 s, so that the first reconnect finds the app key in
use. The next ones come after 60 and 180 s; ten more let the latter end."""
_URGENT_AFTER_NS = {Ending.CREDENTIALS: 0, Ending.KEY_REFUSED: _LASTING_NS, Ending.IN_USE: _LASTING_NS}
"""Endings that a person can mend, and no retry once they have lasted for this long: said at any hour."""


@dataclass(frozen=True, slots=True)
class Lost:
    """An outage that goes on."""

    account: str
    since: int
    """When it began: of a feed that comes and goes, the first of its losses."""
    down: int
    """When the last of them was: nothing was received from then on."""
    cause: Ending | None
    """None: there was no connection yet."""
    reason: str
    """The broker's or the network's words."""
    symbols: tuple[str, ...]
    next_attempt: int | None = None
    """None: it is being made, or none will be."""
    is_kept: bool = True
    """Attempts can be written down, and need not keep apart for that."""


@dataclass(frozen=True, slots=True)
class Over:
    """An outage that has ended: the feed came up at `until` and stayed so."""

    account: str
    since: int
    until: int
    told: bool
    losses: int
    """More than one: in between it came up, but not for good."""


@dataclass(frozen=True, slots=True)
class Outages:
    """What one look at all accounts calls for."""

    lost: tuple[Lost, ...] = ()
    """To be told."""
    causes: tuple[Lost, ...] = ()
    """Told before, for another cause; by now it is one that a person must mend."""
    quiet: tuple[Lost, ...] = ()
    """Outside the session: to be logged."""
    over: tuple[Over, ...] = ()


class Outage:
    """One account: its present outage, if any, and its losses of the last hour."""

    def __init__(self) -> None:
        self._losses: deque[int] = deque(maxlen=_MOST_LOSSES)
        self._told = self._logged = self._is_urgent = False
        self._lost: Lost | None = None
        """None while nothing is wrong, the feed is up again and may stay so, or what ended it is not known yet."""
        self._confirmed = 0
        """When a symbol of its was last seen to be subscribed."""
        self._since: int | None = None
        self._lost_times = 0
        self._is_start = False
        self._after_ns = 0
        self._cause: Ending | None = None
        self._cause_since = 0
        self._told_causes: set[Ending | None] = set()
        """Of this outage."""
        self._caused: dict[Ending, int] = {}
        """When each was last told of an outage that had been told; over all outages."""

    def see(self, feed: Status, now: int, *, is_silent: bool) -> Over | None:
        """Take in where the feed stands: → the outage that is over by that. `is_silent`: told to be without data."""
        self._lost = None
        if feed.phase is Phase.STOPPED:
            return None
        if feed.phase is Phase.IDLE:  # nothing is wanted, so nothing is missed; nor has anything come back
            self._end()
            return None
        down = feed.down_since
        if feed.subscribed:
            self._confirmed = now
        if feed.unanswered and not feed.subscribed:  # connected, and not one symbol is confirmed: no less blind
            down = down or self._since or max(feed.connected_since or 0, self._confirmed)
        if down is not None:
            self._down(down)
            if feed.phase is not Phase.ENDING:  # else the last ending is still the one before this loss
                self._ended(feed, down, now, is_silent=is_silent)
        elif self._since is not None and feed.up_since is not None and self._is_back(now - feed.up_since, now):
            over = Over(feed.account, self._since, feed.up_since, self._told, self._lost_times)
            was_lost = self._told or not self._is_start
            self._end()
            return over if was_lost else None
        return None

    def _end(self) -> None:
        self._since, self._lost_times = None, 0
        self._told = self._logged = self._is_urgent = False
        self._told_causes.clear()

    def is_due(self, now: int, after_ns: int, *, in_session: bool) -> bool:
        """To be told: in the session after this long, at once what a person must mend."""
        if self._lost is None or self._told:
            return False
        return self._is_urgent or (in_session and self._lasted(now) >= max(after_ns, self._after_ns))

    def tell(self) -> Lost | None:
        """What to say of it; from now on it counts as said."""
        self._told = True
        self._told_causes.add(self._cause)
        return self._lost

    def tell_cause(self, now: int) -> Lost | None:
        """Likewise, if it was told for another cause, and by now it is one that a person must mend.

        Once an outage for each cause, and once an hour: a feed that comes and goes must not chatter.
        """
        cause = self._cause
        if not self._told or not self._is_urgent or self._lost is None or cause is None or cause in self._told_causes:
            return None
        if now - self._caused.get(cause, now - _HOUR_NS) < _HOUR_NS:
            return None
        self._told_causes.add(cause)
        self._caused[cause] = now
        return self._lost

    def log(self, now: int) -> Lost | None:
        """What has lasted as long as any outage that is told, but is not told; once."""
        least = max(TOLD_AFTER_NS, self._after_ns)
        if self._lost is None or self._told or self._logged or self._lasted(now) < least:
            return None
        self._logged = True
        return self._lost

    def _down(self, since: int) -> None:
        self._is_urgent = False
        if not self._losses or since != self._losses[-1]:
            self._losses.append(since)
            self._lost_times += 1
            self._cause = None
        if self._since is None:
            self._since = since

    def _ended(self, feed: Status, since: int, now: int, *, is_silent: bool) -> None:
        cause = Ending.CREDENTIALS if feed.refused else feed.last_ending
        if cause is not self._cause:
            self._cause, self._cause_since = cause, now
        self._is_start = cause is None
        self._after_ns = _AFTER_SILENCE_NS if is_silent and cause is Ending.SILENT else 0
        start = since if self._since is None else self._since
        next_attempt, is_kept = feed.next_attempt, feed.is_kept
        self._lost = Lost(feed.account, start, since, cause, feed.last_error, feed.symbols, next_attempt, is_kept)
        self._is_urgent = feed.refused or (feed.phase is Phase.WAITING and self._is_lasting(now))

    def _is_lasting(self, now: int) -> bool:
        after_ns = None if self._cause is None else _URGENT_AFTER_NS.get(self._cause)
        return after_ns is not None and now - self._cause_since >= after_ns

    def _is_back(self, up_ns: int, now: int) -> bool:
        """After a loss only for good; at the start nothing was lost, but waited for."""
        if self._is_start and not self._told:
            self._losses.clear()
            return True
        return up_ns >= self._stay(now)

    def _lasted(self, now: int) -> int:
        return 0 if self._since is None else now - self._since

    def _stay(self, now: int) -> int:
        """How long the feed must have been up to count as back."""
        recent = sum(t > now - _HOUR_NS for t in self._losses)
        return min(_STAYS_UP_NS << max(0, recent - 1), _LONGEST_STAY_NS)


class Watch:
    """The outages of all accounts."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._outages: dict[str, Outage] = {}

    def look(self, now: int, feeds: Sequence[Status], silent: Collection[str] = ()) -> Outages:
        """`silent`: accounts of which it was told that they are connected, but without data."""
        each = [(self._outages.setdefault(feed.account, Outage()), feed) for feed in feeds]
        over = [outage.see(feed, now, is_silent=feed.account in silent) for outage, feed in each]
        causes = [outage.tell_cause(now) for outage, _ in each]
        in_session = is_near(self._hours, now)
        lost = [outage.tell() for outage in self._due(now, in_session=in_session)]
        quiet = [outage.log(now) for outage, _ in each]
        if is_hopeless(feeds):  # then the daemon ends, and asks no more
            lost, causes = _without_next(lost), _without_next(causes)
        return Outages(_some(lost), _some(causes), _some(quiet), tuple(end for end in over if end is not None))

    def _due(self, now: int, *, in_session: bool) -> list[Outage]:
        def after(ns: int) -> list[Outage]:
            return [outage for outage in self._outages.values() if outage.is_due(now, ns, in_session=in_session)]

        return after(_WITH_OTHERS_NS) if after(TOLD_AFTER_NS) else []


def is_hopeless(feeds: Sequence[Status]) -> bool:
    """No account that is to watch something was ever let in; those without symbols have not been tried."""
    busy = [feed for feed in feeds if feed.phase is not Phase.IDLE]
    return bool(busy) and all(feed.refused and not feed.approved for feed in busy)


def is_near(hours: Hours, now: int) -> bool:
    """In a session, or so shortly before it that there is just time to do something."""
    day = day_number(now)
    session = hours.session(day)
    return hours.is_trading_day(day) and session.open - BEFORE_OPEN_NS <= now < session.close


def _without_next(outages: Iterable[Lost | None]) -> list[Lost | None]:
    return [None if lost is None else replace(lost, next_attempt=None) for lost in outages]


def _some(outages: Iterable[Lost | None]) -> tuple[Lost, ...]:
    return tuple(lost for lost in outages if lost is not None)
