"""`pgmwatch simulate`: the broker's side alone."""

import os
from pathlib import Path

import click

from engine.commands.output import BAD_CONFIGURATION, complain, say_problems
from engine.errors import ConfigurationError, PgmwatchError


@click.command()
@click.option("--listen", default="127.0.0.1", show_default=True, metavar="HOST", help="A loopback address.")
@click.option("--rest-port", default=9443, show_default=True, help="Approval keys (HTTP).")
@click.option("--websocket-port", default=21000, show_default=True, help="The feed (WebSocket).")
@click.option(
    "--scenario",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Faults to play; without it, those of [simulator] scenario.",
)
@click.pass_obj
def simulate(path: Path, listen: str, rest_port: int, websocket_port: int, scenario: Path | None) -> int:
    """The broker's side alone, on loopback, for this or any other client; see docs/simulator.md."""
    from engine import daemon, log
    from engine.config import load
    from engine.config.model import Settings
    from engine.simulator import scenario as scenarios

    settings = Settings()
    try:
        if path.exists():
            configuration = load.load(path, os.environ, accounts=False)
            settings, scenario = configuration.settings, scenario or configuration.scenario
        played = scenarios.load(scenario) if scenario else None
    except ConfigurationError as error:
        say_problems(error.problems, path)
        return BAD_CONFIGURATION
    log.set_up(settings.log.level, settings.log.format)
    log.show_all("engine.simulator")  # here every answer is news
    try:
        return daemon.simulate(settings, listen, rest_port, websocket_port, played)
    except PgmwatchError as error:
        complain(str(error))
        return BAD_CONFIGURATION
