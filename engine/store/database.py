"""The database: alerts, where rules stand, and up to when is evaluated. Blocking; one thread at a time.

A batch is one transaction, and it is on the disk when `commit` returns. The daemon alone writes (it holds the lock of
its state folder); others may read at any time (engine.store.reading). Whatever the disk does, callers hear of it as
`DatabaseError`, and the same object may be used again when there is room.
"""

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import kst
from engine.delivery.parcel import Kept
from engine.errors import PlaceError
from engine.evaluation.lifecycle import REST, Phase, Tally
from engine.evaluation.standing import Standing
from engine.kst import DAY_NS
from engine.locale import Text
from engine.store import rows
from engine.store.batch import Batch, Past
from engine.store.schema import APPLICATION_ID, MIGRATIONS, VERSION
from engine.text import quoted

log = logging.getLogger(__name__)

KEPT_NS = 366 * DAY_NS
"""History is kept a year, and the day on which somebody looks for what was a year ago."""
MAX_ROWS = 2_000_000
"""Of history, oldest first out: a year of 8,000 alerts a trading day is more than anybody reads, and 2 GB."""
PIECE = 200
"""Rows that a commit may delete besides: a few milliseconds, and still more than any commit brings for long."""
MAX_SET_ASIDE = 5
"""Broken databases that are kept for who wants to look into them: a disk that breaks one a day shall not be filled."""
_BUSY_S = 1.0
"""How long a commit waits for somebody who writes with a tool of their own. Alerts wait behind it."""
_MAX_WAL_BYTES = 16_000_000
"""What the log beside the file is cut back to after a burst: the next one of that size finds its room again."""

_MAGIC = b"SQLite format 3\0"
NO_DATABASE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""What the file is no database by. Every other error is of the disk or of somebody who holds it, and may pass."""
_NO_ROOM = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN})


class DatabaseError(PlaceError):
    """The database cannot be read or written now. What was stored before stands."""


class NewerDatabaseError(DatabaseError):
    """A later version of the program wrote it; this one would not know what it breaks."""

    def __init__(self, path: Path, version: int) -> None:
        why = Text(
            f"was written by a newer pgmwatch (version {version} of the file, this one knows {VERSION}); "
            "use that one, or move the file away",
            f"더 새로운 pgmwatch가 쓴 파일입니다(파일 버전 {version}, 이 프로그램은 {VERSION}까지). "
            "그 버전을 쓰거나 파일을 옮기세요",
        )
        super().__init__(path, why)


class _NotOursError(Exception):
    """The file is no database of ours, or no whole one any more."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A database, and what was found at its place."""

    database: "Database"
    set_aside: Path | None
    """Where a broken one went, that stood there before."""
    trouble: "DatabaseError | None" = None
    """Why it cannot be used yet. Every later call tries again."""


class Database:
    """Made by `Database.open`. May be used from one thread and then from another, never from two at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._swept: int | None = None
        """The day on which standings of earlier days were last taken out."""

    def __repr__(self) -> str:
        return f"<Database {self._path} {'closed' if self._connection is None else 'open'}>"

    @classmethod
    def open(cls, path: Path) -> Opened:
        """Open or make the file (0600); its folder must be there. A broken one is set aside and a fresh one made.

        Raises NewerDatabaseError, with the file as it was, where a later version wrote it. A disk that is full or fails
        is no reason not to watch: that is told as `trouble`.
        """
        database = cls(path)
        aside = None
        try:
            try:
                _examine(path, wholly=True)
            except _NotOursError as error:
                aside = _set_aside(path)
                log.warning("database set aside file=%s as=%s reason=%r", path.name, aside.name, str(error))
            database._connected()
        except (sqlite3.Error, OSError) as error:
            trouble = cannot_be_used(path, error)
            log.warning("database cannot be used file=%s reason=%r", path.name, trouble.why.en)
            return Opened(database, aside, trouble)
        return Opened(database, aside)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):  # what was committed is in the log, and found by the next one
                connection.close()

    def commit(self, batch: Batch) -> None:
        """Store all of the batch, or raise DatabaseError and store nothing of it. Once it returns it is on the disk.

        A notice or an ending whose id is known is the same one: the first stays.
        """
        with self._writing() as connection:
            before = connection.total_changes
            connection.executemany(_INSERT, map(rows.of_notice, batch.notices))
            connection.executemany(_INSERT, map(rows.of_ending, batch.endings))
            brought = connection.total_changes - before
            connection.executemany(_DELIVER, map(rows.of_delivery, batch.deliveries))
            day = kst.day_number(batch.mark)
            _put_standings(connection, batch.standings, day)
            connection.execute(_MARK, (batch.mark, batch.checkpoint))
            _forget_the_oldest(connection, batch.mark, brought)
            if day != self._swept:
                connection.execute("DELETE FROM standing WHERE day < ?", (day,))
        self._swept = day

    def past(self, day: int) -> Past:
        """What was stored, for a start on this KST day number. Raises DatabaseError."""
        with self._reading() as connection:
            progress = connection.execute("SELECT mark, checkpoint FROM progress").fetchone()
            standings = connection.execute(_STANDINGS, (day,)).fetchall()
            known = connection.execute("SELECT id FROM history WHERE at >= ?", (kst.day_start(day),)).fetchall()
        mark, checkpoint = progress or (None, None)
        return Past(mark, checkpoint, tuple(map(rows.standing, standings)), frozenset(each for (each,) in known))

    def undelivered(self) -> tuple[Kept, ...]:
        """What waits or was in flight when the last run ended, and what its readers were not told was given up.

        The oldest first. Raises DatabaseError.
        """
        with self._reading() as connection:
            found, damaged = rows.whole(connection.execute(_UNDELIVERED).fetchall())
        for ident in damaged:
            log.error("undelivered and unreadable id=%s", quoted(ident))
        return found

    def forget(self) -> None:
        """Start empty. Raises DatabaseError; then nothing was forgotten."""
        with self._writing() as connection:
            for table in ("delivery", "history", "standing", "progress"):
                connection.execute(f"DELETE FROM {table}")

    def _connected(self) -> sqlite3.Connection:
        """The connection, made anew where an error or somebody's `rm` took the last one."""
        if self._connection is None:
            _examine(self._path)
            self._connection = _connect(self._path)
            self._inode = _inode(self._path)
        elif _inode(self._path) != self._inode:
            raise OSError(0, "another file was put in its place")
        return self._connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._in_our_words():
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._in_our_words():
            try:
                connection = self._connected()
            except sqlite3.OperationalError as error:
                if primary(error) not in _NO_ROOM:
                    raise
                with _alone(self._path) as connection:
                    yield connection
            else:
                yield connection

    @contextlib.contextmanager
    def _in_our_words(self) -> Iterator[None]:
        try:
            yield
        except _NotOursError as error:
            raise DatabaseError(self._path, Text(f"is broken: {error}", f"손상되었습니다: {error}")) from error
        except sqlite3.Error as error:
            raise cannot_be_used(self._path, error) from error
        except OSError as error:
            self.close()  # it would write where nobody looks
            raise cannot_be_used(self._path, error) from error
        finally:
            self._take_back()

    def _take_back(self) -> None:
        """A transaction that was begun and not committed. Where that fails, there will be a new connection."""
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self.close()


_INSERT = f"""
    INSERT INTO history ({rows.HISTORY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING
"""
# Of a notice that the history does not have (it was too much for a disk that refused), nothing is kept.
_DELIVER = f"""
    INSERT INTO delivery ({rows.DELIVERY})
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 WHERE EXISTS (SELECT 1 FROM history WHERE id = ?1)
    ON CONFLICT (id, target) DO UPDATE SET
        name = excluded.name, status = excluded.status, at = excluded.at, due_from = excluded.due_from,
        attempts = excluded.attempts, may_repeat = excluded.may_repeat, unlisted = excluded.unlisted,
        reason = excluded.reason
"""
_UNDELIVERED = f"""
    SELECT {rows.KEPT} FROM delivery JOIN history USING (id)
    WHERE delivery.status NOT IN ('delivered', 'discarded')
        AND (delivery.status IN ('queued', 'attempting') OR delivery.unlisted)
    ORDER BY history.at, history.seq
"""
_STAND = """
    INSERT INTO standing
        (rule, symbol, fingerprint, day, phase, since, unmet_since, told_at, repeats, sent, sent_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (rule, symbol) DO UPDATE SET
        fingerprint = excluded.fingerprint, day = excluded.day, phase = excluded.phase, since = excluded.since,
        unmet_since = excluded.unmet_since, told_at = excluded.told_at, repeats = excluded.repeats,
        sent = excluded.sent, sent_at = excluded.sent_at
"""
_STANDINGS = """
    SELECT rule, symbol, fingerprint, phase, since, unmet_since, told_at, repeats, sent, sent_at
    FROM standing WHERE day = ? ORDER BY rule, symbol
"""
_MARK = """
    INSERT INTO progress (one, mark, checkpoint) VALUES (1, ?, ?)
    ON CONFLICT (one) DO UPDATE SET mark = excluded.mark, checkpoint = coalesce(excluded.checkpoint, checkpoint)
"""
_OLD = """
    DELETE FROM history WHERE seq IN (SELECT seq FROM history WHERE at < ? ORDER BY at LIMIT ?)
"""
_SURPLUS = """
    DELETE FROM history WHERE seq IN (
        SELECT seq FROM history WHERE seq <= (SELECT max(seq) FROM history) - ? ORDER BY seq LIMIT ?
    )
"""


def _put_standings(connection: sqlite3.Connection, standings: Sequence[Standing], day: int) -> None:
    kept, gone = [], []
    for each in standings:
        life = each.life if each.life.phase is Phase.FIRING else REST
        if life == REST and each.tally == Tally():
            gone.append((each.rule, each.symbol))
        else:
            lived = (life.phase, life.since, life.unmet_since, life.told_at, life.repeats)
            kept.append((each.rule, each.symbol, each.fingerprint, day, *lived, each.tally.sent, each.tally.sent_at))
    connection.executemany(_STAND, kept)
    connection.executemany("DELETE FROM standing WHERE rule = ? AND symbol = ?", gone)


def _forget_the_oldest(connection: sqlite3.Connection, mark: int, brought: int) -> None:
    """In pieces, so that the first commit after a long time away is not one of minutes."""
    piece = PIECE + brought
    connection.execute(_OLD, (mark - KEPT_NS, piece))
    connection.execute(_SURPLUS, (MAX_ROWS, piece))


def _examine(path: Path, *, wholly: bool = False) -> None:
    """Look at a file that is there without changing anything about it: its version, or all of it.

    Raises _NotOursError, NewerDatabaseError, or what the disk has to say.
    """
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise _NotOursError("not a database")  # a short one SQLite would take for an empty one
    try:
        _look(path, "ro", wholly=wholly)
    except sqlite3.OperationalError as error:
        if primary(error) != sqlite3.SQLITE_READONLY:
            raise
        _look(path, "rw", wholly=wholly)  # a kill left half a transaction, which must be taken back to read it


def _look(path: Path, mode: str, *, wholly: bool) -> None:
    looking = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=_BUSY_S, isolation_level=None
    )
    with contextlib.closing(looking):
        try:
            version = pragma(looking, "user_version")
            ours = pragma(looking, "application_id") == APPLICATION_ID
            (tables,) = looking.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables and not ours:
                raise _NotOursError("not a database of pgmwatch")
            if version > VERSION:
                raise NewerDatabaseError(path, version)
            (verdict,) = looking.execute("PRAGMA quick_check(1)").fetchone() if wholly else ("ok",)
        except sqlite3.DatabaseError as error:
            if primary(error) in NO_DATABASE:
                raise _NotOursError(str(error)) from error
            raise
        if verdict != "ok":
            raise _NotOursError(verdict)


def primary(error: sqlite3.Error) -> int:
    """SQLite's own code of it, without what the code says besides."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _connect(path: Path) -> sqlite3.Connection:
    """Ready for use, in this program's version. The log and the index beside the file take on its mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":  # a file system without shared memory; as safe, and slower
            log.warning("database without WAL file=%s mode=%s", path.name, mode)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[sqlite3.Connection]:
    """To read where there is no room even for the index beside the log: it is in memory, and nobody else gets in."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if pragma(connection, "user_version") != VERSION:
            raise sqlite3.OperationalError("there is no room to bring it to this version")
        yield connection


def _migrate(connection: sqlite3.Connection) -> None:
    """To this version, in one transaction: whoever is killed in the midst of it has the version before."""
    version = pragma(connection, "user_version")
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in MIGRATIONS[version:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")
    log.info("database version before=%d now=%d", version, VERSION)


def pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)


def _set_aside(path: Path) -> Path:
    """Under the first free name, or the last one.

    The file goes before its log: alone and left behind by a kill, a log is thrown away, and a file passes for whole.
    """
    names = [path.with_name(f"{path.name}.broken-{number}") for number in range(1, MAX_SET_ASIDE + 1)]
    aside = next((name for name in names if not name.exists()), names[-1])
    path.chmod(0o600)  # whoever broke it may have put it there
    path.replace(aside)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + ending).replace(aside.with_name(aside.name + ending))
    return aside


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def cannot_be_used(path: Path, error: sqlite3.Error | OSError) -> DatabaseError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    reason = reason or type(error).__name__
    return DatabaseError(path, Text(f"cannot be used: {reason}", f"쓸 수 없습니다: {reason}"))
