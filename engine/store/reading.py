"""The database as others than its writer see it: alerts with what became of them, and what could not be delivered.

Each call has a connection of its own that cannot write. It makes no file, sets none aside and brings none up to
another version; beside a daemon it reads what was committed last, and holds nobody up. The file is opened by SQLite
alone: in the daemon's own process, whoever else opened and closed it would take the writer's locks away with him.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.delivery.parcel import Delivery, Kept, Status
from engine.locale import Text
from engine.store import rows
from engine.store.batch import Row
from engine.store.database import NO_DATABASE, DatabaseError, NewerDatabaseError, cannot_be_used, pragma, primary
from engine.store.schema import APPLICATION_ID, VERSION

MAX_ROWS = 100_001
"""Of one answer: 200 MB, and more than anybody reads; and one, to tell whether there are more."""
MAX_DEAD = 5_000
"""Of one answer: as many as a target may have waiting."""
MAX_NAMES = 10_000
"""Rules or symbols that the history knows, for who looks for one that it does not."""
_BUSY_S = 1.0
"""How long one waits for somebody who has the whole file to himself."""

SYSTEM, SUPPRESSED, ENDED = "system", "suppressed", "ended"
_LEFT_OUT = {SYSTEM: "state != 'system'", SUPPRESSED: "suppressed IS NULL", ENDED: "state != 'ended'"}
KINDS = tuple(_LEFT_OUT)
"""What one may not want to see of the history: the daemon's own, alerts that nobody was sent, silent endings."""


class NoDatabaseError(DatabaseError):
    """Nothing was ever stored there."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, Text("nothing is stored here yet", "아직 저장된 것이 없습니다"))


class OlderDatabaseError(DatabaseError):
    """An earlier version of the program wrote it; the next run brings it up."""

    def __init__(self, path: Path, version: int) -> None:
        why = Text(
            f"was written by an older pgmwatch (version {version} of the file, this one reads {VERSION}); "
            "the next pgmwatch run brings it up to date",
            f"이전 pgmwatch가 쓴 파일입니다(파일 버전 {version}, 이 프로그램은 {VERSION}). "
            "pgmwatch run을 다시 시작하면 새 버전으로 바뀝니다",
        )
        super().__init__(path, why)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of the history. What is left at its default leaves nothing out."""

    since: int | None = None
    """Nanoseconds since the epoch, as `until`, which is not in it."""
    until: int | None = None
    rule: str | None = None
    symbols: tuple[str, ...] = ()
    """Any of these."""
    without: frozenset[str] = frozenset()
    """Of KINDS."""
    ids: tuple[str, ...] = ()
    """Any of these."""
    limit: int = 1_000
    """The newest; at most MAX_ROWS."""

    def where(self) -> tuple[str, list[Any]]:
        """→ a condition of SQL, and its values."""
        tests: list[str] = []
        values: list[Any] = []
        for test, value in (("at >= ?", self.since), ("at < ?", self.until), ("rule = ?", _plain(self.rule))):
            if value is not None:
                tests.append(test)
                values.append(value)
        for column, several in (("symbol", self.symbols), ("id", self.ids)):
            if several:
                tests.append(_any_of(column, several))
                values += map(_plain, several)
        tests += [_LEFT_OUT[kind] for kind in KINDS if kind in self.without]
        return " AND ".join(tests) or "TRUE", values


class Entry(NamedTuple):
    """One line of the history, and where it stands with each target."""

    row: Row
    deliveries: tuple[Delivery, ...]
    """By the names of the targets."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of the undeliverable messages; by default all."""

    ids: tuple[str, ...] = ()
    """Of notices. One may be undeliverable at several targets."""
    target: str | None = None
    """The name of a target, `desk[1] slack`, or of a notifier, `desk`."""

    def where(self) -> tuple[str, list[Any]]:
        tests, values = [_DEAD], list(map(_plain, self.ids))
        if self.ids:
            tests.append(_any_of("delivery.id", self.ids))
        if self.target is not None:
            tests.append("(delivery.name = ? OR substr(delivery.name, 1, length(?) + 1) = ? || '[')")
            values += [_plain(self.target)] * 3
        return " AND ".join(tests), values


class Names(NamedTuple):
    """What the history speaks of, sorted; at most MAX_NAMES of each."""

    rules: tuple[str, ...]
    symbols: tuple[str, ...]


def history(path: Path, wanted: Wanted) -> tuple[Entry, ...]:
    """The newest rows that are wanted, in order, newest last. Blocks; raises DatabaseError."""
    condition, values = wanted.where()
    chosen = f"FROM history WHERE {condition} ORDER BY at DESC, seq DESC LIMIT ?"
    values.append(min(wanted.limit, MAX_ROWS))
    with _reading(path) as connection:
        found = connection.execute(f"SELECT {_ROW} {chosen}", values).fetchall()
        of_these = f"SELECT {rows.DELIVERY} FROM delivery WHERE id IN (SELECT id {chosen}) ORDER BY name, target"
        deliveries: dict[str, list[Delivery]] = {}
        for each in map(rows.delivery, connection.execute(of_these, values)):
            deliveries.setdefault(each.id, []).append(each)
    return tuple(Entry(row, tuple(deliveries.get(row.id, ()))) for row in (Row(*each) for each in reversed(found)))


def dead(path: Path, chosen: Chosen, limit: int = MAX_DEAD) -> tuple[Kept, ...]:
    """The newest of what could not be delivered, in order, newest last. Blocks; raises DatabaseError."""
    condition, values = chosen.where()
    query = f"""
        SELECT {rows.KEPT} FROM delivery JOIN history USING (id) WHERE {condition}
        ORDER BY history.at DESC, history.seq DESC, delivery.name DESC LIMIT ?
    """
    with _reading(path) as connection:
        found = connection.execute(query, (*values, min(limit, MAX_DEAD))).fetchall()
    return rows.whole(reversed(found))[0]


def count_dead(path: Path, chosen: Chosen) -> int:
    """How many there are, however many that is. Blocks; raises DatabaseError."""
    condition, values = chosen.where()
    query = f"SELECT count(*) FROM delivery WHERE {condition}"
    with _reading(path) as connection:
        (count,) = connection.execute(query, values).fetchone()
    return int(count)


def names(path: Path) -> Names:
    """Rules and symbols that the history has. Blocks; raises DatabaseError."""
    with _reading(path) as connection:
        return Names(*(_distinct(connection, column) for column in Names._fields))


_ROW = "seq, id, at, rule, symbol, state, suppressed, line"
# The first part is the index's own, word by word: without it, SQLite does not see that the index has them all.
_DEAD = "delivery.status NOT IN ('delivered', 'discarded') AND delivery.status IN ({})".format(
    ", ".join(f"'{status}'" for status in Status if status.is_dead)
)


def _distinct(connection: sqlite3.Connection, column: str) -> tuple[str, ...]:
    """From one name to the next by the index: two million rows have some dozens of names."""
    name = column.removesuffix("s")
    query = f"""
        WITH RECURSIVE found(name) AS (
            SELECT min({name}) FROM history
            UNION ALL SELECT (SELECT min({name}) FROM history WHERE {name} > found.name) FROM found
            WHERE found.name IS NOT NULL
        )
        SELECT name FROM found WHERE name IS NOT NULL LIMIT {MAX_NAMES}
    """
    return tuple(each for (each,) in connection.execute(query))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One view of the whole: what is committed meanwhile is not in it."""
    try:
        if not path.stat().st_size:
            raise NoDatabaseError(path)  # a full disk leaves one, and the next run makes a database of it
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            _check(connection, path)
            yield connection
    except FileNotFoundError as error:
        raise NoDatabaseError(path) from error
    except ValueError as error:
        why = Text("is broken: a row of it cannot be read", "손상되었습니다: 읽을 수 없는 행이 있습니다")
        raise DatabaseError(path, why) from error
    except sqlite3.Error as error:
        if primary(error) in NO_DATABASE:
            raise DatabaseError(path, Text(f"is broken: {error}", f"손상되었습니다: {error}")) from error
        raise cannot_be_used(path, error) from error
    except OSError as error:
        raise cannot_be_used(path, error) from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    version = pragma(connection, "user_version")
    if pragma(connection, "application_id") != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not tables:
            raise NoDatabaseError(path)  # it is being made
        why = Text("is no database of pgmwatch", "pgmwatch의 데이터베이스가 아닙니다")
        raise DatabaseError(path, why)
    if version > VERSION:
        raise NewerDatabaseError(path, version)
    if version < VERSION:
        raise OlderDatabaseError(path, version)


def _any_of(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})"


def _plain(text: str | None) -> str | None:
    """Half a surrogate pair from a shell names nothing, and is no text for SQLite."""
    return None if text is None else text.encode("utf-8", "replace").decode()
