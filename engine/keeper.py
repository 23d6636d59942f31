"""Between evaluation and delivery: what was evaluated is kept, in the order in which it happened, then told.

lines → the recording · then alerts and states → the database, in one transaction · then alerts → the outbox. So a line
is with the operating system before an alert that follows from it is stored, and an alert is stored before it is sent.
Both files are written in one thread; the evaluation hands over and never waits. Lines alone wait for a second: that is
what a kill may cost. Whatever a disk does, alerts go out: one that is full loses us the recording or the memory, one
that hangs gets a few seconds, and both are told.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import trio

from engine.delivery.notice import Notice
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
    mark: int = 0
    """Time up to which everything is evaluated, with this; 0: it says nothing of that."""
    checkpoint: str | None = None

    @property
    def is_urgent(self) -> bool:
        return bool(self.notices or self.standings or self.endings or self.checkpoint is not None)


@dataclass(slots=True)
class _Unstored:
    """What the database has not taken yet, as one transaction."""

    notices: list[Notice] = field(default_factory=list)
    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    checkpoint: str | None = None
    is_empty: bool = True

    def add(self, works: Iterable[Work]) -> None:
        for work in works:
            self.is_empty = False
            self.notices += work.notices
            self.standings.update(((each.rule, each.symbol), each) for each in work.standings)
            self.endings += work.endings
            self.checkpoint = work.checkpoint or self.checkpoint
        del self.notices[:-MAX_UNSTORED], self.endings[:-MAX_UNSTORED]

    def batch(self, mark: int) -> Batch:
        return Batch(mark, self.notices, tuple(self.standings.values()), self.endings, self.checkpoint)


class Keeper:
    """Made anywhere; `put` from the Trio thread. `tell` gets each notice once, when it is stored or cannot be."""

    def __init__(
        self,
        writer: Writer | None,
        database: Database,
        tell: Callable[[Sequence[Notice]], None],
        mark: int,
    ) -> None:
        """`writer` None: nothing is recorded. `mark`: the time up to which is evaluated, before any work."""
        self._writer = writer
        self._database = database
        self._tell = tell
        self._waiting: list[Work] = []
        self._lines = 0
        self._lost: list[Event] = []
        self._untold: dict[str, Notice] = {}
        self._unstored = _Unstored()
        self._mark = mark
        self._urgent = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self._recorded_at = self._stored_at = -RETRY_S
        self.trouble = Trouble()

    def __repr__(self) -> str:
        return f"<Keeper waiting={len(self._waiting)} lines={self._lines} {self.trouble}>"

    def put(self, work: Work) -> None:
        """Take what is to be kept; never waits."""
        self._waiting.append(work)
        self._untold.update((notice.id, notice) for notice in work.notices)
        self._lines += len(work.events)
        if self._lines > MAX_WAITING:
            self._lose_lines()
        if work.is_urgent:
            self._urgent.set()

    async def run(self) -> None:
        """Until cancelled; `finish` keeps what has come last."""
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(LINES_S):
                    await self._urgent.wait()
                self._urgent = trio.Event()
                if self._waiting and self._idle.is_set():
                    self._idle = trio.Event()
                    nursery.start_soon(self._keep)
                with trio.move_on_after(PATIENCE_S) as patience:
                    await self._idle.wait()
                if patience.cancelled_caught:
                    self._tell_unstored()

    async def caught_up(self) -> None:
        """Returns when all that was put before is written, or given up."""
        waiting = self._waiting
        while self._waiting is waiting and waiting:
            self._urgent.set()
            await trio.sleep(0.01)
        await self._idle.wait()

    async def finish(self) -> None:
        """Keep what has come since, when nothing comes any more and `run` has ended. Cancel it if it takes too long."""
        try:
            await self._idle.wait()
            await self._keep()
        finally:
            self._tell_unstored()

    async def _keep(self) -> None:
        works, self._waiting, self._lines = self._waiting, [], 0
        lost, self._lost = self._lost, []
        # A thread that hangs in the kernel is left behind when everything else has ended.
        await trio.to_thread.run_sync(partial(self._write, works, lost, trio.current_time()), abandon_on_cancel=True)
        self._idle.set()
        stored = [notice for work in works for notice in work.notices if self._untold.pop(notice.id, None)]
        if stored:
            self._tell(stored)

    def _tell_unstored(self) -> None:
        untold, self._untold = tuple(self._untold.values()), {}
        if untold:
            log.error("alerts told before they were stored count=%d", len(untold))
            self._tell(untold)

    def _lose_lines(self) -> None:
        """The disk hangs, and memory is not without end. What is up and what is not must be known all the same."""
        events = [event for work in self._waiting for event in work.events]
        self._lost += [event for event in events if not isinstance(event, Frame | Alive)]
        self._waiting = [replace(work, events=()) for work in self._waiting if work.is_urgent]
        self._lines = 0

    # In the thread

    def _write(self, works: Sequence[Work], lost: Sequence[Event], now_s: float) -> None:
        """The one place where lines, alerts and states meet the disk."""
        recording, store = self.trouble
        if self._writer is not None:
            events = [event for work in works for event in work.events]
            if recording is None or now_s - self._recorded_at >= RETRY_S:
                self._recorded_at = now_s
                recording = _record(self._writer, events, lost)
            else:
                self._writer.lose([*lost, *events])
        self._unstored.add(work for work in works if work.is_urgent)
        self._mark = max(self._mark, *(work.mark for work in works)) if works else self._mark
        if store is None or now_s - self._stored_at >= RETRY_S:
            self._stored_at = now_s
            store = self._store()
        self._note(Trouble(recording, store))

    def _store(self) -> str | None:
        if self._unstored.is_empty:
            return None
        try:
            self._database.commit(self._unstored.batch(self._mark))
        except DatabaseError as error:
            return str(error)
        self._unstored = _Unstored()
        return None

    def _note(self, trouble: Trouble) -> None:
        for what, before, after in zip(Trouble._fields, self.trouble, trouble, strict=True):
            if (before is None) != (after is None):
                if after is None:
                    log.info("%s goes on", what)
                else:
                    log.error("%s stopped reason=%s", what, quoted(after))
        self.trouble = trouble


def _record(writer: Writer, events: Sequence[Event], lost: Sequence[Event]) -> str | None:
    """Write the lines; `lost` came before them. → why that cannot be."""
    if lost:
        writer.lose(lost)
    try:
        writer.write(events)
    except RecordingError as error:
        return str(error)
    return None
