"""A rule after loading: everything resolved, checked and frozen. What the evaluation and the messages work from.

Times are nanoseconds, volumes shares, values won.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from engine.kst import DAY_NS

Number = int | float


class Operator(StrEnum):
    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    OUTSIDE = "outside"
    INSIDE = "inside"
    CROSSES_ABOVE = "crosses_above"
    CROSSES_BELOW = "crosses_below"

    @property
    def is_crossing(self) -> bool:
        return self in (Operator.CROSSES_ABOVE, Operator.CROSSES_BELOW)

    @property
    def is_range(self) -> bool:
        return self in (Operator.OUTSIDE, Operator.INSIDE)


class Logic(StrEnum):
    ALL = "all"
    ANY = "any"
    NONE = "none"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


VOLUME_METRICS = frozenset({"sell_volume", "buy_volume", "net_volume", "total_volume"})
VALUE_METRICS = frozenset({"sell_value", "buy_value", "net_value", "total_value"})
RATIO_METRICS = frozenset({"imbalance", "value_imbalance", "resting_imbalance"})
RESTING_METRICS = frozenset({"sell_resting", "buy_resting", "net_resting"})
METRICS = VOLUME_METRICS | VALUE_METRICS | RATIO_METRICS | RESTING_METRICS


@dataclass(frozen=True, slots=True)
class Condition:
    """`metric` over `window` compared with `threshold`; a pair (lo, hi) for the two range operators."""

    metric: str
    operator: Operator
    threshold: Number | tuple[Number, Number]
    window: str | None = None
    """As the user wrote it, because it is part of the key under which an alert shows the value."""
    window_ns: int | None = None
    reset: Number | None = None

    @property
    def key(self) -> str:
        return self.metric if self.window is None else f"{self.metric}[{self.window}]"


@dataclass(frozen=True, slots=True)
class Group:
    """Conditions and further groups under one of `all`, `any`, `none`; never empty."""

    logic: Logic
    parts: tuple["Condition | Group", ...]

    def conditions(self) -> Iterator[Condition]:
        """Every condition below, in written order."""
        for part in self.parts:
            if isinstance(part, Condition):
                yield part
            else:
                yield from part.conditions()


class Anchor(StrEnum):
    MIDNIGHT = "midnight"
    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of day: an offset from KST midnight, or from that date's session open or close."""

    anchor: Anchor
    offset_ns: int


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a day in which a rule is awake: `start` included, `end` excluded."""

    start: Moment
    end: Moment

    def is_empty(self, open_ns: int, close_ns: int) -> bool:
        """Whether it holds no moment on a day with this session (nanoseconds from KST midnight)."""
        at = {Anchor.MIDNIGHT: 0, Anchor.OPEN: open_ns, Anchor.CLOSE: close_ns}
        start = max(at[self.start.anchor] + self.start.offset_ns, 0)
        return start >= min(at[self.end.anchor] + self.end.offset_ns, DAY_NS)


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    symbols: tuple[str, ...]
    """Codes, each once, as resolved from codes, names, groups and "*", less `exclude`."""
    when: Group
    description: str = ""
    enabled: bool = True
    aggregate: str | None = None
    """Summed over all symbols: the symbol that its alerts carry (`@group`, or the rule's name). None: per symbol."""
    for_ns: int = 0
    keep_firing_for_ns: int = 0
    cooldown_ns: int = 0
    max_per_day: int | None = None
    repeat_ns: int | None = None
    resolved: bool = False
    active: tuple[Span, ...] = ()
    """Empty: always awake."""
    severity: Severity = Severity.WARNING
    notify: tuple[str, ...] = ()
    title: str = ""
    """A template; empty: the configured words, or the built-in ones."""
    message: str = ""
    chart: bool | None = None
    labels: tuple[tuple[str, str], ...] = ()
    file: str = ""
    line: int = 0

    @property
    def is_event(self) -> bool:
        """A rule with a crossing anywhere: each evaluation on which it fires is one alert."""
        return any(condition.operator.is_crossing for condition in self.when.conditions())
