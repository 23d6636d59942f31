"""What came of an MQTT message: a real broker, and such as follow a script."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from environment import free_port
from mqtt_server import mqtt_broker, mqtt_url
from pydantic import SecretStr
from receivers import until

from engine.delivery import mqtt_replies
from engine.delivery.apprise import Service, open_service
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Unknown
from engine.rules.model import Severity

MESSAGE = Message("title", "body", Severity.WARNING)


def service(url: str) -> Service:
    opened = open_service(SecretStr(url))
    assert opened is not None
    return opened


@pytest.mark.parametrize("query", ["", "?qos=0", "?qos=2", "?version=v3.1"])
async def test_a_broker_gives_a_receipt(tmp_path: Path, query: str) -> None:
    with mqtt_broker(tmp_path) as broker:
        desk = service(broker.url(query))
        assert [desk.send(MESSAGE) for _ in range(2)] == [Delivered()] * 2
        await until(lambda: len(broker.heard) == 2)
    assert [thread.name for thread in threading.enumerate() if "paho" in thread.name] == []
    assert desk.send(MESSAGE) == Failed("no connection")


def test_a_broker_that_comes_later_gets_nothing_twice(tmp_path: Path) -> None:
    port = free_port()
    desk = service(mqtt_url(port))
    assert [desk.send(MESSAGE) for _ in range(3)] == [Failed("no connection")] * 3
    with mqtt_broker(tmp_path, port) as broker:
        assert desk.send(MESSAGE) == Delivered()
        time.sleep(0.1)  # whatever else was kept back would come now
    assert len(broker.heard) == 1


@contextmanager
def script(*answers: bytes, silent: bool = False) -> Iterator[str]:
    """Says these, one after each packet it gets; then it closes, or is silent. → a URL that leads there."""
    released = threading.Event()

    def run() -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            for answer in answers:
                connection.recv(4096)
                connection.sendall(answer)
            connection.recv(4096)
            if silent:
                released.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield mqtt_url(listener.getsockname()[1])
        finally:
            released.set()
            thread.join()


def let_in(code: int) -> bytes:
    return bytes([0x20, 2, 0, code])


@pytest.mark.parametrize(
    ("answers", "silent", "outcome"),
    [
        ([], False, Failed("connection lost")),
        ([], True, Failed("connection lost")),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], False, Failed("connection lost")),
        ([let_in(3)], False, Failed("MQTT 136")),
        ([let_in(4)], False, Refused("MQTT 134", certain=True)),
        ([let_in(5)], False, Refused("MQTT 135", certain=True)),
        ([let_in(0)], False, Unknown("no reply")),
        ([let_in(0)], True, Unknown("no reply")),
        ([let_in(0), b"\x40\x02\x00\x01"], False, Delivered()),
        ([let_in(0), b"\x40\x02\x00\x07"], False, Unknown("no reply")),
    ],
)
def test_a_broker_is_understood(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes], silent: bool, outcome: Outcome
) -> None:
    monkeypatch.setattr(mqtt_replies, "ANSWER_S", 0.3)
    with script(*answers, silent=silent) as url:
        began = time.monotonic()
        assert service(url).send(MESSAGE) == outcome
    assert time.monotonic() - began < 2
