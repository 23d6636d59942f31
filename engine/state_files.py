"""What a run keeps in its state folder, opened: database and recording, and what they know of the day so far."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.config.load import Configuration
from engine.config.model import Source
from engine.delivery.parcel import Kept
from engine.kst import date_of, day_number
from engine.recording.reader import day_file
from engine.recording.writer import RecordingError, Writer
from engine.store.batch import Past
from engine.store.database import Database, DatabaseError
from engine.text import quoted

log = logging.getLogger(__name__)

DATABASE = "state.db"


@dataclass(frozen=True, slots=True)
class StateFiles:
    """Open, for one run."""

    database: Database
    writer: Writer | None
    """None: nothing is recorded."""
    past: Past
    """Of today, as it was stored before this run."""
    undelivered: tuple[Kept, ...]
    """What was stored before this run and has not reached everybody."""
    recording: Path | None
    """Of today, from before this run."""
    set_aside: Path | None = None
    """Where a damaged database went, in whose place `database` is a fresh one."""
    unread: str | None = None
    """Why `past` and `undelivered` are empty although something may be stored."""


def opened(configuration: Configuration, now: int) -> StateFiles:
    """The caller holds the state folder. Raises NewerDatabaseError where a later version wrote the database.

    Whoever writes closes (engine.keeper): a file whose disk hangs cannot be closed either, and the end must not wait.
    A simulator's market begins anew with each run, so of an earlier one of the day nothing is kept.
    """
    feed = configuration.settings.feed
    today = day_number(now)
    folder = configuration.recordings_folder
    found = Database.open(configuration.state_folder / DATABASE)
    if found.set_aside is not None:
        log.error("state unreadable set_aside=%s", found.set_aside)
    database = found.database
    if feed.source is not Source.KIS:
        with suppress(DatabaseError):  # the first commit meets it as well, and tells
            database.forget()
        if (before := day_file(folder, date_of(today))) is not None:
            with suppress(OSError):  # what cannot be removed cannot be written either, and that is told
                before.unlink()
    writer = _writer(configuration, now) if feed.record and feed.source is not Source.REPLAY else None
    unread = None
    past: Past = Past(None, None, (), frozenset())
    undelivered: tuple[Kept, ...] = ()
    try:
        past, undelivered = database.past(today), database.undelivered()
    except DatabaseError as error:
        unread = error.text(configuration.settings.locale)
        log.error("state unreadable reason=%s", quoted(str(error)))  # noqa: TRY400 -- a disk's doing; we go on
    return StateFiles(
        database, writer, past, undelivered, day_file(folder, date_of(today)), set_aside=found.set_aside, unread=unread
    )


def _writer(configuration: Configuration, now: int) -> Writer:
    retention = configuration.settings.feed.retention
    writer = Writer(configuration.recordings_folder, days=retention.days, size_bytes=retention.size)
    try:
        writer.open(now)
    except RecordingError as error:
        log.error("recording unusable reason=%s", quoted(str(error)))  # noqa: TRY400 -- a disk's doing; the writer tries again
    return writer
