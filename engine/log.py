"""The daemon's log: one line per transition to stderr, text or JSON, with every secret taken out.

Redaction stands in the formatter, after the message has been put together, so that no caller and no library can get
around it: a secret is found in whatever form it would be printed.
"""

import json
import logging
import sys
from datetime import datetime

from engine.kst import KST
from engine.redact import redactor

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
"""A terminal takes these as commands, and a line break would begin a line that nobody logged."""

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
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redactor.clean(json.dumps(line, ensure_ascii=False))


def _room(record: logging.LogRecord) -> str:
    return record.name.removeprefix("engine.")


def set_up(level: str, form: str) -> None:
    """Send this process's log to stderr. `form` is "text" or "json"."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, quiet in _LOUD.items():
        logging.getLogger(name).setLevel(max(quiet, logging.getLogger().level))


def show_all(room: str) -> None:
    """Let this room's DEBUG lines through, whatever the level of the rest."""
    logging.getLogger(room).setLevel(logging.DEBUG)
