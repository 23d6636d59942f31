"""What config.toml may say but can hardly mean."""

from collections.abc import Mapping

from engine.config.load import Configuration
from engine.config.model import Notifier, Source
from engine.problems import Problem

_MAX_NAMED = 5
"""Notifiers that one doubt names; one of them is enough."""


def doubts(configuration: Configuration, used: Mapping[str, Notifier]) -> list[Problem]:
    """None of them keeps anything from running. `used`: the notifiers that `[alerts]` and rules name."""
    ops, source = configuration.settings.alerts.ops, configuration.settings.feed.source
    away = [name for name, notifier in used.items() if notifier.kind != "terminal"]
    if source is not Source.KIS or not away or not set(ops).isdisjoint(away):
        return []
    names = ", ".join(away[:_MAX_NAMED]) + (" …" if len(away) > _MAX_NAMED else "")
    return [configuration.document.problem(("alerts", "ops"), "ops-unheard", names=names)]
