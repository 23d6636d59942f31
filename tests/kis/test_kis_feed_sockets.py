"""A feed, its approval key and its session over real sockets, with a broker that breaks in the middle of things."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio
from kis_broker import (
    CONTINUATION,
    FIELDS,
    PINGPONG,
    TEXT,
    TR,
    Broker,
    Peer,
    close_frame,
    data,
    frame,
    listening,
    reset,
)
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Account, Backoff
from engine.config.model import Feed as FeedSettings
from engine.kis import session, websocket
from engine.kis.feed import Feed
from engine.kis.status import Phase
from engine.stream import Down, Event, Frame, Up

ACCOUNT = Account(name="main", app_key=SecretStr("TEST-APP-KEY"), app_secret=SecretStr("TEST-APP-SECRET"))
SOON = Backoff.model_construct(
    first=timedelta(milliseconds=20), max=timedelta(milliseconds=50), in_use=timedelta(seconds=60), max_per_hour=20
)
"""So that a reconnect does not take the test three real seconds."""
A = "005930"


class Desk:
    def __init__(self, feed: Feed, broker: Broker, events: list[Event]) -> None:
        self.feed, self.broker, self.events = feed, broker, events
        self.approvals = 0

    def frames(self) -> list[Frame]:
        return [event for event in self.events if isinstance(event, Frame)]

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(20):
            while not condition():
                await trio.sleep(0.005)


@asynccontextmanager
async def desk(
    script: Callable[[Peer], Awaitable[None]] | None = None,
    *,
    polite: bool = True,
    first: Callable[[trio.SocketStream], Awaitable[None]] | None = None,
    idle_s: float = 60,
) -> AsyncIterator[Desk]:
    """`script` runs on each session once the first request was answered; `first` stands in for the first connection."""
    broker = Broker(polite=polite)
    events: list[Event] = []
    connections = 0

    async def after(peer: Peer) -> None:
        count = len(broker.requests)
        while len(broker.requests) == count:
            await trio.sleep(0.005)
        if script is not None:
            await script(peer)

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        if first is not None and connections == 1:
            await first(stream)
        else:
            await broker.serve(stream)

    async def approve(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        made.approvals += 1
        body = b'{"approval_key":"TEST-APPROVAL-KEY"}'
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    broker.after = after
    async with listening(serve) as port, listening(approve) as rest_port, trio.open_nursery() as nursery:
        settings = FeedSettings(
            rest_url=f"http://127.0.0.1:{rest_port}",
            websocket_url=f"ws://127.0.0.1:{port}",
            backoff=SOON,
        ).model_copy(update={"idle_timeout": timedelta(seconds=idle_s)})
        made = Desk(Feed(ACCOUNT, [A], settings, tr_id=TR, clock=Clock(), put=events.append), broker, events)
        nursery.start_soon(made.feed.run)
        yield made
        made.feed.stop()
        began = time.monotonic()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert time.monotonic() - began < 8


async def test_the_whole_way() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(PINGPONG, data(A), data(A, A))

    async with desk(script) as made:
        await made.until(lambda: len(made.frames()) == 2)
        assert made.broker.echoes == [PINGPONG]
    assert [type(event) for event in made.events] == [Up, Frame, Frame, Down]
    assert made.approvals == 1
    assert made.broker.asked("2") == [A]
    assert made.broker.closes == [1000]


async def test_rst_in_the_middle_of_a_frame() -> None:
    async def script(peer: Peer) -> None:
        whole = frame(data(A))
        await peer.write(whole + whole[:-5])
        await trio.sleep(0.05)
        assert isinstance(peer.stream, trio.SocketStream)
        reset(peer.stream)

    async with desk(script) as made:
        await made.until(lambda: [type(event) for event in made.events].count(Up) == 2)
        assert made.feed.status().last_error == "closed 1006"
    assert [type(event) for event in made.events][:4] == [Up, Frame, Down, Up]
    assert made.approvals == len(made.broker.opened)  # a fresh key each time


async def test_a_close_frame_with_tcp_kept_open() -> None:
    async def script(peer: Peer) -> None:
        await peer.write(frame(data(A)) + close_frame(1001))
        await trio.sleep_forever()

    async with desk(script, polite=False) as made:
        began = time.monotonic()
        await made.until(lambda: len(made.broker.opened) >= 2)
        assert time.monotonic() - began < 5
        assert made.feed.status().last_error == "closed 1001"


async def test_fin_before_the_handshake_reply() -> None:
    async def first(stream: trio.SocketStream) -> None:
        await Peer(stream).request()

    async with desk(first=first) as made:
        await made.until(lambda: made.feed.status().phase is Phase.UP)
        assert made.feed.status().failures == 1


async def test_rst_instead_of_a_handshake() -> None:
    async def first(stream: trio.SocketStream) -> None:
        await Peer(stream).request()
        reset(stream)

    async with desk(first=first) as made:
        await made.until(lambda: made.feed.status().phase is Phase.UP)


async def test_silence_instead_of_a_handshake_does_not_hold_the_end() -> None:
    async def first(stream: trio.SocketStream) -> None:
        await Peer(stream).request()
        await trio.sleep_forever()

    async with desk(first=first) as made:
        await made.until(lambda: made.feed.status().phase is Phase.CONNECTING)
        await trio.sleep(0.05)
        began = time.monotonic()
        made.feed.stop()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert time.monotonic() - began < 1


async def test_silence_is_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_S", 0.1)
    async with desk(polite=False, idle_s=0.3) as made:
        await made.until(lambda: len(made.broker.opened) == 2)
        assert made.feed.status().last_error == "no frame of any kind for 0.3 s"
        monkeypatch.setattr(session, "FAREWELL_S", 0.2)


async def test_frames_in_pieces_of_any_kind() -> None:
    long = data(*[A] * 120)  # over 8 KB
    strange = f"{data(A)}^".encode() + b"\xff\xea\xb0"

    async def script(peer: Peer) -> None:
        raw = long.encode()
        pieces = frame(raw[:5000], TEXT, fin=False) + frame(raw[5000:5001], CONTINUATION, fin=False)
        await peer.write(pieces + frame(raw[5001:], CONTINUATION) + frame(long))
        for byte in frame(data(A)) + frame(strange) + frame(data(A)):
            await peer.write(bytes([byte]))

    async with desk(script) as made:
        await made.until(lambda: len(made.frames()) == 5)
        assert len(made.broker.opened) == 1
    assert len(long) > 8192
    assert [len(event.records) for event in made.frames()] == [120, 120, 1, 1, 1]
    assert made.frames()[3].text == f"0|{TR}|001|{A}^{FIELDS}^\ufffd\ufffd"


async def test_a_mute_peer_does_not_hold_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_S", 0.2)
    monkeypatch.setattr(session, "FAREWELL_S", 0.3)

    async def script(peer: Peer) -> None:
        made.broker.answers = lambda _: []

    async with desk(script, polite=False) as made:
        await made.until(lambda: made.feed.status().phase is Phase.UP)
        began = time.monotonic()
        made.feed.stop()
        await made.until(lambda: made.feed.status().phase is Phase.STOPPED)
        assert 0.4 < time.monotonic() - began < 2
    assert made.broker.asked("2") == [A]
    assert made.broker.closes == [1000]


async def test_a_burst_is_read_whole_and_in_order() -> None:
    async def script(peer: Peer) -> None:
        for start in range(0, 5000, 500):
            await peer.write(
                b"".join(frame(data(A).replace("^1413444^", f"^{number}^")) for number in range(start, start + 500))
            )

    async with desk(script) as made:
        await made.until(lambda: len(made.frames()) == 5000)
    assert [event.records[0].sell_volume for event in made.frames()] == list(range(5000))
