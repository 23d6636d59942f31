"""Whatever is wanted, lost and answered in whatever order: at rest the broker holds what is wanted, and nothing else.

Random sequences through the real feed and session against the simulator's desk, in virtual time.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kis_broker import PINGPONG, TR
from kis_desk import ACCOUNT
from pydantic import SecretStr
from trio.testing import MockClock

from engine.clock import Clock
from engine.config.model import Feed as FeedSettings
from engine.kis.feed import Feed
from engine.kis.registrations import LINGER_NS
from engine.kis.status import Phase
from engine.kis.websocket import LostError
from engine.kst import SECOND_NS
from engine.simulator import desk as simulated
from engine.simulator.desk import Desk, Forced, Session
from engine.simulator.keys import Granted, Keys
from engine.simulator.messages import Cipher, Request
from engine.stream import Down, Event, Up

START = 1_800_000_000 * SECOND_NS
CIPHER = Cipher("0123456789abcdef", "abcdefghijklmnopqrstuvwxyzabcdef")
SYMBOLS = [f"{n:06d}" for n in range(7)]
CAPACITY = 4


@dataclass(frozen=True)
class Watch:
    """Want these, and see what comes of it for so long."""

    symbols: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Answers:
    """How the broker answers from now on."""

    how: str


@dataclass(frozen=True)
class Lose:
    """The connection."""


Step = Watch | Answers | Lose


class Office:
    """The simulator's desk behind sockets that are queues."""

    def __init__(self) -> None:
        self.keys = Keys(interval_ns=0)
        self.desk = Desk(self.keys, admit=lambda *_: True)
        self.how = "well"
        self.session: Session | None = None
        self.refused = 0
        self._ending = trio.Event()

    def now(self) -> int:
        return START + int(trio.current_time() * SECOND_NS)

    async def approve(self) -> SecretStr:
        body = {"grant_type": "client_credentials", "appkey": "TEST-APP-KEY", "secretkey": "s"}
        granted = self.keys.ask(body, self.now())
        assert isinstance(granted, Granted)
        return SecretStr(granted.approval_key)

    @asynccontextmanager
    async def connect(self, _url: str) -> AsyncIterator["Line"]:
        self.session, self._ending = Session(1, CIPHER), trio.Event()
        try:
            yield Line(self, self.session, self._ending)
        finally:
            self.desk.leave(self.session, self.now(), clean=True)
            self.session = None

    def lose(self) -> None:
        self._ending.set()

    def answer(self, session: Session, text: str) -> list[str]:
        answer = self.desk.request(session, text, self.now(), forced=self._forced)
        self.refused += answer.msg_cd == "OPSP0008"
        return [] if self.how == "lost" else [answer.text]

    def _forced(self, request: Request) -> Forced | None:
        if self.how == "failing" or (self.how == "keeping" and not request.subscribe):
            return Forced("OPSP0007")
        return None

    @property
    def held(self) -> set[str]:
        return {code for _, code in self.session.registrations} if self.session else set()


class Line:
    def __init__(self, office: Office, session: Session, ending: trio.Event) -> None:
        self.last_heard_s = trio.current_time()
        self._office = office
        self._session = session
        self._ending = ending
        self._answers, self._coming = trio.open_memory_channel[str](10_000)

    async def receive(self) -> str:
        text = PINGPONG
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._end_with, nursery.cancel_scope)
            with trio.move_on_after(10):
                text = await self._coming.receive()
            nursery.cancel_scope.cancel()
        if self._ending.is_set():
            raise LostError("closed 1006")
        self.last_heard_s = trio.current_time()
        return text

    async def _end_with(self, scope: trio.CancelScope) -> None:
        await self._ending.wait()
        scope.cancel()

    async def send(self, text: str) -> None:
        if "body" in json.loads(text):
            await trio.sleep(0.03)
            for answer in self._office.answer(self._session, text):
                self._answers.send_nowait(answer)


class Play:
    """Steps, then rest; looks at every event."""

    def __init__(self, steps: Sequence[Step], first: tuple[str, ...]) -> None:
        self._steps = steps
        self._wanted = first
        self.up: set[str] = set()

    def put(self, event: Event) -> None:
        if isinstance(event, Up):
            assert self.up.isdisjoint(event.symbols)
            self.up.update(event.symbols)
        elif isinstance(event, Down):
            assert self.up.issuperset(event.symbols)
            self.up.difference_update(event.symbols)

    async def run(self) -> None:
        self.office = Office()
        self.feed = Feed(
            ACCOUNT,
            self._wanted,
            FeedSettings(max_registrations=CAPACITY),
            tr_id=TR,
            clock=Clock(self.office.now),
            put=self.put,
            connect=self.office.connect,
            approve=self.office.approve,
            uniform=lambda: 0.5,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.feed.run)
            for step in self._steps:
                await self._do(step)
            self.office.how = "well"
            await self._rest()
            await trio.sleep(2 * LINGER_NS / SECOND_NS)
            assert self.is_right(), "it was right, and then no more"
            self.feed.stop()

    async def _do(self, step: Step) -> None:
        if isinstance(step, Watch):
            self._wanted = step.symbols
            self.feed.watch(step.symbols)
            await trio.sleep(step.seconds)
        elif isinstance(step, Answers):
            self.office.how = step.how
        else:
            self.office.lose()

    async def _rest(self) -> None:
        """An hour is what requests may have to wait for where all of the hour's are used up."""
        with trio.move_on_after(2 * 3600):
            while not self.is_right():
                await trio.sleep(1)
        assert self.is_right(), (self.office.held, self._wanted, self.feed.status())

    def is_right(self) -> bool:
        status = self.feed.status()
        if self.office.held != set(self._wanted) or self.up != set(self._wanted):
            return False
        assert set(status.subscribed) == set(self._wanted)
        return status.phase is (Phase.UP if self._wanted else Phase.IDLE)

    def play(self) -> "Play":
        trio.run(self.run, clock=MockClock(autojump_threshold=0))
        return self


def wants(most: int = CAPACITY) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(SYMBOLS), max_size=most, unique=True).map(tuple)


WATCHES = st.builds(Watch, wants(), st.sampled_from([0, 0.05, 0.2, 1, 4, 29, 31, 60]))
ANSWERS = st.builds(Answers, st.sampled_from(["well", "lost", "failing", "keeping"]))
STEPS = st.lists(st.one_of(WATCHES, WATCHES, ANSWERS, st.just(Lose())), max_size=12)


@pytest.fixture(autouse=True)
def small_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes as many as the feed may have, so that places are scarce."""
    monkeypatch.setattr(simulated, "MAX_REGISTRATIONS", CAPACITY)


@settings(max_examples=150, deadline=None)
@given(STEPS, wants())
@example([Watch((SYMBOLS[0],), 31), Answers("lost"), Watch((), 31), Watch((SYMBOLS[0],), 0)], ())
@example([Watch(tuple(SYMBOLS[:4]), 4), Answers("keeping"), Watch(tuple(SYMBOLS[3:]), 4)], ())
@example([Watch((SYMBOLS[0],), 4), Answers("keeping"), Watch((SYMBOLS[1],), 31), Watch((SYMBOLS[0],), 1)], ())
@example([Watch((SYMBOLS[0],), 0.2), Lose(), Watch((), 0), Watch((SYMBOLS[1],), 0)], ())
def test_at_rest_the_broker_holds_what_is_wanted(steps: list[Step], first: tuple[str, ...]) -> None:
    Play(steps, first).play()


@settings(max_examples=60, deadline=None)
@given(st.lists(WATCHES, max_size=20), wants())
def test_a_broker_that_answers_is_never_asked_for_more_than_it_takes(
    steps: list[Watch], first: tuple[str, ...]
) -> None:
    assert Play(steps, first).play().office.refused == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(WATCHES, st.just(Lose())), max_size=12))
def test_a_broker_that_takes_one_less_holds_as_many_as_it_takes(steps: list[Step]) -> None:
    """Who was left out gets the place of the next one that goes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(simulated, "MAX_REGISTRATIONS", CAPACITY - 1)
        last = Watch(tuple(SYMBOLS[:CAPACITY]), 60)
        play = Play([*steps, last, Watch(tuple(SYMBOLS[1:CAPACITY]), 60)], ())
        play.play()
