"""A feed and a broker in a network of their own, whose only link goes dead for a while without a word to either.

    unshare --user --map-root-user --net python half_open.py IDLE_SECONDS

With `lo` down packets are accepted and thrown away: neither end hears of it, as when a firewall forgets a connection.
Prints what was measured, in seconds.
"""

import json
import sys
import time
from datetime import timedelta

import trio
from kis_broker import Broker, Peer, data, listening
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Account, Backoff
from engine.config.model import Feed as FeedSettings
from engine.kis.feed import Feed
from engine.stream import Down, Event, Frame, Up

ACCOUNT = Account(name="main", app_key=SecretStr("TEST-APP-KEY"), app_secret=SecretStr("TEST-APP-SECRET"))
SYMBOL = "005930"


async def link(state: str) -> None:
    await trio.run_process(["ip", "link", "set", "lo", state])


async def approve(stream: trio.SocketStream) -> None:
    await stream.receive_some(65536)
    body = b'{"approval_key":"TEST-APPROVAL-KEY"}'
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def talk(peer: Peer) -> None:
    while True:
        await trio.sleep(0.2)
        await peer.say(data(SYMBOL))


async def until(events: list[Event], kind: type, count: int = 1) -> float:
    """→ when it was seen."""
    with trio.fail_after(120):
        while sum(isinstance(event, kind) for event in events) < count:
            await trio.sleep(0.01)
    return time.monotonic()


async def main(idle_s: float) -> None:
    await link("up")
    events: list[Event] = []
    broker = Broker(after=talk)
    async with listening(approve) as rest, listening(broker.serve) as websocket, trio.open_nursery() as nursery:
        settings = FeedSettings(
            rest_url=f"http://127.0.0.1:{rest}",
            websocket_url=f"ws://127.0.0.1:{websocket}",
            backoff=Backoff.model_validate({"first": "1s"}),
        ).model_copy(update={"idle_timeout": timedelta(seconds=idle_s)})
        feed = Feed(
            ACCOUNT,
            [SYMBOL],
            settings,
            tr_id="H0STPGM0",
            clock=Clock(),
            put=events.append,
        )
        nursery.start_soon(feed.run)
        await until(events, Frame, 5)
        await link("down")
        dead = time.monotonic()
        noticed = await until(events, Down)
        await link("up")
        healed = time.monotonic()
        back = await until(events, Up, 2)
        print(json.dumps({"notice_s": round(noticed - dead, 2), "back_s": round(back - healed, 2)}))  # noqa: T201
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, float(sys.argv[1]))
