"""A real MQTT broker (Mosquitto) on loopback, and somebody who listens to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import environment
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

START_S = 10.0
"""It takes a few milliseconds."""
TOPIC = "desk/alerts"
_CONFIG = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""


@dataclass
class Broker:
    port: int
    heard: list[str] = field(default_factory=list)
    """What a subscriber of the topic got, in order."""
    pid: int = 0

    def url(self, query: str = "") -> str:
        return mqtt_url(self.port, query)


def mqtt_url(port: int, query: str = "") -> str:
    return f"mqtt://127.0.0.1:{port}/{TOPIC}{query}"


@contextmanager
def mqtt_broker(folder: Path, port: int = 0) -> Iterator[Broker]:
    """It forgets everything when the block ends."""
    program = environment.need("mosquitto", "apt-get install mosquitto")
    port = port or environment.free_port()
    config = folder / "mosquitto.conf"
    config.write_text(_CONFIG.format(port=port))
    with environment.running([program, "-c", config], port, folder / "mosquitto.log", seconds=START_S) as process:
        broker = Broker(port, pid=process.pid)
        with _listening(broker):
            yield broker


@contextmanager
def _listening(broker: Broker) -> Iterator[None]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    ready = threading.Event()

    @client.connect_callback()
    def subscribe(*_: object) -> None:
        client.subscribe(TOPIC, qos=1)

    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _client, _data, message: broker.heard.append(message.payload.decode())
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    try:
        assert ready.wait(START_S)
        yield
    finally:
        client.disconnect()
        client.loop_stop()
