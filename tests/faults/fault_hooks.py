"""Web hooks that keep their own list of what was told to them, and the judgement of it: lost, doubled, said so or not.

A message counts as delivered when the hook has all of it, whether or not its reply arrives: that is what a reader sees.
"""

import json
import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

IDENT = re.compile(r"\bn-[\w:-]+")
"""Ids of notices, as they stand in titles and lines."""
HANG_S = 60.0
_ALL = ("may repeat an earlier message", "앞선 메시지와 중복될 수 있음")
_SOME = re.compile(r"(\d+) of them may repeat|이 중 (\d+)건은 앞선")


@dataclass(frozen=True, slots=True)
class Told:
    """One message that the hook has taken."""

    title: str
    message: str
    at: float
    """`time.monotonic()` when it was read."""

    @property
    def idents(self) -> frozenset[str]:
        return frozenset(IDENT.findall(self.title + "\n" + self.message))

    @property
    def may_repeat(self) -> int:
        """How many of its notices it says may repeat."""
        if some := _SOME.search(self.message):
            return int(some[1] or some[2])
        return len(self.idents) if any(words in self.message for words in _ALL) else 0


@dataclass
class Hook:
    """`answers`: what happens to the first requests, a status, `reset` or `hang`, and then 200 for ever."""

    answers: tuple[int | str, ...] = ()
    slow_s: float = 0.0
    """How long each answer takes, once the request has been taken."""
    told: list[Told] = field(default_factory=list)
    port: int = 0
    asked: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/hook"

    def answer(self, told: Told) -> int | str:
        number, self.asked = self.asked, self.asked + 1
        answer = self.answers[number] if number < len(self.answers) else 200
        if answer in (200, "reset", "hang"):  # taken, and of some nobody is told so
            self.told.append(told)
        return answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of notices."""

    lost: frozenset[str]
    doubled: int
    unmarked: int
    """Doubled, in a message that does not say so."""

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(self.lost | other.lost, self.doubled + other.doubled, self.unmarked + other.unmarked)


NOTHING = Verdict(frozenset(), 0, 0)


def judged(told: Iterable[Told], wanted: Iterable[str]) -> Verdict:
    """What a hook was told, in the order in which it came, against what was stored."""
    seen: Counter[str] = Counter()
    doubled = unmarked = 0
    for each in told:
        again = sum(ident in seen for ident in each.idents)
        doubled += again
        unmarked += max(0, again - each.may_repeat)
        seen.update(each.idents)
    return Verdict(frozenset(wanted) - seen.keys(), doubled, unmarked)


@contextmanager
def hooked(hook: Hook) -> Iterator[Hook]:
    """Listening, on a port of its own."""
    lock = threading.Lock()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with self.request as connection, suppress(OSError):  # whoever asked may be killed at any moment
                body = _body(connection)
                if body is None:
                    return
                fields = json.loads(body)
                with lock:
                    answer = hook.answer(Told(fields["title"], fields["message"], time.monotonic()))
                hook.released.wait(HANG_S if answer == "hang" else hook.slow_s)
                _reply(connection, answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 50

    with Server(("127.0.0.1", 0), Handler) as server:
        hook.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hook
        finally:
            hook.released.set()
            server.shutdown()
            thread.join()


def _body(connection: socket.socket) -> bytes | None:
    """Of a whole request; None where it ends before that."""
    data = b""
    while True:
        head, found, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if found and length is not None and len(body) >= int(length[1]):
            return body
        more = connection.recv(65536)
        if not more:
            return None
        data += more


def _reply(connection: socket.socket, answer: int | str) -> None:
    if answer == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    connection.sendall(f"HTTP/1.1 {answer} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
