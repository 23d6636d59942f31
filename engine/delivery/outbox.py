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
from dataclasses import replace
from typing import Protocol

import trio

from engine.delivery.lane import MAX_QUEUED, Lane, TargetStatus, listed_now
from engine.delivery.notice import Notice
from engine.delivery.parcel import Batch, Delivery, Kept, Parcel, Status
from engine.delivery.retry import Waiting
from engine.delivery.target import Address, Outcome

logger = logging.getLogger(__name__)

MAX_KNOWN = 10_000
"""Ids that are remembered, so that nothing is told twice: more than any restart or reload can bring again."""
MAX_HAPPENINGS = 2_000
"""Steps that somebody who follows them may be behind: a few seconds of the worst, hours of a usual day."""

SENT_ELSEWHERE = "sent elsewhere instead"
"""Why a delivery to a target that is gone is over: its notice goes to the present ones."""


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


class Outbox:
    """Everything passes here once, and nothing leaves it uncounted. Every `now` is nanoseconds since the epoch.

    Nothing here waits. Meant for one Trio run: the keeper takes and one worker for each target claims and settles, all
    on the same thread.
    """

    def __init__(self, targets: Iterable[Address], *, max_queued: int = MAX_QUEUED) -> None:
        self._max_queued = max_queued
        self._lanes = {address.id: self._lane(address) for address in targets}
        self._journal: Journal = Nowhere()
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
        lane = self._lanes.setdefault(address.id, self._lane(address))
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
            self._lanes[parcel.target].put(replace(parcel, committed_at=now))  # it has waited for the disk until now
        self._happen([parcel.delivery(Status.QUEUED, now) for parcel in parcels])
        for lane in self._lanes.values():
            lane.drop_surplus(now)

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
            if lane is not None and each.delivery.status.is_open:
                lane.put(_parcel(each, now))
            elif lane is not None:
                lane.owe(each)
            elif each.delivery.status.is_open:
                vanished.append(_parcel(each, now).delivery(Status.VANISHED, now, "no longer configured"))
            else:
                listed.append(listed_now(each))
        self._keep([*vanished, *listed])
        resumed = sum(self.queued().values())
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
                self._lanes[again.target].put(again)
                changes.append(again.delivery(Status.QUEUED, now))
        self._keep(changes)
        return sum(change.status is Status.QUEUED for change in changes)

    def discard(self, kept: Sequence[Kept], now: int) -> None:
        """What was given up need not be delivered any more, nor listed."""
        self._forget_unsent(kept)
        self._keep([_discarded(each, now) for each in kept])

    # From the workers

    def waiting(self, target: str) -> Waiting | None:
        """What waits for the target, or that something was given up; None if nothing does."""
        return self._lanes[target].waiting()

    def changed(self, target: str) -> trio.Event:
        """Set when something more waits for the target."""
        return self._lanes[target].changed()

    def expire(self, target: str, ttl_ns: int, now: int) -> int:
        """Gives up what is `ttl_ns` old or older; the next message that arrives says so. Returns how many."""
        return self._lanes[target].expire(ttl_ns, now)

    def claim(self, target: str, now: int) -> Batch:
        """What waits, most urgent first, to be attempted as one message; with what was given up, or that alone."""
        return self._lanes[target].claim(now)

    async def stored(self) -> None:
        """Returns when every claim so far is on the disk, or cannot be."""
        await self._journal.stored()

    def settle(self, batch: Batch, outcome: Outcome, now: int) -> Outcome:
        """Delivered or refused: done. Anything else waits again. → what it counts as."""
        return self._lanes[batch.target].settle(batch, outcome, now)

    # To those who look

    def status(self) -> list[TargetStatus]:
        return [lane.status() for lane in self._lanes.values()]

    def queued(self) -> Mapping[str, int]:
        """How many notices are not delivered yet, by target; in an attempt or waiting for one."""
        return {target: len(lane) for target, lane in self._lanes.items()}

    def happenings(self, after: int) -> tuple[int, tuple[Line | Delivery, ...]]:
        """What happened since the `after`th thing, oldest first, and how many things that makes by now.

        Notices come before their deliveries. What is further back than the last `MAX_HAPPENINGS` is not told; 0: all.
        """
        missed = min(max(self._happened - after, 0), len(self._happenings))
        return self._happened, tuple(self._happenings)[len(self._happenings) - missed :]

    def _lane(self, address: Address) -> Lane:
        return Lane(address, self._keep, self._max_queued)

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


def _discarded(kept: Kept, now: int) -> Delivery:
    return replace(kept.delivery, status=Status.DISCARDED, at=now, unlisted=False)
