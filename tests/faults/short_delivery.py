"""Store and delivery in a few commits, in a process that can be killed anywhere: keeper, database, outbox, workers.

Everything is the daemon's own but for the evaluation, which here is a list of notices. As `python short_delivery.py`:
each line of stdin is one run as JSON (see `Run`); it is forked, which saves a second of imports, stops itself so that
somebody can attach to it, and says on its `output` what is stored, as soon as it is. Stdout: `pid N`, then `ended
STATUS` of each, as `os.waitpid` has it.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import trio
from pydantic import SecretStr

from engine import keeper as keeper_module
from engine.clock import Clock
from engine.config.model import Alerts, Notifier
from engine.delivery import deliver, retry
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Kept
from engine.keeper import Keeper, Work
from engine.locale import Locale
from engine.rules.model import Severity
from engine.store.batch import Batch
from engine.store.database import Database, DatabaseError

NOTICES = 8
COMMITS = 4
IDENTS = tuple(f"n-{number}" for number in range(NOTICES))
DATABASE = "state.db"
STORED: set[str] = set()
"""In this run."""


@dataclass(frozen=True, slots=True)
class Run:
    folder: str
    output: str
    """File that its words are added to."""
    urls: tuple[str, ...]
    threads: bool = False
    """As in the daemon. Else whatever blocks is done in the one thread: so the n-th call of all is the n-th of it, and
    each of them can be had."""
    failing: bool = False
    """Its disk is going to refuse now and then: it is tried again soon, and not in ten seconds."""
    held: bool = False
    """It stops itself before it begins."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class Telling(Database):
    """Says what is stored."""

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        if batch.notices:
            STORED.update(notice.id for notice in batch.notices)
            os.write(1, "".join(f"stored {notice.id}\n" for notice in batch.notices).encode())


async def at_once(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
    """Instead of `trio.to_thread.run_sync`."""
    await trio.lowlevel.checkpoint()
    return function(*arguments)


def targets(urls: tuple[str, ...]) -> deliver.Targets:
    each = Notifier.model_construct(kind="apprise", urls=tuple(map(SecretStr, urls)), rate=timedelta(0), chart=False)
    return deliver.build_targets({"desk": each})


def commits(known: set[str], now: int) -> list[list[Notice]]:
    """What is not stored yet, as an evaluation would give it again after a restart."""
    size = NOTICES // COMMITS
    numbered = [Notice(ident, now, Severity.CRITICAL, f"notice {ident}", "words", ("desk",)) for ident in IDENTS]
    groups = [numbered[start : start + size] for start in range(0, NOTICES, size)]
    return [[each for each in group if each.id not in known] for group in groups]


def found(database: Database) -> tuple[set[str], tuple[Kept, ...]]:
    """Ids of what is stored, and what is not delivered, as far as the disk says so."""
    try:
        return set(database.past(0).known), database.undelivered()  # of any day
    except DatabaseError:
        return set(), ()


async def run(folder: Path, urls: tuple[str, ...], *, failing: bool) -> None:
    """From the first commit until all is delivered."""
    clock, stop = Clock(), trio.Event()
    database = Telling.open(folder / DATABASE).database
    built = targets(urls).targets
    outbox = Outbox(target.address for target in built)
    alerts = Alerts.model_construct(digest=timedelta(0), ttl=timedelta(minutes=30))
    delivery = deliver.Delivery(outbox, clock, alerts=alerts, locale=Locale.EN, chance=lambda: 0.0)
    delivery.add(built)
    keeper = Keeper(None, database, outbox, clock.now(), clock.now)
    outbox.keep_in(keeper)
    known, undelivered = found(database)
    outbox.resume(undelivered, known, clock.now())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        nursery.start_soon(partial(_deliver, delivery, stop, nursery.cancel_scope, keeper))
        for notices in commits(known, clock.now()):
            if notices:
                keeper.put(Work(notices=notices, mark=clock.now()))
            await trio.sleep(0.02)
        while sum(outbox.queued().values()) or not known.union(STORED).issuperset(IDENTS) or keeper.trouble.store:
            await trio.sleep(0.005)
            if failing:
                keeper.put(Work(mark=clock.now(), checkpoint="what comes besides"))
        stop.set()
    os.write(1, b"done\n")


async def _deliver(delivery: deliver.Delivery, stop: trio.Event, scope: trio.CancelScope, keeper: Keeper) -> None:
    await delivery.run(stop)
    await keeper.finish()
    scope.cancel()


def child(wanted: Run) -> None:
    output = os.open(wanted.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    retry.FIRST_S = 0.02
    keeper_module.RETRY_S = 0.05
    if not wanted.threads:
        vars(trio.to_thread)["run_sync"] = at_once
    if wanted.held:
        os.kill(os.getpid(), signal.SIGSTOP)
    trio.run(partial(run, Path(wanted.folder), wanted.urls, failing=wanted.failing))


def main() -> None:
    targets(("json://127.0.0.1/",))  # Apprise loads its plugins with the first
    for line in sys.stdin:
        fields = json.loads(line)
        wanted = Run(**{**fields, "urls": tuple(fields["urls"])})
        pid = os.fork()
        if pid == 0:
            try:
                child(wanted)
                os._exit(0)
            finally:  # the parent's lines are not this one's to read
                traceback.print_exc()
                os._exit(1)
        sys.stdout.write(f"pid {pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"ended {os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
