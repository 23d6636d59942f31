"""The exceptions that cross rooms. Two families: *they* did it, or *we* did it.

They (broker, file, user, network, disk): one of the classes below, or a counted result; reported, and the daemon goes
on. We (a bug): nothing is caught; the nursery dies and the service manager starts a clean process. Broad `except` is
allowed at one boundary only: a notifier's plugin, foreign code that may raise anything (engine/delivery/apprise.py).
"""

from collections.abc import Sequence

from engine.problems import Problem


class PgmwatchError(Exception):
    """Something outside did it; the text is for the user."""


class ConfigurationError(PgmwatchError):
    """A user's files cannot be used; holds everything that is wrong with them, never empty."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problem(s)")
        self.problems = tuple(problems)
