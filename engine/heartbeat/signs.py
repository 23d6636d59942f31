"""Why all is not well, from signs that the daemon comes forward: times of what was last done, not flags. Pure.

What counts is what nobody might be told of otherwise, or what makes a silence of pgmwatch mean nothing. So a recording
that cannot be written is no ailment: it is told by message, and what is watched is watched. A target that fails is one,
also where others work: whoever reads only that one hears nothing, and takes it for a calm market.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from engine.incidents.outage import is_near
from engine.kis.status import Phase, Status
from engine.kst import SECOND_NS
from engine.session import Hours

STALE_NS = 5 * SECOND_NS
"""Both the look at everything and the evaluation come round every second."""
BEHIND_NS = 10 * SECOND_NS
"""A lag of a second is told by message, which still goes out; at ten it is not catching up."""
_UNHEARD_NS = 10 * SECOND_NS
"""Beyond the time after which the feed itself takes a connection for dead."""


class What(StrEnum):
    LOOK = "look"
    """Nobody has looked after feeds, disk and targets."""
    RECOVERING = "recovering"
    """The day's recording is being read, and nothing is evaluated before that is done."""
    RULES = "rules"
    """None is in force."""
    DOWN = "feed-down"
    UNHEARD = "feed-unheard"
    """It passes for up, and no frame of any kind has come."""
    SILENT = "feed-silent"
    """It is up, and data is missing out of the ordinary."""
    UNWATCHED = "feed-unwatched"
    """It is up, and the broker has acknowledged no symbol of it."""
    UNREADABLE = "feed-unreadable"
    """Data comes, and for a minute none of it could be read."""
    UNUSABLE = "records-unusable"
    """It can be read, and for a minute the evaluation has dropped all of it."""
    EVALUATION = "evaluation"
    """It has not come forward."""
    LAG = "lag"
    STORE = "store"
    """The database takes nothing."""
    STORE_LAG = "store-lag"
    TARGET = "target"
    """It has taken no message for a minute."""


class Ailment(NamedTuple):
    what: What
    detail: str = ""
    """The account, the target, or why. No secret."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What was last seen to be done. Times: nanoseconds since the epoch; `_ns`: how long."""

    now: int
    look_age_ns: int
    """Since somebody last looked after everything."""
    feeds: Sequence[Status]
    idle_ns: int
    """After which a feed takes a connection for dead."""
    unreadable: Collection[str]
    """Accounts of whose data none can be read."""
    is_all_dropped: bool
    """The evaluation can use no record."""
    is_recovering: bool
    evaluated: int | None
    """Up to when; None where a recording is played, which has a time of its own."""
    lag_ns: int
    rules: int
    """How many are in force."""
    store: str | None
    """Why the database takes nothing."""
    store_lag_ns: int
    failing: Sequence[str]
    """Targets that have taken no message for a minute."""


def ailments(vitals: Vitals, hours: Hours) -> tuple[Ailment, ...]:
    """Empty: all is well."""
    return (*_of_the_watch(vitals), *_of_feeds(vitals, hours), *_of_delivery(vitals))


def _of_the_watch(vitals: Vitals) -> Iterator[Ailment]:
    if vitals.look_age_ns > STALE_NS:
        yield Ailment(What.LOOK)
    if not vitals.rules:
        yield Ailment(What.RULES)
    if vitals.is_recovering:
        yield Ailment(What.RECOVERING)
    elif vitals.evaluated is not None and vitals.now - vitals.evaluated > STALE_NS:
        yield Ailment(What.EVALUATION)
    if vitals.is_all_dropped:
        yield Ailment(What.UNUSABLE)
    if vitals.lag_ns > BEHIND_NS:
        yield Ailment(What.LAG)


def _of_feeds(vitals: Vitals, hours: Hours) -> Iterator[Ailment]:
    """Where the market is closed a feed may rest, or the broker may."""
    if not is_near(hours, vitals.now):
        return
    for feed in vitals.feeds:
        if feed.phase is not Phase.IDLE and (what := _of_feed(feed, vitals)):
            yield Ailment(what, feed.account)


def _of_feed(feed: Status, vitals: Vitals) -> What | None:
    if feed.up_since is None:
        return What.DOWN
    if feed.last_frame is None or vitals.now - feed.last_frame > vitals.idle_ns + _UNHEARD_NS:
        return What.UNHEARD
    if not feed.subscribed:
        return What.UNWATCHED
    if feed.account in vitals.unreadable:
        return What.UNREADABLE
    return What.SILENT if feed.silent_since is not None else None


def _of_delivery(vitals: Vitals) -> Iterator[Ailment]:
    if vitals.store is not None:
        yield Ailment(What.STORE, vitals.store)
    if vitals.store_lag_ns > BEHIND_NS:
        yield Ailment(What.STORE_LAG)
    for name in vitals.failing:
        yield Ailment(What.TARGET, name)
