"""Secrets of every kind, at log level debug, while everything that they are sent to fails: nobody finds them again."""

import base64
import json
import re
import signal
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import trio
import zstandard
from canaries import Searched, forms, kept, open_to_others, searched, secrets_of
from daemon_process import RULE, Pgmwatch, ended, free_ports, installed
from receivers import Receiver, listening, reset

CANARY = "Canary/+&=?%7d" + "é~"
"""Every sign that some form writes differently."""


def planted(folder: Path, form: bytes) -> None:
    """In each kind of file."""
    (folder / "recordings").mkdir(parents=True)
    (folder / "plain.log").write_bytes(b"before " + form + b" after")
    whole = zstandard.ZstdCompressor().compress(b"line\n" * 1000 + form + b"\n")
    torn = zstandard.ZstdCompressor().compress(b"x" * 100)[:-4]
    (folder / "recordings" / "day.zst").write_bytes(whole + torn)
    with closing(sqlite3.connect(folder / "state.db")) as database, database:
        database.execute("CREATE TABLE history (line TEXT)")
        database.execute("INSERT INTO history VALUES (?)", (form.decode(),))


@pytest.mark.parametrize("name", forms(CANARY))
def test_a_planted_secret_is_found_in_every_kind_of_file_and_in_every_form(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "state"
    planted(folder, forms(CANARY)[name])
    found = searched([CANARY], kept(folder)).found
    places = {line.split(": ")[0] for line in found if f"({name})" in line}
    assert places >= {"plain.log", "recordings/day.zst unpacked", "state.db", "state.db rows"}
    assert searched([CANARY[::-1]], kept(folder)).found == ()
    assert "state 755" in open_to_others(folder)
    assert "plain.log 644" in open_to_others(folder)


def test_the_forms_are_those_that_a_library_would_write() -> None:
    for shift in range(3):
        assert forms(CANARY)[f"base64 +{shift}"] in base64.b64encode(b"u" * shift + CANARY.encode() + b":more")
    assert forms(CANARY)["quoted whole"].decode() == quote(CANARY, safe="")
    assert forms(CANARY)["quoted plus"].decode() == quote_plus(CANARY)
    assert forms(CANARY)["hex"] in (b"user:" + CANARY.encode()).hex().encode()


def test_the_secrets_of_an_installation_are_those_of_its_configuration() -> None:
    config = CONFIG.format(rest=1, websocket=2, closed=3, echo=4, reset=5, mail=6)
    assert secrets_of(config, {"APP_SECRET": "from-the-environment-1234"}) >= {
        "CANARYKEYabcdefghijklmnop0123456789",
        "from-the-environment-1234",
        "Canary-Login-1a2b",
        "hook/Canary-Path-3c4d",
        "Canary-Query-5e6f",
        "CANARYSLACKtoken0123456789",
        "CANARYTELEGRAMtoken_0123456789",
        "CANARYDISCORDtoken0123456789",
        "Canary-Matrix-7a8b",
        "Canary-Mail-9c0d",
        "ping/Canary-Heart-1b2c",
        "Canary-Heart-3d4e",
    }


CONFIG = """\
locale = "en"
[session]
open = "00:00"
close = "24:00"
[feed]
source = "kis"
rest_url = "http://127.0.0.1:{rest}"
websocket_url = "ws://127.0.0.1:{websocket}"
backoff = {{ first = "1s", max = "1s", in_use = "1s" }}
[[feed.account]]
name = "main"
app_key = "CANARYKEYabcdefghijklmnop0123456789"
app_secret = "${{APP_SECRET}}"
[log]
level = "debug"
[alerts]
digest = "0s"
notify = ["refusing", "echoing", "resetting", "mail", "slack", "telegram", "discord", "matrix", "terminal"]
ops = ["terminal", "echoing"]
heartbeat_url = "http://127.0.0.1:{echo}/ping/Canary-Heart-1b2c?key=Canary-Heart-3d4e"
[notifiers.terminal]
kind = "terminal"
[notifiers.refusing]
urls = ["json://trader:Canary-Login-1a2b@127.0.0.1:{closed}/hook/Canary-Path-3c4d?key=Canary-Query-5e6f"]
[notifiers.echoing]
urls = [
  "json://trader:Canary-Login-1a2b@127.0.0.1:{echo}/hook/Canary-Path-3c4d?+X-Token=Canary-Head-6f7a",
  "form://trader:Canary-Login-1a2b@127.0.0.1:{echo}/hook/Canary-Path-3c4d",
  "gotify://127.0.0.1:{echo}/CanaryGotify1234",
]
[notifiers.resetting]
urls = ["json://trader:Canary-Login-1a2b@127.0.0.1:{reset}/hook/Canary-Path-3c4d"]
[notifiers.mail]
urls = ["mailto://trader:Canary-Mail-9c0d@example.com:{mail}?smtp=127.0.0.1&to=desk@example.com"]
[notifiers.slack]
urls = ["slack://TCANARY1/ACANARY2/CANARYSLACKtoken0123456789/#desk"]
[notifiers.telegram]
urls = ["tgram://123456789:CANARYTELEGRAMtoken_0123456789/12345"]
[notifiers.discord]
urls = ["discord://123456789012345678/CANARYDISCORDtoken0123456789"]
[notifiers.matrix]
urls = ["matrix://trader:Canary-Matrix-7a8b@127.0.0.1:{echo}/#room"]
"""
TARGETS = 10
"""With a network in between; the terminal is not among them."""


def echo(receiver: Receiver, connection: socket.socket) -> None:
    """Says no, and repeats all that it was told: in the status line, in a header and in the body."""
    request = receiver.requests[-1]
    login = base64.b64decode(request.headers.get("authorization", "Basic ").removeprefix("Basic ") or b"").decode()
    said = f"{request.line} {login} {json.dumps(request.headers)}"
    body = said.encode() + request.body
    head = f"HTTP/1.1 400 {said}\r\nX-Said: {said}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    connection.sendall(head.encode() + body)


@contextmanager
def repeating_mail_server() -> Iterator[int]:
    """Asks for a login, and refuses it with its own words."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rwb", buffering=0) as lines:
            lines.write(b"220 here\r\n")
            for line in lines:
                hello = line.upper().startswith(b"EHLO")
                lines.write(b"250-here\r\n250 AUTH PLAIN LOGIN\r\n" if hello else b"535 " + line.strip() + b"\r\n")

    def serve() -> None:
        with suppress(OSError):  # closed, at the end
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@asynccontextmanager
async def overheard(port: int) -> AsyncIterator[tuple[int, set[str]]]:
    """A way to the port, on which approval keys are heard: → its own port, and they."""
    heard: set[str] = set()

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                heard.update(re.findall(r'"approval_key": ?"([^"]+)"', data.decode()))
                await sink.send_all(data)
            await sink.send_eof()

    async def relay(client: trio.SocketStream) -> None:
        with suppress(OSError):
            async with await trio.open_tcp_stream("127.0.0.1", port) as server, trio.open_nursery() as nursery:
                nursery.start_soon(pump, client, server)
                nursery.start_soon(pump, server, client)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        yield listener.socket.getsockname()[1], heard
        nursery.cancel_scope.cancel()


COMMANDS = (
    ("status", "--json"), ("why", "거래 시작", "005930"), ("rules", "list", "--json"), ("alerts", "--json"),
    ("notify", "dead", "--json"), ("notify", "test", "echoing"),
)  # fmt: skip


@pytest.mark.slow  # a daemon of ten targets that all fail, killed and started again
async def test_no_secret_is_found_again_whatever_is_done_with_it(tmp_path: Path) -> None:
    rest, websocket, closed = free_ports(3)
    (tmp_path / "broker").mkdir()
    broker = installed(tmp_path / "broker", "[simulator]\nrate = 60\n")
    simulate = ("simulate", "--rest-port", str(rest), "--websocket-port", str(websocket))
    total, log = Searched(0, 0, ()), ""
    async with broker.running(*simulate), overheard(rest) as (relayed, approvals):
        await broker.until("simulator up")
        with listening(echo) as echoing, listening(reset) as resetting, repeating_mail_server() as mail:
            ports = {"closed": closed, "echo": echoing.port, "reset": resetting.port, "mail": mail}
            config = CONFIG.format(rest=relayed, websocket=websocket, **ports)
            # What is not on this machine is asked for by way of a proxy that repeats and refuses.
            proxy = f"http://127.0.0.1:{echoing.port}"
            environ = {
                "HTTPS_PROXY": proxy,
                "HTTP_PROXY": proxy,
                "NO_PROXY": "127.0.0.1",
                "APP_SECRET": "Canary-1234-x",
            }
            pgmwatch = installed(tmp_path, config, RULE, **environ)
            for end, failures in ((signal.SIGKILL, TARGETS), (signal.SIGTERM, 3)):
                async with pgmwatch.running("run") as daemon:
                    await pgmwatch.until("feed subscribed account=main")
                    await pgmwatch.until(r"(failed|refused|unknown) target=", count=failures, seconds=20)
                    answers = await asked(pgmwatch) if end is signal.SIGTERM else {}
                    await ended(daemon, end)
                log += pgmwatch.stderr
                places = {**pgmwatch.left(), **answers}
                secrets = secrets_of(config, pgmwatch.environ) | approvals
                total += searched(secrets, places)
                assert total.found == ()
                assert open_to_others(tmp_path / "state" / "kis-KRX") == []
    failing = set(re.findall(r"(?:failed|refused|unknown) target='(\w+\[\d\])", log))
    assert len(failing) == TARGETS, failing
    assert "DEBUG" in log
    assert any("/ping/" in request.line for request in echoing.requests)
    assert len(approvals) == 2
    assert len(secrets) > 20
    print(f"searched {total.bytes} bytes in {total.places} places for {len(secrets)} secrets")  # noqa: T201  with -s


async def asked(pgmwatch: Pgmwatch) -> dict[str, bytes]:
    """What the commands say, whatever it is."""
    answers: dict[str, bytes] = {}

    async def ask(*command: str) -> None:
        answers[" ".join(command)] = "".join(map(str, await pgmwatch.run(*command))).encode()

    async with trio.open_nursery() as nursery:
        for command in COMMANDS:
            nursery.start_soon(ask, *command)
    return answers
