"""What a notifier's HTTP requests met, seen where they leave the process.

Apprise's plugins answer yes or no, whatever happened: a 429 that says when to come back, a connection that nobody took,
a reply that never came. All of them send with `requests`, each call through a new session that takes its transport from
one name in `requests.sessions`. That name is replaced, once, by the transport below. It also sees to what no plugin
does: it follows no redirect, it reads no reply without end and none that takes for ever, and it sends nothing more to a
service that has asked for a pause (plugins for Discord and Matrix would ask again at once).
"""

import http.client
import io
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.sessions
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from engine.delivery import outcomes, reply_codes
from engine.delivery.outcomes import Seen
from engine.delivery.target import Delivered
from engine.delivery.wire import TimedReader

MAX_REPLY_BYTES = 1 << 20
"""Chat services answer with a few hundred bytes. What a reply says beyond a mebibyte nobody reads."""
MAX_WIRE_BYTES = 2 * MAX_REPLY_BYTES
"""With the head, which Python itself takes up to 100 lines of 64 KiB of."""
REPLY_S = 15.0
"""How long a whole reply may take, where the plugin says nothing else."""

# Requests that only ask or prepare: a yes to these is no message taken, and one that got no reply can be repeated.
_ASKING = re.compile(r"/_matrix/(?!.*/send/)|/\.well-known/|/users\.lookupByEmail$|/get(Updates|Me)$")


class _Watch(threading.local):
    seen: Seen | None = None


_watch = _Watch()


@contextmanager
def watched() -> Iterator[Seen]:
    """What the conversations of this thread meet inside the block."""
    seen = Seen()
    _watch.seen = seen
    try:
        yield seen
    finally:
        _watch.seen = None


def seen_here() -> Seen:
    """Where this thread's conversations are noted; nowhere, outside of `watched`."""
    return _watch.seen or Seen()


def install() -> None:
    """Every session that `requests` opens from here on uses the transport below."""
    vars(requests.sessions)["HTTPAdapter"] = _Transport


class _Transport(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        seen = seen_here()
        if seen.told_to_wait:
            raise requests.ConnectionError("the service has asked for a pause")
        asking = bool(_ASKING.search(urlsplit(request.url or "").path))
        try:
            response = super().send(request, *args, **kwargs)
        except requests.RequestException as error:
            _note_trouble(seen, error, asking=asking)
            raise
        # Without its address a redirect cannot be followed, whatever the plugin asked for.
        response.headers.pop("Location", None)
        response.raw = _Bounded(response.raw)
        _note_reply(seen, response, asking=asking)
        return response


def _note_reply(seen: Seen, response: requests.Response, *, asking: bool) -> None:
    # The body is read here, whole, and stays in the response for the plugin.
    said = reply_codes.read(response.content)
    outcome = outcomes.of_reply(response.status_code, said, _retry_after_s(response.headers))
    seen.told_to_wait |= response.status_code == requests.codes.too_many_requests
    seen.denied += said.denied and response.ok
    if not (asking and isinstance(outcome, Delivered)):
        seen.note(outcome)


class _Bounded:
    """The body of a reply, cut off after so many bytes or where it breaks: who has the status knows what matters."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """As urllib3 has it, but each turn takes what has arrived instead of waiting for `amt` bytes."""
        left = MAX_REPLY_BYTES
        while left > 0:
            try:
                data = self._raw.read1(min(amt or left, left), decode_content)
            except urllib3.exceptions.HTTPError:  # too late, torn off, or not what its encoding says
                break
            if not data:
                return
            left -= len(data)
            yield data
        self._raw.close()


class _Response(http.client.HTTPResponse):
    """The socket's timeout is for the whole reply, not for each of its bytes."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(TimedReader(sock, sock.gettimeout() or REPLY_S, MAX_WIRE_BYTES))


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _SecureConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response

    def getresponse(self) -> Any:
        try:
            return super().getresponse()
        except ssl.SSLError as error:  # the request is out: under its own name this passes for a failed handshake
            raise ConnectionAbortedError("TLS failed") from error


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}

_NO_CONNECTION = (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)


def _note_trouble(seen: Seen, error: requests.RequestException, *, asking: bool) -> None:
    """Whether the request can have been taken: not if the connection itself was never made."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, _NO_CONNECTION) or isinstance(reason, urllib3.exceptions.NewConnectionError):
        seen.note(outcomes.no_connection())
    elif isinstance(error, requests.ConnectionError | requests.Timeout):
        seen.note(outcomes.no_reply(asked_only=asking))


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds, or a date; 0 if the service does not say or says it badly."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return reply_codes.seconds(int(asked[:9]))
    try:
        when = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):  # a zone a million years away
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return reply_codes.seconds((when - datetime.now(UTC)).total_seconds())
