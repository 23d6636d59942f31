"""What a notifier's HTTP requests met, seen where they leave the process.

Apprise's plugins answer yes or no, whatever happened: a 429 that says when to come back, a connection that nobody took,
a reply that never came. All of them send with `requests`, each call through a new session that takes its transport from
one name in `requests.sessions`. That name is replaced, once, by the transport below. It also sees to what no plugin
does: it follows no redirect, and it reads no reply without end.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
import requests.adapters
import requests.sessions
import urllib3.exceptions

MAX_REPLY_BYTES = 1 << 20
"""Chat services answer with a few hundred bytes. What a reply says beyond a mebibyte nobody reads."""
REPLY_S = 15.0
"""How long the body of a reply may take once its status is known: a reply that trickles is cut off here."""
MAX_RETRY_AFTER_S = 3600.0
"""A service that asks for more is asked again after an hour."""


@dataclass(slots=True)
class Seen:
    """The requests of one attempt."""

    accepted: int = 0
    """Answered with 2xx."""
    status: int | None = None
    """Of the last reply."""
    retry_after_s: float = 0.0
    lost: bool = False
    """A request went out and no reply came back: it may have been taken."""
    unreached: bool = False
    """A connection could not be made."""


class _Watch(threading.local):
    seen: Seen | None = None


_watch = _Watch()


@contextmanager
def watched() -> Iterator[Seen]:
    """What the requests of this thread meet inside the block."""
    seen = Seen()
    _watch.seen = seen
    try:
        yield seen
    finally:
        _watch.seen = None


def install() -> None:
    """Every session that `requests` opens from here on uses the transport below."""
    vars(requests.sessions)["HTTPAdapter"] = _Transport


class _Transport(requests.adapters.HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        seen = _watch.seen or Seen()
        try:
            response = super().send(request, *args, **kwargs)
        except requests.RequestException as error:
            _note_trouble(seen, error)
            raise
        seen.status = response.status_code
        seen.accepted += 200 <= response.status_code < 300
        seen.retry_after_s = _retry_after_s(response.headers)
        # Without its address a redirect cannot be followed, whatever the plugin asked for.
        response.headers.pop("Location", None)
        response.raw = _Bounded(response.raw, time.monotonic() + REPLY_S)
        return response


class _Bounded:
    """The body of a reply, cut off after so many bytes or so much time: who has the status knows what matters."""

    def __init__(self, raw: Any, deadline: float) -> None:
        self._raw = raw
        self._deadline = deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        """As urllib3 has it, but each turn takes what has arrived instead of waiting for `amt` bytes."""
        left = MAX_REPLY_BYTES
        while left > 0 and time.monotonic() < self._deadline:
            try:
                data = self._raw.read1(min(amt or left, left), decode_content)
            except (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError):
                break
            if not data:
                return
            left -= len(data)
            yield data
        self._raw.close()


_NO_CONNECTION = (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)


def _note_trouble(seen: Seen, error: requests.RequestException) -> None:
    """Whether the request can have been taken: not if the connection itself was never made."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if isinstance(error, _NO_CONNECTION) or isinstance(reason, urllib3.exceptions.NewConnectionError):
        seen.unreached = True
    elif isinstance(error, requests.ConnectionError | requests.Timeout):
        seen.lost = True


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds, or a date; 0 if the service does not say or says it badly."""
    asked = headers.get("Retry-After", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), MAX_RETRY_AFTER_S)
    try:
        when = parsedate_to_datetime(asked)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
