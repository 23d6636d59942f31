"""What commands read before they do anything: config.toml, the stock names, and the rules if need be."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.commands.output import BAD_CONFIGURATION, say_problems
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.config.load import Configuration
    from engine.rules.model import Rule
    from engine.symbols.master import Master


def read(path: Path) -> tuple["Configuration", "Master"]:
    """Ends the command where config.toml cannot be used. Accounts and notifiers are not looked at."""
    from engine.config import load
    from engine.symbols import file as symbols_file

    try:
        configuration = load.load(path, os.environ, accounts=False)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        raise click.exceptions.Exit(BAD_CONFIGURATION) from None
    master, unusable = symbols_file.load_or_builtin(configuration.master_file)
    say_problems(unusable, path)
    return configuration, master


def rules(configuration: "Configuration", master: "Master") -> "tuple[Rule, ...] | None":
    """Those that a daemon would read now; None where it would refuse them."""
    from engine.replay import setup

    try:
        return setup.rules(setup.World(configuration, master), None)
    except ConfigurationError:
        return None
