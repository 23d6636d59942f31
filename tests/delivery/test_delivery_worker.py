"""Workers under virtual time, with targets that are scripted."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import trio
from delivery_samples import a_notice, an_alert, deliveries, post

from engine.alert import State
from engine.clock import Clock
from engine.config.model import Alerts
from engine.delivery.deliver import Delivery
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Delivery as Step
from engine.delivery.parcel import Status
from engine.delivery.target import Address, Delivered, Failed, Message, Outcome, Refused, Target, Unknown
from engine.delivery.worker import Draw, no_picture
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Severity

Script = Callable[[int], Awaitable[Outcome]]


async def yes(_: int) -> Outcome:
    return Delivered()


async def no(_: int) -> Outcome:
    return Failed("HTTP 503")


async def never(_: int) -> Outcome:
    await trio.sleep_forever()
    raise AssertionError


@dataclass
class Fake:
    """A target whose n-th attempt does as the script says; `room_after` attempts hang until `returned` is set."""

    script: Script = yes
    spacing_s: float = 0
    name: str = "desk[1] fake"
    notifier: str = "desk"
    deadline_s: float = 40
    threads: int = 3
    takes_pictures: bool = False
    chart: bool = False
    stuck: int = 0
    sent: list[tuple[float, Message]] = field(default_factory=list)
    returned: trio.Event = field(default_factory=trio.Event)

    @property
    def address(self) -> Address:
        return Address(self.name, self.name, (self.notifier,), round(self.spacing_s * SECOND_NS), self.chart)

    async def room(self) -> None:
        if self.stuck >= self.threads:
            await self.returned.wait()
            self.stuck = 0

    async def send(self, message: Message) -> Outcome:
        self.sent.append((trio.current_time(), message))
        try:
            return await self.script(len(self.sent))
        except trio.Cancelled:
            self.stuck += 1
            raise

    def times(self, start: float) -> list[float]:
        return [round(at - start, 3) for at, _ in self.sent]

    def titles(self) -> list[str]:
        return [message.title for _, message in self.sent]


class House:
    """Outbox, workers and clock of one test; the jitter is switched off."""

    def __init__(
        self,
        nursery: trio.Nursery,
        targets: Sequence[Target],
        *,
        ttl_s: float = 1800,
        digest_s: float = 2,
        draw: Draw = no_picture,
    ) -> None:
        self.clock = Clock()
        self.start = trio.current_time()
        self.store = Outbox([])
        self.stop = trio.Event()
        alerts = Alerts.model_construct(ttl=timedelta(seconds=ttl_s), digest=timedelta(seconds=digest_s))
        self.delivery = Delivery(self.store, self.clock, alerts=alerts, locale=Locale.EN, chance=lambda: 0.0, draw=draw)
        self.delivery.add(targets)
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        await self.delivery.run(self.stop, drain_s=lambda: 5.0)

    def commit(self, *names: str, severity: Severity = Severity.WARNING, notify: str = "desk") -> None:
        now = self.clock.now()
        post(self.store, [a_notice(name, at=now, severity=severity, notify=(notify,)) for name in names], now)


async def test_alerts_within_the_digest_become_one_message(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake()
    house = House(nursery, [target])
    house.commit("a")
    await trio.sleep(1.9)
    house.commit("b")
    await trio.sleep(10)
    house.commit("c")
    await trio.sleep(10)
    assert target.times(house.start) == [2.0, 13.9]
    assert target.titles() == ["title of a · and 1 more", "title of c"]


async def test_critical_does_not_wait_and_takes_along_what_does(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake()
    house = House(nursery, [target])
    house.commit("a")
    await trio.sleep(1)
    house.commit("b", severity=Severity.CRITICAL)
    await trio.sleep(10)
    assert target.times(house.start) == [1.0]
    assert target.titles() == ["title of b · and 1 more"]
    assert target.sent[0][1].severity is Severity.CRITICAL


async def test_messages_keep_the_rate_and_what_waits_is_merged(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake(spacing_s=3)
    house = House(nursery, [target], digest_s=0)
    for number in range(10):
        house.commit(f"n{number}", severity=Severity.CRITICAL if number == 5 else Severity.WARNING)
        await trio.sleep(0.95)
    await trio.sleep(10)
    assert target.times(house.start) == [0.0, 3.0, 6.0, 9.0]
    assert target.titles()[2] == "title of n5 · and 2 more"


async def test_a_failure_is_retried_with_growing_delays_until_it_succeeds(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def fourth_time_lucky(attempt: int) -> Outcome:
        return Delivered() if attempt == 4 else Failed("HTTP 503")

    target = Fake(fourth_time_lucky)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(100)
    assert target.times(house.start) == [0.0, 1.0, 3.0, 7.0]
    assert "failed target='desk[1] fake' notices=1 attempt=3 took_ms=0 reason='HTTP 503' retry_in_s=4.0" in caplog.text
    assert "delivered target='desk[1] fake' notices=1 attempt=4 took_ms=0" in caplog.text
    assert target.sent[-1][1].remarks == ()


async def test_retry_after_is_obeyed(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    async def busy_first(attempt: int) -> Outcome:
        return Failed("HTTP 429", retry_after_s=30) if attempt == 1 else Delivered()

    target = Fake(busy_first)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(100)
    assert target.times(house.start) == [0.0, 30.0]


async def test_an_alert_that_cannot_be_delivered_expires_once_it_is_too_old(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    healthy = trio.Event()

    async def later(_: int) -> Outcome:
        return Delivered() if healthy.is_set() else Failed("HTTP 503")

    target = Fake(later)
    house = House(nursery, [target], digest_s=0, ttl_s=60)
    house.commit("a")
    await trio.sleep(120)
    assert (
        max(at for at, title in zip(target.times(house.start), target.titles(), strict=True) if title == "title of a")
        <= 60
    )
    assert house.store.status()[0].expired == 1
    healthy.set()
    house.commit("b")
    await trio.sleep(70)
    assert target.titles()[-1] == "title of b"
    assert target.sent[-1][1].remarks == ("not sent, too old: 1", "· title of a")


async def test_a_target_that_is_well_again_hears_at_once_what_it_missed(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    healthy = trio.Event()

    async def later(_: int) -> Outcome:
        return Delivered() if healthy.is_set() else Failed("HTTP 503")

    target = Fake(later)
    house = House(nursery, [target], digest_s=0, ttl_s=60)
    house.commit("a", "b")
    await trio.sleep(200)
    healthy.set()
    await trio.sleep(61)
    _, last = target.sent[-1]
    assert (last.title, last.body) == (
        "⚠️ pgmwatch · alerts that could not be sent in time: 2",
        "· title of a\n· title of b",
    )
    told = len(target.sent)
    await trio.sleep(600)
    assert len(target.sent) == told


async def test_a_refused_message_is_not_repeated_and_the_next_one_is_tried(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def gone(_: int) -> Outcome:
        return Refused("HTTP 404", certain=True)

    target = Fake(gone)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(600)
    house.commit("b")
    await trio.sleep(600)
    assert target.titles() == ["title of a", "title of b"]
    assert house.store.status()[0].refused == 2


async def test_what_comes_after_a_refusal_does_not_wait_for_it(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def dislikes_the_first(attempt: int) -> Outcome:
        return Refused("HTTP 400", only_this=True) if attempt == 1 else Delivered()

    target = Fake(dislikes_the_first)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(0.1)
    house.commit("b")
    await trio.sleep(30)
    assert target.times(house.start) == [0.0, 0.1]


async def test_a_message_is_over_only_if_all_in_it_is(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake()
    house = House(nursery, [target])
    for states in ([State.RESOLVED], [State.FIRING, State.RESOLVED], [State.RESOLVED, State.FIRING]):
        now = house.clock.now()
        alerts = [an_alert(id=f"{state} {now}", state=state, at=now + nth) for nth, state in enumerate(states)]
        post(house.store, [a_notice(alert.id, at=now, alert=alert) for alert in alerts], now)
        await trio.sleep(5)
    assert [message.resolved for _, message in target.sent] == [True, True, False]


class Slow:
    """A journal whose disk takes its time."""

    def __init__(self) -> None:
        self.answers = trio.Event()

    def keep(self, deliveries: Sequence[Step]) -> None:
        pass

    async def stored(self) -> None:
        await self.answers.wait()


async def test_nothing_is_sent_before_it_is_stored_that_it_is(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target, slow = Fake(), Slow()
    house = House(nursery, [target], digest_s=0)
    house.store.keep_in(slow)
    house.commit("a")
    await trio.sleep(50)
    assert target.sent == []
    slow.answers.set()
    await trio.sleep(0.1)
    assert target.titles() == ["title of a"]


async def test_critical_news_are_an_attempt_of_their_own_while_a_target_rests(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    """A web hook was well again, and the next alert, a critical one, came 48 s later: it waited out the pause."""
    target = Fake(no, spacing_s=3)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(70)  # attempts at 0, 3, 6 (the rate), 10, 18, 34, 66 s
    before = target.times(house.start)
    house.commit("b")
    await trio.sleep(1)
    assert target.times(house.start) == before
    house.commit("c", severity=Severity.CRITICAL)
    await trio.sleep(2)
    assert target.times(house.start) == [*before, 71.0]


async def test_critical_news_do_not_outrun_what_the_service_asked_for(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def busy(_: int) -> Outcome:
        return Failed("HTTP 429", 40.0)

    target = Fake(busy)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(10)
    house.commit("b", severity=Severity.CRITICAL)
    await trio.sleep(31)
    assert target.times(house.start) == [0.0, 40.0]


async def test_what_ends_before_it_was_sent_did_not_arrive(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake()
    house = House(nursery, [target], digest_s=0)
    house.store.keep_in(Slow())
    house.commit("a")
    await trio.sleep(1)
    house.stop.set()
    await trio.sleep(30)
    assert target.sent == []
    (kept,) = deliveries(house.store).values()
    assert (kept.status, kept.may_repeat) == (Status.QUEUED, False)


@pytest.mark.parametrize(
    ("takes", "notifier", "own", "drawn"),
    [
        (True, True, None, True),
        (True, False, None, False),
        (True, False, True, True),
        (True, True, False, False),
        (False, True, True, False),
    ],
)
async def test_a_picture_goes_along_where_it_is_wanted_and_shown(
    autojump_clock: trio.testing.MockClock, takes: bool, notifier: bool, own: bool | None, drawn: bool
) -> None:
    asked: list[str] = []

    async def draw(notice: Notice) -> bytes:
        await trio.lowlevel.checkpoint()
        asked.append(notice.id)
        return b"png"

    target = Fake(takes_pictures=takes, chart=notifier)
    async with trio.open_nursery() as nursery:
        house = House(nursery, [target], digest_s=0, draw=draw)
        now = house.clock.now()
        post(house.store, [a_notice("a", at=now, alert=an_alert(), chart=own), a_notice("system", at=now)], now)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert (asked, target.sent[0][1].picture) == ((["a"], b"png") if drawn else ([], None))


async def test_a_picture_that_takes_too_long_is_not_waited_for(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async def draw(_: Notice) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    target = Fake(takes_pictures=True, chart=True)
    house = House(nursery, [target], digest_s=0, draw=draw)
    now = house.clock.now()
    post(house.store, [a_notice("a", at=now, alert=an_alert())], now)
    await trio.sleep(30)
    assert target.times(house.start) == [2.0]
    assert target.sent[0][1].picture is None
    assert "picture too late target='desk[1] fake' id=a" in caplog.text


async def test_an_alert_that_only_waits_for_the_rate_expires_as_well(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake(spacing_s=3600)
    house = House(nursery, [target], digest_s=0, ttl_s=60)
    house.commit("a")
    await trio.sleep(1)
    house.commit("b")
    await trio.sleep(61)
    assert house.store.status()[0].expired == 1
    assert target.titles() == ["title of a"]


async def test_a_late_message_says_how_late_it_is(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def sixth(attempt: int) -> Outcome:
        return Delivered() if attempt == 7 else Failed("HTTP 503")

    target = Fake(sixth)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(200)
    assert target.times(house.start)[-1] == 63.0
    assert target.sent[-1][1].remarks == ("sent 1 min 3 s late",)
    assert target.sent[4][1].remarks == ()


async def test_an_attempt_without_end_is_given_up_and_its_retry_says_that_it_may_repeat(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async def hangs_first(attempt: int) -> Outcome:
        return await (never if attempt == 1 else yes)(attempt)

    target = Fake(hangs_first)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(100)
    assert target.times(house.start) == [0.0, 41.0]
    assert "may repeat an earlier message" in target.sent[1][1].remarks
    assert "unknown target='desk[1] fake' notices=1 attempt=1 took_ms=40000 reason='no end within 40 s'" in caplog.text
    assert house.store.status()[0].unknown == 1


async def test_a_target_that_always_hangs_is_left_alone_until_something_returns(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    async def hangs_thrice(attempt: int) -> Outcome:
        return await (never if attempt <= 3 else yes)(attempt)

    target = Fake(hangs_thrice)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(1000)
    assert len(target.sent) == 3
    assert "stuck target='desk[1] fake' attempts=3" in caplog.text
    target.returned.set()
    await trio.sleep(1)
    assert len(target.sent) == 4
    assert house.store.status()[0].delivered == 1


async def test_what_waits_for_a_stuck_target_expires(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    target = Fake(never)
    house = House(nursery, [target], digest_s=0, ttl_s=300)
    house.commit("a")
    await trio.sleep(301)
    assert len(target.sent) == 3
    assert house.store.status()[0].expired == 1


async def test_a_hanging_target_delays_no_other(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery) -> None:
    hanging, healthy = Fake(never, name="a"), Fake(name="b")
    house = House(nursery, [hanging, healthy], digest_s=0)
    for number in range(5):
        house.commit(f"n{number}")
        await trio.sleep(1)
    assert healthy.times(house.start) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert house.store.queued() == {"a": 5, "b": 0}


async def test_stopping_lets_what_is_in_flight_end_and_sends_what_only_waited(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(_: int) -> Outcome:
        await trio.sleep(2)
        return Delivered()

    target, idle = Fake(slow), Fake(name="idle", notifier="nobody")
    async with trio.open_nursery() as nursery:
        house = House(nursery, [target, idle], digest_s=0)
        house.commit("a")
        await trio.sleep(1)
        house.commit("b", "c")
        house.stop.set()
    assert trio.current_time() - house.start == pytest.approx(4)
    assert len(target.sent) == 2
    assert house.store.queued() == {"desk[1] fake": 0, "idle": 0}
    assert "drained left" not in caplog.text  # nothing to warn of


async def test_stopping_waits_for_no_digest(autojump_clock: trio.testing.MockClock) -> None:
    target = Fake()
    async with trio.open_nursery() as nursery:
        house = House(nursery, [target], digest_s=60)
        house.commit("a", "b")
        await trio.sleep(1)
        house.stop.set()
    assert target.times(house.start) == [1.0]
    assert house.store.queued() == {"desk[1] fake": 0}


async def test_stopping_does_not_try_a_failing_target_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Fake(no)
    async with trio.open_nursery() as nursery:
        house = House(nursery, [failing], digest_s=0)
        house.commit("a")
        await trio.sleep(0.5)
        house.stop.set()
    assert len(failing.sent) == 1
    assert "drained left=1 interrupted=False by_target={'desk[1] fake': 1}" in caplog.text


async def test_stopping_does_not_wait_longer_than_it_may(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        house = House(nursery, [Fake(never)], digest_s=0)
        house.commit("a")
        await trio.sleep(1)
        house.stop.set()
    assert trio.current_time() - house.start == pytest.approx(6)
    assert "reason='interrupted'" in caplog.text
    assert "drained left=1 interrupted=True" in caplog.text
    (status,) = house.store.status()
    assert (status.queued, status.attempting, status.unknown) == (1, 0, 1)


async def test_stopping_ends_a_wait_for_rate_retry_or_room_at_once(autojump_clock: trio.testing.MockClock) -> None:
    paced, failing, stuck = Fake(spacing_s=3600, name="a"), Fake(no, name="b"), Fake(never, name="c", deadline_s=1)
    async with trio.open_nursery() as nursery:
        house = House(nursery, [paced, failing, stuck], digest_s=0)
        house.commit("x")
        await trio.sleep(50)
        house.commit("y")
        await trio.sleep(5)
        began = trio.current_time()
        house.stop.set()
    assert trio.current_time() - began < 1e-6


async def test_a_cancelled_daemon_settles_on_its_way_out(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        house = House(nursery, [Fake(never)], digest_s=0)
        house.commit("a")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert house.store.queued() == {"desk[1] fake": 1}
    assert house.store.status()[0].attempting == 0


async def test_unknown_from_the_target_itself_may_repeat(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    async def lost_first(attempt: int) -> Outcome:
        return Unknown("no reply") if attempt == 1 else Delivered()

    target = Fake(lost_first)
    house = House(nursery, [target], digest_s=0)
    house.commit("a")
    await trio.sleep(10)
    assert target.sent[1][1].remarks == ("may repeat an earlier message",)


# -- targets that come while it runs


async def test_a_target_that_comes_later_gets_what_is_for_it(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    early, late = Fake(), Fake(name="night[1] fake", notifier="night")
    house = House(nursery, [early])
    await trio.sleep(5)
    house.commit("before", notify="night")
    house.delivery.add([late])
    house.commit("a", notify="night")
    house.commit("b")
    await trio.sleep(5)
    assert late.titles() == ["title of a"]  # what was before it had no target: it is counted, and in the log
    assert early.titles() == ["title of b"]
    assert house.store.unrouted == 1


async def test_a_known_url_serves_the_further_notifier_once_and_at_the_slower_rate(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    known, again = Fake(), Fake(notifier="night", spacing_s=60)
    house = House(nursery, [known])
    house.commit("a")
    await trio.sleep(5)
    house.commit("b")
    house.delivery.add([again])
    house.commit("c", notify="night")
    await trio.sleep(120)
    assert known.times(house.start) == [2.0, 62.0]
    assert known.titles() == ["title of a", "title of b · and 1 more"]
    assert again.sent == []
    (status,) = house.store.status()
    assert status.address.notifiers == ("desk", "night")


async def test_a_slower_rate_holds_at_once_for_what_is_waited_for(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    known = Fake(spacing_s=10)
    house = House(nursery, [known])
    house.commit("a")
    await trio.sleep(5)
    house.commit("b")
    await trio.sleep(1)
    house.delivery.add([Fake(notifier="night", spacing_s=60)])
    await trio.sleep(120)
    assert known.times(house.start) == [2.0, 62.0]


async def test_what_comes_while_delivery_ends_stays_in_the_outbox(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    hanging, late = Fake(never), Fake(name="night[1] fake", notifier="night")
    house = House(nursery, [hanging])
    house.commit("a")
    await trio.sleep(5)
    house.stop.set()
    await trio.sleep(1)
    house.delivery.add([late])
    house.commit("b", notify="night")
    await trio.sleep(60)
    assert late.sent == []
    assert house.store.queued() == {"desk[1] fake": 1, "night[1] fake": 1}


def test_a_known_target_keeps_its_queue_counts_and_name() -> None:
    store = Outbox([Address("u1", "desk[1] fake", ("desk",), 5)])
    post(store, [a_notice("a")], 0)
    assert store.add(Address("u1", "night[3] fake", ("night",), 3)) == Address(
        "u1", "desk[1] fake", ("desk", "night"), 5
    )
    assert store.queued() == {"u1": 1}
    post(store, [a_notice("b", notify=("night",)), a_notice("c", notify=("desk", "night"))], 0)
    assert store.queued() == {"u1": 3}


def test_a_notifier_without_a_target_gets_one(caplog: pytest.LogCaptureFixture) -> None:
    store = Outbox([])
    post(store, [a_notice("a"), a_notice("b")], 0)
    assert len([record for record in caplog.records if "unrouted" in record.getMessage()]) == 1
    store.add(Address("u1", "desk[1] fake", ("desk",)))
    post(store, [a_notice("c")], 0)
    assert (store.unrouted, store.queued()) == (2, {"u1": 1})
