"""One WebSocket session: the only file that knows trio-websocket and wsproto.

What the two libraries do on their own is not enough for a connection that must live for months (each found out by
trying, with trio-websocket 0.12 and wsproto 1.3):

- A server that ends TCP before the handshake reply is noticed only after a timeout, one that stays silent never, and
  the body of a refusal is collected without limit. → one deadline over the whole opening, the end of the reader ends
  it early, and a refusal's body is not read.
- After the peer's close frame the library waits for the peer to end TCP, for ever; leaving its context manager hangs.
  → here leaving tries a close handshake for `CLOSE_S` at most, also when cancelled, then drops the socket.
- One invalid byte in a text frame ends the session (close code 1007), as the RFC wants. The broker sends such bytes.
  → they become U+FFFD.
- Pings and Pongs are handled out of sight, though they are signs of life. → `last_heard_s` counts every frame.
"""

import contextlib
import logging
import socket as stdlib_socket
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import h11
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.events import Event, RejectConnection
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, MessageDecoder, RsvBits
from wsproto.utilities import ProtocolError, RemoteProtocolError

from engine.errors import PgmwatchError
from engine.text import clean

OPENING_S = 10.0
"""Name, TCP, TLS and handshake together. The broker needs well under one second."""
CLOSE_S = 2.0
"""A close handshake is one round trip; whoever has not answered by then will not."""
SEND_S = 10.0
"""For one frame of some 200 bytes. Whoever leaves so many unread that the buffers are full is gone or stuck."""
MAX_MESSAGE_SIZE = 2**20
"""Characters of a message. Frames over 8 KB were seen; nothing near a megabyte."""
QUEUE = 256
"""Messages between the library's reader and ours. Ours waits for nothing slow, so the queue is only there to cut up a
read without a task switch for each frame: measured 13 % more throughput than 1, and 1,024 gives nothing more."""
RECEIVE_BUFFER = 64 * 1024
"""Bytes a read: measured 29 % more throughput than the library's 4 KiB."""
# A half-open link is found by the idle watchdog after a minute; these find it too, and keep a NAT's entry alive.
_KEEPALIVE = {
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPALIVE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
}  # KEEPALIVE is macOS' IDLE

# At DEBUG it prints the peer's close reason as it came, control characters and all.
_logger = logging.getLogger("trio-websocket")
_logger.setLevel(max(logging.WARNING, _logger.level))


class LostError(PgmwatchError):
    """There is no session: it could not be opened, it broke, or the peer closed it. The text says which."""


class WebSocket:
    """An open session. One task receives, any task may send."""

    def __init__(self, connection: WebSocketConnection, lenient: "_Lenient") -> None:
        self._connection = connection
        self._lenient = lenient
        self._failure: str | None = None
        self._ended = trio.Event()

    def __repr__(self) -> str:
        return f"<WebSocket ended={self._ended.is_set()} last_heard_s={self.last_heard_s:.1f}>"

    @property
    def last_heard_s(self) -> float:
        """When the last whole frame of any kind came, in Trio's time."""
        return self._lenient.last_heard_s

    async def receive(self) -> str:
        """The next text message, invalid UTF-8 replaced. Raises `LostError` once there will be no more."""
        try:
            message = await self._connection.get_message()
        except ConnectionClosed as error:
            raise LostError(self._why(error)) from error
        return message if isinstance(message, str) else message.decode("utf-8", "replace")

    async def send(self, text: str) -> None:
        """Raises `LostError`, also if the peer has not taken it after `SEND_S`: then half of it may be on its way."""
        try:
            with trio.fail_after(SEND_S):
                await self._connection.send_message(text)
        except ConnectionClosed as error:
            raise LostError(self._why(error)) from error
        except trio.TooSlowError as error:
            raise LostError(f"the peer has not read for {SEND_S:g} s") from error
        except ProtocolError as error:  # the close handshake began between the library's look at it and its act
            raise LostError("closing") from error

    async def run(self) -> None:
        """The library's reader; ends with the session and never raises because of the peer."""
        try:
            await self._connection._reader_task()  # noqa: SLF001 -- as the library's own wrap_client_stream starts it
        except ConnectionRejected as error:
            self._failure = f"the handshake was refused with HTTP {error.status_code}"
        except (ConnectionClosed, ProtocolError, h11.ProtocolError) as error:
            # For instance a Ping after our close frame, which the library wants to answer and no longer may.
            self._failure = f"broke the protocol ({type(error).__name__})"
        finally:
            self._ended.set()

    async def handshake(self) -> str:
        """Wait for the handshake; returns what prevented it, or nothing."""
        opened = self._connection._open_handshake  # noqa: SLF001 -- as in wrap_client_stream
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self._ended, nursery.cancel_scope)
            await opened.wait()
            nursery.cancel_scope.cancel()
        if opened.is_set():
            return ""
        return self._failure or self._lenient.failure or "the peer ended the connection before the handshake reply"

    async def close(self) -> None:
        """A close handshake if it can still be had, then no more. Takes `CLOSE_S` at most, also when cancelled."""
        with trio.move_on_after(CLOSE_S, shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, self._ended, nursery.cancel_scope)
                with contextlib.suppress(ProtocolError):  # the peer was quicker
                    await self._connection.aclose()
                nursery.cancel_scope.cancel()

    def _why(self, error: ConnectionClosed) -> str:
        if self._failure is not None:
            return self._failure
        if error.reason is None:
            return "ended"
        return f"closed {error.reason.code} {clean(error.reason.reason or '')}".strip()


@asynccontextmanager
async def connect(url: str, *, opening_s: float = OPENING_S) -> AsyncIterator[WebSocket]:
    """Open a session at a `ws://` or `wss://` URL; raises `LostError` if there is none within `opening_s`.

    Leaving takes no longer than `WebSocket.close`. What the body raises comes out in an exception group, as from any
    nursery.
    """
    try:
        with trio.fail_after(opening_s) as opening:
            async with _tcp(url) as stream, over(stream, url) as websocket:
                opening.deadline = float("inf")  # what follows is the session, and has its own deadlines
                yield websocket
    except trio.TooSlowError as error:
        raise LostError(f"not opened within {opening_s:g} s") from error


@asynccontextmanager
async def over(stream: trio.abc.Stream, url: str) -> AsyncIterator[WebSocket]:
    """Like `connect`, without a deadline, over a stream that is there already and remains the caller's to close."""
    parts = urlsplit(url)
    lenient = _Lenient()
    connection = WebSocketConnection(
        stream,
        lenient,
        host=parts.netloc.rpartition("@")[2],
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        message_queue_size=QUEUE,
        max_message_size=MAX_MESSAGE_SIZE,
        receive_buffer_size=RECEIVE_BUFFER,
    )
    websocket = WebSocket(connection, lenient)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(websocket.run)
        try:
            if failure := await websocket.handshake():
                lost = LostError(failure)
            else:
                lost = None
                yield websocket
        finally:
            await websocket.close()
            nursery.cancel_scope.cancel()
    if lost is not None:  # raised out here so that it is not in a group
        raise lost


@asynccontextmanager
async def _tcp(url: str) -> AsyncIterator[trio.abc.Stream]:
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    host, port = parts.hostname or "", parts.port or (443 if secure else 80)
    try:
        stream = await trio.open_tcp_stream(host, port)
    except UnicodeError as error:  # a name that no DNS can carry
        raise LostError(f"no such host: {clean(host)}") from error
    except OSError as error:
        raise LostError(f"no connection to {host}:{port} ({_os_reason(error)})") from error
    try:
        _set_options(stream)
        if secure:
            yield trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
        else:
            yield stream
    finally:
        await trio.aclose_forcefully(stream)


def _set_options(stream: trio.SocketStream) -> None:
    stream.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
    stream.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        option = getattr(stdlib_socket, name, None)
        if option is not None:
            stream.setsockopt(stdlib_socket.IPPROTO_TCP, option, value)


def _os_reason(error: OSError) -> str:
    """Trio sums up several attempts (an address each) in one error; the first of them says why."""
    if isinstance(error.__cause__, ExceptionGroup):
        error = next((e for e in error.__cause__.exceptions if isinstance(e, OSError)), error)
    return error.strerror or type(error).__name__


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


class _Lenient(WSConnection):
    """wsproto's connection, taught four things.

    trio-websocket builds this object itself, except in the constructor of `WebSocketConnection`, where it is an
    argument: the one place to come in without patching a module that others in this process use too.
    """

    def __init__(self) -> None:
        super().__init__(ConnectionType.CLIENT)
        self.last_heard_s = trio.current_time()
        self.failure: str | None = None
        self._taught = False

    def receive_data(self, data: bytes | None) -> None:
        try:
            super().receive_data(data)
        except (RemoteProtocolError, UnicodeError) as error:  # the latter for a header that is not ASCII
            # Without the hint: it is a reply that only a server can send, and sending it raises yet another error.
            self.failure = "the handshake reply was no WebSocket handshake"
            raise RemoteProtocolError(str(error)) from error
        # The first moment at which the frame parser exists. It is before anything was parsed, also when frames came in
        # one segment with the handshake reply: parsing happens in events().
        if self.connection is not None and not self._taught:
            parser = self.connection._proto  # noqa: SLF001 -- no public way
            parser._message_decoder = _LenientDecoder()  # noqa: SLF001 -- likewise
            parser._frame_decoder.extensions.append(_SizeLimit())  # noqa: SLF001 -- likewise
            self._taught = True

    def events(self) -> Generator[Event, None, None]:
        for event in super().events():
            if isinstance(event, RejectConnection):
                yield replace(event, has_body=False)  # or the body is collected, however long it is
                continue
            if getattr(event, "message_finished", True):
                self.last_heard_s = trio.current_time()
            yield event


class _SizeLimit(Extension):
    """A frame that announces more than a message may hold is refused by its header.

    The library counts what has come instead: after a header of 2^40 bytes nothing is a whole message any more, and only
    the idle watchdog would tell, a minute later.
    """

    name = "size-limit"

    def offer(self) -> bool:
        return False

    def frame_inbound_header(self, *header: Any) -> CloseReason | RsvBits:
        *_, payload_length = header
        if payload_length > MAX_MESSAGE_SIZE:
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(rsv1=False, rsv2=False, rsv3=False)


class _LenientDecoder(MessageDecoder):
    """Invalid UTF-8 becomes U+FFFD.

    wsproto makes one incremental decoder a message and gives it every fragment, so characters split over fragments and
    reads are its business already; only its `errors` must be other than "strict". It looks at that attribute each time.
    """

    @property
    def decoder(self) -> Any:
        return self._decoder

    @decoder.setter
    def decoder(self, decoder: Any) -> None:
        if decoder is not None:
            decoder.errors = "replace"
        self._decoder = decoder
