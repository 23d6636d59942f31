"""Receivers that really listen, on loopback and a port of their own, and behave as badly as they are told to."""

import asyncio
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import Enum
from pathlib import Path
from typing import Any

import environment
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
        more = connection.recv(65536)
        if not more:  # whoever sent it was killed in the midst
            return None
        body += more
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


class Security(Enum):
    """Of a mail server; its certificate is its own, signed by nobody whom we trust."""

    NONE = "plain"
    STARTTLS = "starttls"
    SMTPS = "smtps"


class Mailbox:
    """What a real mail server got; it asks for a login."""

    def __init__(self, says: Mapping[str, str], *, hangs_up: bool = False) -> None:
        self.mails: list[EmailMessage] = []
        self.passwords: list[bytes] = []
        self.port = 0
        self.sessions = 0
        """How often somebody came with a mail, whatever became of it."""
        self.says = dict(says)
        """What it says to AUTH, MAIL, RCPT or DATA (after the text) instead of yes: `451 4.3.0 later`."""
        self.hangs_up = hangs_up
        """Once it has the whole mail, without a word."""
        self.recipients: list[str] = []

    def url(self, password: str, security: Security = Security.NONE, to: str = "desk@example.com") -> str:
        scheme = "mailto" if security is Security.NONE else "mailtos"
        mode = "" if security is Security.NONE else f"&mode={'ssl' if security is Security.SMTPS else 'starttls'}"
        return f"{scheme}://trader:{password}@example.com:{self.port}?smtp=127.0.0.1&to={to}{mode}"

    async def handle_MAIL(  # noqa: N802  aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.sessions += 1
        if "MAIL" not in self.says:
            envelope.mail_from = address
        return self.says.get("MAIL", "250 OK")

    async def handle_RCPT(  # noqa: N802  aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """`says` may name one address: `{"RCPT kim@example.com": "550 …"}`."""
        answer = self.says.get("RCPT", self.says.get(f"RCPT {address}", "250 OK"))
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(  # noqa: N802  aiosmtpd looks for this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if "DATA" in self.says:
            return self.says["DATA"]
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=default))
        self.recipients += envelope.rcpt_tos
        if self.hangs_up:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.passwords.append(data.password)
        answer = self.says.get("AUTH")
        return AuthResult(success=answer is None, handled=False, message=answer)


class _Controller(Controller):
    """Port 0: the port is known once the server listens, just before aiosmtpd knocks at it to see that it does."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd leaves this one bare


@contextmanager
def mail_server(
    *,
    refuse: bool = False,
    says: Mapping[str, str] | None = None,
    hangs_up: bool = False,
    security: Security = Security.NONE,
    certificate: Path | None = None,
) -> Iterator[Mailbox]:
    """`refuse`: no mail is taken. `certificate`: from `self_signed`, for a server that is to be secure."""
    mailbox = Mailbox({"DATA": "550 no such mailbox"} if refuse else says or {}, hangs_up=hangs_up)
    controller = _Controller(
        mailbox,
        hostname="127.0.0.1",
        port=0,
        authenticator=mailbox.authenticate,
        auth_require_tls=False,
        ssl_context=_context(certificate) if security is Security.SMTPS else None,
        tls_context=_context(certificate) if security is Security.STARTTLS else None,
        require_starttls=security is Security.STARTTLS,
    )
    controller.start()
    mailbox.port = controller.port
    try:
        yield mailbox
    finally:
        controller.stop()


def self_signed(folder: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, new, in one file."""
    openssl = environment.need("openssl", "apt-get install openssl")
    path = folder / "certificate.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(path), "-out", str(folder / "chain.pem")]
    subprocess.run([openssl, "req", *kind, *subject, *files], check=True, capture_output=True, timeout=20)
    path.write_bytes(path.read_bytes() + (folder / "chain.pem").read_bytes())
    return path


def _context(certificate: Path | None) -> ssl.SSLContext:
    assert certificate is not None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
