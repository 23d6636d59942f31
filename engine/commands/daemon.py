"""How a command asks the running daemon; where there is none, it says so and the command ends."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.commands.output import BAD_CONFIGURATION, NO, complain, say_problems
from engine.errors import ConfigurationError
from engine.locale import Text

if TYPE_CHECKING:
    from engine.config.load import Configuration

_T = TypeVar("_T")

_NO_DAEMON = Text("no daemon is running on {folder}", "{folder}에서 실행 중인 데몬이 없습니다")


def ask(path: Path, command: str, **options: Any) -> tuple["Configuration", Any]:
    """The configuration, and what the daemon on its state folder answers. Ends the command where that cannot be had."""
    import trio

    from engine.config import load
    from engine.ops import control

    try:
        configuration = load.load(path, os.environ, accounts=False)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    work = partial(control.ask, configuration.state_folder, command, **options)
    return configuration, or_end(configuration, lambda: trio.run(work))


def or_end(configuration: "Configuration", work: Callable[[], _T]) -> _T:
    """What `work` gives, which asks the daemon. Ends the command where there is none to be asked."""
    from engine.ops import control
    from engine.ops.state_folder import StateFolderError

    locale = configuration.settings.locale
    try:
        return work()
    except StateFolderError as error:
        complain(error.text(locale))
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    except control.NoDaemonError:
        complain(_NO_DAEMON.of(locale).format(folder=configuration.state_folder))
        raise click.exceptions.Exit(NO) from None
