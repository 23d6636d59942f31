"""What a picture shows, and its words. Pure: no pixels here."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine import kst, text
from engine.alert import State
from engine.charts import trace
from engine.charts.trace import SHOWN_NS, Run
from engine.delivery import words
from engine.delivery.words import Stated
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.rules.model import Number, Operator

_STATES = {State.FIRING: Text("fired", "발생"), State.RESOLVED: Text("resolved", "해제")}
_REPEAT = Text("repeat {n}", "반복 {n}회")
_RULE = Text("rule: {name}", "규칙: {name}")
_ONE_OF = Text(" · 1 of {n} conditions", " · 조건 {n}개 중 1개")
_HELD = Text("for {lasted}", "{lasted} 지속")
_OPEN = Text("open {time}", "장 시작 {time}")
UNKNOWN = Text("not known", "알 수 없음")
SAMPLE = Text("SAMPLE · made-up data", "견본 · 지어낸 값")

_JOINERS = dict.fromkeys((0x200C, 0x200D, 0xFE0E, 0xFE0F))
_HELD_FROM_NS = 15 * SECOND_NS
"""Shorter, and its bar would be hidden by the mark of the moment itself."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measure of one alert over the last half hour. Times are nanoseconds since the epoch."""

    subject: str
    """Whose values these are: `삼성전자(005930)`; foreign parts already cleaned."""
    stated: Stated
    """The alert's headline: what is measured, and the threshold."""
    runs: tuple[Run, ...]
    """What was known; the last point of the last one is the alert's own."""
    opening: int
    """The date's session open."""
    since: int
    """When the rule began to be met."""
    state: State
    repeat: int
    rule: str
    conditions: int
    """How many the rule has; one of them is shown."""
    locale: Locale
    sample: bool = False
    """Not of this world: to see that a picture arrives."""

    @property
    def at(self) -> int:
        return self.runs[-1][-1].t

    @property
    def value(self) -> Number:
        return self.runs[-1][-1].value

    @property
    def start(self) -> int:
        return self.at - SHOWN_NS

    @property
    def is_signed(self) -> bool:
        """Whether above and below 0 are opposites: red and blue, as Koreans read up and down."""
        return self.stated.condition.metric.startswith("net_") or self.stated.condition.metric.endswith("imbalance")

    @property
    def levels(self) -> tuple[Number, ...]:
        return tuple(point.value for run in self.runs for point in run)

    @property
    def unknown(self) -> tuple[tuple[int, int], ...]:
        """Before the open nothing was to be known."""
        first = self.runs[0][0].t
        start = max(self.start, self.opening) if self.opening < self.at else first
        return tuple(trace.unknown(self.runs, start, self.at))

    @property
    def held_from(self) -> int | None:
        """Since when it had been met, where that can be seen."""
        return max(self.since, self.start) if self.at - self.since >= _HELD_FROM_NS else None

    @property
    def opened(self) -> int | None:
        return self.opening if self.start < self.opening < self.at else None

    # Words

    def state_words(self) -> str:
        word = _REPEAT.of(self.locale).format(n=self.repeat) if self.repeat else _STATES[self.state].of(self.locale)
        return f"{word} {clock(self.at, seconds=True)}"

    def metric_words(self) -> str:
        return words.metric(self.stated.condition, self.locale)

    def value_words(self) -> str:
        return words.value(self.stated.condition, self.value, self.locale)

    def limit_words(self) -> str:
        return f"{words.THRESHOLD.of(self.locale)} {words.limits([self.stated], '', self.locale)}"

    def rule_words(self) -> str:
        name = _RULE.of(self.locale).format(name=plain(self.rule, 80))
        return name + (_ONE_OF.of(self.locale).format(n=self.conditions) if self.conditions > 1 else "")

    def held_words(self) -> str:
        return _HELD.of(self.locale).format(lasted=words.duration(self.at - self.since, self.locale))

    def open_words(self) -> str:
        return _OPEN.of(self.locale).format(time=clock(self.opening))

    # Where it fires

    def zones(self) -> Iterator[tuple[float, float]]:
        """Where the condition holds, from low to high; a crossing fires on the way into its zone."""
        condition, infinite = self.stated.condition, float("inf")
        low, high = words.bounds(condition)[0], words.bounds(condition)[-1]
        rising = condition.operator in (Operator.ABOVE, Operator.AT_LEAST, Operator.CROSSES_ABOVE)
        if condition.operator.is_range:
            if (condition.operator is Operator.INSIDE) == self.stated.so:
                yield low, high
            else:
                yield -infinite, low
                yield high, infinite
        elif rising == self.stated.so:
            yield low, infinite
        else:
            yield -infinite, low


def plain(foreign: str, limit: int) -> str:
    """Foreign text for a picture: nobody is called by it, and signs that only join others have no shape."""
    return text.clean(foreign, limit).replace("＠", "@").translate(_JOINERS)


def clock(t: int, *, seconds: bool = False) -> str:
    """`09:30`, `09:30:12`; KST."""
    digits = kst.clock_time(t)
    return f"{digits[:2]}:{digits[2:4]}" + (f":{digits[4:]}" if seconds else "")
