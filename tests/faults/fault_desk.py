"""A feed and the simulated broker over real sockets, a scenario of faults between them, and what came of it.

Times of the fault are the scenario's: it is cut at `CUT_S` after the simulator's start, and whole again at `healed_s`.
"""

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple
from unittest.mock import patch

import trio
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Account, Simulator
from engine.config.model import Feed as FeedSettings
from engine.kis.feed import Feed
from engine.kis.status import Phase
from engine.kst import DAY_NS, SECOND_NS
from engine.session import Hours
from engine.simulator import codes, scenario
from engine.simulator.connection import Connection, Kind, Outgoing
from engine.simulator.server import Behaviour, Broker
from engine.simulator.websocket import Text
from engine.stream import Down, Event, Frame, Up

ACCOUNT = Account(name="main", app_key=SecretStr("TEST-APP-KEY"), app_secret=SecretStr("TEST-APP-SECRET"))
SYMBOLS = tuple(codes.first(5))
CUT_S = 6.0
_IN_FLIGHT_S = 0.3
"""What was sent so shortly before the cut may be lost with the connection: it belongs to the gap."""

DEFAULTS = FeedSettings()
QUICK = DEFAULTS.model_copy(
    update={
        "idle_timeout": timedelta(seconds=1.5),
        "backoff": DEFAULTS.backoff.model_copy(
            update={
                "first": timedelta(milliseconds=100),
                "max": timedelta(milliseconds=400),
                "in_use": timedelta(milliseconds=500),
                "max_per_hour": 60,
            }
        ),
    }
)
"""The same feed with less patience, so that a test takes seconds."""


class Emitted(NamedTuple):
    at: int
    connection: int
    text: str


Heard = dict[object, list[Emitted]]
"""What each broker put on its way to its clients."""


@dataclass
class Desk:
    feed: Feed
    broker: Broker
    started: int
    """The scenario's zero, in ns since the epoch."""
    events: list[Event] = field(default_factory=list)

    def after(self, t: int, kind: type) -> Iterator[Any]:
        return (event for event in self.events if isinstance(event, kind) and event.t >= t)

    def moment(self, seconds: float) -> int:
        return self.started + int(seconds * SECOND_NS)

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        with trio.fail_after(seconds):
            while not condition():
                await trio.sleep(0.01)

    async def up(self, seconds: float = 20) -> None:
        await self.until(lambda: self.feed.status().phase is Phase.UP, seconds)

    def assert_nothing_else_lost(self, cut: int, heard: Heard) -> None:
        """Every data frame that was sent has been received, but for those in flight on a connection that was cut."""
        emitted = heard[self.broker]
        received = [event.text for event in self.events if isinstance(event, Frame)]
        place = 0
        for number in dict.fromkeys(each.connection for each in emitted):
            sent = [each for each in emitted if each.connection == number]
            taken = 0
            while taken < len(sent) and place < len(received) and sent[taken].text == received[place]:
                taken, place = taken + 1, place + 1
            lost = [each for each in sent[taken:] if each.at < cut - int(_IN_FLIGHT_S * SECOND_NS)]
            assert not lost, f"{len(lost)} of {len(sent)} frames of connection {number}"
        assert place == len(received), "received what was not sent"


@contextmanager
def overheard() -> Iterator[Heard]:
    """Note every data frame of every broker; once around all desks of a test."""
    heard: Heard = defaultdict(list)
    emit = Connection.emit

    def listening(connection: Connection, outgoing: Outgoing) -> None:
        if outgoing.kind is Kind.DATA and isinstance(outgoing.frame, Text):
            host = connection._host
            heard[host].append(Emitted(host.now(), connection.session.number, outgoing.frame.text))
        emit(connection, outgoing)

    with patch.object(Connection, "emit", listening):
        yield heard


@asynccontextmanager
async def desk(
    faults: str, settings: FeedSettings = QUICK, *, symbols: tuple[str, ...] = SYMBOLS, **simulator: Any
) -> AsyncIterator[Desk]:
    """A broker that plays `faults` and a feed that is connected to it."""
    market = Simulator.model_validate({"symbols": 5, "rate": 50.0, **simulator})
    played = scenario.parse(faults)
    broker = Broker(market, Behaviour(approval_interval_s=0.01), played)
    started = broker.now()
    clock = Clock()
    events: list[Event] = []
    async with trio.open_nursery() as nursery:
        addresses = await nursery.start(broker.run)
        there = settings.model_copy(update={"rest_url": addresses.rest_url, "websocket_url": addresses.websocket_url})
        feed = Feed(
            ACCOUNT,
            symbols,
            there,
            tr_id=settings.market.tr_id,
            clock=clock,
            put=events.append,
            hours=Hours(0, DAY_NS),
        )
        made = Desk(feed, broker, started, events)
        nursery.start_soon(feed.run)
        yield made
        nursery.cancel_scope.cancel()


class Outage(NamedTuple):
    notice_s: float
    """From the cut until the symbols were blind."""
    back_s: float
    """From the healing until data came again."""


async def outage(made: Desk, healed_s: float) -> Outage:
    """Wait for one: down after the cut, up for good and hearing after it has healed."""
    cut, healed = made.moment(CUT_S), made.moment(healed_s)
    await made.until(lambda: any(made.after(cut, Down)), math.inf)
    down = next(made.after(cut, Down)).t
    await made.until(lambda: _is_back(made, max(down, healed)), math.inf)
    back = next(frame.t for frame in made.after(_last_up(made), Frame))
    return Outage((down - cut) / SECOND_NS, (back - healed) / SECOND_NS)


def _last_up(made: Desk) -> int:
    return max((up.t for up in made.after(0, Up)), default=0)


def _is_back(made: Desk, since: int) -> bool:
    status = made.feed.status()
    return status.phase is Phase.UP and _last_up(made) >= since and any(made.after(_last_up(made), Frame))
