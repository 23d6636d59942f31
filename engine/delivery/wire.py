"""Reading from a socket against the clock: a peer that sends a byte now and then would hold a thread for ever.

Python's own timeouts are for one `recv` each, and a reply's head may be as many lines as the peer cares to send.
"""

import io
import socket
import time
from typing import Any


class TimedReader(io.RawIOBase):
    """The bytes of a socket, within so many seconds, and so many of them; then it raises TimeoutError or OSError."""

    def __init__(self, sock: socket.socket, within_s: float, limit_bytes: int) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # holds the descriptor, whoever closes the socket meanwhile
        self.allow(within_s, limit_bytes)

    def allow(self, within_s: float, limit_bytes: int) -> None:
        """From now on."""
        self._deadline = time.monotonic() + within_s
        self._left = limit_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        if self._left <= 0:
            raise OSError("more than was allowed")
        usual = self._sock.gettimeout()
        self._sock.settimeout(left_s)
        try:
            got = self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(usual)
        self._left -= got or 0
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()
