"""A newer stock master: downloaded, checked, compared with the last one, and only then put in its place."""

from dataclasses import dataclass
from datetime import date
from urllib.parse import urlsplit

from engine.config.load import Configuration
from engine.errors import ConfigurationError, PgmwatchError
from engine.locale import Locale, Text
from engine.loopback import is_loopback
from engine.symbols import file
from engine.symbols.download import DEADLINE_S, download
from engine.symbols.master import Changes, Master, changes
from engine.symbols.mst import parse


class SaveError(PgmwatchError):
    """The new master could not be written; the old one is as it was."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: cannot be written: {reason}")
        self.place = place
        self.reason = reason

    def text(self, locale: Locale) -> str:
        return f"{self.place}: " + _NOT_WRITTEN.of(locale).format(reason=self.reason)


_NOT_WRITTEN = Text("cannot be written: {reason}", "쓸 수 없습니다: {reason}")


@dataclass(frozen=True, slots=True)
class Update:
    """What came of it."""

    master: Master
    since: date | None
    """When the last master was loaded; None where there was none that can be compared."""
    changes: Changes
    """Empty without a last one."""
    unfit: int
    """Lines of the broker's files that could not be read."""


async def update(configuration: Configuration, today: date, *, deadline_s: float = DEADLINE_S) -> Update:
    """Load both files and replace the master. Until everything was right, the old file stays as it is.

    Raises ConfigurationError for an address that is not to be used, DownloadError, MasterError or SaveError.
    """
    check_address(configuration)
    kospi, kosdaq = await download(configuration.settings.symbols.master_url, deadline_s=deadline_s)
    master, unfit = parse(kospi, kosdaq, today)
    before, _ = file.load_or_builtin(configuration.master_file)  # a broken one has nothing to compare with
    try:
        file.save(configuration.master_file, master)
    except OSError as error:
        raise SaveError(str(configuration.master_file), error.strerror or type(error).__name__) from error
    found = Changes((), (), ()) if before.loaded is None else changes(before, master)
    return Update(master, before.loaded, found, unfit)


def check_address(configuration: Configuration) -> None:
    """Names decide which stocks are watched: they come over TLS, or from this machine. Raises ConfigurationError."""
    at = ("symbols", "master_url")
    try:
        parts = urlsplit(configuration.settings.symbols.master_url)
        usable = bool(parts.hostname) and parts.port != 0  # reading the port raises where it is no number
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError([configuration.document.problem(at, "not-a-url")])
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ConfigurationError([configuration.document.problem(at, "wrong-scheme", allowed="https")])
