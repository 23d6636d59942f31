"""What the imitations of chat services share: HTTP on loopback, waiting times they insist on, and what a reader sees.

An imitation checks what the service itself checks and answers as it does, so that a test can say what a reader saw
instead of what was sent. Where the rules come from stands in telegram_server and slack_server.
"""

import json
import math
import struct
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request, with its fields wherever they were: in the query, as JSON, as a form or in parts."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    fields: Mapping[str, Any]
    files: Mapping[str, bytes]
    at: float
    """time.monotonic() of its arrival."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass(frozen=True)
class Post:
    """One message in a chat, as a reader sees it."""

    chat: str
    text: str
    """Markup resolved."""
    pings: tuple[str, ...] = ()
    """Whom or what it rings, as written: `@name`, `<!channel>`."""
    styled: tuple[tuple[str, str], ...] = ()
    """Kind and text of what is shown bold, as code, as a link, …, from left to right."""
    picture: bytes | None = None
    cut: bool = False
    """The service shows less of it than was sent."""
    at: float = 0.0


def as_json(value: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


class ChatServer:
    """Answers one request at a time; remembers all of them, and what came of them."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[tuple[Asked, Answer]] = []
        self.posts: list[Post] = []
        self.spacing_s = 0.0
        """Least time between two messages in one chat; what comes earlier is told to wait. 0: no limit."""
        self.failing: Answer | None = None
        """The answer to everything, until somebody takes it away."""
        self._free_at = 0.0
        self._busy: dict[str, float] = {}
        self._one_at_a_time = threading.Lock()

    @property
    def texts(self) -> list[str]:
        return [post.text for post in self.posts]

    @property
    def statuses(self) -> list[int]:
        return [answer.status for _, answer in self.asked]

    def hold_off(self, seconds: float) -> None:
        """From now on, for so long, whoever posts is told to come back later."""
        self._free_at = time.monotonic() + seconds

    def take(self, asked: Asked) -> Answer:
        with self._one_at_a_time:
            answer = self.failing or self.answer(asked)
            self.asked.append((asked, answer))
            return answer

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def wait_s(self, chat: str, at: float) -> int:
        """Whole seconds that a post in this chat has to wait; 0: it may go, and the next one has to wait."""
        free_at = max(self._free_at, self._busy.get(chat, 0.0))
        if at < free_at:
            return math.ceil(free_at - at)
        self._busy[chat] = at + self.spacing_s
        return 0


Served = TypeVar("Served", bound=ChatServer)


@contextmanager
def serving(server: Served) -> Iterator[Served]:
    """Listens on loopback, at a port of its own, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            answer = server.take(_read(self))
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = answer  # noqa: N815  http.server looks for these names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server calls it so
            """Nothing: a test's output is its own."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as http:
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def _read(request: BaseHTTPRequestHandler) -> Asked:
    at = time.monotonic()
    body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
    url = urlsplit(request.path)
    headers = {name.lower(): value for name, value in request.headers.items()}
    fields, files = _fields(headers.get("content-type", ""), body)
    return Asked(url.path, headers, body, {**dict(parse_qsl(url.query)), **fields}, files, at)


def _fields(kind: str, body: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the body says; nothing if it cannot be read as what it is said to be."""
    if kind.startswith("application/json"):
        try:
            value = json.loads(body)
        except ValueError:
            return {}, {}
        return (value if isinstance(value, dict) else {}), {}
    if kind.startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(body.decode(), keep_blank_values=True)), {}
    if kind.startswith("multipart/form-data"):
        return _parts(kind, body)
    return {}, {}


def _parts(kind: str, body: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body, policy=HTTP).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is None:
            fields[name] = data.decode()
        else:
            files[name] = data
    return fields, files


_PNG = b"\x89PNG\r\n\x1a\n"


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG that is whole: every chunk with its checksum, the pixels unpacked, the end in place."""
    if not data.startswith(_PNG):
        return None
    chunks: list[tuple[bytes, bytes]] = []
    at = len(_PNG)
    while at + 12 <= len(data) and (not chunks or chunks[-1][0] != b"IEND"):
        (length,) = struct.unpack_from(">I", data, at)
        kind, inside = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if data[at + 8 + length : at + 12 + length] != struct.pack(">I", zlib.crc32(kind + inside)):
            return None
        chunks.append((kind, inside))
        at += 12 + length
    if not chunks or chunks[0][0] != b"IHDR" or chunks[-1][0] != b"IEND" or at != len(data):
        return None
    try:
        zlib.decompress(b"".join(inside for kind, inside in chunks if kind == b"IDAT"))
    except zlib.error:
        return None
    width, height = struct.unpack_from(">II", chunks[0][1])
    return width, height


def a_png(width: int = 8, height: int = 4, grey: int = 128) -> bytes:
    """A picture of one grey."""

    def chunk(kind: bytes, inside: bytes) -> bytes:
        return struct.pack(">I", len(inside)) + kind + inside + struct.pack(">I", zlib.crc32(kind + inside))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes([grey]) * width) * height)
    return _PNG + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
