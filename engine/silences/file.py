"""silences.toml: read by the daemon and the command, written by the command and by hand.

Whoever writes holds a lock beside it, reads, changes and replaces, so two commands at once lose nothing. A file with a
mistake is never overwritten: what its author meant is not ours to guess.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from json import dumps
from pathlib import Path
from typing import Any

import tomli_w

from engine import files, toml
from engine.errors import ConfigurationError, PlaceError
from engine.kst import DAY_NS
from engine.locale import Text
from engine.problems import Problem
from engine.rules.names import Names
from engine.silences.document import File, SilenceTable, moment
from engine.silences.model import Silence
from engine.symbols.master import Master
from engine.toml import Document, Location
from engine.validation import validate

MAX_SILENCES = 500
"""In one file. Each of them is held against each rule and symbol when one of them changes, and a person keeps an eye on
ten."""
KEPT_NS = DAY_NS
"""How long one that is over stays: `list --all` can say why it was quiet yesterday."""
_HEAD = "# Written by `pgmwatch silence`, which keeps tables and keys but no remarks. Times are KST.\n\n"
_TRIES, _PAUSE_S = 50, 0.1
"""To get the lock: five seconds. Another command needs a hundredth of one."""

_BUSY = Text("another command is writing it; try again", "다른 명령이 쓰고 있습니다. 잠시 후 다시 시도하세요")


class SilencesError(PlaceError):
    """The file cannot be written; it is as it was."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One table of the file: what it means, and how it is written."""

    silence: Silence
    written: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Six hexadecimal digits of what it says: the same wherever in the file it stands, and after every restart."""
        said = self.silence
        named = [said.start, said.until, said.rule, said.symbol, sorted(said.labels), said.comment]
        return blake2b(dumps(named).encode(), digest_size=3).hexdigest()


Edit = Callable[[tuple[Entry, ...]], Sequence[Entry]]


def load(path: Path, master: Master) -> tuple[Silence, ...]:
    """Every silence of the file, also those that are over or not yet begun; none where there is no file.

    Raises ConfigurationError with everything that is wrong with it.
    """
    return tuple(entry.silence for entry in entries(path, master))


def entries(path: Path, master: Master) -> tuple[Entry, ...]:
    """As `load`, with how each is written."""
    if not os.path.lexists(path):
        return ()
    document = toml.read(path)
    read = validate(File, document.data, document)
    if isinstance(read, list):
        raise ConfigurationError(_ordered(read))
    problems: list[Problem] = []
    if len(read.silence) > MAX_SILENCES:
        limit = {"found": str(len(read.silence)), "limit": str(MAX_SILENCES)}
        problems.append(document.problem(("silence", MAX_SILENCES), "too-many-silences", **limit))
    names = Names(master)
    found = [_entry(table, index, document, names, problems) for index, table in enumerate(read.silence)]
    if problems:
        raise ConfigurationError(_ordered(problems))
    return tuple(found)


def entry(silence: Silence, master: Master) -> Entry:
    """A new one, as the command writes it: a Korean name becomes the code that it means today.

    Raises ConfigurationError where the file could not hold it.
    """
    document = Document("silence add", _written(silence), {})
    table = validate(SilenceTable, document.data, document)
    if isinstance(table, list):
        raise ConfigurationError(table)
    problems: list[Problem] = []
    symbol = _symbol(table.symbol, (), document, Names(master), problems)
    if problems:
        raise ConfigurationError(problems)
    meant = replace(silence, symbol=symbol)
    return Entry(meant, _written(meant))


def _written(silence: Silence) -> dict[str, Any]:
    named: dict[str, Any] = {"rule": silence.rule, "symbol": silence.symbol, "labels": dict(silence.labels)}
    written = {key: value for key, value in named.items() if value not in (None, {})} or {"all": True}
    written |= {"from": moment(silence.start), "until": moment(silence.until)}
    return written | {"comment": silence.comment} if silence.comment else written


def change(path: Path, master: Master, edit: Edit, now: int) -> tuple[Entry, ...]:
    """Put what `edit` makes of the entries in their place, less those that are over for a day: → what is there now.

    Raises ConfigurationError where the file has a mistake, or would have too many, and SilencesError where it cannot
    be written; the file then is as it was.
    """
    try:
        with _alone(path):
            before = entries(path, master)
            after = tuple(each for each in edit(before) if each.silence.until + KEPT_NS > now)
            if len(after) > MAX_SILENCES:
                limit = {"found": str(len(after)), "limit": str(MAX_SILENCES)}
                raise ConfigurationError([Problem(str(path), None, "", "too-many-silences", limit)])
            if after != before:
                files.replace(path, _text(after).encode())
    except BlockingIOError as error:
        raise SilencesError(path, _BUSY) from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SilencesError(path, Text(f"cannot be written: {reason}", f"쓸 수 없습니다: {reason}")) from error
    return after


def _entry(table: SilenceTable, index: int, document: Document, names: Names, problems: list[Problem]) -> Entry:
    symbol = _symbol(table.symbol, ("silence", index), document, names, problems)
    labels = tuple(table.labels.items())
    said = Silence(table.from_, table.until, table.rule, symbol, labels, table.comment)
    return Entry(said, document.data["silence"][index])


def _symbol(written: str | None, at: Location, document: Document, names: Names, problems: list[Problem]) -> str | None:
    """As it stands in alerts."""
    if written is None or (written.startswith("@") and len(written) > 1):
        return written
    meant = names.meaning(written)
    if isinstance(meant, str):
        return meant
    problems.append(document.problem((*at, "symbol"), meant.code, found=written, **meant.detail))
    return None


def _text(found: Sequence[Entry]) -> str:
    """A table each, so that a person may add one below: tomli-w by itself puts short ones into one list."""
    return _HEAD + "\n".join(map(_table_text, found))


def _table_text(one: Entry) -> str:
    plain = {key: value for key, value in one.written.items() if key != "labels"}
    labels = one.written.get("labels")
    return "[[silence]]\n" + tomli_w.dumps(plain) + (tomli_w.dumps({"silence": {"labels": labels}}) if labels else "")


def _ordered(problems: Sequence[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line or 0)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time. The lock goes with the process, however that ends; its file stays.

    Without the kernel's own waiting, which has no deadline. Raises OSError; BlockingIOError where it takes too long.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(_TRIES - 1):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_PAUSE_S)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
