"""How a scenario ends connections, makes them silent, spoils handshakes and approval keys: on real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from simulator_client import (
    EAGER,
    HANDSHAKE,
    Client,
    a_broker,
    a_client,
    a_client_in_memory,
)
from trio.testing import MockClock
from trio_websocket import ConnectionClosed

from engine.config.model import Simulator as Settings
from engine.simulator.connection import End
from engine.simulator.scenario import parse
from engine.simulator.server import Addresses, Broker

ACK = "OPSP0000"


def faults(*tables: str) -> str:
    """`do = "reset", at = "1s"` each → the text of a scenario."""
    return "fault = [\n" + "".join(f"  {{ {table} }},\n" for table in tables) + "]\n"


async def close_code(client: Client, within_s: float = 5) -> int:
    """Read until the connection ends; 1006 where that was without a close frame."""
    with trio.fail_after(within_s):
        try:
            while True:
                await client.socket.get_message()
        except ConnectionClosed as closed:
            assert closed.reason is not None
            return closed.reason.code


class Bare:
    """A WebSocket client down to its bytes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream

    async def send(self, text: str) -> None:
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        await self.stream.send_all(b"\x81" + size + b"\0\0\0\0" + data)

    async def rest(self) -> bytes:
        """All that comes until the end; raises BrokenResourceError when the end is a reset."""
        received = b""
        with trio.fail_after(5):
            while chunk := await self.stream.receive_some():
                received += chunk
        return received


@asynccontextmanager
async def bare(addresses: Addresses) -> AsyncIterator[Bare]:
    host, _, port = addresses.websocket_url.removeprefix("ws://").partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(HANDSHAKE)
        with trio.fail_after(5):
            assert b" 101 " in await stream.receive_some()
        yield Bare(stream)


@pytest.mark.parametrize("halfway", ["true", "false"])
async def test_reset(halfway: str) -> None:
    text = faults(f'do = "reset", since = "open", at = "100ms", halfway = {halfway}')
    async with a_broker(scenario=text) as (broker, addresses), bare(addresses) as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()
        assert broker.status().ended[End.FAULT] == 1
        assert broker.status().faults == {"reset": 1}


async def test_fin_in_the_middle_of_a_frame() -> None:
    text = faults('do = "fin", since = "open", at = "100ms", halfway = true')
    async with a_broker(scenario=text) as (_, addresses), bare(addresses) as client:
        received = await client.rest()
        assert received[0] == 0x81
        assert len(received) < received[1] + 2


async def test_fin_is_no_close_frame() -> None:
    text = faults('do = "fin", since = "subscribed", at = "100ms"')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        assert (await client.ask())["body"]["msg_cd"] == ACK
        assert await close_code(client) == 1006
        assert broker.status().faults == {"fin": 1}


async def test_close_with_its_code() -> None:
    text = faults('do = "close", since = "open", at = "100ms", code = 1011')
    async with a_broker(scenario=text) as (broker, addresses), a_client(addresses) as client:
        assert await close_code(client) == 1011
        assert broker.status().ended[End.FAULT] == 1


async def test_close_frame_with_tcp_kept_open() -> None:
    text = faults('do = "close", since = "open", at = "100ms", keep_tcp = true')
    async with a_broker(scenario=text) as (broker, addresses), bare(addresses) as client:
        with trio.fail_after(5):
            assert (await client.stream.receive_some())[:4] == b"\x88\x02\x03\xe9"
        with trio.move_on_after(1.5) as patience:  # longer than a farewell may take
            await client.stream.receive_some()
        assert patience.cancelled_caught, "the connection ended"
        assert broker.status().connections == 0


async def test_the_whole_simulator_still_stops_at_once_while_a_connection_is_kept_open() -> None:
    text = faults('do = "close", since = "open", keep_tcp = true')
    with trio.fail_after(3):
        async with a_broker(scenario=text) as (_, addresses), bare(addresses) as client:
            await client.stream.receive_some()


async def test_ends_again_and_again_but_so_many_times_only() -> None:
    text = faults('do = "fin", since = "open", at = "100ms", limit = 2')
    async with a_broker(scenario=text) as (broker, addresses):
        for _ in range(2):
            async with a_client(addresses) as client:
                assert await close_code(client) == 1006
        async with a_client(addresses) as client:
            await trio.sleep(0.3)
            assert (await client.ask())["body"]["msg_cd"] == ACK
        assert broker.status().faults == {"fin": 2}


async def test_silence_of_everything(autojump_clock: MockClock) -> None:
    text = faults('do = "silence", since = "open", at = "5s", for = "2m"')
    broker = Broker(Settings(symbols=1), EAGER, parse(text))
    async with a_client_in_memory(broker) as client:
        assert (await client.ask())["body"]["msg_cd"] == ACK
        heard = trio.current_time()
        with trio.move_on_after(100):
            while True:
                await client.socket.get_message()
                heard = trio.current_time()
        assert heard == pytest.approx(5, abs=0.2)
