"""The files that a person edits while the daemon runs, and what a change of each means: rules, silences, config.toml.

`engine.following` sees and reads them; what was read is taken here, on the daemon's own thread, between two events.
"""

import logging
from collections.abc import Sequence
from functools import partial

import trio

from engine import ready, toml
from engine.clock import Clock
from engine.delivery.deliver import Delivery
from engine.evaluating import Evaluating
from engine.following import Following
from engine.incidents.monitor import Monitor
from engine.incidents.upkeep import Upkeep, What
from engine.locale import Locale
from engine.problems import Problem
from engine.ready import Ready
from engine.replay.player import Player
from engine.silences import file as silences_file
from engine.silences.model import Silence
from engine.text import quoted
from engine.upstream import Upstream
from engine.watching import signature, signature_of_file

log = logging.getLogger(__name__)

_MAX_NAMED = 20
"""Rules that one line of the log names."""


class Edited:
    """Must be made, and is only good, inside a Trio run."""

    def __init__(
        self,
        prepared: Ready,
        evaluating: Evaluating,
        upstream: Upstream | Player,
        delivery: Delivery,
        *,
        monitor: Monitor,
        upkeep: Upkeep,
        clock: Clock,
    ) -> None:
        self.ready = prepared
        """What was read last and was right."""
        self.settings = prepared.plan.configuration.settings
        """As read at the start."""
        self.config_changed = False
        """config.toml says something else by now."""
        self._evaluating = evaluating
        self._upstream = upstream
        self._delivery = delivery
        self._monitor = monitor
        self._upkeep = upkeep
        self._clock = clock

    def silences(self) -> Following[tuple[Silence, ...]]:
        path = self.ready.plan.configuration.silences_file
        return Following(
            lambda: signature_of_file(path),
            lambda: silences_file.load(path, self.ready.plan.master),
            self._take_silences,
            partial(self._hear, What.SILENCES),
        )

    def rules(self, background: trio.Nursery) -> Following[Ready]:
        """`background`: for what takes longer than between two events."""
        folder = self.ready.plan.configuration.rules_folder
        return Following(
            lambda: signature(folder),
            lambda: ready.again(self.ready),
            partial(self._take_rules, background),
            partial(self._hear, What.RULES),
        )

    def config(self) -> Following[bool]:
        """Whether it says something else than at the start; that it does is all that is done about it."""
        configuration = self.ready.plan.configuration
        return Following(
            lambda: signature_of_file(configuration.path),
            lambda: toml.read(configuration.path).data != configuration.document.data,
            self._take_config,
            lambda _problems: self._take_config(changed=True),
        )

    def _take_rules(self, background: trio.Nursery, found: Ready) -> None:
        """Another set of rules, between two events."""
        began = trio.current_time()
        before, self.ready = self.ready.plan.rules, found
        self._hear(What.RULES, ())
        rules, symbols = found.plan.rules, found.plan.symbols
        if rules == before:
            log.info("rules read again: nothing has changed")
            return
        self._delivery.add(found.targets)
        lacks = self._evaluating.take_rules(found.plan)
        self._evaluating.evaluator.also_lost(self._upstream.watch(symbols))
        self._monitor.reload(rules, self._upstream.not_covered)
        if lacks:
            background.start_soon(self._evaluating.learn_the_day)
        log.info(
            "rules reloaded rules=%d new=%d symbols=%d ms=%.1f",
            len(found.plan.enabled_rules),
            len(set(rules).difference(before)),
            len(symbols),
            (trio.current_time() - began) * 1000,
        )
        gone = sorted({rule.name for rule in before if rule.enabled} - {rule.name for rule in rules if rule.enabled})
        if gone:
            log.warning(
                "rules no longer in force count=%d names=%s", len(gone), ",".join(map(quoted, gone[:_MAX_NAMED]))
            )
        self.say_if_nothing_is_watched()

    def say_if_nothing_is_watched(self) -> None:
        """An empty folder is a valid set of rules; a daemon that watches nothing is hardly ever meant."""
        plan = self.ready.plan
        none = None if plan.enabled_rules else str(plan.configuration.rules_folder)
        self._evaluating.say(self._upkeep.trouble(What.NOTHING, none, self._clock.now()))

    def _take_silences(self, silences: tuple[Silence, ...]) -> None:
        self._hear(What.SILENCES, ())
        self._evaluating.take_silences(silences)

    def _take_config(self, changed: bool) -> None:
        if changed != self.config_changed:
            self.config_changed = changed
            log.warning("config %s", "changed since the start: restart to use it" if changed else "as it was read")

    def _hear(self, what: What, problems: Sequence[Problem]) -> None:
        """A file was read; if anything is wrong with it, nothing changes and all of it is told."""
        for problem in problems:
            log.error("%s %s", what, problem.text(Locale.EN))
        self._evaluating.say(self._upkeep.problems(what, problems, self._clock.now()))
