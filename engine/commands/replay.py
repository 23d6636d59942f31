"""`pgmwatch replay`: what the rules would have said."""

import os
import sys
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, FINE, say_problems
from engine.errors import ConfigurationError


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--rules", type=click.Path(path_type=Path), metavar="DIR", help="Rules of this folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--all", "everything", is_flag=True, help="Suppressed alerts as well.")
@click.pass_obj
def replay(path: Path, files: tuple[Path, ...], rules: Path | None, as_json: bool, everything: bool) -> int:
    """The alerts that the rules give on recordings."""
    from engine.delivery.message import notice
    from engine.evaluation.engine import Engine
    from engine.replay import reading, run, setup

    try:
        world = setup.world(path, os.environ)
        found = setup.rules(world, rules)
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    by_name = {rule.name: rule for rule in found}
    engine = Engine(found, world.configuration.hours())
    locale = world.configuration.settings.locale
    for alert in run.replay(reading.events(files), engine):
        if everything or alert.suppressed is None:
            told = notice(alert, by_name[alert.rule], world.master.name(alert.symbol), locale)
            sys.stdout.write(f"{told.to_json() if as_json else told.line}\n")
    return FINE
