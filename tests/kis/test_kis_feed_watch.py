"""Ghosts and silence, through the whole feed: a Tuesday of the market in virtual time."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
import trio
from kis_broker import PINGPONG, Broker, Peer, answer, data, good_answer
from kis_desk import A, B, C, Desk, chatter, desk, lines
from trio.testing import MockClock

from engine.config.model import Market
from engine.kis.backoff import Ending, Memory
from engine.kis.session import Socket
from engine.kis.status import Phase
from engine.kis.websocket import LostError
from engine.kst import DAY_NS, SECOND_NS, day_of, day_start
from engine.session import Hours
from engine.stream import Down, Up
from engine.trading_days import MarketHours

MINUTE = 60 * SECOND_NS
TUESDAY = day_start(day_of(date(2026, 11, 24)))
SUNDAY = TUESDAY - 2 * DAY_NS
OPEN = TUESDAY + 9 * 60 * MINUTE
KRX = MarketHours(9 * 60 * MINUTE, (15 * 60 + 30) * MINUTE, market=Market.KRX)
SIMULATED = Hours(0, DAY_NS)


class Sender:
    """Sends data of these symbols each so many seconds, and PINGPONG all the time."""

    def __init__(self, *symbols: str, every_s: float = 10) -> None:
        self.symbols = symbols
        self._every_s = every_s

    async def __call__(self, peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chatter, peer)
            while True:
                await trio.sleep(self._every_s)
                if self.symbols:
                    await peer.say(data(*self.symbols))


def requests_of(broker: Broker, symbol: str) -> str:
    """1 for subscribe, 2 for unsubscribe, in order."""
    return "".join(r["header"]["tr_type"] for r in broker.requests if r["body"]["input"]["tr_key"] == symbol)


def marks_of(made: Desk, symbol: str) -> list[type]:
    return [kind for kind, symbols in made.marks if symbol in symbols]


# -- ghosts


async def test_a_ghost_is_subscribed_anew_once_that_day(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(after=Sender(A, B))
    async with desk(broker, [A, B, C], hours=KRX, start=OPEN) as made:
        await made.up()
        await trio.sleep(29 * 60)
        assert not made.status.ghosts
        await trio.sleep(120)
        assert made.status.ghosts == (C,)
        assert requests_of(broker, C) == "121"
        assert marks_of(made, C) == [Up, Down, Up]
        assert C in made.status.subscribed
        await trio.sleep(900)
        assert requests_of(broker, C) == "121"
        await broker.say(data(C))
        await made.until(lambda: made.status.ghosts == ())
    assert requests_of(broker, A) == requests_of(broker, B) == "12"
    assert broker.asked("2") == [C, A, B, C]
    assert lines(caplog, "feed ghost") == [f"feed ghost account=main symbol={C}"]
    assert not lines(caplog, "feed unsubscribed by the broker")  # it was by us
    assert len(broker.opened) == 1


async def test_a_lost_session_in_the_middle_does_not_repeat_it(autojump_clock: MockClock) -> None:
    """The unsubscription is sent, and before anything is answered the line breaks."""

    def answers(request: dict[str, Any]) -> Iterable[str]:
        if request["header"]["tr_type"] == "2" and len(broker.opened) == 1:
            nursery.start_soon(broker.peers[-1].stream.aclose)
            return []
        return good_answer(request)

    broker = Broker(answers=answers, after=Sender(A))
    async with trio.open_nursery() as nursery, desk(broker, [A, C], hours=KRX, start=OPEN) as made:
        await trio.sleep(31 * 60)
        assert len(broker.opened) == 2
        assert made.status.ghosts == (C,)
        await trio.sleep(900)
        assert requests_of(broker, C) == "121"
        assert marks_of(made, C) == [Up, Down, Up]


@pytest.mark.parametrize("code", ["", "OPSP0003", "OPSP0007"])
async def test_however_the_unsubscription_is_answered_it_comes_back(code: str, autojump_clock: MockClock) -> None:
    def answers(request: dict[str, Any]) -> Iterable[str]:
        if request["header"]["tr_type"] == "1" or made.status.phase == "ending":
            return good_answer(request)
        return [answer(code, None if code == "OPSP0003" else C)] if code else []

    broker = Broker(answers=answers, after=Sender(A))
    async with desk(broker, [A, C], hours=KRX, start=OPEN) as made:
        await trio.sleep(31 * 60)
        assert requests_of(broker, C) == "121"
        assert C in made.status.subscribed
        assert marks_of(made, C) == [Up, Down, Up]


async def test_ghosts_are_asked_at_the_usual_pace_and_within_the_budget(autojump_clock: MockClock) -> None:
    symbols = [f"{n:06d}" for n in range(41)]
    broker = Broker(after=Sender(symbols[0]))
    async with desk(broker, symbols, hours=KRX, start=OPEN) as made:
        await trio.sleep(32 * 60)
        assert len(made.status.ghosts) == 40
        assert len(made.status.subscribed) == 41
        assert len(made.feed.backoff.rounds) == 1
        gaps = [late - early for early, late in zip(broker.times, broker.times[1:], strict=False) if late - early < 10]
        assert min(gaps) >= 0.05


async def test_what_is_heard_while_it_waits_to_be_renewed_is_left_in_peace(autojump_clock: MockClock) -> None:
    broker = Broker(after=Sender(A))
    async with desk(broker, [A, C], hours=KRX, start=OPEN) as made:
        await trio.sleep(29 * 60)
        made.feed.backoff = type(made.feed.backoff)(rounds=(made.clock.now(),) * 3)  # nothing may be asked again now
        await trio.sleep(300)
        assert made.status.ghosts == (C,)
        await broker.say(data(C))
        made.feed.backoff = type(made.feed.backoff)()
        await trio.sleep(3600)
        assert requests_of(broker, C) == "1"


@pytest.mark.parametrize("start", [SUNDAY + 9 * 60 * MINUTE, OPEN + 7 * 60 * MINUTE], ids=["Sunday", "evening"])
async def test_outside_the_session_nobody_is_a_ghost_and_silence_is_normal(
    start: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(after=Sender())
    async with desk(broker, [A, C], hours=KRX, start=start) as made:
        await trio.sleep(2400)
        assert (made.status.ghosts, made.status.silent_since) == ((), None)
    assert broker.asked() == [A, C]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_ghost_that_the_broker_unsubscribes_while_the_round_is_written_down_ends_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It was let go a second time, and the daemon died of a KeyError."""

    async def remember(memory: Memory) -> bool:
        if len(memory.state.rounds) == 1 and made.status.ghosts and not lines(caplog, "feed unsubscribed"):
            await broker.say(answer("OPSP0001", C))
            await trio.sleep(1)
        return True

    broker = Broker(after=Sender(A))
    async with desk(broker, [A, C], hours=KRX, start=OPEN, remember=remember) as made:
        await trio.sleep(32 * 60)
        assert requests_of(broker, C) == "11"
        assert marks_of(made, C) == [Up, Down, Up]
        assert len(broker.opened) == 1
    assert len(lines(caplog, "feed unsubscribed by the broker")) == 1


async def test_an_outage_over_the_open_makes_nobody_a_ghost(autojump_clock: MockClock) -> None:
    """Up at 08:55, lost at 08:59, back at 09:43: 36 of 41 were unsubscribed before their first record could come."""
    symbols = [f"{n:06d}" for n in range(41)]
    broker = Broker(after=chatter)  # nothing trades before the open

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Socket]:
        if broker.opened and made.clock.now() < OPEN + 43 * MINUTE:
            raise LostError("no connection")
        async with broker.connect(url) as socket:
            yield socket

    async with desk(broker, symbols, hours=KRX, start=OPEN - 5 * MINUTE, connect=connect) as made:
        await trio.sleep(4 * 60)
        broker.after = Sender(*symbols, every_s=12)
        await broker.peers[-1].stream.aclose()
        await made.until(lambda: len(broker.opened) == 2, 3600)
        assert made.clock.now() >= OPEN + 43 * MINUTE
        await trio.sleep(60)
        assert not made.status.ghosts
        assert not broker.asked("2")


# -- silence


async def test_silence_of_data_ends_the_session_once_and_is_told_until_data_comes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(A, B)
    broker = Broker(after=sender)
    async with desk(broker, hours=KRX, start=OPEN) as made:
        await trio.sleep(15 * 60)
        sender.symbols = ()
        last = made.status.last_frame
        await trio.sleep(350)
        assert made.status.silent_since is None
        await made.until(lambda: made.status.phase is Phase.ENDING)
        await made.until(lambda: len(broker.opened) == 2)
        assert broker.asked("2") == [A, B]  # the broker is alive: without that it may hold the slot for minutes
        assert made.status.last_ending is Ending.SILENT
        since = made.status.silent_since
        assert since is not None
        assert last is not None
        assert abs(since - last) <= 10 * SECOND_NS  # PINGPONG is a frame as well
        await trio.sleep(1700)
        assert len(broker.opened) == 2
        assert made.status.silent_since == since
        sender.symbols = (A, B)
        await made.until(lambda: made.status.silent_since is None)
        assert len(broker.opened) == 2
    assert broker.closes == [1000, 1000]
    ended = lines(caplog, 'feed lost account=main ending="silent" reason="no data for 36')
    assert len(ended) == 1


async def test_a_silent_peer_that_answers_nothing_does_not_hold_the_next_connection(autojump_clock: MockClock) -> None:
    sender = Sender(A, B)
    broker = Broker(after=sender, polite=False)
    async with desk(broker, hours=KRX, start=OPEN) as made:
        await trio.sleep(15 * 60)
        sender.symbols = ()
        broker.answers = lambda _: []
        await made.until(lambda: made.status.silent_since, 400)
        began = trio.current_time()
        await made.until(lambda: made.status.last_ending is Ending.SILENT)
        assert trio.current_time() - began <= 7.5  # five for the farewell, two for the close
        broker.answers = good_answer
        await made.until(lambda: len(broker.opened) == 2)
    assert broker.asked("2")[:2] == [A, B]


async def test_where_nothing_is_up_no_silence_is_judged(autojump_clock: MockClock) -> None:
    async with desk(Broker(answers=lambda _: [], after=chatter), hours=KRX, start=OPEN) as made:
        await trio.sleep(3600)
        assert made.status.silent_since is None
        assert len(made.broker.opened) == 1


async def test_silent_from_birth_with_pingpong(autojump_clock: MockClock) -> None:
    broker = Broker(after=chatter)
    async with desk(broker, [A, B], hours=KRX, start=OPEN - 30 * MINUTE) as made:
        await trio.sleep(30 * 60 + 29 * 60)
        assert len(broker.opened) == 1
        await trio.sleep(120)
        assert len(broker.opened) == 2
        assert made.status.silent_since is not None
        assert made.status.silent_since - OPEN < 2 * SECOND_NS


async def test_a_closing_auction_is_no_silence(autojump_clock: MockClock) -> None:
    sender = Sender(A, B, every_s=1)
    broker = Broker(after=sender)
    async with desk(broker, hours=KRX, start=OPEN + 6 * 60 * MINUTE) as made:
        await trio.sleep(20 * 60 - 1)
        sender.symbols = ()
        await trio.sleep(900)
        assert made.status.silent_since is None
    assert len(broker.opened) == 1


async def test_a_simulated_market_is_judged_around_the_clock(autojump_clock: MockClock) -> None:
    sender = Sender(A, B)
    async with desk(Broker(after=sender), hours=SIMULATED, start=TUESDAY + 60 * MINUTE) as made:
        await trio.sleep(15 * 60)
        sender.symbols = ()
        await made.until(lambda: made.status.silent_since, 400)


async def test_without_hours_nothing_is_judged(autojump_clock: MockClock) -> None:
    async with desk(Broker(after=chatter), start=OPEN) as made:
        await trio.sleep(2400)
        assert (made.status.ghosts, made.status.silent_since) == ((), None)
    assert PINGPONG in made.broker.echoes
