"""Days of market in virtual time: the feed and the watch over it, second by second, and what a person is told."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from random import Random

import pytest
import trio
from kis_broker import PINGPONG, TR, answer
from kis_desk import ACCOUNT
from pydantic import SecretStr
from trio.testing import MockClock

from engine.clock import Clock
from engine.config.model import Feed as FeedSettings
from engine.config.model import Market
from engine.delivery.notice import Notice
from engine.incidents.monitor import Monitor
from engine.kis.feed import Feed
from engine.kis.websocket import LostError
from engine.kst import SECOND_NS, clock_time, day_of, day_start
from engine.locale import Locale
from engine.trading_days import MarketHours

SYMBOLS = ("005930", "000660", "035420")
Spans = Sequence[tuple[str, str]]


def of_day(time: str) -> int:
    hour, minute = map(int, time.split(":"))
    return (hour * 3600 + minute * 60) * SECOND_NS


@dataclass
class Day:
    """`trades`: when the market does; `dead`: when nobody answers at all; `mute`: when only PINGPONG comes."""

    when: date
    trades: Spans
    dead: Spans = ()
    mute: Spans = ()

    def is_in(self, spans: Spans, t: int) -> bool:
        at = t - day_start(day_of(self.when))
        return any(of_day(start) <= at < of_day(end) for start, end in spans)


class Link:
    """A session with a broker that keeps the day's hours: records every few seconds, else PINGPONG."""

    def __init__(self, day: Day, now: Callable[[], int]) -> None:
        self.last_heard_s = trio.current_time()
        self._day, self._now = day, now
        self._random = Random(1)
        self._answers, self._waiting = trio.open_memory_channel[str](100)
        self._names: list[str] = []
        self._volume = 0

    async def receive(self) -> str:
        with trio.move_on_after(self._random.uniform(0.5, 9)):
            text = await self._waiting.receive()
            self.last_heard_s = trio.current_time()
            return text
        if self._day.is_in(self._day.dead, self._now()):
            raise LostError("closed 1006")
        self.last_heard_s = trio.current_time()
        trades = self._day.is_in(self._day.trades, self._now()) and not self._day.is_in(self._day.mute, self._now())
        return self._record() if trades and self._names else PINGPONG

    def _record(self) -> str:
        self._volume += 10
        values = f"0^0^{self._volume}^{self._volume * 1000}^{self._volume}^{self._volume * 1000}^5^9^4"
        return f"0|{TR}|001|{self._random.choice(self._names)}^{clock_time(self._now())}^{values}"

    async def send(self, text: str) -> None:
        message = json.loads(text)
        if "body" in message:
            symbol, asked = message["body"]["input"]["tr_key"], message["header"]["tr_type"] == "1"
            self._names.append(symbol) if asked else self._names.remove(symbol)
            self._answers.send_nowait(answer("OPSP0000" if asked else "OPSP0001", symbol))


async def lived(day: Day, start: str, end: str, market: Market = Market.KRX) -> list[Notice]:
    """Run a feed and look after it every second: → what was told."""
    zero = day_start(day_of(day.when)) + of_day(start)
    clock = Clock(lambda: zero + int(trio.current_time() * SECOND_NS))
    hours = MarketHours(*market.hours_ns, market=market)

    @asynccontextmanager
    async def connect(_url: str) -> AsyncIterator[Link]:
        if day.is_in(day.dead, clock.now()):
            raise LostError("no connection")
        yield Link(day, clock.now)

    async def approve() -> SecretStr:
        return SecretStr("TEST-APPROVAL-KEY")

    feed = Feed(
        ACCOUNT,
        SYMBOLS,
        FeedSettings(market=market),
        tr_id=TR,
        clock=clock,
        put=lambda _: None,
        hours=hours,
        connect=connect,
        approve=approve,
        uniform=lambda: 0.5,
    )
    monitor = Monitor(
        [], hours, Locale.EN, notify=("terminal",), name=lambda _: "", not_covered=(), started=clock.now()
    )
    told: list[Notice] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        while clock.now() < day_start(day_of(day.when)) + of_day(end):
            told += monitor.look(clock.now(), [feed.status()])
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return told


def spoken(told: Sequence[Notice]) -> list[tuple[str, str]]:
    return [(notice.kind, clock_time(notice.at)[:4]) for notice in told]


@pytest.fixture
def day_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


CONTINUOUS = (("09:00", "15:20"),)


SOAK = pytest.mark.soak  # a day of seconds takes as many real seconds as it has hours


@pytest.mark.parametrize(
    ("when", "trades", "market", "start", "end"),
    [
        pytest.param(date(2026, 11, 20), CONTINUOUS, Market.KRX, "08:45", "15:40", marks=pytest.mark.slow, id="usual"),
        pytest.param(date(2026, 11, 21), (), Market.KRX, "08:45", "10:00", id="Saturday"),
        pytest.param(date(2026, 12, 31), (), Market.KRX, "08:45", "10:00", id="exchange's holiday"),
        pytest.param(date(2026, 11, 19), (("10:00", "16:20"),), Market.KRX, "07:30", "20:30", marks=SOAK, id="exam"),
        pytest.param(date(2026, 1, 2), (("10:00", "15:20"),), Market.KRX, "07:30", "20:30", marks=SOAK, id="first day"),
        pytest.param(
            date(2026, 11, 20),
            (("08:00", "08:50"), ("09:00", "15:20"), ("15:40", "20:00")),
            Market.NXT,
            "07:30",
            "20:30",
            marks=SOAK,
            id="NXT",
        ),
        pytest.param(
            date(2026, 11, 19),
            (("10:00", "16:20"), ("16:40", "20:00")),
            Market.NXT,
            "07:30",
            "20:30",
            marks=SOAK,
            id="NXT on the exam day",
        ),
    ],
)
async def test_a_day_on_which_nothing_is_wrong_is_silent(
    when: date, trades: Spans, market: Market, start: str, end: str, day_clock: MockClock
) -> None:
    assert spoken(await lived(Day(when, trades), start, end, market)) == []


async def test_a_night_without_a_broker_is_told_ten_minutes_before_the_open(day_clock: MockClock) -> None:
    day = Day(date(2026, 11, 20), CONTINUOUS, dead=(("08:00", "08:55"),))
    told = await lived(day, "08:00", "09:10")
    assert spoken(told)[0] == ("feed-lost", "0850")
    assert [kind for kind, _ in spoken(told)] == ["feed-lost", "feed-back"]


async def test_a_holiday_without_a_broker_is_nobody_s_business(day_clock: MockClock) -> None:
    assert await lived(Day(date(2026, 12, 31), (), dead=(("08:50", "09:40"),)), "08:45", "10:00") == []


async def test_silence_in_the_session_is_told_and_over_when_data_is_back(day_clock: MockClock) -> None:
    day = Day(date(2026, 11, 20), CONTINUOUS, mute=(("10:00", "10:30"),))
    assert spoken(await lived(day, "09:30", "10:45")) == [("feed-silent", "1006"), ("feed-speaks", "1030")]


async def test_silence_from_the_open_on_is_told(day_clock: MockClock) -> None:
    day = Day(date(2026, 11, 20), CONTINUOUS, mute=(("09:00", "09:50"),))
    told = spoken(await lived(day, "08:45", "10:00"))
    assert ("feed-silent", "0930") in told  # three symbols may well have nothing to say for half an hour
    assert ("symbols-quiet", "0930") in told  # none of them has had a record by then
    assert told[-1] == ("feed-speaks", "0950")
