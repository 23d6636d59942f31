"""One test: its material through its rules, and where that differs from what was expected."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from engine.alert import Alert
from engine.evaluation.engine import Engine
from engine.evaluation.explanation import Explanation
from engine.locale import Locale, Text
from engine.recording import reader
from engine.replay.run import after_last_tick
from engine.rule_tests import series
from engine.rule_tests.judge import Difference, differences, moment
from engine.rule_tests.load import Slice, Trial
from engine.session import Hours
from engine.stream import Event

MAX_ALERTS = 10_000
"""More than anybody would write expectations for: the span of the recording is too long, or the rule has slipped."""
MAX_SHOWN = 20
"""Differences of a test that are looked into; the rest is counted."""

_TOO_MANY_ALERTS = Text(
    "more than {limit:,} alerts; choose a shorter span", "알림이 {limit:,}건을 넘습니다. 구간을 줄이세요"
)
_NO_LINES = Text("no line of the recording lies in this span", "기록에 이 구간의 줄이 없습니다")

_MICROSECOND_NS = 1000


@dataclass(frozen=True, slots=True)
class Look:
    """A difference, and how the rule stood on the symbol after all that happened up to that moment."""

    difference: Difference
    at: int
    explanation: Explanation | None
    """None: the rule is switched off."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a test."""

    trial: Trial
    start: int
    looks: tuple[Look, ...] = ()
    more: int = 0
    """Differences beyond those looked into."""
    trouble: str = ""
    """Why it could not be run to its end, in the user's language."""
    unreadable: bool = False
    """Its recording is none."""
    remarks: tuple[str, ...] = ()
    """What is doubtful about its recording, likewise."""

    @property
    def passed(self) -> bool:
        return not self.looks and not self.trouble


def run(trial: Trial, hours: Hours, locale: Locale) -> Outcome:
    """Run a test.

    Time goes on to the last expectation, or to the first whole second at or after the last record, whichever is later.
    """
    try:
        return _run(trial, hours, locale)
    except reader.UnreadableRecordingError as error:
        return Outcome(trial, 0, trouble=error.text(locale), unreadable=True)


def _run(trial: Trial, hours: Hours, locale: Locale) -> Outcome:
    first = next(_events(trial, trial.start or 0), None)
    if first is None:
        return Outcome(trial, 0, trouble=_NO_LINES.of(locale))
    start = _whole_microsecond(first.t) if trial.start is None else trial.start
    tally = reader.Tally()
    alerts = list(islice(_alerts(trial, start, hours, tally), MAX_ALERTS + 1))
    if len(alerts) > MAX_ALERTS:
        return Outcome(trial, start, trouble=_TOO_MANY_ALERTS.of(locale).format(limit=MAX_ALERTS))
    found = differences(trial.expected, alerts, start)
    shown = found[:MAX_SHOWN]
    looks = tuple(_looks(trial, start, hours, shown))
    return Outcome(trial, start, looks, len(found) - len(shown), remarks=tuple(tally.words(locale)))


def _whole_microsecond(t: int) -> int:
    return t // _MICROSECOND_NS * _MICROSECOND_NS


def _events(trial: Trial, start: int, tally: reader.Tally | None = None) -> Iterator[Event]:
    if isinstance(trial.material, Slice):
        return _sliced(reader.events([trial.material.path], tally=tally), trial.material)
    return iter(series.events(trial.material, start))


def _sliced(events: Iterable[Event], span: Slice) -> Iterator[Event]:
    """As if the recording had only these lines. A time lower than the last one counts as the last."""
    now = 0
    for event in events:
        now = max(now, event.t)
        if span.until is not None and now >= span.until:
            return
        if span.since is None or now >= span.since:
            yield event


def _alerts(trial: Trial, start: int, hours: Hours, tally: reader.Tally) -> Iterator[Alert]:
    engine = Engine(trial.rules, hours)
    last = start
    for event in _events(trial, start, tally):
        last = max(last, event.t)
        yield from engine.apply(event)
    expected = max((start + each.written.at for each in trial.expected), default=start)
    yield from engine.advance(max(after_last_tick(last), expected + 1))


def _looks(trial: Trial, start: int, hours: Hours, shown: Sequence[Difference]) -> Iterator[Look]:
    """Once more from the start, with a stop at each moment: few tests fail, so all others need not pay for it."""
    engine = Engine(trial.rules, hours)
    events = _events(trial, start)
    event = next(events, None)
    for difference in shown:
        at = moment(difference, start)
        while event is not None and event.t <= at + _MICROSECOND_NS - 1:
            engine.apply(event)
            event = next(events, None)
        engine.advance(at + 1)
        yield Look(difference, at, engine.explain(*_named(difference)))


def _named(difference: Difference) -> tuple[str, str]:
    if difference.expected is not None:
        return difference.expected.written.rule, difference.expected.symbol
    assert difference.came is not None
    return difference.came.rule, difference.came.symbol
