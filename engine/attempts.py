"""When connections were attempted, and what became of the credentials: kept over restarts, in `attempts.json`.

Without it every restart would start counting anew, and a crash loop under a service manager would connect as often as
it crashes, until the broker blocks the app key. So an attempt stands in the file before it is made. Entries belong to
an app key, not to an account's name: it is the key that the broker counts. The keys are not in the file, only a digest.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import trio

from engine import files
from engine.config.model import Account
from engine.kis.backoff import Memory, State

log = logging.getLogger(__name__)

FILE = "attempts.json"
VERSION = 1
MAX_KEYS = 100
"""App keys remembered, the latest ones: a desk has a handful, and changes them once a year."""
MAX_BYTES = 1_000_000
"""A hundred app keys with sixty attempts each take 150 KB."""


@dataclass(frozen=True, slots=True)
class _Entry:
    credentials: str
    """Digest of app key and secret together: a mended secret is not the one that was refused."""
    memory: Memory


class Attempts:
    """Read once, at the start; written before every attempt. Good for one daemon: it holds the state folder's lock."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._entries = _read(self._path)
        # One at a time, in order, and not in the threads that all share: a disk that hangs would take those away one by
        # one, and in them names are looked up.
        self._disk = trio.CapacityLimiter(1)

    def of(self, account: Account) -> Memory:
        """What is known of the account's app key; of a changed secret only what counts by the hour is."""
        entry = self._entries.get(_digest(account.app_key.get_secret_value()))
        if entry is None:
            return Memory()
        if entry.credentials != _credentials(account):
            state = entry.memory.state
            return Memory(State(attempts=state.attempts, rounds=state.rounds))
        return entry.memory

    async def remember(self, account: Account, memory: Memory) -> bool:
        """Write it to disk; False if that failed. Whoever gives up leaves one thread behind, and no torn file."""
        key = _digest(account.app_key.get_secret_value())
        self._entries.pop(key, None)
        self._entries[key] = _Entry(_credentials(account), memory)
        while len(self._entries) > MAX_KEYS:
            del self._entries[next(iter(self._entries))]
        write = partial(self._write, _encoded(self._entries))
        return await trio.to_thread.run_sync(write, abandon_on_cancel=True, limiter=self._disk)

    def _write(self, content: bytes) -> bool:
        try:
            files.replace(self._path, content)
        except OSError as error:
            log.warning("attempts not kept file=%s reason=%s", self._path.name, error.strerror)
            return False
        return True


def _digest(text: str) -> str:
    return hashlib.sha256(b"pgmwatch " + text.encode()).hexdigest()[:32]


def _credentials(account: Account) -> str:
    return _digest(f"{account.app_key.get_secret_value()}\n{account.app_secret.get_secret_value()}")


def _encoded(entries: Mapping[str, _Entry]) -> bytes:
    app_keys = {
        key: {"credentials": entry.credentials, "memory": entry.memory.to_dict()} for key, entry in entries.items()
    }
    return json.dumps({"version": VERSION, "app_keys": app_keys}, indent=1).encode()


def _read(path: Path) -> dict[str, _Entry]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.warning("attempts unreadable file=%s reason=%s", path.name, error.strerror)
        return {}
    entries = _decoded(content)
    if entries is None:
        log.warning('attempts set aside file=%s reason="not what this version writes"', path.name)
        with contextlib.suppress(OSError):
            path.replace(path.with_suffix(".broken"))
        return {}
    return entries


def _decoded(content: bytes) -> dict[str, _Entry] | None:
    """None: it is not a file of ours, or a later version's."""
    try:
        data: Any = json.loads(content)
        if data["version"] != VERSION:
            return None
        entries = {
            str(key): _Entry(str(value["credentials"]), memory)
            for key, value in data["app_keys"].items()
            if (memory := Memory.from_dict(value["memory"])) is not None
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return entries if len(entries) == len(data["app_keys"]) else None
