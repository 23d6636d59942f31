"""The outbox against a disk and readers that remember everything, through thousands of lives of random mishaps.

Each step may be the last of a life: what was not stored is gone, and the next one begins with what was. What is told is
what the worker would tell, and it is stored that it is being sent before it is.
"""

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Batch, Delivery, Kept, Status
from engine.delivery.target import Address, Delivered, Failed, Outcome, Refused, Unknown
from engine.rules.model import Severity

TARGETS = [Address(name, name, ("desk",)) for name in ("a", "b", "c")]
MAX_QUEUED = 6
TTL = 40
LIVES, STEPS = 6, 30
SEED, WORLDS = int(os.environ.get("FAULT_SEED", "1")), 150
"""Another seed makes other worlds."""


class Disk:
    """A journal and what is stored; `keep` is the keeper's, that only takes."""

    def __init__(self) -> None:
        self.notices: dict[str, Notice] = {}
        self.rows: dict[tuple[str, str], Delivery] = {}
        self.waiting: list[Delivery] = []
        self.new: list[Notice] = []

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        self.waiting += deliveries

    async def stored(self) -> None:
        self.commit()

    def commit(self) -> None:
        """One transaction."""
        self.notices.update((notice.id, notice) for notice in self.new)
        self.rows.update(((each.id, each.target), each) for each in self.waiting if each.id in self.notices)
        self.crash()

    def crash(self) -> None:
        self.waiting, self.new = [], []

    def found(self, wanted: Callable[[Delivery], bool]) -> list[Kept]:
        return [Kept(self.notices[each.id], each) for each in self.rows.values() if wanted(each)]


@dataclass
class World:
    """`told`: by target, how often each notice reached its reader."""

    chance: random.Random
    disk: Disk = field(default_factory=Disk)
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    given_up_told: Counter[str] = field(default_factory=Counter)
    unmarked: list[tuple[str, str]] = field(default_factory=list)
    made: int = 0
    now: int = 0

    def begin(self) -> Outbox:
        self.disk.crash()
        outbox = Outbox(TARGETS, max_queued=MAX_QUEUED)
        outbox.keep_in(self.disk)
        undelivered = self.disk.found(lambda row: row.status.is_open or row.unlisted)
        outbox.resume(undelivered, self.disk.notices, self.now)
        return outbox

    def step(self, outbox: Outbox) -> bool:
        """→ whether it was the last of this life."""
        self.now += self.chance.randrange(4)
        if self.chance.random() < 0.05:
            return True
        if self.chance.random() < 0.3:
            return self.alert(outbox)
        if self.chance.random() < 0.05:
            self.decide(outbox)
        target = self.chance.choice(TARGETS).id
        outbox.expire(target, TTL, self.now)
        if outbox.waiting(target) is not None:
            return self.attempt(outbox, target, self.an_outcome())
        return False

    def alert(self, outbox: Outbox) -> bool:
        idents = [f"n{self.made + number}" for number in range(self.chance.randrange(1, 4))]
        self.made += len(idents)
        severities = [*Severity]
        notices = [Notice(ident, self.now, self.chance.choice(severities), ident, "", ("desk",)) for ident in idents]
        parcels = outbox.route(notices, self.now)
        self.disk.new += notices
        self.disk.keep([parcel.delivery(Status.QUEUED, self.now) for parcel in parcels])
        if self.chance.random() < 0.1:
            return True
        self.disk.commit()
        outbox.take(notices, parcels, self.now)
        return self.chance.random() < 0.1

    def an_outcome(self) -> Outcome:
        only_this, in_part, certain = (self.chance.random() < share for share in (0.8, 0.3, 0.5))
        refused = Refused("no", only_this=only_this, in_part=in_part, certain=certain)
        outcomes: list[Outcome] = [Delivered(), Failed("no"), Unknown("?"), refused]
        return self.chance.choice(outcomes)

    def attempt(self, outbox: Outbox, target: str, outcome: Outcome) -> bool:
        batch = outbox.claim(target, self.now)
        self.disk.commit()
        if self.chance.random() < 0.05:
            return True
        whole = isinstance(outcome, Delivered) or (isinstance(outcome, Unknown) and self.chance.random() < 0.5)
        if whole or (isinstance(outcome, Refused) and outcome.in_part):
            self.read(batch)
        if self.chance.random() < 0.1:
            return True
        outcome = outbox.settle(batch, outcome, self.now)
        if isinstance(outcome, Delivered) or (isinstance(outcome, Refused) and not batch.parcels):
            # A list that is refused by itself is not tried again: it stands in the history.
            self.given_up_told[target] += batch.unsent.total
        if self.chance.random() < 0.5:
            self.disk.commit()
        return False

    def read(self, batch: Batch) -> None:
        for parcel in batch.parcels:
            key = parcel.notice.id, batch.target
            if self.told[key] and not parcel.may_repeat:
                self.unmarked.append(key)
            self.told[key] += 1

    def decide(self, outbox: Outbox) -> None:
        """A person has what was given up sent after all, or lets it go; each after all before it is stored."""
        self.disk.commit()
        dead = self.disk.found(lambda row: row.status.is_dead)
        if dead and self.chance.random() < 0.7:
            outbox.revive(dead[:3], self.now)
        else:
            outbox.discard(dead[:1], self.now)
        self.disk.commit()


@pytest.mark.parametrize("seed", range(SEED * 1000, SEED * 1000 + WORLDS))
def test_whatever_happens_in_whatever_life_nothing_stored_is_lost_and_no_double_is_unmarked(seed: int) -> None:
    world = World(random.Random(seed))
    for _ in range(LIVES):
        outbox = world.begin()
        for _ in range(STEPS):
            if world.step(outbox):
                break
    outbox = world.begin()
    for target in outbox.queued():
        while outbox.waiting(target) is not None:
            if world.attempt(outbox, target, Delivered()):
                outbox = world.begin()
    world.disk.commit()
    rest = world.disk.found(lambda row: not row.status.is_dead and row.status is not Status.DISCARDED)
    assert {each.delivery.status for each in rest} <= {Status.DELIVERED}
    assert {(each.notice.id, each.delivery.target) for each in rest} <= set(world.told)
    assert len(world.disk.rows) == len(world.disk.notices) * len(TARGETS)
    assert world.unmarked == []
    given_up = world.disk.found(lambda row: row.status in (Status.EXPIRED, Status.DROPPED))
    assert all(not each.delivery.unlisted for each in given_up)
    counts = Counter(each.delivery.target for each in given_up)
    assert all(world.given_up_told[target] >= count for target, count in counts.items())
