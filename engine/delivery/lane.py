"""What waits for one target, and what became of it: from a queue to claims, and from outcomes back or to an end.

Nothing here waits or knows another target. Each step is handed to `keep`, in its order. Every `now` is nanoseconds
since the epoch.
"""

import logging
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import trio

from engine.delivery.message import Unsent
from engine.delivery.parcel import Batch, Delivery, Kept, Parcel, Status
from engine.delivery.retry import NEVER, Waiting
from engine.delivery.target import Address, Delivered, Failed, Outcome, Refused, Unknown
from engine.kst import SECOND_NS
from engine.rules.model import Severity

logger = logging.getLogger(__name__)

MAX_QUEUED = 5_000
"""Per target. A dead target with a `ttl` of 30 minutes would need three alerts a second to fill it; 5,000 notices are
under 10 MB, shared by all targets."""
_SLACK = 10
"""A queue may pass its limit by a tenth before it is cut back: sorting it at every commit would delay the one who
commits by milliseconds."""
MAX_IN_ONE = 1_000
"""Notices that one message accounts for: to claim and settle them takes a few milliseconds, between two frames."""
MAX_UNSENT_NAMED = 10
"""Given up notices that the next message names, the most urgent ones; the rest is a number."""
MAX_UNSENT = 5_000
"""Given up and still to be listed, per target; the oldest beyond that are in the history only."""
DOUBT_NS = 60 * SECOND_NS
"""How long a bare 404 may be a web hook that is being rolled out. Asking again meanwhile takes seven requests, and some
more while critical news come."""
LIST_FIRST_NS, LIST_MOST_NS = 120 * SECOND_NS, 6 * 3600 * SECOND_NS
"""A list of which nobody knows whether it arrived is sent again after two minutes, doubling to six hours: a web hook
that takes messages and never says so would get it every minute for ever."""
_LONG_AGO_NS = 180 * SECOND_NS
"""Between two refusals: longer than any pause and attempt. What was refused then is no part of what is refused now."""


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """Counts since the start: of notices, and of attempts where they are `failed` and `unknown`."""

    address: Address
    queued: int
    attempting: int
    delivered: int
    failed: int
    unknown: int
    refused: int
    expired: int
    dropped: int
    last_error: str
    last_error_at: int | None
    last_delivered_at: int | None
    failing_since: int | None
    """When the first of the failures in a row was; None while the last attempt succeeded."""
    oldest_at: int | None = None
    """When the oldest of what waits or is attempted happened, or was asked for again: it expires first."""
    last_refusal: str = ""
    """Why a notice was last refused for good."""


class Lane:
    """One target's queue and counts."""

    def __init__(self, address: Address, keep: Callable[[Sequence[Delivery]], None], max_queued: int) -> None:
        self.address = address
        self._keep = keep
        self._max_queued = max_queued
        self._queue: list[Parcel] = []
        self._waiting: Waiting | None = None
        """The queue in short, kept up as it changes: the worker asks at every commit."""
        self._attempting: tuple[Parcel, ...] = ()
        self._most = MAX_IN_ONE
        """How many one message may tell of: less and less while the service refuses what it is told."""
        self._changed = trio.Event()
        self._delivered = self._failed = self._unknown = self._refused = self._expired = self._dropped = 0
        self._last_error = self._last_refusal = ""
        self._last_error_at: int | None = None
        self._last_delivered_at: int | None = None
        self._failing_since: int | None = None
        self._refusing_since = self._refused_at = 0
        """When the first and the last of the refusals in a row were that may pass; 0: the last outcome was none."""
        self._unsent: list[Kept] = []
        """Given up, and not listed yet."""
        self._list_due = 0
        self._lists_unsure = 0
        """Lists in a row of which nobody knows whether they arrived."""
        self._listing: frozenset[str] = frozenset()
        """Ids of those that the message being attempted accounts for."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address.name!r} waiting={len(self)}>"

    def __len__(self) -> int:
        """Notices that are not delivered yet: in an attempt or waiting for one."""
        return len(self._queue) + len(self._attempting)

    # What comes in

    def put(self, parcel: Parcel) -> None:
        self._queue.append(parcel)
        self._waiting = _with(self._waiting, parcel)
        self._changed.set()

    def owe(self, given_up: Kept) -> None:
        """An earlier run gave it up, and has not said so."""
        self._unsent.append(given_up)

    def forget_unsent(self, ids: AbstractSet[str]) -> list[Kept]:
        """→ those of these notices that were to be listed, and are not any more."""
        gone = [each for each in self._unsent if each.notice.id in ids]
        self._unsent = [each for each in self._unsent if each.notice.id not in ids]
        return gone

    def drop_surplus(self, now: int) -> None:
        """Over the limit the least urgent go, the oldest of those first."""
        surplus = len(self._queue) - self._max_queued
        if surplus <= self._max_queued // _SLACK:
            return
        by_worth = sorted(self._queue, key=lambda parcel: (*reversed(parcel.notice.urgency[:2]), -parcel.notice.at))
        gone = by_worth[self._max_queued :]
        ids = {parcel.notice.id for parcel in gone}
        self._refill([parcel for parcel in self._queue if parcel.notice.id not in ids])
        self._dropped += surplus
        self._give_up(gone, Status.DROPPED, now)

    # For its worker

    def waiting(self) -> Waiting | None:
        """What waits; None if nothing does.

        Where all of it was given up, that waits to be told: else nobody would hear of it before the next alert.
        """
        if self._waiting is None and self._unsent:
            return Waiting(0, max(self._unsent[-1].delivery.at, self._list_due), NEVER, critical=False)
        return self._waiting

    def changed(self) -> trio.Event:
        """Set when something more waits."""
        if self._changed.is_set():
            self._changed = trio.Event()
        return self._changed

    def expire(self, ttl_ns: int, now: int) -> int:
        """Give up what is `ttl_ns` old or older; the next message that arrives says so. → how many."""
        old = [parcel for parcel in self._queue if parcel.due_from + ttl_ns <= now]
        if old:
            self._refill([parcel for parcel in self._queue if parcel.due_from + ttl_ns > now])
            self._expired += len(old)
            self._give_up(old, Status.EXPIRED, now)
        return len(old)

    def claim(self, now: int) -> Batch:
        """What waits, most urgent first, to be attempted as one message; with what was given up, or that alone."""
        by_urgency = sorted(self._queue, key=lambda parcel: parcel.notice.urgency)
        self._attempting = tuple(by_urgency[: self._most])
        self._refill(by_urgency[self._most :])
        self._listing = frozenset(each.notice.id for each in self._unsent)
        self._keep([parcel.delivery(Status.ATTEMPTING, now) for parcel in self._attempting])
        given_up = sorted((each.notice for each in self._unsent), key=lambda notice: notice.urgency)
        named = tuple(sorted(given_up[:MAX_UNSENT_NAMED], key=lambda notice: notice.at))
        unsent = Unsent(len(self._unsent), named, may_repeat=bool(self._unsent) and self._lists_unsure > 0)
        return Batch(self.address.id, self._attempting, unsent)

    def settle(self, batch: Batch, outcome: Outcome, now: int) -> Outcome:
        """Delivered or refused: done. Anything else: back into the queue, in front of what came since.

        → what it counts as.
        """
        self._attempting = ()
        counted = self._judged(outcome, now)
        match counted:
            case Delivered():
                self._settle_delivered(batch, now)
            case Refused(only_this=True) if len(batch.parcels) > 1:
                self._most = len(batch.parcels) // 2  # one of them may be what it does not like
                self._note_trouble(counted, now, is_heard=False)
                self._put_back(batch, counted, now)
            case Refused(only_this=only_this):
                self._note_trouble(counted, now, is_heard=only_this)
                self._settle_refused(batch, counted, now)
            case _:
                self._failed += isinstance(counted, Failed)
                self._unknown += isinstance(counted, Unknown)
                self._note_trouble(counted, now, is_heard=False)
                self._put_back(batch, counted, now)
        return counted

    def status(self) -> TargetStatus:
        oldest = [parcel.due_from for parcel in self._attempting]
        oldest += [self._waiting.oldest_at] if self._waiting else []
        return TargetStatus(
            self.address,
            queued=len(self._queue),
            attempting=len(self._attempting),
            delivered=self._delivered,
            failed=self._failed,
            unknown=self._unknown,
            refused=self._refused,
            expired=self._expired,
            dropped=self._dropped,
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            last_delivered_at=self._last_delivered_at,
            failing_since=self._failing_since,
            oldest_at=min(oldest, default=None),
            last_refusal=self._last_refusal,
        )

    def _refill(self, parcels: list[Parcel]) -> None:
        self._queue = parcels
        waiting: Waiting | None = None
        for parcel in parcels:
            waiting = _with(waiting, parcel)
        self._waiting = waiting

    def _judged(self, outcome: Outcome, now: int) -> Outcome:
        """What it counts as: a refusal that may pass is a failure until it has lasted."""
        if not isinstance(outcome, Refused) or outcome.certain or outcome.only_this or outcome.in_part:
            self._refusing_since = 0
            return outcome
        if not self._refusing_since or now - self._refused_at > _LONG_AGO_NS:
            self._refusing_since = now
        self._refused_at = now
        return outcome if now - self._refusing_since >= DOUBT_NS else Failed(outcome.reason)

    def _note_trouble(self, outcome: Failed | Refused | Unknown, now: int, *, is_heard: bool) -> None:
        """`is_heard`: it dislikes one message, so it works."""
        self._last_error, self._last_error_at = outcome.reason, now
        if self._failing_since is None and not is_heard:
            self._failing_since = now

    def _put_back(self, batch: Batch, outcome: Failed | Refused | Unknown, now: int) -> None:
        if batch.unsent.total and isinstance(outcome, Unknown):
            self._list_due = now + min(LIST_FIRST_NS << min(self._lists_unsure, 10), LIST_MOST_NS)
            self._lists_unsure += 1
        may_repeat = isinstance(outcome, Unknown) or (isinstance(outcome, Refused) and outcome.in_part)
        back = [parcel.tried(may_repeat=may_repeat) for parcel in batch.parcels]
        self._keep([parcel.delivery(Status.QUEUED, now, outcome.reason) for parcel in back])
        self._refill(back + self._queue)
        self.drop_surplus(now)

    def _settle_refused(self, batch: Batch, outcome: Refused, now: int) -> None:
        self._refused += len(batch.parcels)
        self._last_refusal = outcome.reason
        tried = [parcel.tried(may_repeat=outcome.in_part) for parcel in batch.parcels]
        # A list that is refused as well is not tried again and again; the history has what stood in it.
        listed = [] if tried else [listed_now(each) for each in self.forget_unsent(self._listing)]
        self._keep([*(parcel.delivery(Status.REFUSED, now, outcome.reason) for parcel in tried), *listed])

    def _settle_delivered(self, batch: Batch, now: int) -> None:
        self._delivered += len(batch.parcels)
        self._last_delivered_at, self._failing_since, self._most = now, None, MAX_IN_ONE
        self._list_due = self._lists_unsure = 0
        tried = [parcel.tried(may_repeat=False) for parcel in batch.parcels]
        listed = [listed_now(each) for each in self.forget_unsent(self._listing)]
        self._keep([*(parcel.delivery(Status.DELIVERED, now) for parcel in tried), *listed])

    def _give_up(self, parcels: Sequence[Parcel], status: Status, now: int) -> None:
        logger.warning(
            "%s target=%r notices=%d first_id=%s last_error=%r",
            *(status.value, self.address.name, len(parcels), parcels[0].notice.id, self._last_error),
        )
        given_up = [Kept(each.notice, each.delivery(status, now, self._last_error, unlisted=True)) for each in parcels]
        self._unsent += given_up
        self._keep([*(each.delivery for each in given_up), *map(listed_now, self._unsent[:-MAX_UNSENT])])
        del self._unsent[:-MAX_UNSENT]


def listed_now(kept: Kept) -> Delivery:
    """Its reader has been told that it was given up, or never will be."""
    return replace(kept.delivery, unlisted=False)


def _with(waiting: Waiting | None, parcel: Parcel) -> Waiting:
    critical = parcel.notice.severity is Severity.CRITICAL
    critical_at = parcel.committed_at if critical else 0
    if waiting is None:
        return Waiting(1, parcel.committed_at, parcel.due_from, critical, critical_at)
    return Waiting(
        waiting.count + 1,
        min(waiting.first_committed_at, parcel.committed_at),
        min(waiting.oldest_at, parcel.due_from),
        waiting.critical or critical,
        max(waiting.newest_critical_at, critical_at),
    )
