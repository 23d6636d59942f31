"""The daemon's log: one line per transition to stderr, text or JSON, with every secret taken out.

Redaction stands in the formatter, after the message has been put together, so that no caller and no library can get
around it: a secret is found in whatever form it would be printed.
"""

import contextlib
import json
import logging
import os
import queue
import sys
import threading
from datetime import datetime
from typing import TextIO

from engine.kst import KST
from engine.redact import redactor

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
"""A terminal takes these as commands, and a line break would begin a line that nobody logged."""

MAX_WAITING = 10_000
"""Lines: some 2 MB, and minutes of a lively day."""
_CLOSE_S = 1.0

_LOUD = {  # libraries that say too much: whole URLs, frames, plugin internals
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "trio-websocket": logging.CRITICAL,
    "apprise": logging.CRITICAL,
}


class TextFormatter(logging.Formatter):
    """`2026-11-23 09:05:30.123 INFO    kis.feed: feed connected account=main`, in KST; control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, KST)
        message = record.getMessage().translate(_CONTROLS)
        line = f"{when:%Y-%m-%d %H:%M:%S}.{int(record.msecs):03d} {record.levelname:<7} {_room(record)}: {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return redactor.clean(line)


class JsonFormatter(logging.Formatter):
    """The same as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, KST)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": _room(record),
            "message": redactor.clean(record.getMessage()),  # before the quotes get their backslashes
        }
        if record.exc_info:
            line["traceback"] = redactor.clean(self.formatException(record.exc_info))
        return redactor.clean(json.dumps(line, ensure_ascii=False))


def _room(record: logging.LogRecord) -> str:
    return record.name.removeprefix("engine.")


class _Writer(logging.Handler):
    """Writes in a thread of its own: whoever reads our standard error may stop reading, and nobody here waits for that.

    What does not fit into the queue is counted and told when there is room again. The descriptor is written to
    directly: a thread that hangs in Python's own buffer would keep the interpreter from ending.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._descriptor = stream.fileno()
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_WAITING)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        self._put(self.format(record))

    def _put(self, line: str) -> None:
        try:
            if self._lost:
                self._lines.put_nowait(f"log lines lost={self._lost}")
                self._lost = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Give what waits a moment to be written."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
        self._thread.join(_CLOSE_S)
        super().close()

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # nobody reads it any more
            while (line := self._lines.get()) is not None:
                data = (line + "\n").encode(errors="replace")
                while data:
                    data = data[os.write(self._descriptor, data) :]


def set_up(level: str, form: str) -> None:
    """Send this process's log to stderr. `form` is "text" or "json"."""
    handler = _Writer(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, quiet in _LOUD.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLogger().level))


def show_all(room: str) -> None:
    """Let this room's DEBUG lines through, whatever the level of the rest."""
    logging.getLogger(room).setLevel(logging.DEBUG)
