"""What is still to be delivered, target by target. Every step of it is stored: nothing ends with the process.

A notice's way: `route` says which targets it goes to, before it is stored and together with it; `take` queues it once
it is stored; `claim` hands over what waits, marked as being attempted; `settle` writes down what came of it. A claim is
stored before the attempt (`stored`) and its outcome after it: whoever is killed in between finds it as attempting, and
sends it again as one that may repeat.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio

from engine.delivery.message import Unsent
from engine.delivery.notice import Notice
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
MAX_KNOWN = 10_000
"""Ids that are remembered, so that nothing is told twice: more than any restart or reload can bring again."""
MAX_HAPPENINGS = 2_000
"""Steps that somebody who follows them may be behind: a few seconds of the worst, hours of a usual day."""
MAX_IN_ONE = 1_000
"""Notices that one message accounts for: to claim and settle them takes a few milliseconds, between two frames."""
MAX_UNSENT_NAMED = 10
"""Given up notices that the next message names, the most urgent ones; the rest is a number."""
MAX_UNSENT = 5_000
"""Given up and still to be listed, per target; the oldest beyond that are in the history only."""

SENT_ELSEWHERE = "sent elsewhere instead"
"""Why a delivery to a target that is gone is over: its notice goes to the present ones."""
DOUBT_NS = 60 * SECOND_NS
"""How long a bare 404 may be a web hook that is being rolled out. Asking again meanwhile takes seven requests."""


class Journal(Protocol):
    """Where every step is kept."""

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Take what is to be stored; never waits."""

    async def stored(self) -> None:
        """Returns when all that was taken is on the disk, or cannot be."""


class Nowhere:
    """A journal of what need not outlive the process."""

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        pass

    async def stored(self) -> None:
        await trio.lowlevel.checkpoint()


class Line(Protocol):
    """Of the history: a notice, or a firing that ended without one."""

    @property
    def id(self) -> str: ...

    def to_json(self) -> str: ...


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


@dataclass(slots=True)
class _Lane:
    """One target's queue and counts."""

    address: Address
    queue: list[Parcel] = field(default_factory=list)
    waiting: Waiting | None = None
    """The queue in short, kept up as it changes: workers ask at every commit."""
    attempting: tuple[Parcel, ...] = ()
    most: int | None = None
    """How many one message may tell of: less and less while the service refuses what it is told."""
    changed: trio.Event = field(default_factory=trio.Event)
    delivered: int = 0
    failed: int = 0
    unknown: int = 0
    refused: int = 0
    expired: int = 0
    dropped: int = 0
    last_error: str = ""
    last_error_at: int | None = None
    last_delivered_at: int | None = None
    last_refusal: str = ""
    failing_since: int | None = None
    refusing_since: int | None = None
    """When the first of the refusals in a row was that may pass."""
    unsent: list[Kept] = field(default_factory=list)
    """Given up, and not listed yet."""
    listing: frozenset[str] = frozenset()
    """Ids of those that the message being attempted accounts for."""

    def judged(self, outcome: Outcome, now: int) -> Outcome:
        """What it counts as: a refusal that may pass is a failure until it has lasted."""
        if not isinstance(outcome, Refused) or outcome.certain or outcome.only_this or outcome.in_part:
            self.refusing_since = None
            return outcome
        if self.refusing_since is None:
            self.refusing_since = now
        return outcome if now - self.refusing_since >= DOUBT_NS else Failed(outcome.reason)

    def forget_unsent(self, ids: AbstractSet[str]) -> list[Kept]:
        """→ those of these notices that were to be listed, and are not any more."""
        gone = [each for each in self.unsent if each.notice.id in ids]
        self.unsent = [each for each in self.unsent if each.notice.id not in ids]
        return gone


class Outbox:
    """Everything passes here once, and nothing leaves it uncounted. Every `now` is nanoseconds since the epoch.

    Nothing here waits. Meant for one Trio run: the keeper takes and one worker for each target claims and settles, all
    on the same thread.
    """

    def __init__(self, targets: Iterable[Address], *, max_queued: int = MAX_QUEUED) -> None:
        self._lanes = {address.id: _Lane(address) for address in targets}
        self._journal: Journal = Nowhere()
        self._max_queued = max_queued
        self._known: OrderedDict[str, None] = OrderedDict()
        self._happenings: deque[Line | Delivery] = deque(maxlen=MAX_HAPPENINGS)
        self._happened = 0
        self._unrouted_names: set[str] = set()
        self.unrouted = 0
        """Notices that no target took, because their notifiers have none."""

    def __repr__(self) -> str:
        return f"<Outbox {self.queued()}>"

    def add(self, address: Address) -> Address:
        """One more target; one that is known already serves further notifiers by it, at the slower rate.

        → its address as it is from now on. Counts and queue of a known one go on; what was said earlier to notifiers
        that had no target stays untold.
        """
        lane = self._lanes.setdefault(address.id, _Lane(address))
        lane.address = lane.address.serving(address)
        self._unrouted_names.difference_update(lane.address.notifiers)
        return lane.address

    # From the evaluation

    def route(self, notices: Sequence[Notice], now: int) -> tuple[Parcel, ...]:
        """Whom the notices go to: a parcel for each target of their notifiers. Suppressed ones go to nobody.

        A notice whose id is known already is the same notice: it is not told twice.
        """
        parcels: list[Parcel] = []
        for notice in notices:
            if notice.id in self._known:
                logger.info("known id=%s", notice.id)
                continue
            self._known[notice.id] = None
            if notice.suppressed is None:
                parcels += self._parcels(notice, now)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return tuple(parcels)

    def take(self, notices: Sequence[Notice], parcels: Sequence[Parcel], now: int) -> None:
        """Queue what was routed; it is stored, or cannot be."""
        self._happen(notices)
        for parcel in parcels:
            self._queue(parcel)
        self._happen([parcel.delivery(Status.QUEUED, now) for parcel in parcels])
        for lane in self._lanes.values():
            self._drop_surplus(lane, now)

    def ended(self, endings: Sequence[Line]) -> None:
        """Nobody is sent these; who follows what happens is told."""
        self._happen(endings)

    # From the store

    def keep_in(self, journal: Journal) -> None:
        """Store every step from here on."""
        self._journal = journal

    def resume(self, kept: Sequence[Kept], known: Iterable[str], now: int) -> Sequence[Delivery]:
        """Go on with what an earlier run left: what was in flight when it ended may have arrived.

        `known`: ids of notices that are stored. → what was for targets that are gone.
        """
        self._known.update((ident, None) for ident in known)
        vanished: list[Delivery] = []
        listed: list[Delivery] = []
        for each in kept:
            lane = self._lanes.get(each.delivery.target)
            self._known[each.notice.id] = None
            if each.delivery.status.is_open and lane is None:
                vanished.append(_parcel(each, now).delivery(Status.VANISHED, now, "no longer configured"))
            elif each.delivery.status.is_open:
                self._queue(_parcel(each, now))
            elif lane is None:
                listed.append(_listed(each))  # to nobody: its reader is gone
            else:
                lane.unsent.append(each)
        self._keep([*vanished, *listed])
        resumed = sum(len(lane.queue) for lane in self._lanes.values())
        if resumed or vanished:
            logger.info("resumed undelivered=%d vanished=%d", resumed, len(vanished))
        return vanished

    def revive(self, kept: Sequence[Kept], now: int, told: AbstractSet[tuple[str, str]] = frozenset()) -> int:
        """Queue again what was given up, as if it had just happened. → how many deliveries that makes.

        What was for a target that is gone goes to the present targets of the same notifiers, but for those that it went
        to as well: `told` has such pairs of notice and target.
        """
        changes: list[Delivery] = []
        went = set(told)
        self._forget_unsent(kept)
        for each in kept:
            if each.delivery.target in self._lanes:
                parcels = [_parcel(each, now)]
            elif parcels := self._parcels(each.notice, now):
                # Another address may lead to the same reader: a mark goes along.
                may_repeat = each.delivery.may_repeat
                fresh = [parcel for parcel in parcels if (each.notice.id, parcel.target) not in went]
                parcels = [replace(parcel, may_repeat=may_repeat) for parcel in fresh]
                changes.append(replace(_discarded(each, now), reason=SENT_ELSEWHERE))
            went.update((each.notice.id, parcel.target) for parcel in parcels)
            for parcel in parcels:
                again = replace(parcel, due_from=now)
                self._queue(again)
                changes.append(again.delivery(Status.QUEUED, now))
        self._keep(changes)
        return sum(change.status is Status.QUEUED for change in changes)

    def discard(self, kept: Sequence[Kept], now: int) -> None:
        """What was given up need not be delivered any more, nor listed."""
        self._forget_unsent(kept)
        self._keep([_discarded(each, now) for each in kept])

    # From the workers

    def waiting(self, target: str) -> Waiting | None:
        """What waits for the target; None if nothing does.

        Where all of it was given up, that waits to be told: else nobody would hear of it before the next alert.
        """
        lane = self._lanes[target]
        if lane.waiting is None and lane.unsent:
            return Waiting(0, lane.unsent[-1].delivery.at, NEVER, critical=False)
        return lane.waiting

    def changed(self, target: str) -> trio.Event:
        """Set when something more waits for the target."""
        lane = self._lanes[target]
        if lane.changed.is_set():
            lane.changed = trio.Event()
        return lane.changed

    def expire(self, target: str, ttl_ns: int, now: int) -> int:
        """Gives up what is `ttl_ns` old or older; the next message that arrives says so. Returns how many."""
        lane = self._lanes[target]
        old = [parcel for parcel in lane.queue if parcel.due_from + ttl_ns <= now]
        if old:
            lane.queue = [parcel for parcel in lane.queue if parcel.due_from + ttl_ns > now]
            lane.waiting = _summed(lane.queue)
            lane.expired += len(old)
            self._give_up(lane, old, Status.EXPIRED, now)
        return len(old)

    def claim(self, target: str, now: int) -> Batch:
        """What waits, most urgent first, to be attempted as one message; with what was given up, or that alone."""
        lane = self._lanes[target]
        lane.queue.sort(key=lambda parcel: parcel.notice.urgency)
        most = lane.most or MAX_IN_ONE
        lane.attempting, lane.queue = tuple(lane.queue[:most]), lane.queue[most:]
        lane.waiting = _summed(lane.queue)
        lane.listing = frozenset(each.notice.id for each in lane.unsent)
        self._keep([parcel.delivery(Status.ATTEMPTING, now) for parcel in lane.attempting])
        by_urgency = sorted((each.notice for each in lane.unsent), key=lambda notice: notice.urgency)
        named = tuple(sorted(by_urgency[:MAX_UNSENT_NAMED], key=lambda notice: notice.at))
        return Batch(target, lane.attempting, Unsent(len(lane.unsent), named))

    async def stored(self) -> None:
        """Returns when every claim so far is on the disk, or cannot be."""
        await self._journal.stored()

    def settle(self, batch: Batch, outcome: Outcome, now: int) -> Outcome:
        """Delivered or refused: done. Anything else: back into the queue, in front of what came since.

        → what it counts as.
        """
        lane = self._lanes[batch.target]
        lane.attempting = ()
        outcome = lane.judged(outcome, now)
        if isinstance(outcome, Delivered):
            self._delivered(lane, batch, now)
            return outcome
        is_heard = isinstance(outcome, Refused) and outcome.only_this and len(batch.parcels) == 1
        if lane.failing_since is None and not is_heard:  # a target that dislikes one message works
            lane.failing_since = now
        lane.last_error, lane.last_error_at = outcome.reason, now
        if not isinstance(outcome, Refused):
            lane.failed += isinstance(outcome, Failed)
            lane.unknown += isinstance(outcome, Unknown)
            self._put_back(lane, batch, outcome, now)
        elif outcome.only_this and len(batch.parcels) > 1:
            lane.most = len(batch.parcels) // 2  # one of them may be what it does not like
            self._put_back(lane, batch, outcome, now)
        else:
            self._refused(lane, batch, outcome, now)
        return outcome

    # To those who look

    def status(self) -> list[TargetStatus]:
        return [_status(lane) for lane in self._lanes.values()]

    def queued(self) -> Mapping[str, int]:
        """How many notices are not delivered yet, by target; in an attempt or waiting for one."""
        return {target: len(lane.queue) + len(lane.attempting) for target, lane in self._lanes.items()}

    def happenings(self, after: int) -> tuple[int, tuple[Line | Delivery, ...]]:
        """What happened since the `after`th thing, oldest first, and how many things that makes by now.

        Notices come before their deliveries. What is further back than the last `MAX_HAPPENINGS` is not told; 0: all.
        """
        missed = min(max(self._happened - after, 0), len(self._happenings))
        return self._happened, tuple(self._happenings)[len(self._happenings) - missed :]

    def _keep(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self._journal.keep(deliveries)
            self._happen(deliveries)

    def _happen(self, things: Sequence[Line | Delivery]) -> None:
        self._happenings.extend(things)
        self._happened += len(things)

    def _forget_unsent(self, kept: Sequence[Kept]) -> None:
        for target, lane in self._lanes.items():
            if ids := {each.notice.id for each in kept if each.delivery.target == target}:
                lane.forget_unsent(ids)

    def _parcels(self, notice: Notice, now: int) -> list[Parcel]:
        """One for each target. What a target's failing is told by goes to another one, whoever it may be."""
        wanted = set(notice.notify)
        others = [lane for target, lane in self._lanes.items() if target != notice.besides]
        lanes = [lane for lane in others if wanted.intersection(lane.address.notifiers)]
        if notice.besides and not lanes:
            lanes = others
        else:
            self._report_unrouted(notice, {name for lane in lanes for name in lane.address.notifiers})
        return [Parcel(notice, lane.address.id, lane.address.name, now, notice.at) for lane in lanes]

    def _report_unrouted(self, notice: Notice, served: set[str]) -> None:
        """Once for each notifier without a target: it is a setting, not an event. The count goes on."""
        self.unrouted += served.isdisjoint(notice.notify)
        for name in notice.notify:
            if name not in served and name not in self._unrouted_names:
                self._unrouted_names.add(name)
                logger.warning("unrouted notifier=%r reason=%r first_id=%s", name, "no target", notice.id)

    def _queue(self, parcel: Parcel) -> None:
        lane = self._lanes[parcel.target]
        lane.queue.append(parcel)
        lane.waiting = _with(lane.waiting, parcel)
        lane.changed.set()

    def _put_back(self, lane: _Lane, batch: Batch, outcome: Failed | Refused | Unknown, now: int) -> None:
        may_repeat = isinstance(outcome, Unknown) or (isinstance(outcome, Refused) and outcome.in_part)
        back = [parcel.tried(may_repeat=may_repeat) for parcel in batch.parcels]
        self._keep([parcel.delivery(Status.QUEUED, now, outcome.reason) for parcel in back])
        lane.queue = back + lane.queue
        lane.waiting = _summed(lane.queue)
        self._drop_surplus(lane, now)

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
        logger.warning(
            "%s target=%r notices=%d first_id=%s last_error=%r",
            *(status.value, lane.address.name, len(parcels), parcels[0].notice.id, lane.last_error),
        )
        given_up = [Kept(each.notice, each.delivery(status, now, lane.last_error, unlisted=True)) for each in parcels]
        self._keep([each.delivery for each in given_up])
        lane.unsent += given_up
        self._keep([_listed(each) for each in lane.unsent[:-MAX_UNSENT]])
        del lane.unsent[:-MAX_UNSENT]

    def _refused(self, lane: _Lane, batch: Batch, outcome: Refused, now: int) -> None:
        lane.refused += len(batch.parcels)
        lane.last_refusal = outcome.reason
        tried = [parcel.tried(may_repeat=outcome.in_part) for parcel in batch.parcels]
        # A list that is refused as well is not tried again and again; the history has what stood in it.
        listed = [] if tried else [_listed(each) for each in lane.forget_unsent(lane.listing)]
        self._keep([*(parcel.delivery(Status.REFUSED, now, outcome.reason) for parcel in tried), *listed])

    def _delivered(self, lane: _Lane, batch: Batch, now: int) -> None:
        lane.delivered += len(batch.parcels)
        lane.last_delivered_at, lane.failing_since, lane.most = now, None, None
        tried = [parcel.tried(may_repeat=False) for parcel in batch.parcels]
        listed = [_listed(each) for each in lane.forget_unsent(lane.listing)]
        self._keep([*(parcel.delivery(Status.DELIVERED, now) for parcel in tried), *listed])


def _parcel(kept: Kept, now: int) -> Parcel:
    before = kept.delivery
    was_in_flight = before.status is Status.ATTEMPTING
    return Parcel(
        kept.notice,
        before.target,
        before.name,
        now,
        before.due_from,
        before.attempts + was_in_flight,
        may_repeat=before.may_repeat or was_in_flight,
    )


def _listed(kept: Kept) -> Delivery:
    return replace(kept.delivery, unlisted=False)


def _discarded(kept: Kept, now: int) -> Delivery:
    return replace(kept.delivery, status=Status.DISCARDED, at=now, unlisted=False)


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


def _summed(queue: Sequence[Parcel]) -> Waiting | None:
    waiting: Waiting | None = None
    for parcel in queue:
        waiting = _with(waiting, parcel)
    return waiting


def _status(lane: _Lane) -> TargetStatus:
    oldest = [parcel.due_from for parcel in lane.attempting]
    oldest += [lane.waiting.oldest_at] if lane.queue and lane.waiting else []
    return TargetStatus(
        lane.address,
        queued=len(lane.queue),
        attempting=len(lane.attempting),
        delivered=lane.delivered,
        failed=lane.failed,
        unknown=lane.unknown,
        refused=lane.refused,
        expired=lane.expired,
        dropped=lane.dropped,
        last_error=lane.last_error,
        last_error_at=lane.last_error_at,
        last_delivered_at=lane.last_delivered_at,
        failing_since=lane.failing_since,
        oldest_at=min(oldest, default=None),
        last_refusal=lane.last_refusal,
    )
