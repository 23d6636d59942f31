"""Who reads the database beside its writer, or without one."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from delivery_samples import AT, a_notice, an_alert

from engine.alert import Suppression
from engine.delivery.notice import Notice, system_notice
from engine.delivery.parcel import Delivery, Kept, Status
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Severity
from engine.store import reading
from engine.store.batch import Batch, Ending
from engine.store.database import Database, DatabaseError, NewerDatabaseError
from engine.store.reading import Chosen, NoDatabaseError, OlderDatabaseError, Wanted
from engine.store.schema import MIGRATIONS, VERSION


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    opened = Database.open(file)
    yield opened.database
    opened.database.close()


def alert(ident: str, at: int = AT, **more: Any) -> Notice:
    return a_notice(ident, at=at, alert=an_alert(id=ident, at=at, **more))


def delivery(ident: str, status: Status, name: str = "desk[1] json", **more: Any) -> Delivery:
    return Delivery(
        **{"id": ident, "target": f"t-{name}", "name": name, "status": status, "at": AT, "due_from": AT, **more}
    )


def ids(file: Path, **wanted: Any) -> list[str]:
    return [entry.row.id for entry in reading.history(file, Wanted(**wanted))]


def dead_ids(file: Path, **chosen: Any) -> list[str]:
    return [kept.notice.id for kept in reading.dead(file, Chosen(**chosen))]


def test_history_by_time_rule_and_symbol_newest_last(database: Database, file: Path) -> None:
    for number, (rule, symbol) in enumerate([("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")]):
        database.commit(Batch(AT, [alert(f"n{number}", AT + number, rule=rule, symbol=symbol)]))
    assert ids(file) == ["n0", "n1", "n2", "n3"]
    assert ids(file, limit=2) == ["n2", "n3"]
    assert ids(file, since=AT + 1, until=AT + 3) == ["n1", "n2"]
    assert ids(file, rule="a") == ["n0", "n2", "n3"]
    assert ids(file, rule="a", symbols=("1",), limit=1) == ["n3"]
    assert ids(file, symbols=("2", "3")) == ["n2"]
    assert ids(file, ids=("n0", "n3", "n9")) == ["n0", "n3"]
    assert ids(file, rule="' OR 1=1 --") == []


def test_alerts_of_one_moment_stay_in_the_order_in_which_they_were_told(database: Database, file: Path) -> None:
    database.commit(Batch(AT, [a_notice(name) for name in ("z", "m", "a")]))
    assert ids(file) == ["z", "m", "a"]
    assert ids(file, limit=2) == ["m", "a"]


def test_each_row_has_its_deliveries_by_the_names_of_the_targets(database: Database, file: Path) -> None:
    steps = [delivery("a", Status.DELIVERED, "terminal"), delivery("a", Status.EXPIRED, "desk[1] json", reason="no")]
    database.commit(Batch(AT, [alert("a"), alert("b")], deliveries=[*steps, delivery("b", Status.QUEUED)]))
    database.commit(Batch(AT + 1, [alert("c", AT + 1)]))
    found = {entry.row.id: entry.deliveries for entry in reading.history(file, Wanted())}
    assert found == {"a": (steps[1], steps[0]), "b": (delivery("b", Status.QUEUED),), "c": ()}
    (newest,) = reading.history(file, Wanted(limit=1))
    assert newest.row.line == alert("c", AT + 1).to_json()


def test_what_one_does_not_want_to_see_is_left_out(database: Database, file: Path) -> None:
    notices = [
        alert("sent"),
        alert("kept", suppressed=Suppression.COOLDOWN),
        system_notice("feed-lost", AT, Severity.WARNING, title="t", message="m", notify=("desk",)),
    ]
    ending = Ending("r", "005930", AT)
    database.commit(Batch(AT, notices, endings=[ending]))
    system = f"feed-lost-{AT}"
    assert ids(file) == ["sent", "kept", system, ending.id]
    assert ids(file, without=frozenset({"system"})) == ["sent", "kept", ending.id]
    assert ids(file, without=frozenset({"suppressed"})) == ["sent", system, ending.id]
    assert ids(file, without=frozenset({"ended"})) == ["sent", "kept", system]
    assert ids(file, without=frozenset(reading.KINDS)) == ["sent"]


def with_dead(database: Database) -> None:
    """One notice for each way of ending, at two targets of one notifier and at the terminal."""
    for number, status in enumerate(Status):
        name = ("desk[1] json", "desk[2] json", "terminal")[number % 3]
        ident = status.value
        step = delivery(ident, status, name)
        database.commit(Batch(AT, [alert(ident, AT + number)], deliveries=[step]))


def test_dead_is_what_is_given_up_and_not_dropped_by_a_person(database: Database, file: Path) -> None:
    with_dead(database)
    assert dead_ids(file) == ["refused", "expired", "dropped", "vanished"]
    assert reading.count_dead(file, Chosen()) == 4
    (kept,) = reading.dead(file, Chosen(ids=("expired", "delivered")))
    assert kept == Kept(
        alert("expired", kept.notice.at, record_time=None), delivery("expired", Status.EXPIRED, "desk[2] json")
    )


def test_the_dead_of_a_target_or_of_all_of_a_notifier(database: Database, file: Path) -> None:
    with_dead(database)
    assert dead_ids(file, target="desk") == ["refused", "expired", "vanished"]
    assert dead_ids(file, target="desk[1] json") == ["refused", "vanished"]
    assert dead_ids(file, target="desk[") == dead_ids(file, target="des") == []
    assert dead_ids(file, target="desk", ids=("expired", "dropped")) == ["expired"]


def test_of_many_dead_the_newest_are_read_and_all_are_counted(database: Database, file: Path) -> None:
    notices = [alert(f"n{number}", AT + number) for number in range(10)]
    database.commit(Batch(AT, notices, deliveries=[delivery(each.id, Status.EXPIRED) for each in notices]))
    assert [kept.notice.id for kept in reading.dead(file, Chosen(), limit=3)] == ["n7", "n8", "n9"]
    assert reading.count_dead(file, Chosen()) == 10


def test_the_dead_are_found_by_their_index_whatever_was_delivered(database: Database, file: Path) -> None:
    condition, values = Chosen().where()
    with closing(sqlite3.connect(file)) as looking:
        plan = looking.execute(f"EXPLAIN QUERY PLAN SELECT count(*) FROM delivery WHERE {condition}", values).fetchall()
    assert "delivery_undelivered" in str(plan)


def test_the_names_in_the_history(database: Database, file: Path) -> None:
    assert reading.names(file) == ((), ())
    notices = [alert(f"{rule}{number}", rule=rule, symbol="005930") for rule in "bca" for number in range(50)]
    own = system_notice("feed-lost", AT, Severity.WARNING, title="t", message="m", notify=())
    database.commit(Batch(AT, [*notices, own], endings=[Ending("가", "@semis", AT)]))
    assert reading.names(file) == (("a", "b", "c", "가"), ("005930", "@semis"))


def test_half_a_surrogate_pair_from_a_shell_names_nothing(database: Database, file: Path) -> None:
    database.commit(Batch(AT, [alert("a")], deliveries=[delivery("a", Status.EXPIRED)]))
    assert ids(file, rule="\udcff") == ids(file, symbols=("\udcff",)) == []
    assert dead_ids(file, target="\udcff") == dead_ids(file, ids=("\udcff",)) == []


def test_it_reads_beside_the_writer_what_is_committed_and_holds_nobody_up(database: Database, file: Path) -> None:
    for number in range(50):
        database.commit(Batch(AT + number, [alert(f"n{number}", AT + number)]))
        assert len(ids(file)) == number + 1
    with closing(sqlite3.connect(file, isolation_level=None)) as writing:
        writing.execute("BEGIN IMMEDIATE")
        writing.execute("DELETE FROM history")
        assert len(ids(file)) == 50


def test_alerts_and_deliveries_are_of_one_moment(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.commit(Batch(AT, [alert("a")], deliveries=[delivery("a", Status.QUEUED)]))

    class Meanwhile(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "FROM delivery" in sql:
                database.commit(Batch(AT, [alert("b")], deliveries=[delivery("a", Status.DELIVERED)]))
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Meanwhile))
    (entry,) = reading.history(file, Wanted())
    assert [each.status for each in entry.deliveries] == [Status.QUEUED]
    assert ids(file) == ["a", "b"]


def test_without_a_database_it_says_so_and_makes_none(file: Path) -> None:
    for _ in range(2):
        with pytest.raises(NoDatabaseError) as caught:
            reading.history(file, Wanted())
        assert "nothing is stored here yet" in caught.value.text(Locale.EN)
    assert list(file.parent.iterdir()) == []
    file.touch()
    with pytest.raises(NoDatabaseError):
        reading.dead(file, Chosen())
    assert file.stat().st_size == 0
    with closing(sqlite3.connect(file)) as making:
        making.execute("PRAGMA journal_mode = WAL")  # as a first start does before it makes tables
        with pytest.raises(NoDatabaseError):
            reading.history(file, Wanted())


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no database " * 1000, "is broken"), (b"SQLite format 3\0" + b"\xff" * 8000, "is broken")],
    ids=["text", "torn"],
)
def test_what_is_no_database_stays_where_it_is(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(DatabaseError, match=said):
        reading.history(file, Wanted())
    assert [(each, each.read_bytes()) for each in file.parent.iterdir()] == [(file, content)]


def test_a_database_of_somebody_else_is_not_ours(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE history (x)")
    with pytest.raises(DatabaseError, match="no database of pgmwatch"):
        reading.history(file, Wanted())


def of_version(file: Path, version: int) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize(
    ("version", "error", "korean"),
    [(1, OlderDatabaseError, "이전 pgmwatch"), (VERSION + 1, NewerDatabaseError, "더 새로운 pgmwatch")],
)
def test_one_of_another_version_says_so_and_is_not_brought_up(
    file: Path, version: int, error: type[DatabaseError], korean: str
) -> None:
    Database.open(file).database.close()
    of_version(file, version)
    before = file.read_bytes()
    with pytest.raises(error) as caught:
        reading.history(file, Wanted())
    assert korean in caught.value.text(Locale.KO)
    assert file.read_bytes() == before
    assert len(MIGRATIONS) == VERSION


def test_who_has_the_file_to_himself_is_waited_for_and_told_of(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    monkeypatch.setattr(reading, "_BUSY_S", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match="locked"):
            reading.history(file, Wanted())


KILLED = """
import os, signal, sys
from pathlib import Path
from delivery_samples import AT, a_notice
from engine.store.batch import Batch
from engine.store.database import Database
database = Database.open(Path(sys.argv[1])).database
database.commit(Batch(AT, [a_notice("a")]))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_daemon_had_committed_is_read_and_left_to_the_next_one(file: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False, env=environment)
    assert done.returncode == -signal.SIGKILL
    file.with_name("state.db-shm").unlink()  # as after a power cut
    before = {each.name: each.read_bytes() for each in file.parent.iterdir()}
    assert "state.db-wal" in before
    assert ids(file) == ["a"]
    assert {name: (file.parent / name).read_bytes() for name in before} == before
    assert {stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()} == {0o600}
    opened = Database.open(file)
    assert (opened.set_aside, opened.trouble) == (None, None)
    opened.database.close()
    assert ids(file) == ["a"]


@pytest.mark.slow  # fifty thousand rows are written first
def test_the_newest_of_many_are_read_in_a_moment(database: Database, file: Path) -> None:
    def rows(first: int) -> Sequence[Notice]:
        return [alert(f"{first + each}", AT + (first + each) * SECOND_NS, rule=f"r{each % 7}") for each in range(5_000)]

    for first in range(0, 50_000, 5_000):
        notices = rows(first)
        database.commit(Batch(AT, notices, deliveries=[delivery(each.id, Status.DELIVERED) for each in notices]))
    started = time.perf_counter()
    assert len(ids(file, since=AT, limit=200)) == 200
    assert len(ids(file, rule="r3", limit=200)) == 200
    assert len(reading.names(file).rules) == 7
    assert reading.count_dead(file, Chosen()) == 0
    assert time.perf_counter() - started < 0.5


def test_a_row_that_a_disk_has_damaged_is_said_to_be(database: Database, file: Path) -> None:
    database.commit(Batch(AT, [alert("a")], deliveries=[delivery("a", Status.DELIVERED)]))
    with closing(sqlite3.connect(file, isolation_level=None)) as disk:
        disk.execute("UPDATE delivery SET status = 'deliverEd'")
    with pytest.raises(DatabaseError, match="is broken: a row of it cannot be read"):
        reading.history(file, Wanted())
