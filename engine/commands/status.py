"""`pgmwatch status`: what the running daemon sees and does."""

from pathlib import Path

import click

from engine.commands import daemon
from engine.commands.output import FINE, say


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def status(path: Path, as_json: bool) -> int:
    """What the running daemon sees and does."""
    from engine.ops import overview
    from engine.symbols import file as symbols_file

    configuration, answer = daemon.ask(path, "status")
    master, _ = symbols_file.load_or_builtin(configuration.master_file)
    say(overview.status_lines(answer, master, configuration.settings.locale), answer, as_json=as_json)
    return FINE
