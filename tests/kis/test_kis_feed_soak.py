"""A thousand reconnects over real sockets: what a feed holds must not grow."""

import gc
import logging
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from kis_broker import TR, Broker, Peer, data, listening
from kis_desk import ACCOUNT, A, key

from engine.clock import Clock
from engine.config.model import Backoff
from engine.config.model import Feed as FeedSettings
from engine.kis.feed import Feed

AT_ONCE = Backoff.model_construct(
    first=timedelta(milliseconds=1), max=timedelta(milliseconds=1), in_use=timedelta(seconds=60), max_per_hour=10**6
)


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors as Linux shows them")
@pytest.mark.soak  # a thousand handshakes and ends, some 40 ms each
async def test_a_thousand_reconnects_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "engine")  # pytest keeps every line

    async def leave(peer: Peer) -> None:
        await trio.sleep(0.005)
        await peer.say(data(A))
        await peer.stream.aclose()

    broker = Broker(after=leave)
    measured: list[tuple[int, int, int]] = []

    async def measure(reconnects: int) -> None:
        with trio.fail_after(240):
            while broker.ended < reconnects:
                await trio.sleep(0.01)
        for remembered in (broker.peers, broker.requests, broker.times, broker.opened, broker.closes):
            remembered.clear()
        gc.collect()
        tasks = trio.lowlevel.current_statistics().tasks_living
        measured.append((tracemalloc.get_traced_memory()[0], descriptors(), tasks))

    async with listening(broker.serve) as port, trio.open_nursery() as nursery:
        settings = FeedSettings(websocket_url=f"ws://127.0.0.1:{port}", backoff=AT_ONCE)
        feed = Feed(ACCOUNT, [A], settings, tr_id=TR, clock=Clock(), put=lambda _: None, approve=key)
        nursery.start_soon(feed.run)
        tracemalloc.start()
        try:
            for reconnects in (200, 600, 1200):
                await measure(reconnects)
        finally:
            tracemalloc.stop()
        feed.stop()
    (early, _, _), (later, fds, tasks), (last, last_fds, last_tasks) = measured
    assert abs(last_fds - fds) <= 6  # a connection that is open just now, on both ends
    assert abs(last_tasks - tasks) <= 10
    # Each attempt of the hour is remembered, 40 bytes; usually there are twenty.
    assert (last - later) / 600 < 200, (early, later, last)
