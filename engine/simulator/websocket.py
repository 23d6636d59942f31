"""The server's end of one WebSocket, over wsproto and a Trio stream.

trio-websocket answers Ping and Pong by itself and tells nobody; a broker that takes either as the answer to PINGPONG
has to see them. Working on the stream also leaves it open to end a connection as a broker does: without a close frame.
"""

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    TextMessage,
)
from wsproto.events import Request as Upgrade
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from engine.simulator.wire import Raw

MAX_MESSAGE = 16 * 1024
"""Characters of one message from a client; a request has about 300."""
_READ = 4 * 1024
_TOO_BIG = 1009


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text message."""

    text: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message; its content has no meaning here."""


@dataclass(frozen=True, slots=True)
class Control:
    """A Ping or Pong control frame."""

    payload: bytes
    ping: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The client's close frame; nothing follows."""

    code: int


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke the WebSocket protocol or a limit; `code` is the close code it deserves. Nothing follows."""

    code: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The connection ended without a close frame; nothing follows."""


Incoming = Text | Binary | Control | Closed | Violation | Gone


class HandshakeFailedError(Exception):
    """No WebSocket came of this connection; it has been answered as far as it could be."""


class WebSocket:
    """Reading and sending may run side by side; sending is for one task at a time.

    Everything raises trio's BrokenResourceError or ClosedResourceError when the connection is lost.
    """

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._midway = False
        self._parts: list[str] = []
        self._size = 0

    async def handshake(self) -> str:
        """Wait for the upgrade request; its path, without a query. Answer with `accept` or `reject`."""
        while True:
            data = await self._stream.receive_some(_READ)
            if not data:
                raise HandshakeFailedError
            try:
                self._protocol.receive_data(bytes(data))
                for event in self._protocol.events():
                    if isinstance(event, Upgrade):
                        return event.target.partition("?")[0]
            except RemoteProtocolError as error:
                await self._send(error.event_hint or RejectConnection())
                raise HandshakeFailedError from error
            except (ValueError, LocalProtocolError) as error:
                # wsproto decodes some headers without looking; and data after a finished plain HTTP request upsets it.
                raise HandshakeFailedError from error

    async def accept(self) -> None:
        await self._send(AcceptConnection())

    async def reject(self, status: int, text: str) -> None:
        body = text.encode()
        headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
        await self._send(RejectConnection(status_code=status, headers=headers, has_body=True), RejectData(data=body))

    async def receive(self) -> list[Incoming]:
        """Wait for something from the client: all that one read of the socket brought, possibly nothing whole."""
        data = await self._stream.receive_some(_READ)
        if not data:
            return [Gone()]
        self._protocol.receive_data(bytes(data))
        incoming: list[Incoming] = []
        for event in self._protocol.events():
            if isinstance(event, (Ping, Pong)):
                incoming.append(Control(bytes(event.payload), isinstance(event, Ping)))
            elif isinstance(event, (TextMessage, BytesMessage)):
                message = self._whole(event)
                if message is not None:
                    incoming.append(message)
            elif isinstance(event, CloseConnection):
                # wsproto reports the peer's close frame and the peer's fault alike; only the former changes its state.
                closed = self._protocol.state is ConnectionState.REMOTE_CLOSING
                incoming.append(Closed(int(event.code)) if closed else Violation(int(event.code)))
            if incoming and isinstance(incoming[-1], (Closed, Violation)):
                break
        return incoming

    def _whole(self, event: TextMessage | BytesMessage) -> Text | Binary | Violation | None:
        """The message that this piece completes, if it does."""
        self._size += len(event.data)
        if self._size > MAX_MESSAGE:
            return Violation(_TOO_BIG)
        if isinstance(event, TextMessage):
            self._parts.append(event.data)
        if not event.message_finished:
            return None
        text = "".join(self._parts)
        self._parts, self._size = [], 0
        return Text(text) if isinstance(event, TextMessage) else Binary()

    async def send(self, frames: Sequence[Text | Control | Raw]) -> None:
        """Send frames in one go, or as slowly as one of them wants; nothing once either end has begun to close."""
        if self._protocol.state is ConnectionState.OPEN:
            encode = self._protocol.send
            parts = [frame.data if isinstance(frame, Raw) else encode(_event(frame)) for frame in frames]
            segments = [frame.segment for frame in frames if isinstance(frame, Raw)]
            await self._send_bytes(b"".join(parts), max(segments, default=0))

    async def close(self, code: int) -> None:
        """Send a close frame, or the answer to the client's; not while another task is sending."""
        await self._send(CloseConnection(code=code))

    @property
    def can_close(self) -> bool:
        """Whether a close frame may be sent: none was yet, and no frame was broken off halfway."""
        return self._protocol.state in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING) and not self._midway

    async def hang_up(self) -> None:
        """End of transmission without a close frame. What the client still sends is read until it hangs up, too."""
        await self._stream.send_eof()
        await self.wait_for_end()

    async def wait_for_end(self) -> None:
        """Read, and heed nothing, until the client ends the connection."""
        while await self._stream.receive_some(_READ):
            pass

    async def spoil(self, data: bytes) -> None:
        """Send bytes that are no whole frame: nothing that follows would be understood."""
        self._midway = True
        await self._stream.send_all(data)

    async def reset(self) -> None:
        """End the connection with a reset (RST): both directions at once, and what is unread is lost."""
        await reset(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _send(self, *events: Event) -> None:
        await self._send_bytes(b"".join([self._protocol.send(event) for event in events]))

    async def _send_bytes(self, data: bytes, segment: int = 0) -> None:
        self._midway = True
        for at in range(0, len(data), segment or len(data) or 1):
            await self._stream.send_all(data[at : at + segment] if segment else data)
        self._midway = False


async def reset(stream: trio.abc.AsyncResource) -> None:
    """Close a connection so that the peer gets a reset; one that is no socket is just closed."""
    if isinstance(stream, trio.SocketStream):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


def _event(frame: Text | Control) -> Event:
    if isinstance(frame, Text):
        return TextMessage(data=frame.text)
    return Ping(payload=frame.payload) if frame.ping else Pong(payload=frame.payload)
