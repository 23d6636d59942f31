"""Receivers that really listen, on loopback and a port of their own, and behave as badly as they are told to."""

import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

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
                        behaviour(receiver, connection)

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
