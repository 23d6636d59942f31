"""What an MQTT message met: one conversation for each, in the thread that sends it.

Apprise's plugin leaves a thread of the MQTT library's behind that connects again and again, whatever the broker says to
it, and sends once more by itself what got no receipt; it publishes before it knows whether it is let in, and without a
receipt it takes what is written for what has arrived. So what it holds for its client is replaced by the one below: a
new connection for each message, let in before it speaks, and a receipt (QoS 1) before it says yes.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.delivery import outcomes
from engine.delivery.replies import seen_here
from engine.delivery.target import Delivered, Outcome

ANSWER_S = 10.0
"""To be let in, and again for the receipt: brokers stand near, and answer in milliseconds."""


def take_over(plugin: Any) -> None:
    """`plugin`: Apprise's for MQTT, fresh."""
    kind, version = type(plugin.client), plugin.client.callback_api_version

    def client() -> Any:
        return kind(
            version,
            client_id=plugin.client_id,
            clean_session=not plugin.session,
            protocol=plugin.mqtt_protocol,
            transport=plugin.mqtt_transport,
        )

    plugin.client = _Client(client)


class _Result(NamedTuple):
    """What the plugin looks at; 0 is yes."""

    rc: int

    def is_published(self) -> bool:
        return True


class _Client:
    """What the plugin calls on the library's client; all that happens, happens in `publish`."""

    def __init__(self, new: Callable[[], Any]) -> None:
        self._new = new
        self._settings: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self._address: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def username_pw_set(self, *args: Any, **kwargs: Any) -> None:
        self._settings["username_pw_set"] = args, kwargs

    def tls_set(self, *args: Any, **kwargs: Any) -> None:
        self._settings["tls_set"] = args, kwargs

    def tls_insecure_set(self, *args: Any, **kwargs: Any) -> None:
        self._settings["tls_insecure_set"] = args, kwargs

    def connect(self, *args: Any, **kwargs: Any) -> int:
        self._address = args, kwargs
        return 0

    def reconnect(self) -> int:
        return 0

    def is_connected(self) -> bool:
        return True

    def loop_start(self) -> None:
        """There is no thread to start."""

    def loop_stop(self) -> None:
        """Nor one to stop."""

    def disconnect(self) -> None:
        """There is no connection but in `publish`."""

    def publish(self, topic: str, payload: Any = None, qos: int = 0, *, retain: bool = False) -> _Result:
        outcome = self._publish(topic, payload, max(qos, 1), retain=retain)
        seen_here().note(outcome)
        return _Result(0 if isinstance(outcome, Delivered) else 1)

    def _publish(self, topic: str, payload: Any, qos: int, *, retain: bool) -> Outcome:
        client, welcome, receipt = self._new(), list[Any](), list[Any]()
        client.on_connect = lambda _client, _data, _flags, reason, _properties: welcome.append(reason)
        client.on_publish = lambda _client, _data, _number, reason, _properties: receipt.append(reason)
        client.connect_timeout = ANSWER_S
        for name, (args, kwargs) in self._settings.items():
            getattr(client, name)(*args, **kwargs)
        args, kwargs = self._address
        try:
            client.connect(*args, **kwargs)
            if not _heard(client, welcome):
                return outcomes.lost_connection()
            if welcome[-1].is_failure:
                return outcomes.refused_by_broker(welcome[-1].value)
            client.publish(topic, payload, qos=qos, retain=retain)
            if not _heard(client, receipt):
                return outcomes.no_reply()
            return outcomes.refused_by_broker(receipt[-1].value) if receipt[-1].is_failure else Delivered()
        except OSError:  # of `connect`: what happens to a connection later is a number that `loop` returns
            return outcomes.no_connection()
        finally:
            client.disconnect()


def _heard(client: Any, answers: list[Any]) -> bool:
    """Talks on until there is an answer; not if the connection ends or the time is over."""
    deadline = time.monotonic() + ANSWER_S
    while not answers and (left_s := deadline - time.monotonic()) > 0:
        if client.loop(left_s) and not answers:
            return False
    return bool(answers)
