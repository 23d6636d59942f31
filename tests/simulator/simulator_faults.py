"""What tests of faults share: scenarios in a line, and a client down to its bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from simulator_client import HANDSHAKE, Client
from trio_websocket import ConnectionClosed

from engine.simulator.server import Addresses

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
    """A WebSocket client after its handshake, down to its bytes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
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

    async def until(self, wanted: bytes) -> bytes:
        """All that comes until this has come."""
        received = b""
        with trio.fail_after(5):
            while wanted not in received:
                chunk = await self.stream.receive_some()
                assert chunk, received
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
