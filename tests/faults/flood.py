"""A broker in a process of its own that sends as fast as it is told, and measures how soon PINGPONG is answered.

    python flood.py FRAMES_A_SECOND SECONDS

The first line that it prints holds its two ports; the last, once all was sent, what it sent and measured.
"""

import json
import sys
from datetime import UTC, datetime, timedelta

import trio
from kis_broker import Broker, Peer, frame, listening

SYMBOLS = [f"{200_000 + 10 * number:06d}" for number in range(40)]
TICK_S = 0.01
PING_S = 1.0


def clock_time() -> str:
    return (datetime.now(UTC) + timedelta(hours=9)).strftime("%H%M%S")


class Flood:
    def __init__(self, rate: int, seconds: float) -> None:
        self._per_tick, self._ticks = round(rate * TICK_S), round(seconds / TICK_S)
        self._pinged: dict[str, float] = {}
        self.sent = 0
        self.late_s = 0.0
        self.pongs_s: list[float] = []
        self.done = trio.Event()

    async def run(self, peer: Peer) -> None:
        """All symbols' counters rise by one share of 1,000 won with every frame of theirs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._ping, peer)
            start_s = trio.current_time()
            for tick in range(self._ticks):
                await trio.sleep_until(start_s + tick * TICK_S)
                self.late_s = max(self.late_s, trio.current_time() - start_s - tick * TICK_S)
                now = clock_time()
                await peer.write(b"".join(self._frame(now) for _ in range(self._per_tick)))
            await trio.sleep(PING_S)
            nursery.cancel_scope.cancel()
        self.done.set()

    def _frame(self, now: str) -> bytes:
        bought = self.sent // len(SYMBOLS) + 1
        symbol = SYMBOLS[self.sent % len(SYMBOLS)]
        self.sent += 1
        fields = f"{symbol}^{now}^0^0^{bought}^{bought * 1000}^{bought}^{bought * 1000}^5^9^4"
        return frame(f"0|H0STPGM0|001|{fields}")

    async def _ping(self, peer: Peer) -> None:
        number = 0
        while True:
            number += 1
            text = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": f"{20260101000000 + number}"}})
            self._pinged[text] = trio.current_time()
            await peer.write(frame(text))
            await trio.sleep(PING_S)

    def answered(self, text: str) -> None:
        self.pongs_s.append(trio.current_time() - self._pinged.pop(text))

    @property
    def unanswered(self) -> int:
        return len(self._pinged)


class FloodingBroker(Broker):
    flood: Flood

    async def _told(self, peer: Peer, text: str) -> None:
        await super()._told(peer, text)
        if "body" not in json.loads(text):
            self.flood.answered(text)


async def approve(stream: trio.SocketStream) -> None:
    await stream.receive_some(65536)
    body = b'{"approval_key":"TEST-APPROVAL-KEY"}'
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def main(rate: int, seconds: float) -> None:
    flood = Flood(rate, seconds)
    broker = FloodingBroker()
    broker.flood = flood

    async def after(peer: Peer) -> None:
        while len(broker.requests) < len(SYMBOLS):
            await trio.sleep(0.01)
        await flood.run(peer)

    broker.after = after
    async with listening(approve) as rest, listening(broker.serve) as websocket:
        print(json.dumps({"rest": rest, "websocket": websocket}), flush=True)  # noqa: T201  for the test
        await flood.done.wait()
        pongs = sorted(flood.pongs_s)
        result = {
            "sent": flood.sent,
            "late_s": round(flood.late_s, 3),
            "pings": len(pongs),
            "unanswered": flood.unanswered,
            "slowest_pong_s": round(pongs[-1], 4) if pongs else None,
            "median_pong_s": round(pongs[len(pongs) // 2], 4) if pongs else None,
            "connections": len(broker.opened),
        }
        print(json.dumps(result), flush=True)  # noqa: T201  for the test
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), float(sys.argv[2]))
