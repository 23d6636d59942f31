"""Alerts on the terminal: standard output, one block of lines each."""

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TextIO

from engine import text
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Unknown
from engine.rules.model import Severity

TARGET_ID = "terminal"
_COLOURS = {Severity.INFO: "\x1b[1m", Severity.WARNING: "\x1b[1;33m", Severity.CRITICAL: "\x1b[1;31m"}
_RESOLVED = "\x1b[1;32m"
_RESET = "\x1b[0m"
_INDENT = "  "
_EMOJI_STYLE = "\ufe0f"
"""Terminals disagree on how wide the coloured form of a sign is; the plain form they all know."""
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ECONNRESET, errno.ENOTCONN})
"""Whoever read this has gone, or the window is closed, or there never was one: nobody comes back to a descriptor. What
is full (ENOSPC, EDQUOT, EAGAIN) may have room again."""


class Terminal:
    """Writes past Python's own buffer, straight to the descriptor.

    A thread that hangs in a full pipe would hold that buffer's lock, and the interpreter could not shut down.
    """

    def __init__(self, stream: TextIO | None, environment: Mapping[str, str]) -> None:
        """`stream`: None in a process that was started without a standard output (`>&-`)."""
        self._stream = None if stream is None or stream.closed else stream
        self._descriptor = _descriptor(self._stream)
        if self._stream is not None:
            with suppress(OSError):  # whoever printed that will hear of it
                self._stream.flush()
        self._encoding = (self._stream and self._stream.encoding) or "utf-8"
        self._coloured = bool(self._stream and self._stream.isatty() and not environment.get("NO_COLOR"))

    def send(self, message: Message) -> Outcome:
        """Blocks for as long as the reader of a full pipe does. A character that the encoding lacks becomes `?`."""
        if self._descriptor is None:
            return _print(self._stream, self._block(message))
        data = self._block(message).encode(self._encoding, errors="replace")
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            return _trouble(error, in_part=written > 0)
        return Delivered()

    def _block(self, message: Message) -> str:
        title = text.clean(message.title, len(message.title) + 1)
        if self._coloured:
            title = f"{_RESOLVED if message.resolved else _COLOURS[message.severity]}{title}{_RESET}"
        body = [
            _INDENT + line for line in text.printable("\n".join([message.body, *message.remarks])).split("\n") if line
        ]
        return "\n".join([title, *body, "", ""]).replace(_EMOJI_STYLE, "")


def _print(stream: TextIO | None, block: str) -> Outcome:
    if stream is None or stream.closed:
        return Refused("closed")
    try:
        stream.write(block)
        stream.flush()
    except UnicodeError:
        return Refused("not in this encoding", only_this=True)
    except OSError as error:
        return _trouble(error, in_part=True)  # how much of it the stream has passed on it does not say
    return Delivered()


def _trouble(error: OSError, *, in_part: bool) -> Outcome:
    reason = error.strerror or type(error).__name__
    if in_part:
        return Unknown(f"in part: {reason}")
    return Refused(reason) if error.errno in _GONE else Failed(reason)


def _descriptor(stream: TextIO | None) -> int | None:
    """None for a stream that only looks like a file, as under a test or an embedding program."""
    if stream is None:
        return None
    try:
        return stream.fileno()
    except (OSError, AttributeError):
        return None
