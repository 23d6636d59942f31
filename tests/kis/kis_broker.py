"""A broker for tests: real frames by hand over any stream, as well or as badly behaved as a test wants it.

It knows RFC 6455 by itself, so that nothing under test stands on both ends of the wire.
"""

import base64
import hashlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio
import trio.testing

from engine.kis import websocket

TR = "H0STPGM0"
FIELDS = "092237^1413444^109159646900^1189408^91931710200^-224036^-17227936700^65033^15475^-49558"
PINGPONG = '{"header":{"tr_id":"PINGPONG","datetime":"20261120090500"}}'
KEY, IV = "k" * 32, "i" * 16
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

Handler = Callable[[trio.SocketStream], Awaitable[None]]


def data(*symbols: str) -> str:
    return f"0|{TR}|{len(symbols):03d}|" + "^".join(f"{symbol}^{FIELDS}" for symbol in symbols)


def answer(code: str, symbol: str | None, tr_id: str | None = TR, words: str = "") -> str:
    """A reply to a request; without a header if there is no symbol."""
    output = {"iv": IV, "key": KEY} if code == "OPSP0000" else {}
    body = {"rt_cd": "0" if code < "OPSP0002" else "1", "msg_cd": code, "msg1": words, "output": output}
    header = {"tr_id": tr_id, "tr_key": symbol, "encrypt": "N"}
    return json.dumps({"body": body} if symbol is None else {"header": header, "body": body})


def frame(payload: bytes | str, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    raw = payload.encode() if isinstance(payload, str) else payload
    first = (0x80 if fin else 0) | opcode
    if len(raw) < 126:
        return bytes([first, len(raw)]) + raw
    if len(raw) < 65536:
        return struct.pack("!BBH", first, 126, len(raw)) + raw
    return struct.pack("!BBQ", first, 127, len(raw)) + raw


def close_frame(code: int = 1000, words: bytes = b"") -> bytes:
    return frame(struct.pack("!H", code) + words, CLOSE)


def accept(head: bytes) -> bytes:
    """The reply to a handshake."""
    nonce = next(
        line.split(b":")[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    token = base64.b64encode(hashlib.sha1(nonce + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + token + b"\r\n\r\n"
    )


class Peer:
    """The server's end of one connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.head = b""
        self._buffer = b""
        self._writing = trio.Lock()

    async def write(self, raw: bytes) -> None:
        """A script and the answers to requests come from two tasks."""
        async with self._writing:
            await self.stream.send_all(raw)

    async def _need(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = await self.stream.receive_some(65536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    async def request(self) -> bytes:
        """The HTTP request that opens the session."""
        while b"\r\n\r\n" not in self.head:
            self.head += await self._need(1)
        return self.head

    async def handshake(self, more: bytes = b"") -> None:
        """`more` goes out in one segment with the reply."""
        await self.stream.send_all(accept(await self.request()) + more)

    async def read(self) -> tuple[int, bytes]:
        """The next frame → opcode, payload."""
        first, second = await self._need(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self._need(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._need(8))
        assert second & 0x80, "a client must mask"
        mask = await self._need(4)
        return first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(await self._need(size)))

    async def say(self, *texts: str | bytes) -> None:
        for text in texts:
            await self.write(frame(text))


def good_answer(request: dict[str, Any]) -> Iterable[str]:
    code = {"1": "OPSP0000", "2": "OPSP0001"}[request["header"]["tr_type"]]
    return [answer(code, request["body"]["input"]["tr_key"])]


@dataclass
class Broker:
    """Answers requests by `answers`, remembers all that it is told."""

    answers: Callable[[dict[str, Any]], Iterable[str]] = good_answer
    polite: bool = True
    """Answers a close frame."""
    after: Callable[["Peer"], Awaitable[None]] | None = None
    """Done by itself beside the session, from the moment on at which it is open."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When they came, in Trio's time."""
    echoes: list[str] = field(default_factory=list)
    opcodes: set[int] = field(default_factory=set)
    closes: list[int] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)
    peers: list[Peer] = field(default_factory=list)
    ended: int = 0

    def asked(self, tr_type: str = "1") -> list[str]:
        """Symbols that were to be subscribed ("1") or unsubscribed ("2"), in order."""
        return [r["body"]["input"]["tr_key"] for r in self.requests if r["header"]["tr_type"] == tr_type]

    async def say(self, *texts: str | bytes) -> None:
        await self.peers[-1].say(*texts)

    async def serve(self, stream: trio.abc.Stream) -> None:
        peer = Peer(stream)
        try:
            async with stream, trio.open_nursery() as nursery:
                await peer.handshake()
                self.opened.append(trio.current_time())
                self.peers.append(peer)
                if self.after is not None:
                    nursery.start_soon(self.after, peer)
                await self._listen(peer)
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            self.ended += 1

    async def _listen(self, peer: Peer) -> None:
        while True:
            opcode, payload = await peer.read()
            self.opcodes.add(opcode)
            if opcode == CLOSE:
                self.closes.append(struct.unpack("!H", payload[:2])[0] if payload else 0)
                if self.polite:
                    await peer.write(frame(payload, CLOSE))
                    return
            elif opcode == TEXT:
                await self._told(peer, payload.decode())

    async def _told(self, peer: Peer, text: str) -> None:
        message = json.loads(text)
        if "body" not in message:
            self.echoes.append(text)
            return
        self.requests.append(message)
        self.times.append(trio.current_time())
        await peer.say(*self.answers(message))

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[websocket.WebSocket]:
        """In memory, so that all time is virtual; to be given to a feed."""
        client, server = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.serve, server)
            async with client, websocket.over(client, url) as session:
                yield session
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    """A TCP server on loopback, → its port. What it runs is cancelled at the end."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handler_that_may_break(handler), 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def handler_that_may_break(handler: Handler) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        try:
            await handler(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    return handle


def reset(stream: trio.SocketStream) -> None:
    """End TCP with RST."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
