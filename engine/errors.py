"""The exceptions that cross rooms. Two families: *they* did it, or *we* did it.

They (broker, file, user, network, disk): one of the classes below, or a counted result; reported, and the daemon goes
on. We (a bug): nothing is caught; the nursery dies and the service manager starts a clean process. Broad `except` is
allowed at two boundaries only: a notifier's plugin, foreign code that may raise anything (engine/delivery/apprise.py),
and the picture of an alert, without which the alert goes out all the same (engine/charts/charts.py).
"""

from collections.abc import Sequence
from pathlib import Path

from engine.locale import Locale, Text
from engine.problems import Problem


class PgmwatchError(Exception):
    """Something outside did it; the text is for the user."""


class PlaceError(PgmwatchError):
    """A file, folder or address cannot be used; why, in the user's language."""

    def __init__(self, place: Path | str, why: Text) -> None:
        super().__init__(f"{place}: {why.en}")
        self.place = place
        self.why = why

    def text(self, locale: Locale) -> str:
        return f"{self.place}: {self.why.of(locale)}"


class ConfigurationError(PgmwatchError):
    """A user's files cannot be used; holds everything that is wrong with them, never empty."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problem(s)")
        self.problems = tuple(problems)
