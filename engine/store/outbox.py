"""What was decided, and what of it is still to be delivered.

THIS IS WHERE DURABILITY GOES. In this version everything is in memory and ends with the process. The shape is that of
a database already: what `commit` takes is one transaction (the rules' states, the alerts, their outbox rows); workers
hear of it by `changed`, so a writer may make it durable in between without the evaluation waiting for a disk; `claim`
marks parcels as being attempted before the attempt; `settle` writes what came of it afterwards. Nothing else in the
house knows how any of it is kept.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import trio

from engine.delivery.message import Unsent
from engine.delivery.notice import Notice
from engine.delivery.retry import Waiting
from engine.delivery.target import Address, Batch, Delivered, Outcome, Parcel, Unknown
from engine.rules.model import Severity

logger = logging.getLogger(__name__)

MAX_QUEUED = 5_000
"""Per target. A dead target with a `ttl` of 30 minutes would need three alerts a second to fill it; 5,000 notices are
under 10 MB, shared by all targets."""
_SLACK = 10
"""A queue may pass its limit by a tenth before it is cut back: sorting it at every commit would delay the one who
commits by milliseconds."""
MAX_HISTORY = 2_000
"""Alerts that `alerts` and `status` can show: a lively day."""
MAX_UNSENT_NAMED = 10
"""Expired notices that the next message names; the rest is a number."""


class Status(StrEnum):
    """Where a notice stands with one target."""

    QUEUED = "queued"
    ATTEMPTING = "attempting"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One notice and one target, as of `at`. `reason` is of the last failure, without secrets."""

    status: Status
    at: int
    attempts: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One notice of the history, with its deliveries by the target's name."""

    notice: Notice
    committed_at: int
    deliveries: Mapping[str, Delivery]


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """Counts since the start. `delivered`, `expired` and `dropped` count notices; `failed` and `unknown` attempts."""

    address: Address
    queued: int
    attempting: int
    delivered: int
    failed: int
    unknown: int
    expired: int
    dropped: int
    last_error: str
    last_error_at: int | None
    last_delivered_at: int | None
    failing_since: int | None
    """When the first of the failures in a row was; None while the last attempt succeeded."""


@dataclass(slots=True)
class _Entry:
    notice: Notice
    committed_at: int
    deliveries: dict[str, Delivery] = field(default_factory=dict)


@dataclass(slots=True)
class _Lane:
    """One target's queue and counts."""

    address: Address
    queue: list[Parcel] = field(default_factory=list)
    waiting: Waiting | None = None
    """The queue in short, kept up as it changes: workers ask at every commit."""
    attempting: tuple[Parcel, ...] = ()
    changed: trio.Event = field(default_factory=trio.Event)
    delivered: int = 0
    failed: int = 0
    unknown: int = 0
    expired: int = 0
    dropped: int = 0
    last_error: str = ""
    last_error_at: int | None = None
    last_delivered_at: int | None = None
    failing_since: int | None = None
    unsent_count: int = 0
    unsent: list[Notice] = field(default_factory=list)


class Outbox:
    """Everything passes here once, and nothing leaves it uncounted. Every `now` is nanoseconds since the epoch.

    `commit` never waits. Meant for one Trio run: the daemon's evaluator commits, one worker per target claims and
    settles, all on the same thread.
    """

    def __init__(
        self, targets: Iterable[Address], *, max_queued: int = MAX_QUEUED, max_history: int = MAX_HISTORY
    ) -> None:
        self._lanes = {address.id: _Lane(address) for address in targets}
        self._max_queued = max_queued
        self._max_history = max_history
        self._history: OrderedDict[str, _Entry] = OrderedDict()
        self._unrouted_names: set[str] = set()
        self.unrouted = 0
        """Notices that no target took, because their notifiers have none."""

    def add(self, address: Address) -> Address:
        """One more target; one that is known already serves further notifiers by it, at the slower rate.

        → its address as it is from now on. Counts and queue of a known one go on; what was said earlier to notifiers
        that had no target stays untold.
        """
        lane = self._lanes.setdefault(address.id, _Lane(address))
        lane.address = lane.address.serving(address)
        self._unrouted_names.difference_update(lane.address.notifiers)
        return lane.address

    def commit(self, notices: Sequence[Notice], now: int) -> None:
        """Keeps the notices and puts the unsuppressed ones into the queues of their notifiers' targets.

        A notice whose id is known already is the same notice: it is not told twice.
        """
        for notice in notices:
            if notice.id in self._history:
                logger.info("known id=%s", notice.id)
                continue
            entry = _Entry(notice, now)
            self._history[notice.id] = entry
            if notice.suppressed is None:
                self._route(entry, now)
        for lane in self._lanes.values():
            self._drop_surplus(lane, now)
        while len(self._history) > self._max_history:
            self._history.popitem(last=False)

    def waiting(self, target: str) -> Waiting | None:
        """What waits for the target; None if nothing does."""
        return self._lanes[target].waiting

    def changed(self, target: str) -> trio.Event:
        """Set at the target's next commit."""
        lane = self._lanes[target]
        if lane.changed.is_set():
            lane.changed = trio.Event()
        return lane.changed

    def expire(self, target: str, ttl_ns: int, now: int) -> int:
        """Gives up what fired `ttl_ns` ago or earlier; the next message that arrives says so. Returns how many."""
        lane = self._lanes[target]
        old = [parcel for parcel in lane.queue if parcel.notice.at + ttl_ns <= now]
        if old:
            lane.queue = [parcel for parcel in lane.queue if parcel.notice.at + ttl_ns > now]
            lane.waiting = _summed(lane.queue)
            lane.expired += len(old)
            self._give_up(lane, old, Status.EXPIRED, now)
        return len(old)

    def claim(self, target: str, now: int) -> Batch:
        """Everything that waits, most urgent first, to be attempted as one message. At least one must wait."""
        lane = self._lanes[target]
        lane.queue.sort(key=lambda parcel: parcel.notice.urgency)
        lane.attempting, lane.queue, lane.waiting = tuple(lane.queue), [], None
        for parcel in lane.attempting:
            self._note(lane, parcel, Delivery(Status.ATTEMPTING, now, parcel.attempts))
        return Batch(target, lane.attempting, Unsent(lane.unsent_count, tuple(lane.unsent)))

    def settle(self, batch: Batch, outcome: Outcome, now: int) -> None:
        """Delivered: done. Anything else: back into the queue, in front of what came since."""
        lane = self._lanes[batch.target]
        lane.attempting = ()
        if isinstance(outcome, Delivered):
            self._delivered(lane, batch, now)
            return
        lane.failed += not isinstance(outcome, Unknown)
        lane.unknown += isinstance(outcome, Unknown)
        lane.last_error, lane.last_error_at = outcome.reason, now
        lane.failing_since = now if lane.failing_since is None else lane.failing_since
        back = [_tried(parcel, may_repeat=isinstance(outcome, Unknown)) for parcel in batch.parcels]
        for parcel in back:
            self._note(lane, parcel, Delivery(Status.QUEUED, now, parcel.attempts, outcome.reason))
        lane.queue = back + lane.queue
        lane.waiting = _summed(lane.queue)
        self._drop_surplus(lane, now)

    def history(self, last: int = MAX_HISTORY) -> list[Told]:
        """The last notices, oldest first, suppressed ones among them."""
        entries = list(self._history.values())[-last:] if last > 0 else []
        return [Told(entry.notice, entry.committed_at, self._by_name(entry)) for entry in entries]

    def status(self) -> list[TargetStatus]:
        return [_status(lane) for lane in self._lanes.values()]

    def queued(self) -> Mapping[str, int]:
        """How many notices are not delivered yet, by target; in an attempt or waiting for one."""
        return {target: len(lane.queue) + len(lane.attempting) for target, lane in self._lanes.items()}

    def _route(self, entry: _Entry, now: int) -> None:
        wanted = set(entry.notice.notify)
        lanes = [lane for lane in self._lanes.values() if wanted.intersection(lane.address.notifiers)]
        for lane in lanes:
            parcel = Parcel(entry.notice, now)
            lane.queue.append(parcel)
            lane.waiting = _with(lane.waiting, parcel)
            self._note(lane, parcel, Delivery(Status.QUEUED, now))
            lane.changed.set()
        self._report_unrouted(entry.notice, {name for lane in lanes for name in lane.address.notifiers})

    def _report_unrouted(self, notice: Notice, served: set[str]) -> None:
        """Once for each notifier without a target: it is a setting, not an event. The count goes on."""
        self.unrouted += served.isdisjoint(notice.notify)
        for name in notice.notify:
            if name not in served and name not in self._unrouted_names:
                self._unrouted_names.add(name)
                logger.warning("unrouted notifier=%r reason=%r first_id=%s", name, "no target", notice.id)

    def _drop_surplus(self, lane: _Lane, now: int) -> None:
        """Over the limit the least urgent go, the oldest of those first."""
        surplus = len(lane.queue) - self._max_queued
        if surplus <= self._max_queued // _SLACK:
            return
        by_worth = sorted(lane.queue, key=lambda parcel: (parcel.notice.urgency[:2], -parcel.notice.at))
        gone = by_worth[self._max_queued :]
        ids = {parcel.notice.id for parcel in gone}
        lane.queue = [parcel for parcel in lane.queue if parcel.notice.id not in ids]
        lane.waiting = _summed(lane.queue)
        lane.dropped += surplus
        self._give_up(lane, gone, Status.DROPPED, now)

    def _give_up(self, lane: _Lane, parcels: Sequence[Parcel], status: Status, now: int) -> None:
        for parcel in parcels:
            self._note(lane, parcel, Delivery(status, now, parcel.attempts, lane.last_error))
        logger.warning(
            "%s target=%r notices=%d first_id=%s last_error=%r",
            *(status.value, lane.address.name, len(parcels), parcels[0].notice.id, lane.last_error),
        )
        lane.unsent_count += len(parcels)
        lane.unsent = [*lane.unsent, *(parcel.notice for parcel in parcels)][-MAX_UNSENT_NAMED:]

    def _delivered(self, lane: _Lane, batch: Batch, now: int) -> None:
        lane.delivered += len(batch.parcels)
        lane.last_delivered_at, lane.failing_since = now, None
        lane.unsent_count -= batch.unsent.total
        lane.unsent = [notice for notice in lane.unsent if notice not in batch.unsent.latest]
        for parcel in batch.parcels:
            self._note(lane, parcel, Delivery(Status.DELIVERED, now, parcel.attempts + 1))

    def _note(self, lane: _Lane, parcel: Parcel, delivery: Delivery) -> None:
        entry = self._history.get(parcel.notice.id)
        if entry is not None:
            entry.deliveries[lane.address.id] = delivery

    def _by_name(self, entry: _Entry) -> dict[str, Delivery]:
        return {self._lanes[target].address.name: each for target, each in entry.deliveries.items()}


def _with(waiting: Waiting | None, parcel: Parcel) -> Waiting:
    critical = parcel.notice.severity is Severity.CRITICAL
    if waiting is None:
        return Waiting(1, parcel.committed_at, parcel.notice.at, critical)
    return Waiting(
        waiting.count + 1,
        min(waiting.first_committed_at, parcel.committed_at),
        min(waiting.oldest_at, parcel.notice.at),
        waiting.critical or critical,
    )


def _summed(queue: Sequence[Parcel]) -> Waiting | None:
    waiting: Waiting | None = None
    for parcel in queue:
        waiting = _with(waiting, parcel)
    return waiting


def _tried(parcel: Parcel, *, may_repeat: bool) -> Parcel:
    return Parcel(parcel.notice, parcel.committed_at, parcel.attempts + 1, may_repeat=parcel.may_repeat or may_repeat)


def _status(lane: _Lane) -> TargetStatus:
    return TargetStatus(
        lane.address,
        queued=len(lane.queue),
        attempting=len(lane.attempting),
        delivered=lane.delivered,
        failed=lane.failed,
        unknown=lane.unknown,
        expired=lane.expired,
        dropped=lane.dropped,
        last_error=lane.last_error,
        last_error_at=lane.last_error_at,
        last_delivered_at=lane.last_delivered_at,
        failing_since=lane.failing_since,
    )
