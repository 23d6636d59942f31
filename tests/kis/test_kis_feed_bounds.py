"""Whatever goes wrong, and however often it is restarted, a feed keeps to its bounds, and is back when the broker is.

Sequences of faults in virtual time through the real feed and session. The bounds are those of engine.kis.backoff: so
many attempts and so many requests to subscribe in any hour, and the longest wait once the broker is well again.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kis_broker import PINGPONG, TR, answer, data
from kis_desk import ACCOUNT
from pydantic import SecretStr
from trio.testing import MockClock

from engine.clock import Clock
from engine.config.model import Backoff
from engine.config.model import Feed as FeedSettings
from engine.kis import budget
from engine.kis.approval import AskedTooOftenError, CredentialsRefusedError, UnreachableError
from engine.kis.backoff import Memory
from engine.kis.feed import Feed
from engine.kis.status import Phase
from engine.kis.websocket import LostError
from engine.kst import DAY_NS, SECOND_NS
from engine.session import Hours

HOUR_S = 3600
START = 1_800_000_000 * SECOND_NS
SIMULATED = Hours(0, DAY_NS)

APPROVAL = {
    "credentials": CredentialsRefusedError("EGW00103", "EGW00103"),
    "too often": AskedTooOftenError("EGW00133", "EGW00133"),
    "unreachable": UnreachableError("ConnectError"),
}
CODES = {"in use": "OPSP8996", "key refused": "OPSP0011", "failing": "OPSP0007", "unknown": "OPSP4711"}
QUICK = ["unreachable", "no connection", "kick", "silent", "mute", "no data", "failing", "unsubscribing", "data"]
"""After these the feed is back within the stated longest wait; refused credentials wait for up to an hour."""
FAULTS = [*QUICK, *APPROVAL, *CODES, "headerless"]


@dataclass(frozen=True, slots=True)
class Step:
    """What the broker does with one attempt."""

    fault: str
    lasts_s: float = 0
    """Until it ends the connection, or the process crashes."""
    crash: bool = False


class Link:
    """A session with a broker that behaves as its step says."""

    def __init__(self, world: "World", fault: str, lasts_s: float) -> None:
        self.last_heard_s = trio.current_time()
        self._world = world
        self._fault = fault
        self._send, self._receive = trio.open_memory_channel[str](10_000)
        self._ends = trio.current_time() + lasts_s
        self._names: set[str] = set()

    async def receive(self) -> str:
        if self._fault == "silent":
            await trio.sleep_forever()
        while True:
            with trio.move_on_at(min(self._ends, trio.current_time() + 10)):
                text = await self._receive.receive()
                self.last_heard_s = trio.current_time()
                return text
            if trio.current_time() >= self._ends:
                raise LostError("closed 1006")
            self.last_heard_s = trio.current_time()
            return data(*self._names) if self._names and self._fault in ("data", "") else PINGPONG

    async def send(self, text: str) -> None:
        message = json.loads(text)
        if "body" not in message:
            return
        symbol, asked = message["body"]["input"]["tr_key"], message["header"]["tr_type"] == "1"
        if asked:
            self._world.requests.append(trio.current_time())
        for reply in self._replies(symbol, asked=asked):
            self._send.send_nowait(reply)

    def _replies(self, symbol: str, *, asked: bool) -> list[str]:
        if self._fault in ("silent", "mute"):
            return []
        if self._fault in CODES:
            return [answer(CODES[self._fault], symbol)]
        if self._fault == "headerless":
            return [answer("OPSP0007", None)]
        self._names.add(symbol)
        unasked = [answer("OPSP0001", symbol)] if self._fault == "unsubscribing" and asked else []
        return [answer("OPSP0000" if asked else "OPSP0001", symbol), *unasked]


@dataclass(frozen=True, slots=True)
class Edit:
    """After so long other symbols are wanted."""

    after_s: float
    symbols: tuple[str, ...]


@dataclass
class World:
    """A broker, a disk, what starts the process again, and who edits its rules."""

    steps: list[Step]
    limit: int = 20
    symbols: Sequence[str] = tuple(f"{n:06d}" for n in range(5))
    disk_fails_from: float = float("inf")
    """From that second on nothing can be kept any more."""
    memory: Memory = field(default_factory=Memory)
    edits: Sequence[Edit] = ()
    """Made one after the other, whatever becomes of the process; in the end `symbols` are wanted again."""
    attempts: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    well_since: float = 0
    """When the last fault was over."""
    up_at: float = 0

    def __post_init__(self) -> None:
        self._steps = iter(self.steps)
        self._step: Step | None = None
        self._is_well = trio.Event()
        self._wanted = tuple(self.symbols)
        self._is_edited = trio.Event()

    async def run(self) -> None:
        """Until a feed is up with all symbols and a broker that is well."""
        async with trio.open_nursery() as editor:
            editor.start_soon(self._edit)
            while not self.up_at:
                async with trio.open_nursery() as nursery:
                    self._process = nursery.cancel_scope
                    self._running = self._feed()
                    nursery.start_soon(self._running.run)
                    nursery.start_soon(self._look, self._running)

    async def _edit(self) -> None:
        for edit in (*self.edits, Edit(0, tuple(self.symbols))):
            await trio.sleep(edit.after_s)
            self._wanted = edit.symbols
            self._running.watch(edit.symbols)
        self._is_edited.set()

    def _feed(self) -> Feed:
        return Feed(
            ACCOUNT,
            self._wanted,
            FeedSettings(max_registrations=len(self.symbols), backoff=Backoff(max_per_hour=self.limit)),
            tr_id=TR,
            clock=Clock(lambda: START + int(trio.current_time() * SECOND_NS)),
            put=lambda _: None,
            hours=SIMULATED,
            past=self.memory.state,
            approved=self.memory.approved,
            remember=self._remember,
            connect=self._connect,
            approve=self._approve,
            uniform=lambda: 0.5,
        )

    async def _look(self, feed: Feed) -> None:
        await self._is_edited.wait()
        await self._is_well.wait()
        while feed.status().phase is not Phase.UP or (self.edits and len(feed.status().subscribed) < len(self.symbols)):
            await trio.sleep(1)
        assert set(feed.status().subscribed) == set(self.symbols)
        self.up_at = trio.current_time()
        self._process.cancel()

    async def _remember(self, memory: Memory) -> bool:
        if trio.current_time() >= self.disk_fails_from:
            return False
        kept = Memory.from_dict(json.loads(json.dumps(memory.to_dict())))
        assert kept == memory
        self.memory = kept
        return True

    async def _approve(self) -> SecretStr:
        self.attempts.append(trio.current_time())
        self._step = next(self._steps, None)
        if self._step is not None:
            self.well_since = trio.current_time()  # or later, where there is a connection to be lost
        if self._step is None:
            self._is_well.set()
        if self._step is not None and self._step.crash and self._step.lasts_s == 0:
            await self._crash()
        if self._step is not None and self._step.fault in APPROVAL:
            raise APPROVAL[self._step.fault]
        return SecretStr("TEST-APPROVAL-KEY")

    async def _crash(self) -> NoReturn:
        self.well_since = trio.current_time()
        self._process.cancel()
        await trio.sleep_forever()

    @asynccontextmanager
    async def _connect(self, _url: str) -> AsyncIterator[Link]:
        step = self._step or Step("", float("inf"))
        if step.fault == "no connection":
            raise LostError("no connection")
        lasts_s = 5 if step.fault == "kick" else step.lasts_s or 100
        async with trio.open_nursery() as nursery:
            if step.crash:
                nursery.start_soon(self._crash_after, lasts_s)
            try:
                yield Link(self, step.fault, lasts_s)
            finally:
                self.well_since = trio.current_time() if self._step else self.well_since
                nursery.cancel_scope.cancel()

    async def _crash_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        await self._crash()

    # -- the bounds

    @property
    def longest_wait_s(self) -> float:
        """As engine.kis.backoff states it."""
        return max(120, HOUR_S / (self.limit + 1 - (self.limit + 1) // 2))

    def play(self) -> "World":
        trio.run(self.run, clock=MockClock(autojump_threshold=0))
        assert busiest_hour(self.attempts) <= self.limit
        assert busiest_hour(self.requests) <= budget.per_hour(self.limit, len(self.symbols))
        return self


def busiest_hour(times: Sequence[float]) -> int:
    """The most of them in any hour, its end excluded."""
    start, most = 0, 0
    for index, t in enumerate(times):
        while t - times[start] >= HOUR_S - 1e-3:
            start += 1
        most = max(most, index + 1 - start)
    return most


SECONDS = st.sampled_from([0, 1, 4, 30, 100, 200])
LIMITS = st.sampled_from([20, 20, 20, 10, 3, 1])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.builds(Step, st.sampled_from(QUICK), SECONDS), max_size=30), LIMITS)
@example([Step("kick")] * 40, 20)
@example([Step("no connection")] * 20, 20)
@example([Step("failing", 100)] * 40, 20)
@example([Step("mute", 200)] * 20, 20)
def test_without_restarts_the_feed_is_back_within_the_longest_wait(steps: list[Step], limit: int) -> None:
    world = World(steps, limit).play()
    assert world.up_at - world.well_since <= world.longest_wait_s + 3


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.builds(Step, st.sampled_from(FAULTS), SECONDS, st.booleans()), max_size=30),
    LIMITS,
    st.sampled_from([float("inf"), float("inf"), 0, 600, 4000]),
)
@example([Step("data", 4, crash=True)] * 50, 20, float("inf"))
@example([Step("data", 0, crash=True)] * 50, 20, float("inf"))
@example([Step("data", 0, crash=True)] * 50, 20, 0)
@example([Step("data", 0, crash=True)] * 50, 20, 1)
@example([Step("failing", 100, crash=True)] * 50, 20, float("inf"))
@example([Step("mute", 30, crash=True)] * 50, 20, 600)
def test_no_sequence_of_faults_crashes_and_full_disks_exceeds_the_bounds(
    steps: list[Step], limit: int, disk_fails_from: float
) -> None:
    world = World(steps, limit, disk_fails_from=disk_fails_from).play()
    assert world.up_at - world.well_since <= 2 * HOUR_S + world.longest_wait_s


@pytest.mark.parametrize("fault", ["data", "failing", "unsubscribing", "mute", "unknown", "kick"])
def test_with_all_registrations_and_many_sessions_no_first_request_is_refused(fault: str) -> None:
    """The default settings at their worst: 41 symbols and every session short."""
    symbols = tuple(f"{n:06d}" for n in range(41))
    world = World([Step(fault, 40, crash=number % 3 == 0) for number in range(45)], symbols=symbols).play()
    assert busiest_hour(world.requests) > 150 or fault == "mute"


def test_the_bounds_are_those_that_are_stated() -> None:
    assert budget.per_hour(20, 41) == 1025
    assert World([]).longest_wait_s == pytest.approx(328, abs=1)


# -- over edits of what is watched

UNIVERSE = tuple(f"{n:06d}" for n in range(8))
EDITS = st.builds(
    Edit,
    st.sampled_from([0, 1, 20, 31, 31, 100, 600]),
    st.lists(st.sampled_from(UNIVERSE), max_size=5, unique=True).map(tuple),
)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(EDITS, min_size=1, max_size=40),
    st.lists(st.builds(Step, st.sampled_from(FAULTS), SECONDS, st.booleans()), max_size=20),
    LIMITS,
)
@example([Edit(31, (UNIVERSE[:5], UNIVERSE[3:])[n % 2]) for n in range(120)], [], 20)
@example([Edit(31, (UNIVERSE[:5], UNIVERSE[3:])[n % 2]) for n in range(120)], [Step("data", 200, crash=True)] * 30, 20)
@example([Edit(41, (UNIVERSE[:5], ())[n % 2]) for n in range(120)], [], 20)
@example([Edit(1, (UNIVERSE[:5], ())[n % 2]) for n in range(120)], [Step("failing", 100)] * 30, 20)
def test_no_editing_exceeds_the_bounds_either(edits: list[Edit], steps: list[Step], limit: int) -> None:
    World(steps, limit, edits=edits).play()


def test_who_exchanges_all_symbols_each_minute_is_held_up_by_the_bound_and_by_nothing_before_it() -> None:
    """41 places and twice as many symbols, for three hours in one session."""
    symbols = tuple(f"{n:06d}" for n in range(82))
    edits = [Edit(60, (symbols[:41], symbols[41:])[n % 2]) for n in range(1, 181)]
    world = World([], symbols=symbols[:41], edits=edits).play()
    assert len(world.attempts) == 1
    assert busiest_hour(world.requests) == 41 + (budget.ROUNDS_PER_HOUR * 41)
    assert world.up_at <= 4 * HOUR_S + 5
