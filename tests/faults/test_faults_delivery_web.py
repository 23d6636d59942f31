"""Services that fail in every way for a while, the whole way from the store to the wire and back."""

import socket
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from delivery_samples import a_notice, post
from fault_delivering import Played, delivering, hooks
from fault_hooks import Hook, Told, hooked, judged
from receivers import Behaviour, Receiver, endless, listening, reply, trickle, until

from engine.clock import Clock
from engine.config.model import Alerts
from engine.delivery import retry
from engine.delivery.deliver import Delivery
from engine.delivery.outbox import Outbox
from engine.delivery.target import Delivered, Failed, Message, Outcome, Unknown
from engine.keeper import Work
from engine.locale import Locale
from engine.rules.model import Severity

MINUTE_S = 60.0
ALERTS, EVERY_S = 15, 48.0
"""Few enough that a digest names them all, over twelve minutes."""


class Clocked(Played):
    """`outcome` goes by the time since its making; `None` never ends."""

    def __init__(self, name: str, outcome: "Answer") -> None:
        super().__init__(name)
        self._answer = outcome
        self._began = trio.current_time()
        self.asked: list[float] = []
        self.told: list[Told] = []

    async def send(self, message: Message) -> Outcome:
        at = trio.current_time() - self._began
        self.asked.append(at)
        outcome = self._answer(at)
        if not isinstance(outcome, Failed):
            self.told.append(Told(message.title, "\n".join([message.body, *message.remarks]), at))
        if outcome is None:
            await trio.sleep_forever()
        return outcome


class Answer:
    def __init__(self, until_s: float, outcome: Outcome | None) -> None:
        self._until_s = until_s
        self._outcome = outcome

    def __call__(self, at: float) -> Outcome:
        return self._outcome if at < self._until_s else Delivered()  # type: ignore[return-value]  # None: it never comes


async def test_ten_minutes_of_every_failure_lose_nothing_and_each_target_is_asked_no_more_than_it_may_be(
    autojump_clock: trio.testing.MockClock,
) -> None:
    broken = Clocked("broken", Answer(10 * MINUTE_S, Failed("HTTP 503")))
    throttled = Clocked("throttled", Answer(10 * MINUTE_S, Failed("HTTP 429", retry_after_s=150.0)))
    resetting = Clocked("resetting", Answer(10 * MINUTE_S, Unknown("no reply")))
    hanging = Clocked("hanging", Answer(10 * MINUTE_S, None))
    well = Clocked("well", Answer(0, None))
    every = [broken, throttled, resetting, hanging, well]
    outbox, clock, stop = Outbox(each.address for each in every), Clock(), trio.Event()
    alerts = Alerts.model_construct(digest=timedelta(seconds=2), ttl=timedelta(minutes=30))
    delivery = Delivery(outbox, clock, alerts=alerts, locale=Locale.EN, chance=lambda: 0.0)
    delivery.add(every)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(delivery.run, stop))
        for number in range(ALERTS):
            now = clock.now()
            post(outbox, [a_notice(f"n-{number}", at=now, severity=[*Severity][number % 3])], now)
            await trio.sleep(EVERY_S)
        await trio.sleep(2 * MINUTE_S)
        stop.set()
    idents = {f"n-{number}" for number in range(ALERTS)}
    for target in every:
        found = judged(target.told, idents)
        assert (found.lost, found.unmarked) == (frozenset(), 0), target
    assert judged(broken.told + throttled.told + well.told, idents).doubled == 2 * ALERTS  # each of them once
    assert [each.may_repeat for each in broken.told + throttled.told] == [0] * (len(broken.told) + len(throttled.told))
    assert broken.asked[:7] == pytest.approx([broken.asked[0] + gap for gap in (0, 1, 3, 7, 15, 31, 63)], abs=0.1)
    assert len(broken.asked) <= 6 + 10 + 5  # doubling, then a minute each, then what comes after it was well again
    assert broken.told[0].at < 11 * MINUTE_S
    assert "late" in broken.told[0].message
    failed = [at for at in throttled.asked if at < 10 * MINUTE_S]
    assert min(after - before for before, after in zip(failed, throttled.asked[1:], strict=False)) >= 150.0
    assert max(each.at for each in well.told) <= ALERTS * EVERY_S


@pytest.mark.slow  # real sockets: a reply that trickles is cut off after a while
async def test_a_bad_turn_of_every_kind_ends_with_each_alert_told_and_the_books_agreeing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.05)
    with ExitStack() as stack:
        turning = [stack.enter_context(hooked(Hook(answers))) for answers in ((503, 500), (429,), ("reset",), ())]
        yes = [stack.enter_context(listening(each)) for each in (trickle, endless)]
        elsewhere = stack.enter_context(listening(reply(200)))
        location = f"Location: http://127.0.0.1:{elsewhere.port}/\r\n"
        away = [stack.enter_context(listening(astray(location, *each))) for each in ((302, 307), (308, 404, 403))]
        gone = stack.enter_context(listening(reply(403, body=b'{"ok": false, "description": "bot was kicked"}')))
        receivers = [*yes, *away, gone]
        targets = hooks([each.url for each in turning] + [each.url(query="?rto=0.3") for each in receivers])
        async with delivering(tmp_path, targets, digest_s=0.0) as made:
            for number in range(8):
                made.keeper.put(Work(notices=[made.alert(f"n-{number}")], mark=made.clock.now()))
                await trio.sleep(0.05)
            await until(lambda: not sum(made.outbox.queued().values()), seconds=15)
            await made.end()
            rows = made.asked("SELECT name, status, count(*) FROM delivery GROUP BY name, status")
        booked = {(name, status): count for name, status, count in rows}
    idents = {f"n-{number}" for number in range(8)}
    for hook in turning:
        found = judged(hook.told, idents)
        assert (found.lost, found.unmarked) == (frozenset(), 0)
    assert sum(judged(hook.told, idents).doubled for hook in turning[:2] + turning[3:]) == 0
    assert booked == {
        **{(f"desk[{place}] json", "delivered"): 8 for place in range(1, 9)},
        ("desk[9] json", "refused"): 8,
    }
    assert all(told_of(receiver) == idents for receiver in receivers)
    assert elsewhere.requests == []  # contacted 0 times


def astray(location: str, *statuses: int) -> Behaviour:
    """A hook behind something that is being changed: it says these, with another address, and then yes for ever."""
    left = [*(reply(status, location) for status in statuses), reply(200)]

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(receiver, connection)

    return behave


def told_of(receiver: Receiver) -> set[str]:
    return {
        ident
        for request in receiver.requests
        for ident in Told(request.json["title"], request.json["message"], 0.0).idents
    }
