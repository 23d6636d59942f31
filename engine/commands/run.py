"""`pgmwatch run`: the daemon."""

import os
import signal
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, complain, say_problems
from engine.errors import ConfigurationError, PlaceError


@click.command()
@click.option(
    "--notify",
    multiple=True,
    metavar="NAME",
    help="With a simulated market only the terminal and loopback addresses get messages; this notifier gets them too.",
)
@click.pass_obj
def run(path: Path, notify: tuple[str, ...]) -> int:
    """The daemon, in the foreground. SIGTERM and SIGINT (Ctrl-C) end it cleanly within 10 s."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload that is asked for while it starts ends nothing

    from engine import daemon, log, ready

    try:
        prepared = ready.prepare(path, os.environ, notify)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    settings = prepared.plan.configuration.settings
    log.set_up(settings.log.level, settings.log.format)
    try:
        return daemon.run(prepared)
    except PlaceError as error:
        complain(error.text(settings.locale))
        return BAD_CONFIGURATION
