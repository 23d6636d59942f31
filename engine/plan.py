"""What a run will do: configuration, rules and notifiers, read and checked together before anything is started."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import toml
from engine.config import doubts as config_doubts
from engine.config import load as config_load
from engine.config.load import Configuration
from engine.config.model import Market, Notifier
from engine.errors import ConfigurationError
from engine.problems import Problem
from engine.rules import load as rules_load
from engine.rules.doubts import doubts
from engine.rules.model import Rule
from engine.rules.reader import World
from engine.symbols import file as symbols_file
from engine.symbols.master import Master


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that passed every check. Notifiers hold secrets, as SecretStr."""

    configuration: Configuration
    rules: tuple[Rule, ...]
    """In the order in which their alerts stand, disabled ones among them."""
    notifiers: Mapping[str, Notifier]
    """Those that an enabled rule or `[alerts]` names, with their URLs filled in."""
    master: Master
    """What stocks are called: the downloaded stock master, or the names that come with the program."""
    unusable_master: tuple[Problem, ...]
    """Why it is the latter although something was downloaded."""

    @property
    def enabled_rules(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.enabled)

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that an enabled rule watches, in the order in which they are first named."""
        return tuple(dict.fromkeys(symbol for rule in self.enabled_rules for symbol in rule.symbols))

    @property
    def doubts(self) -> list[Problem]:
        """What is allowed but can hardly be meant."""
        of_config = config_doubts.doubts(self.configuration, self.notifiers)
        return [*of_config, *self.unusable_master, *doubts(self.rules, self.master)]


def make(path: Path, environ: Mapping[str, str]) -> Plan:
    """Read config.toml and the rules folder. Raises ConfigurationError with every problem of every file."""
    try:
        configuration = config_load.load(path, environ)
    except ConfigurationError as error:
        raise ConfigurationError([*error.problems, *_rule_problems_without(path)]) from None
    return of(configuration)


def of(configuration: Configuration) -> Plan:
    """Read the rules folder, with the stock master as it is now: at the start, and again whenever a file changed.

    Raises ConfigurationError with every problem of every file.
    """
    alerts = configuration.settings.alerts
    problems: list[Problem] = []
    rules: tuple[Rule, ...] = ()
    master, unusable = symbols_file.load_or_builtin(configuration.master_file)
    try:
        rules = _rules(configuration, master)
    except ConfigurationError as error:
        problems += [*unusable, *error.problems]  # names that are missing may be missing because of it
    try:
        notifiers = configuration.notifiers([*alerts.notify, *alerts.ops, *_named_by(rules)])
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return Plan(configuration, rules, notifiers, master, unusable)


def _rules(configuration: Configuration, master: Master) -> tuple[Rule, ...]:
    try:
        is_there = configuration.rules_folder.is_dir()
    except OSError as error:
        reason = {"reason": error.strerror or type(error).__name__}
        raise ConfigurationError([configuration.document.problem(("rules",), "unreadable", **reason)]) from error
    if not is_there:
        raise ConfigurationError([configuration.document.problem(("rules",), "no-folder")])
    settings = configuration.settings
    usual = configuration.usual_session_ns
    world = World(settings.notifiers, settings.alerts.notify, usual, master)
    return rules_load.load(configuration.rules_folder, world)


def _rule_problems_without(path: Path) -> Sequence[Problem]:
    """What is wrong with the rules of a config.toml that cannot be used itself, as far as that can be told."""
    try:
        data = toml.read(path).data
        notifiers = data.get("notifiers", {})
        usual = Market.KRX.hours_ns
        master, _ = symbols_file.load_or_builtin(path.parent / str(data.get("state", "state")) / "symbols.json")
        world = World({"terminal": {}, **notifiers}, (), usual, master)
        rules_load.load(path.parent / str(data.get("rules", "rules")), world)
    except ConfigurationError as error:
        return [problem for problem in error.problems if problem.file != str(path)]
    except (TypeError, ValueError):  # `notifiers` is no table: its own problem says so
        return []
    return []


def _named_by(rules: Iterable[Rule]) -> Iterable[str]:
    return (name for rule in rules if rule.enabled for name in rule.notify)
