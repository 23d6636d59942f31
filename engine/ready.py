"""From a plan to something that can run: the targets opened, nothing started yet."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from engine import plan
from engine.charts import sample
from engine.config import load as config_load
from engine.config.load import Configuration
from engine.config.model import Source
from engine.delivery import deliver, trial
from engine.delivery.target import Target
from engine.errors import ConfigurationError
from engine.plan import Plan
from engine.problems import Problem, nearest
from engine.simulator import scenario
from engine.simulator.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan whose targets have been opened. Nothing has been started or sent yet."""

    plan: Plan
    targets: tuple[Target, ...]
    withheld: tuple[str, ...]
    """Names of targets that get nothing, because the market is simulated and they are not on this machine."""
    notify: tuple[str, ...]
    """Notifiers that get messages also from a simulated market."""
    scenario: Scenario | None
    """What the simulator plays, where it is the source."""


def prepare(path: Path, environ: Mapping[str, str], notify: Collection[str]) -> Ready:
    """Read everything and open the targets. Raises ConfigurationError with all that is wrong.

    `notify` names notifiers that get messages also from a simulated market.
    """
    found = plan.make(path, environ)
    configuration = found.configuration
    problems = [_not_there(configuration, name) for name in notify if name not in found.notifiers]
    built, refused = _built(found, notify)
    problems += refused
    played: Scenario | None = None
    try:
        played = _scenario(configuration)
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return Ready(found, built.targets, built.withheld, tuple(notify), played)


def again(before: Ready) -> Ready:
    """The rules as they are now, under the configuration as it was read at the start.

    Raises ConfigurationError with all that is wrong; `before` then goes on.
    """
    found = plan.of(before.plan.configuration)
    built, problems = _built(found, before.notify)
    if problems:
        raise ConfigurationError(problems)
    return Ready(found, built.targets, built.withheld, before.notify, before.scenario)


def _built(found: Plan, notify: Collection[str]) -> tuple[deliver.Targets, list[Problem]]:
    simulated = found.configuration.settings.feed.source is not Source.KIS
    built = deliver.build_targets(found.notifiers, loopback_only=simulated, unrestricted=notify)
    return built, _refused(found.configuration, built)


def _scenario(configuration: Configuration) -> Scenario | None:
    path = configuration.scenario
    if path is None or configuration.settings.feed.source is not Source.SIMULATOR:
        return None
    return scenario.load(path)


def try_notifier(path: Path, environ: Mapping[str, str], name: str) -> list[trial.Result]:
    """Send a real message through one notifier: → what came of it at each target. Raises ConfigurationError."""
    configuration = config_load.load(path, environ, accounts=False)
    if name not in configuration.settings.notifiers:
        raise ConfigurationError([_not_there(configuration, name)])
    built = deliver.build_targets(configuration.notifiers([name]))
    if problems := _refused(configuration, built):
        raise ConfigurationError(problems)
    return trio.run(trial.send, built.targets, configuration.settings.locale, sample.sample)


def _not_there(configuration: Configuration, name: str) -> Problem:
    if name in configuration.settings.notifiers:
        return configuration.document.problem((), "notifier-not-used", found=name)
    known = sorted(configuration.settings.notifiers)
    detail = {"nearest": nearest(name, known), "known": ", ".join(known)}
    return configuration.document.problem((), "unknown-notifier", found=name, **detail)


def _refused(configuration: Configuration, built: deliver.Targets) -> list[Problem]:
    return [
        configuration.document.problem(("notifiers", name, "urls", index), "not-a-notifier-url")
        for name, index in built.refused
    ]
