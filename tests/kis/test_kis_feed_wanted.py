"""What a feed watches changes while it runs: a rule file was saved."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from kis_broker import PINGPONG, Broker, answer, data, good_answer
from kis_desk import SETTINGS, A, B, C, Desk, chatter, desk, failing, lines
from pydantic import SecretStr
from trio.testing import MockClock

from engine.config.model import Market
from engine.kis.approval import UnreachableError
from engine.kis.registrations import LINGER_NS
from engine.kis.session import Socket
from engine.kis.status import Phase
from engine.kst import SECOND_NS, day_number, day_start
from engine.stream import Down, Frame, Up
from engine.trading_days import MarketHours

LINGER_S = LINGER_NS / SECOND_NS
D = "000270"
TWO = SETTINGS.model_copy(update={"max_registrations": 2})
KRX = MarketHours(*Market.KRX.hours_ns, market=Market.KRX)


def requests(broker: Broker) -> list[str]:
    """`+` and `-` with the symbol, in order."""
    return ["-+"[r["header"]["tr_type"] == "1"] + r["body"]["input"]["tr_key"] for r in broker.requests]


def is_goodbye(request: dict[str, Any]) -> bool:
    return bool(request["header"]["tr_type"] == "2")


# -- in a running session


async def test_new_ones_are_asked_for_in_the_running_session(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    more = [f"{n:06d}" for n in range(30)]
    async with desk(broker, [A]) as made:
        await made.up()
        made.feed.watch([A, *more])
        assert made.feed.status().phase is Phase.UP  # what is up is not down because of others
        await made.until(lambda: len(made.status.subscribed) == 31)
        assert set(made.feed.status().symbols) == {A, *more}
        assert made.marks == [(Up, (symbol,)) for symbol in (A, *more)]
        assert min(late - early for early, late in pairwise(broker.times)) >= 0.05
    assert broker.asked() == [A, *more]
    assert len(broker.opened) == 1


async def test_what_is_gone_is_unsubscribed_after_a_while_and_blind_from_the_request_on(
    autojump_clock: MockClock,
) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        made.feed.watch([A])
        assert (made.feed.status().symbols, made.feed.status().subscribed) == ((A,), (A,))
        await trio.sleep(LINGER_S - 1)
        await broker.say(data(B))
        await made.until(lambda: len(made.frames) == 1)
        assert made.feed.status().unsubscribed == 0
        assert broker.asked("2") == []
        broker.answers = lambda request: [data(B), *good_answer(request)]  # on its way when the request came
        await made.until(lambda: broker.asked("2"))
        await made.until(lambda: len(made.frames) == 2)
        assert made.feed.status().unsubscribed == 1
        assert [type(event) for event in made.events] == [Up, Up, Frame, Down, Frame]
        assert made.events[3] == Down(made.events[3].t, (B,))
        assert made.feed.status().subscribed == (A,)
        broker.answers = good_answer
    assert requests(broker) == ["+" + A, "+" + B, "-" + B, "-" + A]
    assert made.marks[-1] == (Down, (A,))


async def test_save_undo_save_costs_nothing(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        for _ in range(200):
            made.feed.watch([A])
            await trio.sleep(LINGER_S - 1)
            made.feed.watch([B, A])
            await trio.sleep(1)
        assert made.marks == [(Up, (A,)), (Up, (B,))]
        assert len(broker.requests) == 2
        await trio.sleep(2 * LINGER_S)
        assert len(broker.requests) == 2


async def test_the_same_set_again_is_no_change(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with desk(Broker(after=chatter), [A, B]) as made:
        await made.up()
        made.feed.watch([B, A, B])
        await trio.sleep(60)
    assert not lines(caplog, "feed watches")


async def test_where_its_place_is_needed_nothing_lingers(autojump_clock: MockClock) -> None:
    """Two places: the new one is up within a second, and the broker never sees a third."""
    broker = Broker(after=chatter)
    async with desk(broker, [A, B], settings=TWO) as made:
        await made.up()
        made.feed.watch([B, C])
        await made.until(lambda: made.status.subscribed == (B, C), 1)
        assert made.marks[2:] == [(Down, (A,)), (Up, (C,))]
    assert requests(broker)[:4] == ["+" + A, "+" + B, "-" + A, "+" + C]


async def test_only_as_many_are_hurried_as_there_are_places_needed(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B], settings=TWO) as made:
        await made.up()
        made.feed.watch([C])
        await made.until(lambda: made.status.subscribed == (C,), 1)
        assert broker.asked("2") == [A]
        made.feed.watch([C, B])
        await trio.sleep(2 * LINGER_S)
        assert broker.asked("2") == [A]


async def test_who_was_left_out_is_asked_for_when_another_one_goes(autojump_clock: MockClock) -> None:
    """A broker that takes two, whatever it says of itself."""
    held: set[str] = set()

    def answers(request: dict[str, Any]) -> Iterable[str]:
        symbol = request["body"]["input"]["tr_key"]
        if is_goodbye(request):
            held.discard(symbol)
        elif len(held) == 2:
            return [answer("OPSP0008", symbol)]
        else:
            held.add(symbol)
        return good_answer(request)

    broker = Broker(answers=answers, after=chatter)
    async with desk(broker, [A, B, C, D]) as made:
        await made.up()
        assert made.feed.status().left_out == (C, D)
        made.feed.watch([B, C, D])
        await made.until(lambda: made.status.subscribed == (B, C), 2)
        await trio.sleep(600)
        assert made.feed.status().left_out == (D,)
        made.feed.watch([D, B])
        await made.until(lambda: made.status.subscribed == (B, D), 2)
        assert held == {B, D}
    assert broker.asked() == [A, B, C, C, D]


async def test_rejected_ones_stay_rejected(autojump_clock: MockClock) -> None:
    broker = Broker(answers=failing({C: "OPSP8993"}), after=chatter)
    async with desk(broker, [A]) as made:
        await made.up()
        made.feed.watch([A, C])
        await made.until(lambda: made.status.rejected)
        made.feed.watch([A])
        assert made.feed.status().rejected == ()
        await trio.sleep(2 * LINGER_S)
        made.feed.watch([A, C])
        await trio.sleep(2 * LINGER_S)
        assert made.feed.status().rejected == ((C, "OPSP8993"),)
        made.feed.watch([A])
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: len(broker.opened) == 2)
        await made.up()
        made.feed.watch([A, C])
        await trio.sleep(5)
        assert made.feed.status().rejected == ((C, "OPSP8993"),)
    assert broker.asked().count(C) == 1


async def test_who_returns_while_it_is_being_let_go_is_asked_for_again_as_a_repeat(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        broker.answers = lambda request: [] if is_goodbye(request) else good_answer(request)
        made.feed.watch([A])
        await made.until(lambda: broker.asked("2"))
        assert made.feed.backoff.rounds == ()
        made.feed.watch([A, B])
        assert made.feed.status().subscribed == (A,)
        await made.until(lambda: made.status.subscribed == (A, B), 4)  # the answer is waited for
        assert len(made.feed.backoff.rounds) == 1
        assert made.marks[2:] == [(Down, (B,)), (Up, (B,))]
        await trio.sleep(600)
        assert requests(broker) == ["+" + A, "+" + B, "-" + B, "+" + B]
        broker.answers = good_answer


@pytest.mark.parametrize("code", ["", "OPSP0007"])
async def test_an_unsubscription_that_fails_is_tried_again_and_not_without_end(
    code: str, autojump_clock: MockClock
) -> None:
    def answers(request: dict[str, Any]) -> Iterable[str]:
        symbol = request["body"]["input"]["tr_key"]
        return ([answer(code, symbol)] if code else []) if is_goodbye(request) and symbol == B else good_answer(request)

    broker = Broker(answers=answers, after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        made.feed.watch([A])
        await trio.sleep(120)
        assert broker.asked("2") == [B, B]
        await trio.sleep(7200)
        assert broker.asked("2") == [B] * 6
        assert made.marks[2:] == [(Down, (B,))]
        assert made.feed.status().subscribed == (A,)
    assert broker.asked() == [A, B]


async def test_an_unsubscription_that_failed_once_is_over_with_the_next(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        broker.answers = lambda request: [answer("OPSP0007", B)] if is_goodbye(request) else good_answer(request)
        made.feed.watch([A])
        await made.until(lambda: broker.asked("2"))
        broker.answers = good_answer
        await trio.sleep(3600)
        assert broker.asked("2") == [B, B]


async def test_a_ghost_that_is_being_renewed_when_it_goes_is_not_asked_for_again(autojump_clock: MockClock) -> None:
    async def sending(peer: Any) -> None:
        while True:
            await trio.sleep(10)
            await peer.say(data(A))

    start = day_start(day_number(1_795_500_000 * SECOND_NS)) + KRX.open_ns
    broker = Broker(after=sending)
    broker.answers = lambda request: [] if is_goodbye(request) else good_answer(request)
    async with desk(broker, [A, C], hours=KRX, start=start) as made:
        assert KRX.is_open(made.clock.now())
        await made.until(lambda: broker.asked("2"), 2000)
        made.feed.watch([A])
        assert made.feed.status().ghosts == ()
        await trio.sleep(20)
        assert broker.asked() == [A, C]
        broker.answers = good_answer


async def test_a_quiet_symbol_that_stays_alone_is_not_called_silent_for_what_busy_ones_taught(
    autojump_clock: MockClock,
) -> None:
    """A has data every second, B every nine minutes; learnt of both together, six minutes without any are silence."""

    async def sending(peer: Any) -> None:
        while True:
            await peer.say(data(B))
            for _ in range(540):
                await trio.sleep(1)
                await peer.say(data(A) if A in made.status.symbols else PINGPONG)

    start = day_start(day_number(1_795_500_000 * SECOND_NS)) + KRX.open_ns
    broker = Broker(after=sending)
    async with desk(broker, [A, B], hours=KRX, start=start) as made:
        await trio.sleep(1000)
        made.feed.watch([B])
        await trio.sleep(3600)
        assert made.feed.status().silent_since is None
        assert len(broker.opened) == 1


async def test_today_a_symbol_that_returns_is_known_to_have_had_data(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    evening = day_start(day_number(1_795_500_000 * SECOND_NS)) + 23 * 3600 * SECOND_NS
    async with desk(broker, [A, B], start=evening) as made:
        await made.up()
        await broker.say(data(A, B))
        made.feed.watch([A])
        await trio.sleep(2 * LINGER_S)
        made.feed.watch([A, B])
        assert B in dict(made.feed.status().last_records)
        made.feed.watch([A])
        await trio.sleep(2 * 3600)
        made.feed.watch([A, B])
        made.feed.watch([A])  # of another day it is not kept: it would pile up
        assert B not in dict(made.feed.status().last_records)


async def test_what_lingers_belongs_to_the_feed_that_has_it(autojump_clock: MockClock) -> None:
    async with desk(Broker(after=chatter), [A, B]) as made:
        await made.up()
        made.feed.watch([C])
        assert made.feed.symbols == (C, A, B)
        await trio.sleep(2 * LINGER_S)
        assert list(made.feed.symbols) == [C]


# -- without a session


async def test_while_it_waits_to_connect_again(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: made.status.phase is Phase.WAITING)
        made.feed.watch([B, C])
        await made.up()
        assert made.feed.status().subscribed == (B, C)
    assert broker.asked() == [A, B, B, C]
    assert made.marks[2:5] == [(Down, (A, B)), (Up, (B,)), (Up, (C,))]


@pytest.mark.parametrize("phase", [Phase.APPROVING, Phase.CONNECTING])
async def test_while_it_connects(phase: Phase, autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)

    async def approve() -> SecretStr:
        await trio.sleep(5)
        return SecretStr("TEST-APPROVAL-KEY")

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Socket]:
        await trio.sleep(5)
        async with broker.connect(url) as socket:
            yield socket

    async with desk(broker, [A, B], approve=approve, connect=connect) as made:
        await made.until(lambda: made.status.phase is phase)
        made.feed.watch([C])
        await made.up()
        assert made.feed.status().subscribed == (C,)
        made.feed.watch([])
        await made.until(lambda: made.status.phase is Phase.IDLE)
        made.feed.watch([A])
        await made.until(lambda: made.status.phase is phase)
        made.feed.watch([])
        await made.until(lambda: made.status.phase is Phase.IDLE)
        made.feed.watch([A])
        await made.until(lambda: made.status.phase is phase)
        made.feed.watch([])
        made.feed.watch([B])
        await made.up()
    assert broker.asked() == [C, B]


async def test_what_is_not_wanted_any_more_when_the_key_comes_is_not_connected_for(autojump_clock: MockClock) -> None:
    async def approve() -> SecretStr:
        await trio.sleep(5)
        return SecretStr("TEST-APPROVAL-KEY")

    broker = Broker(after=chatter)
    async with desk(broker, [A], approve=approve) as made:
        await made.until(lambda: made.status.phase is Phase.APPROVING)
        made.feed.watch([])
        await made.until(lambda: made.status.phase is Phase.IDLE)
    assert not broker.opened


async def test_while_the_first_answers_are_outstanding(autojump_clock: MockClock) -> None:
    broker = Broker(answers=lambda _: [], after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.until(broker.asked)
        made.feed.watch([C])
        broker.answers = good_answer
        await made.until(lambda: made.status.subscribed == (C,), 5)
        await trio.sleep(2 * LINGER_S)
        assert made.feed.status().subscribed == (C,)
    # A may be registered, as only the answer was lost; B was never asked for
    assert requests(broker) == ["+" + A, "+" + C, "-" + A, "-" + C]


async def test_while_it_says_goodbye(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        broker.answers = lambda _: []
        made.feed.stop()
        await made.until(lambda: broker.asked("2"))
        made.feed.watch([A, C])
        await made.until(lambda: made.status.phase is Phase.STOPPED)
        made.feed.watch([D])
        assert made.feed.status().phase is Phase.STOPPED
    assert broker.asked() == [A, B]
    assert broker.asked("2") == [A, B]


# -- idle


async def test_without_symbols_it_does_not_connect(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    broker = Broker(after=chatter)
    async with desk(broker, []) as made:
        await trio.sleep(86_400)
        status = made.status
        assert status.phase is Phase.IDLE
        assert (status.down_since, status.up_since, status.next_attempt, status.silent_since) == (None,) * 4
        assert made.approvals == []
        made.feed.watch([A])
        since = made.clock.now()
        assert (made.feed.status().phase, made.feed.status().down_since) == (
            Phase.WAITING,
            since,
        )  # not since yesterday
        await made.up()
        assert made.feed.status().subscribed == (A,)
    assert lines(caplog, "feed idle") == ["feed idle account=main"]


async def test_when_the_last_one_goes_it_ends_cleanly_and_idles(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B]) as made:
        await made.up()
        made.feed.watch([])
        await trio.sleep(LINGER_S - 1)
        made.feed.watch([B])
        await trio.sleep(2 * LINGER_S)
        assert broker.asked("2") == [A]
        made.feed.watch([])
        seen = set()
        while made.status.phase is not Phase.IDLE:
            seen.add(made.status.down_since)
            await trio.sleep(0.01)
        assert seen == {None}
        assert broker.closes == [1000]
        assert requests(broker) == ["+" + A, "+" + B, "-" + A, "-" + B]
        assert made.marks[2:] == [(Down, (A,)), (Down, (B,))]
        await trio.sleep(3600)
        assert len(made.approvals) == 1
        made.feed.watch([C])
        await made.up()
        assert made.feed.status().last_ending is None


async def test_one_that_comes_during_the_last_goodbye_is_connected_for(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A]) as made:
        await made.up()
        broker.answers = lambda request: [] if is_goodbye(request) else good_answer(request)
        made.feed.watch([])
        await made.until(lambda: made.status.phase is Phase.ENDING)
        made.feed.watch([B])
        await made.until(lambda: made.status.subscribed == (B,))
        assert len(broker.opened) == 2
        broker.answers = good_answer


async def test_an_outage_ends_where_nothing_is_wanted_and_its_pause_holds(autojump_clock: MockClock) -> None:
    async def approve() -> SecretStr:
        raise UnreachableError("ConnectError")

    async with desk(Broker(), [A], approve=approve) as made:
        await made.until(lambda: len(made.approvals) == 4)
        made.feed.watch([])
        await trio.sleep(1)
        assert made.feed.status().phase is Phase.IDLE
        asked = len(made.approvals)
        made.feed.watch([A])
        await trio.sleep(5)
        assert len(made.approvals) == asked  # 24 s after the fourth failure, however often a file is saved
        assert made.feed.status().phase is Phase.WAITING
        assert made.feed.status().down_since is not None
        assert made.feed.status().last_ending is None
        await made.until(lambda: len(made.approvals) > asked)


async def test_stop_ends_what_idles(autojump_clock: MockClock) -> None:
    async with desk(Broker(), []) as made:
        await trio.sleep(1)
    assert made.feed.status().phase is Phase.STOPPED


async def test_a_line_that_is_lost_while_the_last_one_lingers_is_not_made_anew(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A]) as made:
        await made.up()
        made.feed.watch([])
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: made.status.phase is Phase.IDLE)
        await trio.sleep(3600)
    assert len(broker.opened) == 1
    assert made.marks == [(Up, (A,)), (Down, (A,))]


async def test_who_comes_and_goes_without_end_connects_no_more_than_allowed(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    made: Desk
    async with desk(broker, []) as made:
        for _ in range(60):
            made.feed.watch([A])
            await trio.sleep(1)
            made.feed.watch([])
            await trio.sleep(LINGER_S + 10)
    assert len(broker.opened) <= 20
