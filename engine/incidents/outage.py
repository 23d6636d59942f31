"""Outages: when a lost feed is worth a message, and when it is over. One per account; times are ns since the epoch.

A feed that comes and goes must not chatter: it is back only after it stayed up for a while, and that while doubles with
each loss within the hour. So no hour brings more than 21 messages, whatever the feed does.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.kis.backoff import Ending
from engine.kis.status import Phase, Status
from engine.kst import SECOND_NS, day_number
from engine.session import Hours

TOLD_AFTER_NS = 10 * SECOND_NS
"""A reconnect at once after a loss takes 3 to 8 s, and is nothing to be woken for."""
_WITH_OTHERS_NS = TOLD_AFTER_NS // 2
"""When one outage is told, others that have lasted half as long come with it: one cable, one message."""
_BEFORE_OPEN_NS = 600 * SECOND_NS
_STAYS_UP_NS = 10 * SECOND_NS
_LONGEST_STAY_NS = 600 * SECOND_NS
_HOUR_NS = 3600 * SECOND_NS
_MOST_LOSSES = 16
"""Those remembered; the time to stay up is at its longest after seven."""

AT_ONCE = frozenset({Ending.CREDENTIALS, Ending.KEY_REFUSED, Ending.IN_USE})
"""Endings that no retry mends, and that a person can: said at any hour."""


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
    refused: tuple[Lost, ...] = ()
    """Told before, for another cause; by now it is that the broker refuses the credentials."""
    quiet: tuple[Lost, ...] = ()
    """Outside the session: to be logged."""
    over: tuple[Over, ...] = ()


class Outage:
    """One account: its present outage, if any, and its losses of the last hour."""

    def __init__(self) -> None:
        self._losses: deque[int] = deque(maxlen=_MOST_LOSSES)
        self._told = self._told_refused = self._logged = self._urgent = False
        self._lost: Lost | None = None
        """None while nothing is wrong, or the feed is up again and may stay so."""
        self._since: int | None = None
        self._lost_times = 0
        self._is_start = False

    def see(self, feed: Status, now: int) -> Over | None:
        """Take in where the feed stands: → the outage that is over by that."""
        self._lost = None
        if feed.phase is Phase.STOPPED:
            return None
        if feed.down_since is not None:
            self._down(feed, feed.down_since)
        elif self._since is not None and feed.up_since is not None and self._is_back(now - feed.up_since, now):
            over = Over(feed.account, self._since, feed.up_since, self._told, self._lost_times)
            self._since, self._lost_times = None, 0
            self._told = self._told_refused = self._logged = False
            return over
        return None

    def is_due(self, now: int, after_ns: int, *, in_session: bool) -> bool:
        """To be told: in the session after this long, at once whatever a person must mend."""
        lasted = in_session and self._lasted(now) >= after_ns
        return self._lost is not None and not self._told and (lasted or self._urgent)

    def tell(self) -> Lost | None:
        """What to say of it; from now on it counts as said."""
        self._told = True
        self._told_refused = self._lost is not None and self._lost.cause is Ending.CREDENTIALS
        return self._lost

    def tell_refused(self) -> Lost | None:
        """Likewise, if it was told for another cause, and by now it is that the broker refuses the credentials."""
        lost = self._lost
        if (
            not self._told
            or self._told_refused
            or not self._urgent
            or lost is None
            or lost.cause is not Ending.CREDENTIALS
        ):
            return None
        self._told_refused = True
        return lost

    def log(self, now: int) -> Lost | None:
        """What has lasted as long as any outage that is told, but is not told; once."""
        if self._lost is None or self._told or self._logged or self._lasted(now) < TOLD_AFTER_NS:
            return None
        self._logged = True
        return self._lost

    def _down(self, feed: Status, since: int) -> None:
        if not self._losses or since != self._losses[-1]:
            self._losses.append(since)
            self._lost_times += 1
        if self._since is None:
            self._since = since
        cause = Ending.CREDENTIALS if feed.refused else feed.last_ending
        self._is_start = cause is None
        self._lost = Lost(feed.account, self._since, since, cause, feed.last_error, feed.symbols)
        # Only while it waits is the last ending surely that of this loss: right after it, it is still the one before.
        self._urgent = feed.refused or (feed.phase is Phase.WAITING and cause in AT_ONCE)

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

    def look(self, now: int, feeds: Sequence[Status]) -> Outages:
        each = [(self._outages.setdefault(feed.account, Outage()), feed) for feed in feeds]
        over = [outage.see(feed, now) for outage, feed in each]
        refused = [outage.tell_refused() for outage, _ in each]
        in_session = self._is_near(now)
        lost = [outage.tell() for outage in self._due(now, in_session=in_session)]
        quiet = [outage.log(now) for outage, _ in each]
        return Outages(_some(lost), _some(refused), _some(quiet), tuple(end for end in over if end is not None))

    def _due(self, now: int, *, in_session: bool) -> list[Outage]:
        def after(ns: int) -> list[Outage]:
            return [outage for outage in self._outages.values() if outage.is_due(now, ns, in_session=in_session)]

        return after(_WITH_OTHERS_NS) if after(TOLD_AFTER_NS) else []

    def _is_near(self, now: int) -> bool:
        """In a session, or so shortly before it that there is just time to do something."""
        day = day_number(now)
        session = self._hours.session(day)
        return self._hours.is_trading_day(day) and session.open - _BEFORE_OPEN_NS <= now < session.close


def _some(outages: Iterable[Lost | None]) -> tuple[Lost, ...]:
    return tuple(lost for lost in outages if lost is not None)
