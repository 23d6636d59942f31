"""What a replay needs first: configuration, rules and names, but no account and no secret of a notifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.config import load as config_load
from engine.config.load import Configuration
from engine.delivery.message import Templates
from engine.errors import ConfigurationError
from engine.problems import Problem
from engine.rules import load as rules_load
from engine.rules import reader
from engine.rules.model import Rule
from engine.symbols import file as symbols_file
from engine.symbols.master import Master


@dataclass(frozen=True, slots=True)
class World:
    """The user's configuration without its secrets, and what stocks are called."""

    configuration: Configuration
    master: Master

    @property
    def templates(self) -> Templates:
        alerts = self.configuration.settings.alerts
        return Templates(alerts.title, alerts.message)


def world(path: Path, environ: Mapping[str, str]) -> World:
    """Read config.toml. Raises ConfigurationError with all that is wrong with it."""
    configuration = config_load.load(path, environ, accounts=False)
    master, _ = symbols_file.load_or_builtin(configuration.master_file)
    return World(configuration, master)


def rules_world(found: World) -> reader.World:
    """What rules may refer to beyond their own file."""
    configuration = found.configuration
    settings = configuration.settings
    usual = configuration.usual_session_ns
    return reader.World(settings.notifiers, settings.alerts.notify, usual, found.master)


def rules(found: World, folder: Path | None) -> tuple[Rule, ...]:
    """The rules of `folder`, else of the configured one. Raises ConfigurationError with all that is wrong with them."""
    configuration = found.configuration
    if folder is None and not configuration.rules_folder.is_dir():
        raise ConfigurationError([configuration.document.problem(("rules",), "no-folder")])
    return rules_load.load(configuration.rules_folder if folder is None else folder, rules_world(found))


def rule_sets(found: World, folders: Sequence[Path | None]) -> list[tuple[Rule, ...]]:
    """The rules of each folder. Raises ConfigurationError with all that is wrong with any of them."""
    problems: list[Problem] = []
    sets: list[tuple[Rule, ...]] = []
    for folder in folders:
        try:
            sets.append(rules(found, folder))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return sets
