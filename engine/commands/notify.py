"""`pgmwatch notify`: notifiers, tried out."""

import os
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, NO, say_problems
from engine.errors import ConfigurationError


@click.group()
def notify() -> None:
    """Notifiers: try them."""


@notify.command("test")
@click.argument("name")
@click.pass_obj
def notify_test(path: Path, name: str) -> int:
    """Send a real message through a notifier: the result for each of its targets."""
    from engine import ready

    try:
        results = ready.try_notifier(path, os.environ, name)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    for result in results:
        click.echo(f"{result.target}: {result.outcome}")
    return FINE if all(result.delivered for result in results) else NO
