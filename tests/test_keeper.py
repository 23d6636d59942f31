"""What stands between evaluation and delivery: lines, then alerts, then words; with real files."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
import trio

from engine import keeper
from engine.delivery.notice import Notice, system_notice
from engine.delivery.parcel import Parcel, Status
from engine.evaluation.lifecycle import Life, Phase, Tally
from engine.evaluation.standing import Standing
from engine.keeper import Keeper, Trouble, Work
from engine.kst import SECOND_NS, day_of, day_start
from engine.locale import Text
from engine.recording import reader
from engine.recording.writer import Writer
from engine.rules.model import Severity
from engine.store.batch import Batch, Ending
from engine.store.database import Database, DatabaseError
from engine.stream import Alive, Down, Event, Start, Up

DAY = day_of(date(2026, 11, 20))
NOON = day_start(DAY) + 12 * 3600 * SECOND_NS


def notice(seconds: int) -> Notice:
    at = NOON + seconds * SECOND_NS
    return system_notice("test", at, Severity.INFO, title="title", message="", notify=("terminal",))


class SlowWriter(Writer):
    """A disk that answers when it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, days=60, size_bytes=10**9)
        self.answers = threading.Event()
        self.answers.set()

    def write(self, events: Sequence[Event]) -> None:  # type: ignore[override]  # the keeper gives a list
        assert self.answers.wait(20)
        super().write(events)


@dataclass
class Desk:
    """A keeper on real files, and what it told when."""

    folder: Path
    writer: SlowWriter
    database: Database
    told: list[Notice] = field(default_factory=list)
    parcels: list[Parcel] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    routed: set[str] = field(default_factory=set)
    seen: list[tuple[int, int]] = field(default_factory=list)
    """At each telling: lines in the recording, alerts in the database."""

    def route(self, notices: Sequence[Notice], now: int) -> Sequence[Parcel]:
        new = [notice for notice in notices if notice.id not in self.routed]
        self.routed.update(notice.id for notice in new)
        return [Parcel(notice, "t", "terminal", now, notice.at) for notice in new]

    def ended(self, endings: Sequence[Ending]) -> None:
        self.endings += endings

    def take(self, notices: Sequence[Notice], parcels: Sequence[Parcel], now: int) -> None:
        self.parcels += parcels
        self.told += notices
        self.seen.append((len(self.lines()), len(self.stored())))

    def steps(self) -> dict[str, str]:
        with sqlite3.connect(f"file:{self.folder / 'state.db'}?mode=ro", uri=True) as connection:
            return dict(connection.execute("select id, status from delivery"))

    def lines(self) -> list[Event]:
        found = reader.day_file(self.folder / "recordings", date(2026, 11, 20))
        return [] if found is None else list(reader.events([found]))

    def stored(self) -> list[str]:
        with sqlite3.connect(f"file:{self.folder / 'state.db'}?mode=ro", uri=True) as connection:
            return [row[0] for row in connection.execute("select id from history")]


@asynccontextmanager
async def keeping(folder: Path) -> AsyncIterator[tuple[Desk, Keeper]]:
    desk = Desk(folder, SlowWriter(folder / "recordings"), Database.open(folder / "state.db").database)
    desk.writer.open(NOON)
    kept = Keeper(desk.writer, desk.database, desk, NOON, lambda: NOON)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.run)
        yield desk, kept
        desk.writer.answers.set()
        nursery.cancel_scope.cancel()
    desk.writer.close()
    desk.database.close()


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)


async def test_an_alert_is_told_after_it_is_stored_and_stored_after_its_line(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON), Up(NOON, ("005930",))), (notice(0),), mark=NOON))
        await until(lambda: bool(desk.told))
    assert desk.told == [notice(0)]
    assert desk.seen == [(2, 1)]


async def test_a_firing_that_ended_without_a_word_is_passed_on_once(tmp_path: Path) -> None:
    ending = Ending("rule", "005930", NOON)
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work(endings=[ending], mark=NOON))
        await until(lambda: bool(desk.endings))
        assert desk.stored() == [ending.id]
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await until(lambda: bool(desk.told))
    assert desk.endings == [ending]


async def test_an_alert_and_whom_it_goes_to_are_stored_as_one(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await until(lambda: bool(desk.told))
        assert desk.steps() == {notice(0).id: "queued"}


async def test_who_waits_for_a_step_of_a_delivery_goes_on_when_it_is_stored(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        for status in (Status.ATTEMPTING, Status.DELIVERED):
            kept.keep([Parcel(notice(0), "t", "terminal", NOON, NOON).delivery(status, NOON)])
            await kept.stored()
            assert desk.steps() == {notice(0).id: status}
        with trio.fail_after(0.1):
            await kept.stored()  # nothing is on its way


@pytest.mark.parametrize("at_once", [True, False])
async def test_who_waits_for_a_disk_that_hangs_goes_on_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.3)
    async with keeping(tmp_path) as (desk, kept):
        desk.writer.answers.clear()
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        if not at_once:
            await trio.sleep(0.1)  # it is being written, or rather not
        assert kept.lag_s() == pytest.approx(0 if at_once else 0.1, abs=0.05)
        with trio.fail_after(2):
            await kept.stored()
        assert kept.lag_s() >= 0.25
        desk.writer.answers.set()
        await until(lambda: desk.steps() == {notice(0).id: "queued"})
        await until(lambda: kept.lag_s() == 0)


@pytest.mark.slow  # a database that somebody holds is waited for a second
async def test_steps_that_a_database_refused_are_stored_when_it_takes_them_and_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await kept.stored()
        monkeypatch.setattr(keeper, "RETRY_S", 0.0)
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("begin immediate")
        kept.put(Work(notices=(notice(1),)))
        await kept.stored()
        monkeypatch.setattr(keeper, "RETRY_S", 60.0)
        for status in (Status.ATTEMPTING, Status.DELIVERED):
            kept.keep([Parcel(notice(1), "t", "terminal", NOON, NOON).delivery(status, NOON)])
            await kept.stored()
        assert kept.trouble.store is not None
        other.execute("rollback")
        other.close()
        monkeypatch.setattr(keeper, "RETRY_S", 0.0)
        kept.put(Work(notices=(notice(2),)))
        await kept.stored()
        assert kept.trouble == Trouble()
        assert desk.steps() == {notice(0).id: "queued", notice(1).id: "delivered", notice(2).id: "queued"}


async def test_lines_wait_a_second_for_company_and_no_longer(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),)))
        kept.put(Work((Alive(NOON + SECOND_NS),)))
        await trio.sleep(0.3)
        assert desk.lines() == []
        await until(lambda: len(desk.lines()) == 2, 2)
    assert desk.told == []


async def test_what_came_last_is_kept_at_the_end(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON + 1))
        await kept.finish()
    assert desk.told == [notice(0)]
    assert desk.seen == [(1, 1)]


async def test_a_start_finds_the_mark_and_where_rules_stood(tmp_path: Path) -> None:
    standing = Standing("rule", "005930", "f", Life(Phase.FIRING, NOON, told_at=NOON), Tally(1, NOON))
    async with keeping(tmp_path) as (_, kept):
        kept.put(Work(notices=(notice(0),)))
        kept.put(Work(standings=(standing,), mark=NOON + 5 * SECOND_NS))
        kept.put(Work(notices=(notice(1),)))  # says nothing of the evaluation: the mark stays
        await kept.finish()
    database = Database.open(tmp_path / "state.db").database
    past = database.past(DAY)
    database.close()
    assert past.mark == NOON + 5 * SECOND_NS
    assert past.standings == (standing,)
    assert past.known == {notice(0).id, notice(1).id}


async def test_a_disk_that_hangs_delays_an_alert_by_seconds_and_leaves_a_hole_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.2)
    monkeypatch.setattr(keeper, "MAX_WAITING", 10)
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON), Up(NOON, ("005930",)))))
        await until(lambda: len(desk.lines()) == 2)
        desk.writer.answers.clear()
        kept.put(Work((Alive(NOON + 1),), (notice(0),), mark=NOON + 1))
        await until(lambda: bool(desk.told), 2)
        kept.put(Work((Down(NOON + 2, ("005930",)), Up(NOON + 3, ("000660",)))))
        for number in range(20):
            kept.put(Work((Alive(NOON + 10 + number),)))
        desk.writer.answers.set()
        await until(lambda: notice(0).id in desk.stored())
        kept.put(Work((Alive(NOON + SECOND_NS),), (notice(1),), mark=NOON + SECOND_NS))
        await until(lambda: len(desk.told) == 2)
        lines = desk.lines()
    assert desk.told == [notice(0), notice(1)]
    after = lines[lines.index(Alive(NOON + 1)) + 1 :]
    assert isinstance(after[0], Down)
    assert after[0].symbols == ("*",)
    assert ("000660",) in [event.symbols for event in after if isinstance(event, Up)]
    assert ("005930",) not in [event.symbols for event in after if isinstance(event, Up)]


@pytest.mark.slow  # a database that somebody holds is waited for a second
async def test_a_database_that_refuses_keeps_no_alert_back_and_gets_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RETRY_S", 0.2)
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await until(lambda: len(desk.told) == 1)
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("begin exclusive")
        kept.put(Work((Alive(NOON + 1),), (notice(1),), mark=NOON + 1))
        await until(lambda: len(desk.told) == 2)
        assert kept.trouble.store is not None
        assert kept.trouble.recording is None
        other.execute("rollback")
        other.close()
        await trio.sleep(0.3)
        kept.put(Work((Alive(NOON + 2),), (notice(2),), mark=NOON + 2))
        await until(lambda: len(desk.told) == 3)
        assert kept.trouble == Trouble()
        assert set(desk.stored()) == {notice(0).id, notice(1).id, notice(2).id}


@pytest.mark.slow  # a database that somebody holds is waited for a second
async def test_what_a_disk_refused_is_stored_at_the_end_if_it_takes_it_by_then(tmp_path: Path) -> None:
    """The end came within the ten seconds after which it would have been tried again, and alerts were in no history."""
    async with keeping(tmp_path) as (desk, kept):
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("begin exclusive")
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await until(lambda: len(desk.told) == 1)
        assert kept.trouble.store is not None
        other.execute("rollback")
        other.close()
        kept.put(Work((Alive(NOON + 1),), (notice(1),), mark=NOON + 1))
        await kept.finish()
        assert set(desk.stored()) == {notice(0).id, notice(1).id}
        assert kept.trouble.store is None


async def test_nothing_to_write_does_not_prove_that_the_disk_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In quiet hours a word of the daemon came between two lines, and the recording went on and stopped in turns."""
    monkeypatch.setattr(keeper, "RETRY_S", 0.0)
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await until(lambda: len(desk.told) == 1)
        folder = tmp_path / "recordings"
        folder.rename(tmp_path / "away")
        folder.touch()  # a file where the folder was
        kept.put(Work((Alive(NOON + 1),), (notice(1),), mark=NOON + 1))
        await until(lambda: len(desk.told) == 2)
        assert kept.trouble.recording is not None
        kept.put(Work(notices=(notice(2),)))
        await until(lambda: len(desk.told) == 3)
        assert kept.trouble.recording is not None


async def test_more_alerts_than_a_database_may_owe_are_all_told(tmp_path: Path) -> None:
    many = tuple(notice(number) for number in range(keeper.MAX_UNSTORED + 500))
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), many, mark=NOON))
        await until(lambda: len(desk.told) == len(many), 15)


async def test_what_comes_after_the_end_has_not_been(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        await kept.finish()
        kept.put(Work((Alive(NOON + 1),), (notice(1),), mark=NOON + 1))
        await trio.sleep(0.2)
    assert desk.told == [notice(0)]
    assert desk.stored() == [notice(0).id]


async def test_a_notice_that_came_again_before_it_was_stored_still_went_out(tmp_path: Path) -> None:
    """The second had nobody to go to, being known, and took the place of the first."""
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        kept.put(Work(notices=(notice(0),)))
        await until(lambda: bool(desk.told))
    assert [parcel.notice for parcel in desk.parcels] == [notice(0)]


async def test_who_waited_in_vain_for_a_disk_that_hangs_finds_the_alerts_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of a run two patiences raced: where the shorter one won, the workers ended before the alert came."""
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.05)
    async with keeping(tmp_path) as (desk, kept):
        for number in range(5):
            desk.writer.answers.clear()
            kept.put(Work((Alive(NOON + number),), (notice(number),), mark=NOON + number))
            await kept.stored()
            assert [parcel.notice for parcel in desk.parcels] == [notice(each) for each in range(number + 1)]
            desk.writer.answers.set()
            await kept.caught_up()


async def test_a_step_of_a_delivery_does_not_take_the_mark_back(tmp_path: Path) -> None:
    """It says nothing of what is evaluated: a start from nought would have told the whole day once more."""
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON + 5))
        await until(lambda: bool(desk.told))
        kept.keep([desk.parcels[0].delivery(Status.ATTEMPTING, NOON)])
        await kept.stored()
    assert Database.open(tmp_path / "state.db").database.past(DAY).mark == NOON + 5


async def test_an_end_that_takes_too_long_tells_what_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def hang(*_: object) -> None:
        over.wait(20)
        raise TimeoutError  # the thread is left behind: it must not get to a database that is being closed

    monkeypatch.setattr(SlowWriter, "write", hang)
    async with keeping(tmp_path) as (desk, kept):
        kept.put(Work((Start(NOON),), (notice(0),), mark=NOON))
        with trio.move_on_after(0.1):
            await kept.finish()
        assert desk.told == [notice(0)]
        over.set()


async def test_of_what_a_database_refuses_so_much_is_kept_in_memory_and_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RETRY_S", 0.0), ("MAX_UNSTORED", 3), ("MAX_UNSTORED_DELIVERIES", 2)):
        monkeypatch.setattr(keeper, name, value)
    commit = Database.commit

    def refuse(database: Database, _: Batch) -> None:
        raise DatabaseError(database_file, Text("no", "no"))

    database_file = tmp_path / "state.db"
    async with keeping(tmp_path) as (desk, kept):
        monkeypatch.setattr(Database, "commit", refuse)
        for number in range(5):
            kept.put(Work(notices=(notice(number),), mark=NOON + number))
            await kept.stored()
        monkeypatch.setattr(Database, "commit", commit)
        kept.put(Work(mark=NOON + 5, checkpoint="{}"))
        await kept.stored()
        assert desk.stored() == [notice(number).id for number in (2, 3, 4)]
        assert sorted(desk.steps()) == [notice(number).id for number in (3, 4)]
        assert len(desk.told) == 5


async def test_at_a_disk_that_hangs_there_is_never_a_second_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, began, commit = threading.Event(), [], Database.commit

    def hang(database: Database, batch: Batch) -> None:
        began.append(threading.get_ident())
        assert answers.wait(20)
        commit(database, batch)

    monkeypatch.setattr(Database, "commit", hang)
    monkeypatch.setattr(keeper, "PATIENCE_S", 0.05)
    async with keeping(tmp_path) as (desk, kept):
        for number in range(3):
            kept.put(Work(notices=(notice(number),), mark=NOON))
            await until(lambda: len(desk.told) == number + 1)  # noqa: B023  awaited in the same turn
        assert len(began) == 1
        answers.set()
        await kept.caught_up()
        assert len(desk.stored()) == 3
