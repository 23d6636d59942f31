"""A client of the tests' own: it knows the broker's forms from its documents, and nothing of the simulator's code."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import httpx2
import trio
import trio.testing
from trio_websocket import WebSocketConnection, connect_websocket_url, wrap_client_stream

from engine.config.model import Simulator as Settings
from engine.simulator.scenario import parse
from engine.simulator.server import Addresses, Behaviour, Broker

APP_KEY = "TEST-APP-KEY"
APP_SECRET = "TEST-APP-SECRET"
EAGER = Behaviour(approval_interval_s=0)
"""Tests ask for keys faster than a client may."""


@asynccontextmanager
async def a_broker(
    behaviour: Behaviour = EAGER,
    *,
    symbols: int = 20,
    rate: float = 40,
    host: str = "127.0.0.1",
    scenario: str | None = None,
) -> AsyncIterator[tuple[Broker, Addresses]]:
    """`scenario` is the text of a scenario file."""
    async with trio.open_nursery() as nursery:
        played = None if scenario is None else parse(scenario)
        broker = Broker(Settings(symbols=symbols, rate=rate), behaviour, played)
        addresses = await nursery.start(lambda task_status: broker.run(host=host, task_status=task_status))
        yield broker, addresses
        nursery.cancel_scope.cancel()


async def approval_key(addresses: Addresses, app_key: str = APP_KEY) -> str:
    body = {"grant_type": "client_credentials", "appkey": app_key, "secretkey": APP_SECRET}
    async with httpx2.AsyncClient() as http:
        response = await http.post(f"{addresses.rest_url}/oauth2/Approval", json=body)
    key: str = response.raise_for_status().json()["approval_key"]
    return key


def request(key: str, code: str = "005930", *, tr_type: str = "1", tr_id: str = "H0STPGM0") -> str:
    header = {"approval_key": key, "custtype": "P", "tr_type": tr_type, "content-type": "utf-8"}
    return json.dumps({"header": header, "body": {"input": {"tr_id": tr_id, "tr_key": code}}})


class Client:
    """One WebSocket session; data frames are put aside while an answer is waited for."""

    def __init__(self, socket: WebSocketConnection, key: str = "") -> None:
        self.socket = socket
        self.key = key
        self.aside: list[str] = []

    async def ask(self, code: str = "005930", *, tr_type: str = "1", tr_id: str = "H0STPGM0") -> dict[str, Any]:
        """Send a request and wait for its answer."""
        return await self.say(request(self.key, code, tr_type=tr_type, tr_id=tr_id))

    async def say(self, text: str | bytes) -> dict[str, Any]:
        await self.socket.send_message(text)
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        with trio.fail_after(5):
            while True:
                text = await self.socket.get_message()
                assert isinstance(text, str)
                if text.startswith("{"):
                    answer: dict[str, Any] = json.loads(text)
                    return answer
                self.aside.append(text)

    async def data(self) -> str:
        """The next data frame."""
        if self.aside:
            return self.aside.pop(0)
        with trio.fail_after(5):
            text = await self.socket.get_message()
        assert isinstance(text, str)
        assert text[0] in "01"
        return text


@asynccontextmanager
async def a_client(addresses: Addresses, path: str = "/", app_key: str = APP_KEY) -> AsyncIterator[Client]:
    key = await approval_key(addresses, app_key)
    async with trio.open_nursery() as nursery:
        socket = await connect_websocket_url(nursery, addresses.websocket_url + path)
        try:
            yield Client(socket, key)
        finally:
            with trio.move_on_after(2, shield=True):
                await socket.aclose()
                await socket._stream.aclose()  # which aclose() leaves open after an end without a close frame
            nursery.cancel_scope.cancel()


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)


async def raw(addresses: Addresses, sent: bytes) -> bytes:
    """What the WebSocket port answers to raw bytes and their end; nothing when it resets the connection."""
    host, _, port = addresses.websocket_url.removeprefix("ws://").partition(":")
    answer = b""
    with trio.fail_after(5), suppress(trio.BrokenResourceError):
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            await stream.send_all(sent)
            await stream.send_eof()
            while chunk := await stream.receive_some():
                answer += chunk
    return answer


@asynccontextmanager
async def a_client_in_memory(broker: Broker, app_key: str = APP_KEY) -> AsyncIterator[Client]:
    """A client whose connection is no socket, so that virtual time may jump; the market runs as it does live."""
    key = broker._endpoint._keys.ask(
        {"grant_type": "client_credentials", "appkey": app_key, "secretkey": "s"}, broker.now()
    )
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker._tick)
        nursery.start_soon(broker._serve, theirs)
        socket = await wrap_client_stream(nursery, cast("Any", ours), "simulator", "/")  # any stream will do
        yield Client(socket, getattr(key, "approval_key", ""))
        nursery.cancel_scope.cancel()
