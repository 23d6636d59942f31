"""A feed at work against a broker in memory, for tests in virtual time."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from kis_broker import PINGPONG, TR, Broker, Peer, answer, good_answer
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Account
from engine.config.model import Feed as FeedSettings
from engine.kis.backoff import Memory
from engine.kis.feed import Approve, Connect, Feed, Remember
from engine.kis.status import Phase, Status
from engine.session import Hours
from engine.stream import Down, Event, Frame, Up

ACCOUNT = Account(name="main", app_key=SecretStr("TEST-APP-KEY"), app_secret=SecretStr("TEST-APP-SECRET"))
SETTINGS = FeedSettings(websocket_url="ws://broker.test:21000/tryitout")
A, B, C = "005930", "000660", "0162Z0"
NEVER_OPEN = Hours(0, 0)


class Desk:
    """A feed at work, and what it said."""

    def __init__(
        self,
        broker: Broker,
        symbols: Sequence[str],
        *,
        approve: Approve | None = None,
        connect: Connect | None = None,
        remember: Remember | None = None,
        memory: Memory = Memory(),  # noqa: B008 -- frozen
        hours: Hours = NEVER_OPEN,
        start: int = 0,
        settings: FeedSettings = SETTINGS,
    ) -> None:
        """`start`: the time at which it begins, instead of today's."""
        self.broker = broker
        self.events: list[Event] = []
        self.approvals: list[float] = []
        self.memories: list[Memory] = []
        self._approve = approve
        self._remember = remember
        self.clock = Clock(lambda: start or time.time_ns())
        self.feed = Feed(
            ACCOUNT,
            symbols,
            settings,
            tr_id=TR,
            clock=self.clock,
            put=self.events.append,
            hours=hours,
            past=memory.state,
            approved=memory.approved,
            remember=self.remember,
            connect=connect or broker.connect,
            approve=self.approve,
            uniform=lambda: 0.0,
        )

    async def approve(self) -> SecretStr:
        self.approvals.append(trio.current_time())
        if self._approve is not None:
            return await self._approve()
        return SecretStr(f"TEST-APPROVAL-KEY-{len(self.approvals)}")

    async def remember(self, memory: Memory) -> bool:
        self.memories.append(memory)
        return self._remember is None or await self._remember(memory)

    @property
    def status(self) -> Status:
        return self.feed.status()

    @property
    def frames(self) -> list[Frame]:
        return [event for event in self.events if isinstance(event, Frame)]

    @property
    def marks(self) -> list[tuple[type, tuple[str, ...]]]:
        return [(type(event), event.symbols) for event in self.events if isinstance(event, Up | Down)]

    async def until(self, condition: Callable[[], object], within_s: float = 60) -> None:
        with trio.fail_after(within_s):
            while not condition():
                await trio.sleep(within_s / 6000)

    async def up(self) -> None:
        await self.until(lambda: self.feed.status().phase is Phase.UP)


@asynccontextmanager
async def desk(
    broker: Broker,
    symbols: Sequence[str] = (A, B),
    **options: Any,
) -> AsyncIterator[Desk]:
    """Checks at the end what always holds: times never fall, and stopping takes no longer than it may."""
    made = Desk(broker, symbols, **options)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.feed.run)
        yield made
        made.feed.stop()
        with trio.fail_after(8):
            await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        await trio.testing.wait_all_tasks_blocked()
    times = [event.t for event in made.events]
    assert times == sorted(times)


def failing(symbols: dict[str, str]) -> Callable[[dict[str, Any]], Iterable[str]]:
    """The good broker, but these symbols get these codes."""

    def answers(request: dict[str, Any]) -> Iterable[str]:
        symbol = request["body"]["input"]["tr_key"]
        if request["header"]["tr_type"] == "1" and symbol in symbols:
            return [answer(symbols[symbol], symbol)]
        return good_answer(request)

    return answers


def lines(caplog: pytest.LogCaptureFixture, start: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(start)]


def waits(made: Desk) -> list[float]:
    """Seconds between the attempts."""
    return [late - early for early, late in zip(made.approvals, made.approvals[1:], strict=False)]


async def chatter(peer: Peer) -> None:
    while True:
        await trio.sleep(10)
        await peer.say(PINGPONG)


async def key() -> SecretStr:
    return SecretStr("TEST-APPROVAL-KEY")
