"""The watch over feeds, evaluation and clock: looks each second, and says what a person must know.

Whether something is worth a message is decided by the pure parts beside this file; here they are asked in turn, what
they found gets its words, and each transition its line in the log.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from engine.delivery.notice import Notice
from engine.evaluation.engine import Counters
from engine.evaluation.gate import Drop
from engine.gap import Gap
from engine.incidents import lag_words, outage, silence
from engine.incidents.coverage import Coverage, Kind
from engine.incidents.drift import Daily, Place, Shapes, unusable
from engine.incidents.gaps import Ahead, Gaps, is_far
from engine.incidents.lag import Lag
from engine.incidents.reading import Readability, Reader, impossible
from engine.incidents.system_alert import system_alert
from engine.incidents.words import Said, Words
from engine.kis.backoff import Ending
from engine.kis.status import Status
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Rule, Severity
from engine.session import Hours
from engine.text import quoted

log = logging.getLogger(__name__)

_ENDS = ("feed-back", "feed-readable", "feed-speaks", "lag-over", "records-usable")
_CAUSES = {
    Ending.CREDENTIALS: "feed-refused",
    Ending.KEY_REFUSED: "feed-key-refused",
    Ending.IN_USE: "feed-in-use",
}
"""What an outage that was told may turn out to be, each with the kind of its message."""


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
        self._words = Words(locale, _evaluated(rules), name)
        self._notify = tuple(notify)
        self._outages = outage.Watch(hours)
        self._silences = silence.Watch(hours)
        self._coverage = Coverage(not_covered, started)
        self._shapes = Shapes()
        self._unusable = Daily[Place]()
        self._readability = Readability(hours)
        self._impossible = Daily[Drop]()
        self._evaluated = Reader(hours)
        self._lag = Lag()
        self._logged: dict[str, int] = {}
        self._gaps = Gaps()
        self._ahead = Ahead(hours)

    def reload(self, rules: Sequence[Rule], not_covered: Sequence[str]) -> None:
        """Another set of rules from now on, and the symbols of it without a slot: what is new of these is told once.

        Incidents that go on go on; what is said of them names the new rules.
        """
        self._words = replace(self._words, rules=_evaluated(rules))
        wanted = frozenset(symbol for rule in self._words.rules for symbol in rule.symbols)
        self._coverage.reload(wanted, not_covered)

    def look(
        self,
        now: int,
        feeds: Sequence[Status],
        counters: Counters | None = None,
        *,
        ahead_ns: int = 0,
        lag_ns: int = 0,
    ) -> list[Notice]:
        """What is to be told now; call it every second while the feeds run, and not while they are being stopped.

        `ahead_ns`: how far our time is ahead of a wall clock that was set back; `lag_ns`: how long what was evaluated
        last had waited.
        """
        return [
            *self._look_for_silence(now, feeds),  # before outages, which may come of it
            *self._look_for_outages(now, feeds),
            *self._look_at_coverage(now, feeds),
            *self._look_at_data(now, feeds),
            *(self._look_at_evaluation(now, feeds, counters) if counters is not None else ()),
            *self._look_at_time(now, ahead_ns, lag_ns),
        ]

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Accounts of whose data nothing can be read, as of the last look."""
        return self._readability.blind

    @property
    def is_all_dropped(self) -> bool:
        """Data comes, and the evaluation can use none of it."""
        return self._evaluated.is_blind

    def gap(self, now: int, since: int, why: Gap) -> list[Notice]:
        """A gap that is not the feed's, up to now; `now - since` is how long, or how far a clock was set."""
        untold = self._gaps.look(now, since, why)
        if untold is None:
            return []
        is_severe = is_far(why, now - since)
        if is_severe:
            self._ahead.was_told(now)
        severity = Severity.CRITICAL if is_severe else Severity.WARNING
        return [self._notice(why, now, severity, self._words.gap(why, since, now, untold))]

    def _look_for_outages(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        found = self._outages.look(now, feeds, self._silences.accounts)
        for lost in found.quiet:
            log.warning("outage outside the session account=%s", quoted(lost.account))
        for end in found.over:
            seconds = (end.until - end.since) / SECOND_NS
            log.info("outage over account=%s seconds=%.0f told=%s", quoted(end.account), seconds, end.told)
        if found.lost:
            yield self._notice("feed-lost", now, Severity.CRITICAL, self._words.lost(found.lost, now))
        for cause, kind in _CAUSES.items():
            if those := [lost for lost in found.causes if lost.cause is cause]:
                yield self._notice(kind, now, Severity.CRITICAL, self._words.caused(cause, those, now))
        if told := [end for end in found.over if end.told]:
            yield self._notice("feed-back", now, Severity.INFO, self._words.back(told))

    def _look_at_coverage(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        found = self._coverage.look(now, feeds)
        if missing := [each for each in found if each.kind is not Kind.GHOST]:
            yield self._notice("symbols-missing", now, Severity.WARNING, self._words.missing(missing))
        if ghosts := [each for each in found if each.kind is Kind.GHOST]:
            yield self._notice("symbols-quiet", now, Severity.WARNING, self._words.ghosts(ghosts))

    def _look_for_silence(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        found = self._silences.look(now, feeds)
        if found.began:
            yield self._notice("feed-silent", now, Severity.CRITICAL, self._words.silent(found.began, now))
        if found.ended:
            yield self._notice("feed-speaks", now, Severity.INFO, self._words.speaks(found.ended, now))

    def _look_at_data(self, now: int, feeds: Sequence[Status]) -> Iterator[Notice]:
        if numbers := self._shapes.look(feeds):
            yield self._notice("feed-drift", now, Severity.INFO, self._words.appended(numbers))
        if counts := self._unusable.new(now, unusable(feeds)):
            yield self._notice("feed-malformed", now, Severity.WARNING, self._words.unusable(counts))
        found = self._readability.look(now, feeds)
        if blind := [each for each in found if not each.is_over]:
            yield self._notice("feed-unreadable", now, Severity.CRITICAL, self._words.unreadable(blind, now))
        if over := [each for each in found if each.is_over]:
            yield self._notice("feed-readable", now, Severity.INFO, self._words.readable(over, now))

    def _look_at_evaluation(self, now: int, feeds: Sequence[Status], counters: Counters) -> Iterator[Notice]:
        bad = impossible(counters)
        if counts := self._impossible.new(now, bad):
            yield self._notice("records-dropped", now, Severity.WARNING, self._words.impossible(counts))
        blind = self._evaluated.look(now, counters.records, sum(bad.values()))
        if blind is not None and blind.is_over:
            yield self._notice("records-usable", now, Severity.INFO, self._words.evaluated(blind, now))
        elif blind is not None:
            said = self._words.none_evaluated(blind, max(bad, key=bad.__getitem__), feeds, now)
            yield self._notice("records-unusable", now, Severity.CRITICAL, said)
        self._log_milestone("out of order", counters.dropped.get(Drop.OUT_OF_ORDER, 0))
        self._log_milestone("corrected", counters.corrections)

    def _look_at_time(self, now: int, ahead_ns: int, lag_ns: int) -> Iterator[Notice]:
        if self._ahead.look(now, ahead_ns):
            yield self._notice("clock-ahead", now, Severity.CRITICAL, self._words.ahead(ahead_ns))
        if lagged := self._lag.look(now, lag_ns):
            kind, severity = ("lag-over", Severity.INFO) if lagged.is_over else ("lag", Severity.WARNING)
            said = lag_words.said(lag_words.EVALUATION, lagged, now, self._words.locale)
            yield self._notice(kind, now, severity, said)

    def _log_milestone(self, what: str, count: int) -> None:
        """At the 1st, 10th, 100th …: everyday noise that is to be seen, but not to fill the log."""
        digits = len(str(count)) if count else 0
        if digits > self._logged.get(what, 0):
            self._logged[what] = digits
            log.info('records of note kind="%s" count=%d', what, count)

    def _notice(self, kind: str, now: int, severity: Severity, said: Said) -> Notice:
        return system_alert(kind, now, severity, said, self._notify, resolved=kind in _ENDS)


def _evaluated(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    return tuple(rule for rule in rules if rule.enabled)
