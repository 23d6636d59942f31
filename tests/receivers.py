"""Receivers that really listen, on loopback and a port of their own, and behave as badly as they are told to."""

import asyncio
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import trio
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

Behaviour = Callable[["Receiver", socket.socket], None]


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass
class Receiver:
    """An HTTP server of one behaviour; remembers what it was asked."""

    behaviour: Behaviour
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def url(self, path: str = "/hook", *, login: str = "", query: str = "") -> str:
        return f"json://{login}127.0.0.1:{self.port}{path}{query}"


@contextmanager
def listening(behaviour: Behaviour) -> Iterator[Receiver]:
    receiver = Receiver(behaviour)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with self.request as connection:
                request = _read(connection)
                if request is not None:
                    receiver.requests.append(request)
                    with suppress(OSError):  # the client may go away
                        receiver.behaviour(receiver, connection)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 50

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.released.set()
            server.shutdown()
            thread.join()


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Waits until something has happened in another thread."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.005)


def _read(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += connection.recv(65536)
    return Request(line, headers, body)


def reply(status: int, headers: str = "", body: bytes = b"ok") -> Behaviour:
    def behave(_: Receiver, connection: socket.socket) -> None:
        length = f"Content-Length: {len(body)}\r\n"
        connection.sendall(f"HTTP/1.1 {status} X\r\n{length}{headers}Connection: close\r\n\r\n".encode() + body)

    return behave


def hang(receiver: Receiver, _: socket.socket) -> None:
    """Takes the request and says nothing."""
    receiver.released.wait(60)


def reset(_: Receiver, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def trickle(receiver: Receiver, connection: socket.socket) -> None:
    """Says yes, then a byte at a time for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not receiver.released.wait(0.02):
        connection.sendall(b"x")


def endless(receiver: Receiver, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not receiver.released.is_set():
        connection.sendall(b"x" * 65536)


class Mailbox:
    """What a real mail server got; it asks for a login."""

    def __init__(self, *, refuse: bool) -> None:
        self.mails: list[EmailMessage] = []
        self.passwords: list[bytes] = []
        self.port = 0
        self._refuse = refuse

    def url(self, password: str) -> str:
        return f"mailto://trader:{password}@example.com:{self.port}?smtp=127.0.0.1&to=desk@example.com"

    async def handle_DATA(  # noqa: N802  aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if self._refuse:
            return "550 no such mailbox"
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=default))
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.passwords.append(data.password)
        return AuthResult(success=True)


class _Controller(Controller):
    """Port 0: the port is known once the server listens, just before aiosmtpd knocks at it to see that it does."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd leaves this one bare


@contextmanager
def mail_server(*, refuse: bool = False) -> Iterator[Mailbox]:
    mailbox = Mailbox(refuse=refuse)
    controller = _Controller(
        mailbox, hostname="127.0.0.1", port=0, authenticator=mailbox.authenticate, auth_require_tls=False
    )
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()
