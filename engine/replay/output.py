"""From events to the lines that a replay prints: each made when it is needed, none kept. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.evaluation.engine import Counters, Engine
from engine.evaluation.watch import Note
from engine.locale import Locale
from engine.replay import against, run, words
from engine.replay.against import Change, Comparison, Kind, Said
from engine.replay.setup import World
from engine.rules.model import Rule
from engine.stream import Event


@dataclass(slots=True)
class Job:
    """One replay, and what has gone through it so far."""

    world: World
    rules: Sequence[Rule]
    before: Sequence[Rule] | None
    """The rules that these are compared with. None: nothing is compared."""
    as_json: bool
    everything: bool
    """Suppressed alerts as well, and of a comparison what is unchanged."""
    said: Said = field(default_factory=Said)
    """Of a comparison, `comparison` has what each side said."""
    records: int = 0
    comparison: Comparison = field(init=False)

    def __post_init__(self) -> None:
        events = {rule.name for rule in (*self.rules, *(self.before or ())) if rule.is_event}
        self.comparison = Comparison(events)

    def lines(self, events: Iterable[Event]) -> Iterator[str]:
        return self._alerts(events) if self.before is None else self._changes(events, self.before)

    def _alerts(self, events: Iterable[Event]) -> Iterator[str]:
        told = self._teller(self.rules)
        engine = self._engine(self.rules)
        for alert in run.replay(events, engine):
            self.said.note(alert)
            if self.everything or alert.suppressed is None:
                yield told(alert).to_json() if self.as_json else words.alert_line(alert, told, self.locale)
        self.records = _seen(engine.counters)

    def _changes(self, events: Iterable[Event], rules_before: Sequence[Rule]) -> Iterator[str]:
        before, after = self._teller(rules_before), self._teller(self.rules)
        engines = (
            self._engine(rules_before, self.comparison.listener(before=True)),
            self._engine(self.rules, self.comparison.listener(before=False)),
        )
        for change in against.compare(events, *engines, self.comparison, all_=self.everything):
            if self.everything or change.kind is not Kind.UNCHANGED:
                yield self._change_line(change, before, after)
        self.records = max(_seen(engine.counters) for engine in engines)
        if not self.as_json:
            yield from words.count_lines(self.comparison, self.world.master, self.locale)

    def _change_line(self, change: Change, before: words.Told, after: words.Told) -> str:
        if self.as_json:
            return words.change_json(change, before, after)
        return words.change_line(change, before, after, self.locale)

    def summary(self, malformed: int, seconds: float) -> str:
        """What went through, in one line."""
        if self.before is None:
            return words.summary(self.records, self.said, malformed, seconds, self.locale)
        sides = self.comparison.said_before, self.comparison.said_after
        return words.summary_of_both(self.records, sides, malformed, seconds, self.locale)

    @property
    def locale(self) -> Locale:
        return self.world.configuration.settings.locale

    def _teller(self, rules: Sequence[Rule]) -> words.Told:
        return words.teller(rules, self.world.master, self.locale, self.world.templates)

    def _engine(self, rules: Sequence[Rule], note: Note = lambda _: None) -> Engine:
        return Engine(rules, self.world.configuration.hours(), note)


def _seen(counters: Counters) -> int:
    """Records that were in the frames, used or not."""
    return counters.records + sum(counters.dropped.values())
