"""Targets that take no messages: told when it lasts, with what waits for them, and when it is over. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from engine.delivery.lane import TargetStatus
from engine.kst import SECOND_NS

FAILING_NS = 60 * SECOND_NS
"""A service that restarts or says 429 is back sooner, and its messages wait."""
_REFUSED_NS = 10 * SECOND_NS
"""To be asked again helps no refusal, so nothing is waited for but others that refuse at the same time. One that may
pass, such as a bare 404, is a failure for the minute in which it is asked again."""
_WITH_OTHERS_NS = 10 * SECOND_NS
"""Who has failed for so long when another one is told, is told with it: most likely the network is gone."""
_FINE_NS = 10 * SECOND_NS
_AWAY_NS = 3 * SECOND_NS
"""Between two looks: nobody was there to send anything either, the clock was set, or it is that of a recording that is
played faster, by which no target can be judged."""
_BETWEEN_NS = 600 * SECOND_NS
"""From one message of a target's failing to the next: a line that comes and goes would fill the other chats."""


class How(StrEnum):
    FAILS = "fails"
    REFUSES = "refuses"
    """Whatever it is sent: most likely its address is not good any more."""
    HANGS = "hangs"
    """Something waits, and is neither taken nor refused."""


@dataclass(frozen=True, slots=True)
class Failing:
    target: str
    """Its id."""
    name: str
    how: How
    since: int
    reason: str
    """The service's, or of the way there: foreign text without secrets."""
    waiting: int
    expires: int | None
    """When the first of what waits is given up."""
    expired: int
    refused: int


@dataclass(frozen=True, slots=True)
class Back:
    target: str
    name: str
    since: int
    until: int
    late: int
    """Delivered since."""
    expired: int
    refused: int


@dataclass(frozen=True, slots=True)
class Disliked:
    """Single messages that a target refused, while it takes others."""

    target: str
    name: str
    count: int
    reason: str


class Found(NamedTuple):
    failing: tuple[Failing, ...] = ()
    back: tuple[Back, ...] = ()
    disliked: tuple[Disliked, ...] = ()


class Audience(NamedTuple):
    notify: tuple[str, ...]
    """Names of notifiers."""
    besides: str
    """As in Notice."""


class Watch:
    """What is known of each target; there are as many as the configuration has, and none ever goes."""

    def __init__(self, ttl_ns: int, digest_ns: int) -> None:
        self._ttl_ns = ttl_ns
        self._digest_ns = digest_ns
        self._targets: dict[str, _Target] = {}
        self._looked = self._here = 0
        """When last, and since when each second."""

    def look(self, now: int, targets: Sequence[TargetStatus]) -> Found:
        """What is to be told now; from now on it counts as told. Call it every second."""
        if now - self._looked > _AWAY_NS:
            self._here = now
        self._looked = now
        for status in targets:
            known = self._targets.setdefault(status.address.id, _Target(status, now))
            known.see(now, self._here, status, FAILING_NS + status.address.spacing_ns + self._digest_ns)
        all_of_them = tuple(self._targets.values())
        backs = tuple(each.end(now) for each in all_of_them if each.is_over(now))
        failing: tuple[Failing, ...] = ()
        if any(each.is_due(now) or each.refuses_by_now for each in all_of_them):
            due = [each for each in all_of_them if each.may_join(now) or each.refuses_by_now]
            failing = tuple(each.tell(now, self._ttl_ns) for each in due)
        disliked = tuple(each.dislike(now) for each in all_of_them if each.dislikes(now))
        return Found(failing, backs, disliked)

    def failing(self, now: int) -> tuple[str, ...]:
        """Names of those that have taken nothing for a minute, whether that has been told or not."""
        return tuple(each.status.address.name for each in self._targets.values() if each.fails_for(now, FAILING_NS))

    def audience(self, ops: tuple[str, ...], concerned: Collection[str]) -> Audience:
        """Who hears of these targets (ids): others, and if need be such as nobody named for that.

        Where no other target works it waits for whichever comes back first, these included.
        """
        well = [each.status.address for each in self._targets.values() if each.since is None]
        well = [address for address in well if address.id not in concerned]
        besides = next(iter(concerned)) if len(concerned) == 1 and well else ""
        if not well or any(not set(ops).isdisjoint(address.notifiers) for address in well):
            return Audience(ops, besides)
        return Audience(tuple(dict.fromkeys(name for each in well for name in each.notifiers)), besides)


class _Target:
    def __init__(self, status: TargetStatus, now: int) -> None:
        self.status = status
        self._here = now
        self.since: int | None = None
        """Since when it takes nothing; also for the first seconds in which it takes something again."""
        self._well = replace(status, delivered=0, failed=0, unknown=0, refused=0, expired=0, dropped=0)
        """As it was when it was last seen well: what came since is counted from there."""
        self._moved = now
        """When something last came of an attempt, or nothing was to be attempted."""
        self._fine: int | None = None
        self._hangs = self._is_told = False
        self._told: int | None = None
        self._is_refusal_told = False
        """Of this incident."""
        self._disliked = 0
        """Refusals that were told, of whatever incident."""
        self._told_disliked: int | None = None

    def see(self, now: int, here: int, status: TargetStatus, patience_ns: int) -> None:
        """`here`: since when somebody looks and sends without a break; what was before says nothing of the target.

        `patience_ns`: how long nothing may come of what waits.
        """
        self._here = here
        if _outcomes(status) != _outcomes(self.status) or not status.queued + status.attempting:
            self._moved = now
        self.status = status
        self._hangs = now - max(self._moved, here) >= patience_ns and status.failing_since is None
        since = self._moved if self._hangs else status.failing_since
        if since is not None:
            self.since = since if self.since is None else self.since
            self._fine = None
        elif self._is_told:
            self._fine = now if self._fine is None else self._fine
        else:
            self.since, self._well = None, status

    def fails_for(self, now: int, ns: int) -> bool:
        return self.since is not None and self._fine is None and now - max(self.since, self._here) >= ns

    def is_due(self, now: int) -> bool:
        limit_ns = _REFUSED_NS if self._how() is How.REFUSES else FAILING_NS
        return self.fails_for(now, limit_ns) and self._may_be_told(now)

    def may_join(self, now: int) -> bool:
        return self.fails_for(now, _WITH_OTHERS_NS) and self._may_be_told(now)

    @property
    def refuses_by_now(self) -> bool:
        """It was told that messages wait, and since then some were refused for good: a person must send them again."""
        is_refused = self.status.refused > self._well.refused
        return self._is_told and self._fine is None and is_refused and not self._is_refusal_told

    def tell(self, now: int, ttl_ns: int) -> Failing:
        self._is_told, self._told = True, now
        self._is_refusal_told = self.status.refused > self._well.refused
        oldest = self.status.oldest_at
        return Failing(
            self.status.address.id,
            self.status.address.name,
            self._how(),
            now if self.since is None else self.since,
            "" if self._hangs else self.status.last_error,
            self.status.queued + self.status.attempting,
            None if oldest is None else oldest + ttl_ns,
            self._expired(),
            self.status.refused - self._well.refused,
        )

    def is_over(self, now: int) -> bool:
        return self._fine is not None and now - self._fine >= _FINE_NS

    def end(self, now: int) -> Back:
        since, until = (now if moment is None else moment for moment in (self.since, self._fine))
        late, refused = self.status.delivered - self._well.delivered, self.status.refused - self._well.refused
        expired = self._expired()
        self._well, self._disliked = self.status, self.status.refused
        self.since, self._fine, self._is_told, self._is_refusal_told = None, None, False, False
        return Back(self.status.address.id, self.status.address.name, since, until, late, expired, refused)

    def dislikes(self, now: int) -> bool:
        is_soon = self._told_disliked is not None and now - self._told_disliked < _BETWEEN_NS
        return self.since is None and self.status.refused > self._disliked and not is_soon

    def dislike(self, now: int) -> Disliked:
        count, self._disliked, self._told_disliked = self.status.refused - self._disliked, self.status.refused, now
        return Disliked(self.status.address.id, self.status.address.name, count, self.status.last_refusal)

    def _how(self) -> How:
        if self._hangs:
            return How.HANGS
        before, now = self._well, self.status
        only_refused = (now.failed, now.unknown) == (before.failed, before.unknown)
        return How.REFUSES if only_refused and now.refused > before.refused else How.FAILS

    def _may_be_told(self, now: int) -> bool:
        return not self._is_told and (self._told is None or now - self._told >= _BETWEEN_NS)

    def _expired(self) -> int:
        """Given up, for its age or for too much that waited."""
        before, now = self._well, self.status
        return now.expired + now.dropped - before.expired - before.dropped


def _outcomes(status: TargetStatus) -> tuple[int, ...]:
    """Of attempts: what grows with every end of one."""
    return status.delivered, status.failed, status.unknown, status.refused
