"""What could not be delivered and is asked for, with a real outbox, keeper and database."""

import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from delivery_samples import a_notice

from engine import keeper, undelivered
from engine.clock import Clock
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Status
from engine.delivery.target import Address, Delivered, Refused
from engine.errors import PgmwatchError
from engine.keeper import Keeper, Work
from engine.locale import Locale
from engine.store import reading
from engine.store.batch import Batch
from engine.store.database import Database
from engine.store.reading import Wanted
from engine.undelivered import Undelivered

DESK, PHONE = Address("d", "desk[1] slack", ("desk",)), Address("p", "phone", ("phone",))


@dataclass
class Desk:
    """A daemon, as far as messages go."""

    outbox: Outbox
    kept: Keeper
    file: Path
    asked: Undelivered

    async def tell(self, *idents: str, notify: tuple[str, ...] = ("desk",)) -> None:
        self.kept.put(Work(notices=[a_notice(ident, notify=notify) for ident in idents], mark=1))
        await self.kept.caught_up()

    async def refuse(self, target: str = "d") -> None:
        self.outbox.settle(self.outbox.claim(target, 1), Refused("HTTP 403", certain=True), 2)
        await self.kept.caught_up()

    async def ask(self, action: str = "list", *ids: str, **more: Any) -> dict[str, Any]:
        return await self.asked.answer({"command": "dead", "action": action, "ids": list(ids), **more})

    async def dead(self) -> list[str]:
        return [each["id"] for each in (await self.ask())["dead"]]

    def stored(self) -> dict[tuple[str, str], Status]:
        entries = reading.history(self.file, Wanted())
        return {(each.id, each.target): each.status for entry in entries for each in entry.deliveries}


@asynccontextmanager
async def working(folder: Path, *targets: Address) -> AsyncIterator[Desk]:
    file = folder / "state.db"
    database = Database.open(file).database
    outbox, clock = Outbox(targets or (DESK, PHONE)), Clock()
    kept = Keeper(None, database, outbox, 0, clock.now)
    outbox.keep_in(kept)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kept.run)
        yield Desk(outbox, kept, file, Undelivered(outbox, kept, file, clock, Locale.EN))
        await kept.caught_up()
        nursery.cancel_scope.cancel()
    database.close()


async def test_what_was_refused_is_listed_sent_after_all_and_then_listed_no_more(tmp_path: Path) -> None:
    async with working(tmp_path) as desk:
        await desk.tell("a", "b")
        assert (await desk.ask()) == {"dead": [], "missing": [], "matched": 0, "more": 0}
        await desk.refuse()
        assert await desk.dead() == ["a", "b"]
        assert await desk.asked.count() == 2
        assert await desk.ask("retry") == {"queued": 2, "unserved": 0, "missing": [], "matched": 2, "more": 0}
        assert await desk.dead() == []
        batch = desk.outbox.claim("d", 3)
        assert [(parcel.notice.id, parcel.attempts) for parcel in batch.parcels] == [("a", 1), ("b", 1)]
        desk.outbox.settle(batch, Delivered(), 4)
        await desk.kept.caught_up()
        assert set(desk.stored().values()) == {Status.DELIVERED}


async def test_who_asks_twice_or_at_the_same_time_sends_once(tmp_path: Path) -> None:
    async with working(tmp_path) as desk:
        await desk.tell("a")
        await desk.refuse()
        queued: list[int] = []

        async def retry() -> None:
            queued.append((await desk.ask("retry"))["queued"])

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(retry)
        assert sorted(queued) == [0, 0, 0, 0, 1]
        assert desk.outbox.queued()["d"] == 1


async def test_what_is_refused_once_more_is_listed_again(tmp_path: Path) -> None:
    async with working(tmp_path) as desk:
        await desk.tell("a")
        for _ in range(3):
            await desk.refuse()
            assert await desk.dead() == ["a"]
            assert (await desk.ask("retry"))["queued"] == 1


async def test_what_is_dropped_is_gone_from_the_list_and_kept_in_the_history(tmp_path: Path) -> None:
    async with working(tmp_path) as desk:
        await desk.tell("a", "b")
        await desk.refuse()
        assert (await desk.ask("drop", "b"))["dropped"] == 1
        assert await desk.dead() == ["a"]
        assert desk.stored()["b", "d"] is Status.DISCARDED


async def test_which_by_id_and_by_target(tmp_path: Path) -> None:
    async with working(tmp_path) as desk:
        await desk.tell("a", "b", notify=("desk", "phone"))
        await desk.refuse("d")
        await desk.refuse("p")
        assert await desk.dead() == ["a", "a", "b", "b"]
        assert (await desk.ask("list", "b", "c"))["missing"] == ["c"]
        assert [each["id"] for each in (await desk.ask("list", "b", "c", target="phone"))["dead"]] == ["b"]
        assert (await desk.ask("list", target="nobody"))["matched"] == 0
        assert (await desk.ask("retry", "a", target="desk[1] slack"))["queued"] == 1
        assert desk.outbox.queued() == {"d": 1, "p": 0}
        assert await desk.dead() == ["a", "b", "b"]


async def test_what_was_for_a_target_that_is_gone_goes_to_those_that_do_not_have_it_yet(tmp_path: Path) -> None:
    old, stays = Address("o", "desk[1] slack", ("desk",)), Address("s", "desk[2] json", ("desk",))
    async with working(tmp_path, old, stays) as desk:
        await desk.tell("a", "b")
        await desk.refuse("o")
        desk.outbox.settle(desk.outbox.claim("s", 1), Delivered(), 2)
    async with working(tmp_path, Address("n", "desk[1] tgram", ("desk",)), stays) as desk:
        assert await desk.ask("retry") == {"queued": 2, "unserved": 0, "missing": [], "matched": 2, "more": 0}
        assert desk.outbox.queued() == {"n": 2, "s": 0}
        assert await desk.dead() == []
    async with working(tmp_path, PHONE) as desk:
        database = Database.open(desk.file).database
        desk.outbox.resume(database.undelivered(), (), 5)
        database.close()
        await desk.kept.caught_up()
        assert await desk.ask("retry") == {"queued": 0, "unserved": 2, "missing": [], "matched": 2, "more": 0}
        assert await desk.dead() == ["a", "b"]


async def test_what_two_targets_missed_that_are_gone_reaches_their_heir_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelivered, "_PIECE", 1)
    async with working(tmp_path, Address("o", "desk[1] a", ("desk",)), Address("p", "desk[2] b", ("desk",))) as desk:
        await desk.tell("a")
        await desk.refuse("o")
        await desk.refuse("p")
    async with working(tmp_path, DESK) as desk:
        assert (await desk.ask("retry"))["queued"] == 1
        assert desk.outbox.queued() == {"d": 1}
        assert await desk.dead() == []


async def test_many_are_let_go_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(undelivered, "_PIECE", 7)
    async with working(tmp_path) as desk:
        await desk.tell(*(f"n{number:02d}" for number in range(40)))
        await desk.refuse()
        assert (await desk.ask("drop"))["dropped"] == 40
        assert await desk.dead() == []
        assert set(desk.stored().values()) == {Status.DISCARDED}


async def test_many_are_queued_in_pieces_and_what_was_too_much_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undelivered, "_PIECE", 7)
    monkeypatch.setattr(undelivered, "MAX_LISTED", 10)
    monkeypatch.setattr(reading, "MAX_DEAD", 30)
    async with working(tmp_path) as desk:
        await desk.tell(*(f"n{number:02d}" for number in range(40)))
        await desk.refuse()
        listed = await desk.ask()
        assert ([each["id"] for each in listed["dead"]][::9], listed["more"]) == (["n30", "n39"], 30)
        done = await desk.ask("retry")
        assert (done["queued"], done["more"]) == (30, 10)
        assert (await desk.ask("retry"))["queued"] == 10
        assert await desk.dead() == []


async def test_while_the_database_refuses_what_was_decided_is_decided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still says that all is dead: a second retry would have sent everything twice."""
    monkeypatch.setattr(keeper, "RETRY_S", 0.0)
    async with working(tmp_path) as desk:
        await desk.tell("a", "b", "c")
        await desk.refuse()
        with closing(sqlite3.connect(desk.file, isolation_level=None)) as other:
            other.execute("CREATE TRIGGER no BEFORE INSERT ON delivery BEGIN SELECT RAISE(ABORT, 'not now'); END")
            assert (await desk.ask("retry", "a"))["queued"] == 1
            assert (await desk.ask("drop", "b"))["dropped"] == 1
            assert desk.kept.trouble.store is not None
            assert reading.count_dead(desk.file, reading.Chosen()) == 3
            assert (await desk.ask("retry"))["queued"] == 1
            assert await desk.ask("retry", "a") == {
                "queued": 0,
                "unserved": 0,
                "missing": ["a"],
                "matched": 0,
                "more": 0,
            }
            assert await desk.dead() == []
            other.execute("DROP TRIGGER no")
        assert [parcel.notice.id for parcel in desk.outbox.claim("d", 9).parcels] == ["a", "c"]
        await desk.kept.caught_up()
        assert desk.stored() == {
            ("a", "d"): Status.ATTEMPTING,
            ("b", "d"): Status.DISCARDED,
            ("c", "d"): Status.ATTEMPTING,
        }


async def test_while_the_disk_hangs_who_asks_again_sends_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was refused and nothing was stored: each further retry queued everything once more, without a mark."""
    answers, commit = threading.Event(), Database.commit

    def hang(database: Database, batch: Batch) -> None:
        assert answers.wait(20)
        commit(database, batch)

    monkeypatch.setattr(keeper, "PATIENCE_S", 0.05)
    async with working(tmp_path) as desk:
        await desk.tell("a")
        await desk.refuse()
        monkeypatch.setattr(Database, "commit", hang)
        assert [(await desk.ask("retry"))["queued"] for _ in range(3)] == [1, 0, 0]
        answers.set()
        assert desk.outbox.queued()["d"] == 1
        await desk.kept.caught_up()
        assert desk.stored() == {("a", "d"): Status.QUEUED}


async def test_what_was_refused_again_under_steady_storing_was_missing_until_the_next_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something younger than the question waited for the disk, so the retry of before still counted as decided."""
    async with working(tmp_path) as desk:
        stored, number = desk.kept.stored, itertools.count()

        def put() -> None:
            desk.kept.put(Work(notices=[a_notice(f"more {next(number)}", notify=("phone",))], mark=1))

        async def stored_while_more_comes() -> None:
            put()
            await stored()
            put()

        await desk.tell("a")
        await desk.refuse()
        monkeypatch.setattr(desk.kept, "stored", stored_while_more_comes)
        for _ in range(3):
            assert (await desk.ask("retry"))["queued"] == 1
            await desk.refuse()
            assert await desk.dead() == ["a"]


async def test_a_database_that_cannot_be_read_is_an_answer(tmp_path: Path) -> None:
    async with working(tmp_path) as desk:
        await desk.tell("a")
        desk.asked = Undelivered(desk.outbox, desk.kept, tmp_path, Clock(), Locale.KO)
        with pytest.raises(PgmwatchError, match="쓸 수 없습니다"):
            await desk.ask()
        assert await desk.asked.count() is None
        desk.asked = Undelivered(desk.outbox, desk.kept, tmp_path / "none.db", Clock(), Locale.KO)
        assert await desk.dead() == []


async def test_a_disk_that_hangs_is_told_of_and_keeps_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, began = threading.Event(), []

    def hang(*_: object) -> tuple[()]:
        began.append(threading.get_ident())
        assert answers.wait(20)
        return ()

    monkeypatch.setattr(undelivered, "PATIENCE_S", 0.05)
    monkeypatch.setattr(undelivered, "_COUNT_S", 0.05)
    monkeypatch.setattr(reading, "dead", hang)
    async with working(tmp_path) as desk:
        for _ in range(3):
            with pytest.raises(PgmwatchError, match="the database does not answer"):
                await desk.ask("retry")
        assert await desk.asked.count() is None
        assert len(began) == 1
        answers.set()
        monkeypatch.undo()
        assert await desk.dead() == []


@pytest.mark.parametrize(
    "request_",
    [{}, {"action": "burn"}, {"action": 1}, {"action": "list", "ids": "a"}, {"action": "list", "ids": [1]},
     {"action": "list", "ids": None}, {"action": "list", "target": 3}],
)  # fmt: skip
async def test_who_asks_something_else_is_told_so(tmp_path: Path, request_: dict[str, Any]) -> None:
    async with working(tmp_path) as desk:
        with pytest.raises(PgmwatchError, match="not a question"):
            await desk.asked.answer(request_)
        assert await desk.asked.answer({"action": "list", "ids": ["\udcff"], "target": "\udcff"})
