"""Between evaluation and delivery: what was evaluated is kept, in the order in which it happened, then told.

lines → the recording · then alerts, whom they go to, and states → the database, in one transaction · then alerts → the
outbox, whose every step comes back here. So a line is with the operating system before an alert that follows from it is
stored, an alert is stored before it is sent, and so is that it is being sent.
Both files are written in one thread; the evaluation hands over and never waits. Lines alone wait for a second: that is
what a kill may cost. Whatever a disk does, alerts go out: one that is full loses us the recording or the memory, one
that hangs gets a few seconds, and both are told.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import trio

from engine.delivery.notice import Notice
from engine.delivery.parcel import Delivery, Parcel, Status
from engine.evaluation.standing import Standing
from engine.recording.writer import RecordingError, Writer
from engine.store.batch import Batch, Ending
from engine.store.database import Database, DatabaseError
from engine.stream import Alive, Event, Frame
from engine.text import quoted

log = logging.getLogger(__name__)

LINES_S = 1.0
"""How long lines wait for company when no alert hurries them: a frame of zstd for each line would be four times as
large."""
PATIENCE_S = 3.0
"""How long an alert waits for the disk. An fsync takes milliseconds; a disk that takes longer than this is ill."""
RETRY_S = 10.0
"""Before trying a disk again that refused."""
MAX_WAITING = 100_000
"""Events that may wait for a disk that hangs: minutes of a market at its busiest, under 100 MB. Then the recording has
a hole, and says so itself."""
MAX_UNSTORED = 5_000
"""Alerts that may wait for a database that refuses them; they have been sent. As many as the outbox holds."""
MAX_UNSTORED_DELIVERIES = 20_000
"""Steps of their delivery: each to four targets."""


class Trouble(NamedTuple):
    """What cannot be kept, and why; None: all is well."""

    recording: str | None = None
    store: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What one step of the evaluation leaves behind."""

    events: Sequence[Event] = ()
    notices: Sequence[Notice] = ()
    standings: Sequence[Standing] = ()
    endings: Sequence[Ending] = ()
    deliveries: Sequence[Delivery] = ()
    mark: int = 0
    """Time up to which everything is evaluated, with this; 0: it says nothing of that."""
    checkpoint: str | None = None

    @property
    def is_urgent(self) -> bool:
        return bool(self.notices or self.standings or self.endings or self.deliveries or self.checkpoint is not None)


class Post(Protocol):
    """Where notices go from here: the outbox. `now`: nanoseconds since the epoch."""

    def route(self, notices: Sequence[Notice], now: int) -> Sequence[Parcel]:
        """Whom they go to. Asked before they are stored: both are one transaction."""

    def take(self, notices: Sequence[Notice], parcels: Sequence[Parcel], now: int) -> None:
        """They are stored, or cannot be."""

    def ended(self, endings: Sequence[Ending]) -> None:
        """Firings that ended without a notice: likewise."""


class Keeper:
    """Made anywhere; `put` from the Trio thread. `post` gets each notice once, when it is stored or cannot be."""

    def __init__(
        self, writer: Writer | None, database: Database, post: Post, mark: int, now: Callable[[], int]
    ) -> None:
        """`writer` None: nothing is recorded. `mark`: the time up to which is evaluated, before any work."""
        self._disk = _Disk(writer, database, mark)
        self._post = post
        self._now = now
        self._waiting = _Waiting()
        self._writing = self._waiting
        """What was taken last to be written."""
        self._untold: dict[str, tuple[Notice, tuple[Parcel, ...]]] = {}
        self._closed = False
        self._urgent = trio.Event()
        self._idle = trio.Event()
        """Set while no thread writes. Whoever clears it writes: there is one thread at the disk at a time."""
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Keeper {self._waiting!r} {self.trouble}>"

    @property
    def trouble(self) -> Trouble:
        return self._disk.trouble

    def put(self, work: Work) -> None:
        """Take what is to be kept; never waits."""
        if self._closed:
            return  # it is over: as if this had not been evaluated
        self._waiting.add(work, trio.current_time())
        self._route(work.notices)
        if work.is_urgent:
            self._urgent.set()

    def keep(self, deliveries: Sequence[Delivery]) -> None:
        """Take steps of a delivery; never waits."""
        self.put(Work(deliveries=deliveries))

    async def stored(self) -> None:
        """Returns when all that was put before is on the disk, or cannot be, or takes longer than anybody can wait."""
        last = self._waiting if self._waiting.is_urgent else self._writing
        if self._closed or not last.is_urgent:
            return
        with trio.move_on_after(PATIENCE_S) as patience:
            await last.is_done.wait()
        if patience.cancelled_caught:
            self._tell_unstored()  # whoever waited goes on without the disk: at the end, nobody comes after them

    def lag_s(self) -> float:
        """How long the oldest of what is to be stored has waited for the disk."""
        since = [each.since for each in (self._waiting, self._writing) if each.is_urgent and not each.is_done.is_set()]
        return trio.current_time() - min(since) if since else 0.0

    async def run(self) -> None:
        """Until cancelled; `finish` keeps what has come last."""
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(LINES_S):
                    await self._urgent.wait()
                self._urgent = trio.Event()
                if self._idle.is_set() and not self._waiting.is_empty:
                    nursery.start_soon(self._keep, self._take())
                with trio.move_on_after(PATIENCE_S) as patience:
                    await self._idle.wait()
                if patience.cancelled_caught:
                    self._tell_unstored()

    async def caught_up(self) -> None:
        """Returns when all that was put before is written, or given up."""
        waiting = self._waiting
        while self._waiting is waiting and not waiting.is_empty:
            self._urgent.set()
            await trio.sleep(0.01)
        await self._idle.wait()

    async def finish(self) -> None:
        """Keep what has come since, when nothing comes any more, and close. Cancel it if it takes too long."""
        try:
            while not (self._idle.is_set() and self._waiting.is_empty):
                if self._idle.is_set():
                    await self._keep(self._take())
                else:
                    await self._idle.wait()
            self._idle, self._closed = trio.Event(), True
            await trio.to_thread.run_sync(self._disk.close, abandon_on_cancel=True)
        finally:
            self._tell_unstored()

    def _take(self) -> "_Waiting":
        """What waits, for the thread that writes it; no other may begin before it has ended."""
        self._idle = trio.Event()
        self._writing, self._waiting = self._waiting, _Waiting()
        return self._writing

    def _route(self, notices: Sequence[Notice]) -> None:
        """A notice and whom it goes to are stored together."""
        if not notices:
            return
        parcels = self._post.route(notices, self._now())
        self._waiting.deliver(parcel.delivery(Status.QUEUED, parcel.committed_at) for parcel in parcels)
        of: dict[str, list[Parcel]] = {}
        for parcel in parcels:
            of.setdefault(parcel.notice.id, []).append(parcel)
        for notice in notices:  # one that came before and is not stored yet keeps whom it goes to
            self._untold.setdefault(notice.id, (notice, tuple(of.get(notice.id, ()))))

    async def _keep(self, waiting: "_Waiting") -> None:
        # A thread that hangs in the kernel is left behind when everything else has ended.
        write = partial(self._disk.write, waiting, trio.current_time())
        await trio.to_thread.run_sync(write, abandon_on_cancel=True)
        self._idle.set()
        waiting.is_done.set()
        self._tell([untold for notice in waiting.notices if (untold := self._untold.pop(notice.id, None))])
        self._post.ended(waiting.endings)

    def _tell_unstored(self) -> None:
        untold, self._untold = tuple(self._untold.values()), {}
        if untold:
            log.error("alerts told before they were stored count=%d", len(untold))
            self._tell(untold)

    def _tell(self, untold: Sequence[tuple[Notice, tuple[Parcel, ...]]]) -> None:
        if untold:
            parcels = [parcel for _, each in untold for parcel in each]
            self._post.take([notice for notice, _ in untold], parcels, self._now())


@dataclass(slots=True)
class _Waiting:
    """Work as one write and one transaction: what came later of the same rule and symbol replaces what came before."""

    events: list[Event] = field(default_factory=list)
    lost: list[Event] = field(default_factory=list)
    """Marks among events that were given up, which came before the others."""
    notices: list[Notice] = field(default_factory=list)
    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    deliveries: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    """By notice and target."""
    mark: int = 0
    checkpoint: str | None = None
    is_urgent: bool = False
    since: float = 0.0
    """When the first that is urgent came; Trio's time."""
    is_done: trio.Event = field(default_factory=trio.Event)
    """Written, or given up."""

    def __repr__(self) -> str:
        return f"<{len(self.events)} lines, {len(self.notices)} notices, {len(self.standings)} standings>"

    @property
    def is_empty(self) -> bool:
        return not (self.events or self.lost or self.is_urgent)

    def add(self, work: Work, now_s: float) -> None:
        self.events += work.events
        if len(self.events) > MAX_WAITING:
            self._lose_lines()
        if work.is_urgent:
            self.since = self.since if self.is_urgent else now_s
            self._merge(work.notices, work.standings, work.endings, work.mark, work.checkpoint)
            self.deliver(work.deliveries)

    def deliver(self, deliveries: Iterable[Delivery]) -> None:
        self.deliveries.update(((each.id, each.target), each) for each in deliveries)

    def follow(self, later: "_Waiting") -> None:
        """Have what came later besides, but for its lines. Of what has waited too long the oldest is lost."""
        self._merge(later.notices, later.standings.values(), later.endings, later.mark, later.checkpoint)
        self.deliver(later.deliveries.values())
        del self.notices[:-MAX_UNSTORED], self.endings[:-MAX_UNSTORED]
        for key in [*self.deliveries][:-MAX_UNSTORED_DELIVERIES]:
            del self.deliveries[key]

    def _merge(
        self,
        notices: Iterable[Notice],
        standings: Iterable[Standing],
        endings: Iterable[Ending],
        mark: int,
        checkpoint: str | None,
    ) -> None:
        self.notices += notices
        self.standings.update(((each.rule, each.symbol), each) for each in standings)
        self.endings += endings
        self.mark = max(self.mark, mark)
        self.checkpoint = checkpoint or self.checkpoint
        self.is_urgent = True

    def _lose_lines(self) -> None:
        """The disk hangs, and memory is not without end. What is up and what is not must be known all the same."""
        self.lost += [event for event in self.events if not isinstance(event, Frame | Alive)]
        del self.lost[:-MAX_WAITING]
        self.events.clear()


class _Disk:
    """Recording and database, used by one thread at a time."""

    def __init__(self, writer: Writer | None, database: Database, mark: int) -> None:
        self._writer = writer
        self._database = database
        self._mark = mark
        self._unstored = _Waiting()
        """What the database has not taken yet."""
        self._recorded_at = self._stored_at = -RETRY_S
        self.trouble = Trouble()

    def write(self, waiting: _Waiting, now_s: float) -> None:
        """The one place where lines, alerts and states meet the disk."""
        recording, store = self.trouble
        if self._writer is not None and (waiting.events or waiting.lost):  # nothing to write proves no disk
            if recording is None or now_s - self._recorded_at >= RETRY_S:
                self._recorded_at = now_s
                recording = _record(self._writer, waiting)
            else:
                self._writer.lose([*waiting.lost, *waiting.events])
        if waiting.is_urgent:
            self._unstored.follow(waiting)
        if store is None or now_s - self._stored_at >= RETRY_S:
            self._stored_at = now_s
            store = self._store()
        self._note(Trouble(recording, store))

    def close(self) -> None:
        if not self._unstored.is_empty:  # there may be room again since it was tried last, and nobody tries later
            self._note(self.trouble._replace(store=self._store()))
        if self._writer is not None:
            self._writer.close()
        self._database.close()

    def _store(self) -> str | None:
        """→ why it cannot be; then it is tried again with what comes."""
        if self._unstored.is_empty:
            return None
        found = self._unstored
        # The mark goes with the standings: one from a line of later would say that what changed since is stored.
        mark = max(self._mark, found.mark)
        try:
            self._database.commit(
                Batch(
                    mark,
                    found.notices,
                    tuple(found.standings.values()),
                    found.endings,
                    tuple(found.deliveries.values()),
                    found.checkpoint,
                )
            )
        except DatabaseError as error:
            return str(error)
        self._mark, self._unstored = mark, _Waiting()
        return None

    def _note(self, trouble: Trouble) -> None:
        for what, before, after in zip(Trouble._fields, self.trouble, trouble, strict=True):
            if (before is None) != (after is None):
                if after is None:
                    log.info("%s goes on", what)
                else:
                    log.error("%s stopped reason=%s", what, quoted(after))
        self.trouble = trouble


def _record(writer: Writer, waiting: _Waiting) -> str | None:
    """Write the lines. → why that cannot be."""
    if waiting.lost:
        writer.lose(waiting.lost)
    try:
        writer.write(waiting.events)
    except RecordingError as error:
        return str(error)
    return None
