"""The watch over feeds, evaluation and clock: looks each second, and says what a person must know.

Whether something is worth a message is decided by the pure parts beside this file; here they are asked in turn, what
they found gets its words, and each transition its line in the log.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

from engine.delivery.message import sign
from engine.delivery.notice import Notice, system_notice
from engine.evaluation.engine import Counters
from engine.evaluation.gate import Drop
from engine.gap import Gap
from engine.incidents import outage, silence
from engine.incidents.coverage import Coverage
from engine.incidents.drift import Daily, Place, Readability, Shapes, unusable
from engine.incidents.gaps import Gaps
from engine.incidents.words import Said, Words
from engine.kis.status import Status
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Rule, Severity
from engine.session import Hours
from engine.text import quoted

log = logging.getLogger(__name__)

_ENDS = ("feed-back", "feed-speaks")
_IMPOSSIBLE = (Drop.EARLY, Drop.BAD_TIME)
"""Drops that point to a fault on this side or the other; one out of order is everyday noise."""


class Monitor:
    """System alerts for the ops notifiers. Being blind is critical, being so in part a warning, all else info."""

    def __init__(
        self,
        rules: Sequence[Rule],
        hours: Hours,
        locale: Locale,
        *,
        notify: Sequence[str],
        name: Callable[[str], str],
        not_covered: Sequence[str],
        started: int,
    ) -> None:
        """`notify`: names of notifiers. `name`: a code's Korean name, or "". `not_covered`: symbols without a slot."""
        self._words = Words(locale, tuple(rule for rule in rules if rule.enabled), name)
        self._notify = tuple(notify)
        self._outages = outage.Watch(hours)
        self._silences = silence.Watch()
        self._coverage = Coverage(not_covered, started)
        self._shapes = Shapes()
        self._unusable = Daily[Place]()
        self._readability = Readability(hours)
        self._impossible = Daily[Drop]()
        self._logged: dict[str, int] = {}
        self._gaps = Gaps()

    def look(self, now: int, feeds: Sequence[Status], counters: Counters | None = None) -> list[Notice]:
        """What is to be told now; call it every second while the feeds run, and not while they are being stopped."""
        return [
            *self._look_for_outages(now, feeds),
            *self._look_at_coverage(now, feeds),
            *self._look_for_silence(now, feeds),
            *self._look_at_data(now, feeds),
            *(self._look_at_evaluation(now, counters) if counters is not None else ()),
        ]

    def gap(self, now: int, since: int, why: Gap) -> list[Notice]:
        """A gap that is not the feed's, up to now; `now - since` is how long, or how far a clock was set."""
        untold = self._gaps.look(now, since, why)
        if untold is None:
            return []
        return [self._notice(why, now, Severity.WARNING, self._words.gap(why, since, now, untold))]

    def _look_for_outages(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        found = self._outages.look(now, feeds)
        for lost in found.quiet:
            log.warning("outage outside the session account=%s", quoted(lost.account))
        for end in found.over:
            seconds = (end.until - end.since) / SECOND_NS
            log.info("outage over account=%s seconds=%.0f told=%s", quoted(end.account), seconds, end.told)
        if found.lost:
            yield self._notice("feed-lost", now, Severity.CRITICAL, self._words.lost(found.lost, now))
        if found.refused:
            yield self._notice("feed-refused", now, Severity.CRITICAL, self._words.refused(found.refused, now))
        if told := [end for end in found.over if end.told]:
            yield self._notice("feed-back", now, Severity.INFO, self._words.back(told))

    def _look_at_coverage(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        if missing := self._coverage.look(now, feeds):
            yield self._notice("symbols-missing", now, Severity.WARNING, self._words.missing(missing))

    def _look_for_silence(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        found = self._silences.look(feeds)
        if found.began:
            yield self._notice("feed-silent", now, Severity.CRITICAL, self._words.silent(found.began, now))
        if found.ended:
            yield self._notice("feed-speaks", now, Severity.INFO, self._words.speaks(found.ended, now))

    def _look_at_data(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        if numbers := self._shapes.look(feeds):
            yield self._notice("feed-drift", now, Severity.INFO, self._words.appended(numbers))
        if counts := self._unusable.new(now, unusable(feeds)):
            yield self._notice("feed-malformed", now, Severity.WARNING, self._words.unusable(counts))
        if found := self._readability.look(now, feeds):
            yield self._notice("feed-unreadable", now, Severity.CRITICAL, self._words.unreadable(found, now))

    def _look_at_evaluation(self, now: int, counters: Counters) -> Iterator[Notice]:
        impossible = {drop: counters.dropped.get(drop, 0) for drop in _IMPOSSIBLE}
        if counts := self._impossible.new(now, impossible):
            yield self._notice("records-dropped", now, Severity.WARNING, self._words.impossible(counts))
        self._log_milestone("out of order", counters.dropped.get(Drop.OUT_OF_ORDER, 0))
        self._log_milestone("corrected", counters.corrections)

    def _log_milestone(self, what: str, count: int) -> None:
        """At the 1st, 10th, 100th …: everyday noise that is to be seen, but not to fill the log."""
        digits = len(str(count)) if count else 0
        if digits > self._logged.get(what, 0):
            self._logged[what] = digits
            log.info('records of note kind="%s" count=%d', what, count)

    def _notice(self, kind: str, now: int, severity: Severity, said: Said) -> Notice:
        log.info("system alert kind=%s severity=%s at=%d title=%s", kind, severity, now, quoted(said.title))
        # Among a chat's alerts it must be plain at a glance that this one is about the watch itself.
        title = f"{sign(severity, resolved=kind in _ENDS)} pgmwatch · {said.title}"
        return system_notice(kind, now, severity, title=title, message=said.message, notify=self._notify)
