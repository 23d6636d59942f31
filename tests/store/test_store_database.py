import logging
import os
import random
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from committing import NOTICES, batch
from delivery_samples import AT, a_notice, an_alert

from engine.alert import Suppression
from engine.delivery.notice import system_notice
from engine.delivery.parcel import Delivery, Kept, Status
from engine.evaluation.lifecycle import REST, Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.kst import DAY_NS, SECOND_NS, day_number, day_start
from engine.locale import Locale
from engine.rules.model import Severity
from engine.store import database as module
from engine.store import reading
from engine.store.batch import Batch, Ending, Past, Row
from engine.store.database import KEPT_NS, PIECE, Database, DatabaseError, NewerDatabaseError
from engine.store.reading import Wanted
from engine.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

DAY = day_number(AT)
FIRING = Life(Phase.FIRING, AT - 5, unmet_since=AT - 1, told_at=AT - 5, repeats=2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def database(file: Path) -> Iterator[Database]:
    opened = Database.open(file)
    assert (opened.set_aside, opened.trouble) == (None, None)
    yield opened.database
    opened.database.close()


def again(file: Path) -> Database:
    opened = Database.open(file)
    assert (opened.set_aside, opened.trouble) == (None, None)
    return opened.database


def alert(ident: str, at: int = AT, **more: object) -> Batch:
    return Batch(at, [a_notice(ident, at=at, alert=an_alert(id=ident, at=at, **more))])


def rows(file: Path) -> list[Row]:
    return [entry.row for entry in reading.history(file, Wanted())]


def ids(file: Path) -> list[str]:
    return [row.id for row in rows(file)]


def test_a_new_one_is_empty_and_the_owners_alone(database: Database, file: Path) -> None:
    assert database.past(DAY) == Past(None, None, (), frozenset())
    assert rows(file) == []
    database.commit(alert("a"))
    assert len(list(file.parent.iterdir())) == 3
    assert {stat.S_IMODE(each.stat().st_mode) for each in file.parent.iterdir()} == {0o600}


def test_one_that_others_could_read_is_closed_to_them(file: Path) -> None:
    again(file).close()
    file.chmod(0o644)
    again(file).close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_was_stored_is_there_after_a_restart(database: Database, file: Path) -> None:
    standing = Standing("a", "005930", "f1", FIRING, Tally(3, AT - 5))
    notices = [
        a_notice("n1", alert=an_alert(id="n1", suppressed=Suppression.COOLDOWN), name="삼성전자"),
        system_notice("feed-lost", AT, Severity.WARNING, title="t", message="m", notify=("desk",)),
    ]
    database.commit(
        Batch(AT, notices, [standing], [Ending("old", "000660", AT, "SK하이닉스")], checkpoint="all that is known")
    )
    database.close()

    past = again(file).past(DAY)
    assert (past.mark, past.checkpoint, past.standings) == (AT, "all that is known", (standing,))
    ending = Ending("old", "000660", AT).id
    assert past.known == {"n1", f"feed-lost-{AT}", ending}
    stored = rows(file)
    assert [(row.id, row.rule, row.symbol, row.state, row.suppressed) for row in stored] == [
        ("n1", "semis-program-buying", "005930", "firing", "cooldown"),
        (f"feed-lost-{AT}", None, None, "system", None),
        (ending, "old", "000660", "ended", None),
    ]
    assert [stored[0].line, stored[1].line] == [notice.to_json() for notice in notices]
    assert stored[2].line == (
        f'{{"id":"{ending}","rule":"old","symbol":"000660","name":"SK하이닉스","state":"ended",'
        '"at":"2026-11-20T09:05:30.000000+09:00"}'
    )


def test_the_last_mark_holds_and_the_last_checkpoint_until_there_is_a_newer_one(database: Database) -> None:
    database.commit(Batch(AT, checkpoint="first"))
    database.commit(Batch(AT + 1))
    past = database.past(DAY)
    assert (past.mark, past.checkpoint) == (AT + 1, "first")
    database.commit(Batch(AT + DAY_NS, checkpoint="second"))
    past = database.past(DAY)
    assert (past.mark, past.checkpoint) == (AT + DAY_NS, "second")


def test_a_known_id_is_the_same_alert_and_the_first_stays(database: Database, file: Path) -> None:
    database.commit(alert("a"))
    (first,) = rows(file)
    database.commit(Batch(AT + 1, [a_notice("a", title="another", alert=an_alert(id="a")), a_notice("b")]))
    assert rows(file)[0] == first
    assert ids(file) == ["a", "b"]


def test_a_standing_is_replaced_and_gone_when_there_is_nothing_to_carry(database: Database) -> None:
    def stand(life: Life, tally: Tally, fingerprint: str = "f") -> tuple[Standing, ...]:
        database.commit(Batch(AT, standings=[Standing("a", "005930", fingerprint, life, tally)]))
        return database.past(DAY).standings

    assert stand(FIRING, Tally(1, AT)) == (Standing("a", "005930", "f", FIRING, Tally(1, AT)),)
    assert stand(REST, Tally(1, AT), "f2") == (Standing("a", "005930", "f2", REST, Tally(1, AT)),)
    assert stand(REST, Tally()) == ()


def test_what_was_pending_is_not_carried_but_its_tally_is(database: Database) -> None:
    pending = Life(Phase.PENDING, AT)
    database.commit(
        Batch(AT, standings=[Standing("a", "s", "f", pending, Tally(1, AT)), Standing("b", "s", "f", pending, Tally())])
    )
    assert database.past(DAY).standings == (Standing("a", "s", "f", REST, Tally(1, AT)),)


def test_a_standing_belongs_to_its_day(database: Database, file: Path) -> None:
    database.commit(Batch(AT, standings=[Standing("a", "s", "f", FIRING, Tally(1, AT))]))
    assert len(database.past(DAY).standings) == 1
    assert database.past(DAY + 1).standings == ()
    database.commit(Batch(AT + DAY_NS, standings=[Standing("b", "s", "f", FIRING, Tally(1, AT))]))
    assert [each.rule for each in database.past(DAY + 1).standings] == ["b"]
    with closing(sqlite3.connect(file)) as reader:
        assert reader.execute("SELECT rule FROM standing").fetchall() == [("b",)]


def test_known_are_the_ids_from_the_first_moment_of_the_day(database: Database) -> None:
    midnight = day_start(DAY)
    for ident, at in (("before", midnight - 1), ("first", midnight), ("later", AT)):
        database.commit(alert(ident, at))
    assert database.past(DAY).known == {"first", "later"}


def test_history_older_than_a_year_goes_in_small_pieces(database: Database, file: Path) -> None:
    old = [a_notice(f"o{number:04d}", at=AT + number) for number in range(3 * PIECE)]
    database.commit(Batch(AT, [*old, a_notice("young", at=AT + SECOND_NS)]))
    now = AT + KEPT_NS + SECOND_NS
    left = []
    for _ in range(4):
        database.commit(Batch(now))
        left.append(len(rows(file)))
    assert left == [2 * PIECE + 1, PIECE + 1, 1, 1]
    assert ids(file) == ["young"]


def test_history_has_a_limit_however_young_it_is(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 10)
    for number in range(50):
        database.commit(Batch(AT, [a_notice(f"{number}.{each}") for each in range(3)]))
    assert len(rows(file)) == 10
    assert ids(file)[-1] == "49.2"


def test_who_forgets_starts_empty_and_goes_on(database: Database) -> None:
    database.commit(batch(1))
    database.forget()
    assert database.past(DAY) == Past(None, None, (), frozenset())
    database.commit(batch(1))
    assert len(database.past(DAY).known) == NOTICES + 1


def test_a_batch_that_fails_in_its_midst_leaves_nothing(database: Database, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON progress BEGIN SELECT RAISE(ABORT, 'not now'); END")
        with pytest.raises(DatabaseError, match="not now"):
            database.commit(batch(1))
        assert database.past(DAY) == Past(None, None, (), frozenset())
        other.execute("DROP TRIGGER no")
    database.commit(batch(1))
    assert database.past(DAY).mark == AT + 1


def test_a_defect_of_ours_leaves_nothing_and_is_no_error_of_the_disk(database: Database, file: Path) -> None:
    with pytest.raises(AttributeError):
        database.commit(Batch(AT, [a_notice("a"), None]))  # type: ignore[list-item]  # that is the defect
    database.commit(Batch(AT, [a_notice("b")]))
    assert ids(file) == ["b"]


def test_who_writes_with_a_tool_of_their_own_delays_and_does_not_break(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    monkeypatch.setattr(module, "_BUSY_S", 0.05)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseError, match="locked"):
            database.commit(batch(1))
        other.execute("ROLLBACK")
        database.commit(batch(1))
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM history").fetchone() == (NOTICES + 1,)
        database.commit(batch(2))  # a reader holds nobody up
    assert database.past(DAY).mark == AT + 2


def test_a_file_that_was_taken_away_is_an_error_once_and_then_a_fresh_one(database: Database, file: Path) -> None:
    database.commit(batch(1))
    for each in file.parent.iterdir():
        each.unlink()
    with pytest.raises(DatabaseError):
        database.commit(batch(2))
    database.commit(batch(2))
    assert again(file).past(DAY).mark == AT + 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_put_in_its_place_is_the_one_that_is_written(database: Database, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    again(other).close()
    other.replace(file)
    with pytest.raises(DatabaseError, match="another file"):
        database.commit(batch(1))
    database.commit(batch(1))
    assert again(file).past(DAY).mark == AT + 1


@pytest.mark.parametrize("content", [b"x", b"no database " * 1000, b"SQLite format 3\0" + b"\xff" * 8000])
def test_what_is_no_database_is_set_aside_loudly(file: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    file.write_bytes(content)
    opened = Database.open(file)
    assert opened.set_aside == file.with_name("state.db.broken-1")
    assert stat.S_IMODE(opened.set_aside.stat().st_mode) == 0o600
    assert opened.set_aside.read_bytes() == content
    assert "database set aside file=state.db as=state.db.broken-1" in caplog.text
    opened.database.commit(batch(1))
    opened.database.close()
    assert again(file).past(DAY).mark == AT + 1


def test_one_that_is_torn_inside_is_set_aside(file: Path) -> None:
    database = again(file)
    for number in range(200):
        database.commit(batch(number))
    database.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + random.Random(5).randbytes(len(whole) - 12288) + whole[-4096:])
    opened = Database.open(file)
    assert opened.set_aside is not None
    assert rows(file) == []


def test_a_database_of_somebody_else_is_set_aside_whole(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("CREATE TABLE theirs (x)")
        other.execute("INSERT INTO theirs VALUES (1)")
        other.commit()
    opened = Database.open(file)
    assert opened.set_aside is not None
    with closing(sqlite3.connect(opened.set_aside)) as other:
        assert other.execute("SELECT * FROM theirs").fetchall() == [(1,)]


def test_only_so_many_broken_ones_are_kept(file: Path) -> None:
    for number in range(module.MAX_SET_ASIDE + 3):
        file.write_bytes(b"broken %d" % number)
        Database.open(file).database.close()
    kept = sorted(each.name for each in file.parent.glob("*.broken-*"))
    assert kept == [f"state.db.broken-{number}" for number in range(1, module.MAX_SET_ASIDE + 1)]
    assert (file.parent / kept[-1]).read_bytes() == b"broken %d" % (module.MAX_SET_ASIDE + 2)


def test_an_empty_file_of_a_full_disk_is_a_new_database(file: Path) -> None:
    file.touch()
    again(file).commit(batch(1))


HALF_A_TRANSACTION = """
import os, sqlite3, sys
half = sqlite3.connect(sys.argv[1], isolation_level=None)
half.execute("PRAGMA journal_mode = DELETE")
half.execute("PRAGMA cache_size = 1")
half.execute("BEGIN")
half.execute("UPDATE history SET line = hex(randomblob(3000))")
os._exit(9)
"""


def test_a_kill_before_there_was_a_log_is_taken_back(file: Path) -> None:
    """What strace found: killed at the eighth write of its life, a database could not be opened any more."""
    database = again(file)
    for number in range(1, 6):
        database.commit(batch(number))
    before = rows(file)
    database.close()
    subprocess.run([sys.executable, "-c", HALF_A_TRANSACTION, str(file)], check=False)
    assert file.with_name("state.db-journal").stat().st_size > 0
    again(file).close()
    assert rows(file) == before


def test_one_of_a_newer_version_is_refused_and_not_touched(file: Path) -> None:
    database = again(file)
    database.commit(batch(1))
    database.close()
    with closing(sqlite3.connect(file)) as newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(NewerDatabaseError) as caught:
        Database.open(file)
    assert f"{VERSION + 1}" in caught.value.text(Locale.EN)
    assert "더 새로운" in caught.value.text(Locale.KO)
    assert file.read_bytes() == before


def test_a_newer_one_that_was_killed_is_not_touched_either(file: Path, tmp_path: Path) -> None:
    """Its version then stands in the log beside the file only."""
    there = tmp_path / "newer"
    there.mkdir()
    living = again(file)
    with closing(sqlite3.connect(file)) as newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
        for each in ("state.db", "state.db-wal"):
            (there / each).write_bytes((tmp_path / each).read_bytes())
    living.close()
    before = {each.name: each.read_bytes() for each in there.iterdir()}
    with pytest.raises(NewerDatabaseError):
        Database.open(there / "state.db")
    assert {each.name: each.read_bytes() for each in there.iterdir() if each.suffix != ".db-shm"} == before


def test_an_older_version_is_brought_up_and_keeps_what_it_has(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = again(file)
    database.commit(batch(1))
    database.close()
    later = (*MIGRATIONS, ("ALTER TABLE history ADD COLUMN more TEXT", "UPDATE history SET more = 'new'"))
    monkeypatch.setattr(module, "MIGRATIONS", later)
    monkeypatch.setattr(module, "VERSION", VERSION + 1)
    database = again(file)
    assert database.past(DAY).mark == AT + 1
    with closing(sqlite3.connect(file)) as reader:
        assert reader.execute("SELECT DISTINCT more FROM history").fetchall() == [("new",)]
        assert reader.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


def test_a_step_that_fails_leaves_the_version_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = again(file)
    database.commit(batch(1))
    database.close()
    with monkeypatch.context() as patch:
        patch.setattr(module, "MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE history ADD COLUMN more", "nonsense")))
        patch.setattr(module, "VERSION", VERSION + 1)
        opened = Database.open(file)
        assert opened.set_aside is None
        assert opened.trouble is not None
    assert again(file).past(DAY).mark == AT + 1


def test_where_there_is_no_folder_it_says_so_and_goes_on_when_there_is_one(tmp_path: Path) -> None:
    opened = Database.open(tmp_path / "later" / "state.db")
    assert opened.trouble is not None
    assert "No such file" in opened.trouble.text(Locale.EN) or "unable to open" in opened.trouble.text(Locale.EN)
    with pytest.raises(DatabaseError):
        opened.database.commit(batch(1))
    (tmp_path / "later").mkdir()
    opened.database.commit(batch(1))
    assert opened.database.past(DAY).mark == AT + 1


def test_a_full_database_raises_stores_nothing_of_the_batch_and_goes_on_when_there_is_room(
    database: Database, file: Path
) -> None:
    database.commit(batch(1))
    connection = database._connection
    assert connection is not None
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    stored = 1 + _commit_until_refused(database, 2)
    assert len(database.past(DAY).known) == stored * (NOTICES + 1)
    connection.execute("PRAGMA max_page_count = 1000000")
    database.commit(batch(stored + 1))
    assert len(again(file).past(DAY).known) == (stored + 1) * (NOTICES + 1)


def _commit_until_refused(database: Database, first: int) -> int:
    for number in range(first, 100):
        try:
            database.commit(batch(number))
        except DatabaseError as error:
            assert "full" in str(error)
            return number - first
    raise AssertionError("never full")


SMALL_DISK = """
import sys
from pathlib import Path
from typing import Any
from committing import batch
from engine.store.database import Database, DatabaseError
folder = Path(sys.argv[1])
filler = folder / "filler"
filler.write_bytes(b"x" * 600_000)
database = Database.open(folder / "state.db").database
number, refused = 1, 0
while refused < 3:
    try:
        database.commit(batch(number))
        number += 1
    except DatabaseError as error:
        refused += 1
filler.unlink()
database.commit(batch(number))
print(number, len(database.past(%d).known))
"""


def _may_mount() -> bool:
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False, capture_output=True)
    return done.returncode == 0


@pytest.mark.skipif(not Path("/usr/bin/unshare").exists() or not _may_mount(), reason="needs a mount namespace")
def test_a_disk_that_is_full_and_then_has_room(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=1m none {tmp_path} && exec {sys.executable} -c '{SMALL_DISK % DAY}' {tmp_path}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    number, known = (int(each) for each in done.stdout.split())
    assert number > 1
    assert known == number * (NOTICES + 1)


def test_it_logs_nothing_of_what_it_holds(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    again(file).commit(batch(1))
    assert "program" not in caplog.text


@pytest.mark.slow  # a dozen processes are started, work for a moment and are killed
def test_killed_at_any_moment_a_batch_is_there_whole_or_not_at_all(file: Path) -> None:
    draw = random.Random(20261120)
    first = 1
    for _ in range(12):
        acknowledged = _commit_until_killed(file, first, draw.uniform(0.0, 0.08))
        database = again(file)
        past = database.past(DAY)
        assert past.mark is not None
        last = past.mark - AT
        assert last in (acknowledged, acknowledged + 1)
        assert past.checkpoint == batch(last).checkpoint
        assert list(past.standings) == batch(last).standings
        alerts = {f"{number}.{each}" for number in range(1, last + 1) for each in range(NOTICES)}
        assert past.known == alerts | {batch(number).endings[0].id for number in range(1, last + 1)}
        database.close()
        first = last + 1
    assert first > 12  # each was killed after its first batch at the earliest


def _commit_until_killed(file: Path, first: int, seconds: float) -> int:
    """→ the last batch of which it said that it is done."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(__file__).with_name("committing.py")), str(file), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        said = process.stdout.read().splitlines()
    whole = [line for line in said if line.isdigit()]
    return int(whole[-1]) if whole else first


def delivery(ident: str, status: Status, target: str = "t", **more: Any) -> Delivery:
    return Delivery(
        **{"id": ident, "target": target, "name": "desk[1]", "status": status, "at": AT, "due_from": AT, **more}
    )


def test_what_is_not_delivered_is_found_again_with_all_that_sending_needs(database: Database, file: Path) -> None:
    sent = an_alert(id="a", since=AT - 1_000, record_time=None, labels=(("desk", "1"),))
    notices = [
        a_notice("a", alert=sent, name="삼성전자", line="한 줄", size=1.25, chart=True),
        system_notice("target-failing", AT, Severity.WARNING, title="t", message="m", notify=("desk", "phone")),
        a_notice("done", alert=an_alert(id="done")),
    ]
    steps = [
        delivery("a", Status.ATTEMPTING, attempts=2, may_repeat=True, reason="HTTP 503"),
        delivery("a", Status.DELIVERED, "other"),
        delivery(f"target-failing-{AT}", Status.EXPIRED, unlisted=True),
        delivery("done", Status.DELIVERED),
    ]
    database.commit(Batch(AT, notices, deliveries=steps))
    database.close()
    assert again(file).undelivered() == (Kept(notices[0], steps[0]), Kept(notices[1], steps[2]))


def test_the_last_step_of_a_delivery_counts(database: Database) -> None:
    database.commit(Batch(AT, [a_notice("a")], deliveries=[delivery("a", Status.QUEUED)]))
    database.commit(
        Batch(AT, deliveries=[delivery("a", Status.EXPIRED, unlisted=True), delivery("a", Status.DELIVERED)])
    )
    assert database.undelivered() == ()


def test_a_delivery_of_what_was_never_stored_is_not_kept(database: Database, file: Path) -> None:
    database.commit(Batch(AT, deliveries=[delivery("gone", Status.QUEUED)]))
    with sqlite3.connect(file) as reader:
        assert reader.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


def test_deliveries_go_with_the_history_they_belong_to(database: Database, file: Path) -> None:
    database.commit(Batch(AT, [a_notice("a")], deliveries=[delivery("a", Status.DELIVERED)]))
    database.commit(Batch(AT + KEPT_NS + 1, [a_notice("b")]))
    with sqlite3.connect(file) as reader:
        assert reader.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


def test_a_database_of_the_first_version_keeps_its_history(file: Path) -> None:
    with sqlite3.connect(file) as old:
        for statement in MIGRATIONS[0]:
            old.execute(statement)
        old.execute(
            "INSERT INTO history (id, at, rule, symbol, state, line) VALUES ('a', 5, 'r', '005930', 'firing', '{}')"
        )
        old.execute("PRAGMA user_version = 1")
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.close()
    database = again(file)
    assert ids(file) == ["a"]
    assert database.undelivered() == ()
    database.commit(Batch(AT, [a_notice("b")], deliveries=[delivery("b", Status.QUEUED)]))
    assert [each.notice.id for each in database.undelivered()] == ["b"]


def test_what_was_given_up_and_has_been_listed_is_listed_no_more(database: Database, file: Path) -> None:
    given_up = delivery("a", Status.EXPIRED, unlisted=True)
    database.commit(Batch(AT, [a_notice("a")], deliveries=[delivery("a", Status.QUEUED)]))
    database.commit(Batch(AT, deliveries=[given_up]))
    assert [each.delivery for each in database.undelivered()] == [given_up]
    database.commit(Batch(AT, deliveries=[replace(given_up, unlisted=False)]))
    database.close()
    assert again(file).undelivered() == ()


def test_a_row_that_a_disk_has_damaged_keeps_no_other_back(
    database: Database, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is whole, a text in it is not: no start got beyond it, and whoever asked for it ended the daemon."""
    idents = ("a", "b", "c", "d")
    steps = [delivery(ident, Status.EXPIRED, unlisted=True) for ident in idents]
    database.commit(Batch(AT, [a_notice(ident) for ident in idents], deliveries=steps))
    database.close()
    with sqlite3.connect(file) as disk:
        disk.execute("UPDATE history SET line = substr(line, 2) WHERE id = 'a'")
        disk.execute("UPDATE history SET letter = '[]' WHERE id = 'b'")
        disk.execute("UPDATE delivery SET status = 'expireD' WHERE id = 'c'")
    disk.close()
    assert [each.notice.id for each in again(file).undelivered()] == ["d"]
    assert [f"undelivered and unreadable id={ident}" in caplog.text for ident in idents] == [True, True, True, False]
    assert [each.notice.id for each in reading.dead(file, reading.Chosen())] == ["d"]
