"""The stock master on this machine's disk: read at every start, replaced as a whole by `symbols update`."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from engine import files
from engine.errors import ConfigurationError
from engine.problems import Problem
from engine.symbols.master import BUILTIN, CODE, Master, Stock
from engine.symbols.mst import TAILS, name_of

VERSION = 1

MAX_BYTES = 16_000_000
"""Four thousand listings are 250 KB; a file of this size is something else, and reading it would take a second."""


def load(path: Path) -> Master:
    """The downloaded master, or the built-in names where none was downloaded yet.

    Raises ConfigurationError with one `master-unusable` where there is a file but not one to be trusted.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return BUILTIN
    except OSError as error:
        raise _unusable(path, error.strerror or type(error).__name__) from error
    if len(raw) > MAX_BYTES:
        raise _unusable(path, f"larger than {MAX_BYTES // 1_000_000} MB")
    try:
        return _master(json.loads(raw))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _unusable(path, _reason(error)) from error


def load_or_builtin(path: Path) -> tuple[Master, tuple[Problem, ...]]:
    """Names are no reason not to go on: without a usable file the built-in ones serve, and the problem says why."""
    try:
        return load(path), ()
    except ConfigurationError as error:
        return BUILTIN, error.problems


def save(path: Path, master: Master) -> None:
    """Replace the file: who reads meanwhile, or after a crash, finds the old one or the new one, whole.

    One writer at a time, into a folder that is there. Raises OSError.
    """
    assert master.loaded is not None
    content = {"version": VERSION, "loaded": master.loaded.isoformat(), "stocks": list(map(list, master.stocks))}
    files.replace(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


def _master(content: Any) -> Master:
    """Strict: what is let in here is printed and subscribed."""
    if content["version"] != VERSION:
        raise ValueError(f"version {content['version']}")
    stocks = tuple(_stock(row) for row in content["stocks"])
    if not stocks or len({stock.code for stock in stocks}) != len(stocks):
        raise ValueError("each code once")
    return Master(stocks, date.fromisoformat(content["loaded"]))


def _stock(row: Any) -> Stock:
    stock = Stock(*row)
    if not all(isinstance(value, str) for value in stock):
        raise ValueError("types")
    if not CODE.fullmatch(stock.code) or stock.market not in TAILS:
        raise ValueError("codes")
    if not stock.name or name_of(stock.name) != stock.name:
        raise ValueError("names")
    return stock


def _reason(error: Exception) -> str:
    """A later version's file is whole; anything else is torn or was edited."""
    return str(error) if str(error).startswith("version ") else "damaged"


def _unusable(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), None, "", "master-unusable", {"reason": reason})])
