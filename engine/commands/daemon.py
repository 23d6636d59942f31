"""How a command asks the running daemon; where there is none, it says so and the command ends."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.commands.output import BAD_CONFIGURATION, NO, complain, say_problems
from engine.errors import ConfigurationError
from engine.locale import Text

if TYPE_CHECKING:
    from engine.config.load import Configuration

_NO_DAEMON = Text("no daemon is running on {folder}", "{folder}에서 실행 중인 데몬이 없습니다")


def ask(path: Path, command: str, **options: Any) -> tuple["Configuration", Any]:
    """The configuration, and what the daemon on its state folder answers. Ends the command where that cannot be had."""
    import trio

    from engine.config import load
    from engine.ops import control
    from engine.ops.state_folder import StateFolderError

    try:
        configuration = load.load(path, os.environ, accounts=False)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    locale = configuration.settings.locale
    try:
        return configuration, trio.run(lambda: control.ask(configuration.state_folder, command, **options))
    except StateFolderError as error:
        complain(error.text(locale))
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    except control.NoDaemonError:
        complain(_NO_DAEMON.of(locale).format(folder=configuration.state_folder))
        raise click.exceptions.Exit(NO) from None
