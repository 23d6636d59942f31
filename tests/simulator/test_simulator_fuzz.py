"""Whatever bytes come: one client's rubbish is an end of that client, never of the simulator."""

from contextlib import suppress

import trio
from hypothesis import given
from hypothesis import strategies as st
from simulator_client import EAGER, HANDSHAKE, request
from trio.testing import MockClock, memory_stream_pair

from engine.config.model import Simulator as Settings
from engine.simulator.approval import Endpoint
from engine.simulator.keys import Keys
from engine.simulator.server import Broker

FRAME_STARTS = [
    bytes([first, second])
    for first in (0x01, 0x81, 0x82, 0x88, 0x89, 0x8A, 0x00, 0xF1)
    for second in (0x80, 0x85, 0xFE, 0xFF)
]
after_handshake = st.lists(st.binary(max_size=40) | st.sampled_from(FRAME_STARTS), max_size=6).map(b"".join)
http_pieces = st.lists(
    st.binary(max_size=20)
    | st.sampled_from(
        [
            b"POST /oauth2/Approval HTTP/1.1\r\n",
            b"HEAD / HTTP/1.0\r\n",
            b"CONNECT x:1 HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n",
            b"host: x\r\n",
            b"host: \xff\r\n",
            b"connection: Upgrade\r\n",
            b"connection: \xff\r\n",
            b"upgrade: websocket\r\n",
            b"sec-websocket-version: 13\r\n",
            b"sec-websocket-key: \xe9\r\n",
            b"content-type: application/json\r\n",
            b"transfer-encoding: chunked\r\n",
            b"expect: 100-continue\r\n",
            b"content-length: 2\r\n",
            b"\r\n",
            b"{}",
            b"2\r\n{}\r\n0\r\n\r\n",
        ]
    ),
    max_size=10,
).map(b"".join)


def served(sent: bytes, *, http: bool) -> None:
    """Serve a client that sends this, in two parts, and then nothing more; it must come to an end."""

    async def main() -> None:
        broker = Broker(Settings(symbols=1), EAGER)
        serve = Endpoint(Keys(), lambda: 0).serve if http else broker._serve
        ours, theirs = memory_stream_pair()

        async def send() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await ours.send_all(sent[: len(sent) // 2])
                await trio.sleep(0.1)
                await ours.send_all(sent[len(sent) // 2 :])

        async def receive() -> None:
            while await ours.receive_some():
                pass
            await ours.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(receive)
            with trio.fail_after(60):
                await serve(theirs)
        assert broker.status().connections == broker.status().sessions == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(after_handshake)
def test_rubbish_in_a_session(sent: bytes) -> None:
    served(HANDSHAKE + sent, http=False)


@given(http_pieces)
def test_rubbish_instead_of_a_handshake(sent: bytes) -> None:
    served(sent, http=False)


@given(http_pieces)
def test_rubbish_instead_of_a_request_for_a_key(sent: bytes) -> None:
    served(sent, http=True)


@given(st.integers(0, 300), st.binary(max_size=3))
def test_a_request_that_is_damaged_somewhere(at: int, damage: bytes) -> None:
    text = request("TEST").encode()
    text = text[:at] + damage + text[at + len(damage) :]
    masked = bytes([0x81, 0xFE]) + len(text).to_bytes(2) + b"\0\0\0\0" + text
    served(HANDSHAKE + masked, http=False)
