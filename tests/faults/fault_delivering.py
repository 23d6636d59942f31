"""Keeper, database, recording, outbox and workers as the daemon joins them, in a folder; the targets are the test's."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import trio
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Alerts, Notifier
from engine.delivery import deliver
from engine.delivery.lane import TargetStatus
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.target import Address, Delivered, Message, Outcome, Target
from engine.delivery.threads import ThreadTarget
from engine.keeper import Keeper
from engine.locale import Locale
from engine.recording.writer import Writer
from engine.rules.model import Severity
from engine.store.database import Database

DATABASE = "state.db"


@dataclass
class Delivering:
    """One run."""

    folder: Path
    clock: Clock
    database: Database
    outbox: Outbox
    keeper: Keeper
    stop: trio.Event = field(default_factory=trio.Event)
    drained: trio.Event = field(default_factory=trio.Event)

    def status(self, target: Target) -> TargetStatus:
        return next(each for each in self.outbox.status() if each.address.id == target.address.id)

    def alert(self, ident: str, severity: Severity = Severity.CRITICAL) -> Notice:
        """One that happens now."""
        return Notice(ident, self.clock.now(), severity, f"notice {ident}", "words", ("desk",))

    def asked(self, query: str) -> list[tuple[Any, ...]]:
        """Of the database, as another process sees it."""
        with closing(sqlite3.connect(f"file:{self.folder / DATABASE}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()

    async def end(self, seconds: float = 8) -> None:
        """As after SIGTERM: what is in flight ends, the rest stays."""
        self.stop.set()
        with trio.fail_after(seconds + 2):
            await self.drained.wait()
            await self.keeper.finish()


@asynccontextmanager
async def delivering(
    folder: Path, targets: Sequence[Target], *, digest_s: float = 2.0, ttl_s: float = 1800.0, drain_s: float = 8.0
) -> AsyncIterator[Delivering]:
    """Until the block ends, which is as a kill is; `end` before that is as SIGTERM is."""
    clock = Clock()
    database = Database.open(folder / DATABASE).database
    writer = Writer(folder / "recordings", days=60, size_bytes=10**9)
    writer.open(clock.now())
    outbox = Outbox(target.address for target in targets)
    alerts = Alerts.model_construct(digest=timedelta(seconds=digest_s), ttl=timedelta(seconds=ttl_s))
    delivery = deliver.Delivery(outbox, clock, alerts=alerts, locale=Locale.EN, chance=lambda: 0.0)
    delivery.add(targets)
    keeper = Keeper(writer, database, outbox, clock.now(), clock.now)
    outbox.keep_in(keeper)
    outbox.resume(database.undelivered(), database.past(0).known, clock.now())
    made = Delivering(folder, clock, database, outbox, keeper)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        nursery.start_soon(partial(_deliver, delivery, made, drain_s))
        yield made
        nursery.cancel_scope.cancel()
    writer.close()
    database.close()


async def _deliver(delivery: deliver.Delivery, made: Delivering, drain_s: float) -> None:
    await delivery.run(made.stop, drain_s=lambda: drain_s)
    made.drained.set()


def hooks(urls: Iterable[str], *, deadline_s: float | None = None) -> list[Target]:
    """Real targets, in Apprise's hands, without a rate."""
    notifier = Notifier.model_construct(
        kind="apprise", urls=tuple(map(SecretStr, urls)), rate=timedelta(0), chart=False
    )
    built = deliver.build_targets({"desk": notifier}).targets
    if deadline_s is None:
        return list(built)
    return [
        ThreadTarget(each.address, each._send, deadline_s=deadline_s)
        for each in built
        if isinstance(each, ThreadTarget)
    ]


class Played:
    """A target without a network: `outcome` says what comes of each message."""

    def __init__(self, name: str, outcome: Callable[[Message], Outcome] = lambda _: Delivered()) -> None:
        self.address = Address(name, name, ("desk",))
        self.deadline_s = 40.0
        self.takes_pictures = False
        self.stuck = 0
        self.sent: list[Message] = []
        self._outcome = outcome

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send(self, message: Message) -> Outcome:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)
        return self._outcome(message)
