"""When somebody is called, in virtual time, and what the log says of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from engine.heartbeat.beat import Heartbeat
from engine.heartbeat.signs import Ailment, What

DOWN = Ailment(What.DOWN, "main")


@dataclass
class Listener:
    """Notes when it was called, in seconds since the start."""

    error: str | None = None
    takes_s: float = 0.0
    ailments: list[Ailment] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)

    async def call(self) -> str | None:
        self.calls.append(trio.current_time() - self.began)
        await trio.sleep(self.takes_s)
        return self.error

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Heartbeat]:
        self.began = trio.current_time()
        heartbeat = Heartbeat(self.call, lambda: self.ailments, lambda: int(trio.current_time() * 1e9))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat.run)
            yield heartbeat
            nursery.cancel_scope.cancel()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("engine.heartbeat")]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


async def test_it_is_called_at_once_and_then_every_minute(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(takes_s=3)
    async with listener.running() as heartbeat:
        await trio.sleep(181)
        assert heartbeat.status()["last"] is not None
    assert listener.calls == [0, 60, 120, 180]
    assert said(caplog) == ["heartbeat begins"]


async def test_nothing_is_called_while_anything_is_wrong_and_at_once_when_it_is_not(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener(ailments=[DOWN])
    async with listener.running() as heartbeat:
        await trio.sleep(5.5)
        assert heartbeat.status() == {
            "last": None, "error": "", "ailments": [{"what": "feed-down", "detail": "main"}]
        }  # fmt: skip
        listener.ailments = []
        await trio.sleep(60)
        listener.ailments = [DOWN, Ailment(What.LAG)]
        await trio.sleep(600)
        listener.ailments = []
        await trio.sleep(10)
    assert listener.calls == [6, 666]
    assert said(caplog) == [
        "heartbeat begins", 'heartbeat stopped reason="feed-down main, lag"', "heartbeat goes on"
    ]  # fmt: skip


async def test_what_is_over_in_a_few_seconds_is_no_news(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    async with listener.running():
        for _ in range(20):
            await trio.sleep(55)
            listener.ailments = [DOWN]
            await trio.sleep(9.5)
            listener.ailments = []
    assert len(listener.calls) == 20
    assert said(caplog) == ["heartbeat begins"]


async def test_a_call_that_fails_is_tried_once_more_and_then_in_the_next_minute(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener(error="HTTP 503")
    async with listener.running() as heartbeat:
        await trio.sleep(130)
        assert heartbeat.status()["error"] == "HTTP 503"
        listener.error = None
        await trio.sleep(60)
        assert heartbeat.status()["error"] == ""
    assert listener.calls == [0, 10, 60, 70, 120, 130, 180]
    assert said(caplog) == ['heartbeat failed reason="HTTP 503"', "heartbeat goes on"]


async def test_a_second_attempt_that_is_heard_is_no_failure(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(error="ConnectError")
    async with listener.running():
        await trio.sleep(5)
        listener.error = None
        await trio.sleep(10)
    assert listener.calls == [0, 10]
    assert said(caplog) == ["heartbeat begins"]


async def test_no_second_attempt_where_all_is_not_well_any_more(autojump_clock: MockClock) -> None:
    listener = Listener(error="ConnectError")
    async with listener.running():
        await trio.sleep(5)
        listener.ailments = [DOWN]
        await trio.sleep(300)
    assert listener.calls == [0]


async def test_the_slowest_calls_keep_to_the_minute(autojump_clock: MockClock) -> None:
    listener = Listener(error="no answer within 10 s", takes_s=10)
    async with listener.running():
        await trio.sleep(125)
    assert listener.calls == [0, 20, 60, 80, 120]
