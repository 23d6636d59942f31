"""`alerts --follow` beside daemons that end, come back and have much to tell; time is virtual."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from delivery_samples import AT, a_notice, an_alert
from trio.testing import MockClock

from engine.alert import Suppression
from engine.commands import follow
from engine.commands.follow import Follower
from engine.delivery.notice import Notice, system_notice
from engine.delivery.outbox import MAX_HAPPENINGS, Outbox
from engine.delivery.parcel import Delivery, Status
from engine.delivery.target import Address, Delivered, Refused
from engine.errors import PgmwatchError
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.ops import history
from engine.ops.control import NoDaemonError
from engine.rules.model import Severity
from engine.store.batch import Ending
from engine.store.database import DatabaseError
from engine.store.reading import ENDED, Wanted

DESK = Address("d", "desk[1] json", ("desk",))


def alert(ident: str, **more: Any) -> Notice:
    return a_notice(ident, alert=an_alert(**{"id": ident, **more}))


@dataclass
class Daemon:
    """An outbox, asked as through the socket; and what was stored of it."""

    outbox: Outbox = field(default_factory=lambda: Outbox([DESK]))
    run: str = "2026-11-20T09:00:00.000000+09:00"
    now: int = AT
    is_there: bool = True
    stored: dict[str, Notice] = field(default_factory=dict)
    steps: dict[tuple[str, str], Delivery] = field(default_factory=dict)
    looked_up: list[Wanted] = field(default_factory=list)
    is_broken: bool = False

    async def ask(self, after: int) -> Mapping[str, Any]:
        await trio.lowlevel.checkpoint()
        if not self.is_there:
            raise NoDaemonError("state")
        happened, found = self.outbox.happenings(after)
        said = [history.of_happening(each) for each in found]
        answer = {"run": self.run, "now": self.now, "happened": happened, "happenings": said}
        loaded = json.loads(json.dumps(answer))
        assert isinstance(loaded, dict)
        return loaded

    def look_up(self, wanted: Wanted) -> Sequence[Mapping[str, Any]]:
        """By id or time: what the real one does with the rest of `wanted` is tried with the real one."""
        self.looked_up.append(wanted)
        if self.is_broken:
            raise DatabaseError("state.db", Text("is broken", "손상되었습니다"))
        found = [
            each
            for each in self.stored.values()
            if (each.id in wanted.ids if wanted.ids else each.at >= (wanted.since or 0))
        ]
        return [
            history.of_line(each.to_json(), [step for step in self.steps.values() if step.id == each.id])
            for each in found
        ]

    def tell(self, *notices: Notice, at: int = AT) -> None:
        self.outbox.take(notices, self.outbox.route(notices, at), at)
        self._store(notices)

    def deliver(self, outcome: Delivered | Refused = Delivered(), *, at: int = AT + SECOND_NS) -> None:  # noqa: B008  frozen
        self.outbox.settle(self.outbox.claim("d", at), outcome, at + 1)
        self._store()

    def restart(self) -> None:
        self.outbox, self.now, self.run = (
            Outbox([DESK]),
            self.now + 3600 * SECOND_NS,
            "2026-11-20T10:00:00.000000+09:00",
        )

    def _store(self, notices: Sequence[Notice] = ()) -> None:
        self.stored.update((each.id, each) for each in notices)
        steps = [each for each in self.outbox.happenings(0)[1] if isinstance(each, Delivery)]
        self.steps.update(((each.id, each.target), each) for each in steps)


@dataclass
class Desk:
    """Somebody who follows, and what they see."""

    daemon: Daemon
    capsys: pytest.CaptureFixture[str]
    nursery: trio.Nursery
    codes: list[int] = field(default_factory=list)

    async def follow(self, *, with_past: bool = False, as_json: bool = False, **wanted: Any) -> None:
        follower = Follower(self.daemon.ask, self.daemon.look_up, Wanted(**wanted), Locale.EN, as_json=as_json)
        await follower.begin(with_past=with_past)

        async def go_on() -> None:
            self.codes.append(await follower.go_on())

        self.nursery.start_soon(go_on)

    async def sees(self, seconds: float = 1) -> list[str]:
        await trio.sleep(seconds)
        return self.capsys.readouterr().out.splitlines()


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


@pytest.fixture
def desk(daemon: Daemon, capsys: pytest.CaptureFixture[str], nursery: trio.Nursery) -> Desk:
    return Desk(daemon, capsys, nursery)


def told(lines: Sequence[str]) -> list[Any]:
    """`id`, or `(id, status)` of a delivery."""
    found = [json.loads(line) for line in lines]
    return [(each["id"], each["delivery"]["status"]) if "delivery" in each else each["id"] for each in found]


async def test_what_comes_is_told_once_and_what_was_before_is_not(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    daemon.tell(alert("old"))
    await desk.follow()
    daemon.tell(alert("a"))
    assert await desk.sees() == ["2026-11-20 09:05:30  firing  semis-program-buying  005930  title of a"]
    daemon.deliver()
    assert await desk.sees() == [
        "2026-11-20 09:05:31  desk[1] json: delivered after 1.0 s  (title of old)",
        "2026-11-20 09:05:31  desk[1] json: delivered after 1.0 s  (title of a)",
    ]
    assert await desk.sees() == []


async def test_as_json_an_alert_comes_with_whom_it_goes_to_and_then_each_step(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    await desk.follow(as_json=True)
    daemon.tell(alert("a"))
    (line,) = await desk.sees()
    assert [each["status"] for each in json.loads(line)["deliveries"]] == ["queued"]
    assert line.startswith(alert("a").to_json()[:-1])
    daemon.deliver(Refused("HTTP 403", certain=True))
    lines = await desk.sees()
    assert told(lines) == [("a", "attempting"), ("a", "refused")]
    assert json.loads(lines[-1])["delivery"]["reason"] == "HTTP 403"


async def test_what_was_before_is_told_first_if_that_is_wanted(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    daemon.tell(alert("a"))
    daemon.deliver()
    daemon.tell(alert("b"))
    await desk.follow(with_past=True)
    assert await desk.sees() == [
        "2026-11-20 09:05:30  firing  semis-program-buying  005930  title of a",
        "  desk[1] json: delivered after 1.0 s",
        "2026-11-20 09:05:30  firing  semis-program-buying  005930  title of b",
        "  desk[1] json: waiting",
    ]
    daemon.deliver()
    assert await desk.sees() == ["2026-11-20 09:05:31  desk[1] json: delivered after 1.0 s  (title of b)"]


async def test_only_what_is_asked_for_is_told_with_its_deliveries(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    own = system_notice("feed-lost", AT, Severity.WARNING, title="t", message="m", notify=("desk",))
    await desk.follow(as_json=True, rule="buying", without=frozenset({"suppressed"}))
    daemon.tell(alert("a", rule="buying"), alert("b"), own)
    daemon.tell(alert("c", rule="buying", suppressed=Suppression.SILENCE))
    daemon.deliver()
    assert told(await desk.sees()) == ["a", ("a", "attempting"), ("a", "delivered")]


async def test_by_symbol_and_without_the_daemon_s_own(autojump_clock: MockClock, daemon: Daemon, desk: Desk) -> None:
    own = system_notice("feed-lost", AT, Severity.WARNING, title="t", message="m", notify=())
    await desk.follow(as_json=True, symbols=("005930", "000660"), without=frozenset({"system"}))
    daemon.tell(alert("a"), alert("b", symbol="035420"), own)
    assert told(await desk.sees()) == ["a"]


async def test_a_firing_that_ended_without_a_word_went_on_for_ever_to_who_followed(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    """It was in the history only."""
    daemon.tell(alert("a"))
    await desk.follow(with_past=True)
    await desk.follow(with_past=True, without=frozenset({ENDED}))
    await desk.sees()
    daemon.outbox.ended([Ending("buying", "005930", AT, "Samsung")])
    assert await desk.sees() == ["2026-11-20 09:05:30  ended  buying  Samsung(005930)  ended without a message"]


async def test_what_comes_that_nobody_gets_says_so(autojump_clock: MockClock, daemon: Daemon, desk: Desk) -> None:
    await desk.follow()
    daemon.tell(a_notice("a", notify=("nobody",), alert=an_alert()))
    assert (await desk.sees())[1:] == ["  no delivery is recorded"]


async def test_a_delivery_of_long_ago_is_of_an_alert_that_is_looked_up(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    """Somebody had it sent after all."""
    daemon.stored["old"] = alert("old")
    await desk.follow()
    step = Delivery("old", "d", DESK.name, Status.DELIVERED, AT + 7 * SECOND_NS, AT, attempts=1)
    daemon.outbox._happen([step, Delivery("gone", "d", DESK.name, Status.DELIVERED, AT, AT)])
    assert await desk.sees() == [
        "2026-11-20 09:05:37  desk[1] json: delivered after 7.0 s  (title of old)",
        "2026-11-20 09:05:30  desk[1] json: delivered after ?  (gone)",
    ]


async def test_what_was_too_much_to_remember_is_looked_up(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    await desk.follow(as_json=True)
    many = [alert(f"n{number}") for number in range(MAX_HAPPENINGS)]
    for each in many:
        daemon.tell(each)
    found = told(await desk.sees())
    assert sorted(each for each in found if isinstance(each, str)) == sorted(each.id for each in many)


async def test_what_was_looked_up_is_not_followed_by_what_came_before_it(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    daemon.tell(alert("a"))
    look_up = daemon.look_up

    def late(wanted: Wanted) -> Sequence[Mapping[str, Any]]:
        daemon.deliver()  # between the first question and the look into the history
        return look_up(wanted)

    daemon.look_up = late  # type: ignore[method-assign]  # once
    await desk.follow(as_json=True, with_past=True)
    (line,) = await desk.sees()
    assert json.loads(line)["deliveries"][0]["status"] == "delivered"
    assert await desk.sees() == []


async def test_another_daemon_is_gone_on_with_and_nothing_is_told_twice_or_missed(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    """`now` may be any: a recording is played on a clock of its own."""
    daemon.now = AT + 120 * SECOND_NS
    later = daemon.now - 30 * SECOND_NS
    await desk.follow(as_json=True)
    daemon.tell(alert("a"), alert("b"))
    assert told(await desk.sees()) == ["a", "b"]
    daemon.is_there = False
    daemon.tell(a_notice("c", at=later, alert=an_alert(id="c", at=later)))  # its last moments
    daemon.deliver()
    await trio.sleep(30)
    daemon.restart()
    daemon.is_there = True
    daemon.tell(alert("d"))
    out, err = desk.capsys.readouterr()
    assert (out, err) == ("", "pgmwatch: the daemon has ended; waiting 60 s for the next one\n")
    await trio.sleep(1)
    out, err = desk.capsys.readouterr()
    assert told(out.splitlines()) == [("a", "delivered"), ("b", "delivered"), "c", "d"]
    assert err == "pgmwatch: a daemon is running since 2026-11-20 10:00:00 KST\n"
    daemon.tell(alert("e"))
    assert told(await desk.sees()) == ["e"]


async def test_without_another_daemon_it_ends(autojump_clock: MockClock, daemon: Daemon, desk: Desk) -> None:
    await desk.follow()
    daemon.is_there = False
    await trio.sleep(follow.PATIENCE_S - 1)
    assert desk.codes == []
    await trio.sleep(3)
    assert desk.codes == [1]
    assert desk.capsys.readouterr().err.splitlines()[1] == "pgmwatch: no daemon is running any more"


async def test_what_the_last_daemon_did_in_its_last_moments_is_told_also_where_no_other_comes(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    """It ended between two questions, and what it had told since the first of them was never heard of."""
    await desk.follow(as_json=True)
    daemon.tell(alert("a"))
    await desk.sees()
    daemon.is_there = False
    daemon.tell(alert("b"))
    daemon.deliver()
    assert told(await desk.sees(follow.PATIENCE_S + 2)) == [("a", "delivered"), "b"]
    assert desk.codes == [1]


async def test_without_a_daemon_it_does_not_begin(autojump_clock: MockClock, daemon: Daemon, desk: Desk) -> None:
    daemon.is_there = False
    with pytest.raises(PgmwatchError):
        await desk.follow()


async def test_a_history_that_cannot_be_read_is_told_of_and_the_rest_goes_on(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk
) -> None:
    await desk.follow(as_json=True)
    daemon.is_broken = True
    daemon.restart()
    daemon.tell(alert("a"))
    await trio.sleep(1)
    out, err = desk.capsys.readouterr()
    assert told(out.splitlines()) == ["a"]
    assert "cannot be read: state.db: is broken" in err


async def test_a_clock_that_is_set_back_hides_nothing(autojump_clock: MockClock, daemon: Daemon, desk: Desk) -> None:
    await desk.follow(as_json=True)
    daemon.tell(alert("a"))
    await desk.sees()
    daemon.deliver(at=AT - 3_600 * SECOND_NS)
    assert told(await desk.sees()) == [("a", "attempting"), ("a", "delivered")]


async def test_what_is_remembered_has_a_limit(
    autojump_clock: MockClock, daemon: Daemon, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "MAX_KNOWN", 3)
    await desk.follow(as_json=True)
    for number in range(10):
        daemon.tell(alert(f"n{number}"))
    assert told(await desk.sees()) == [f"n{number}" for number in range(10)]
    daemon.deliver()
    found = told(await desk.sees())
    assert {each for each in found if each[1] == "delivered"} == {(f"n{number}", "delivered") for number in range(10)}
