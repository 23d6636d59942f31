"""A stage for the tables: one short way to write rules, records and marks of 2026-11-20, a date that opens at 09:00."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from engine.alert import Alert
from engine.evaluation.engine import Engine
from engine.evaluation.explanation import Explanation
from engine.evaluation.watch import Snapshot, Transition
from engine.kst import SECOND_NS, clock_time, day_of, day_start
from engine.record import FIELDS, Record
from engine.rules.model import Condition, Group, Logic, Number, Operator, Rule
from engine.session import Hours
from engine.silences.model import Silence
from engine.stream import Down, Frame, Start, Up
from engine.units import duration_ns, time_of_day_ns

DAY = day_of(date(2026, 11, 20))
HOURS = Hours(time_of_day_ns("09:00"), time_of_day_ns("15:30"))
SAMSUNG = "005930"
HYNIX = "000660"


def at(text: str, day: int = DAY) -> int:
    """`09:05:30.25` → nanoseconds since the epoch."""
    clock, _, fraction = text.partition(".")
    hour, minute, second = (int(part) for part in clock.split(":"))
    return day_start(day) + ((hour * 60 + minute) * 60 + second) * SECOND_NS + int(fraction.ljust(9, "0"))


def condition(key: str, *, reset: Number | None = None, **operator: Number | tuple[Number, Number]) -> Condition:
    """`condition("imbalance[5m]", above=0.3, reset=0.2)`"""
    metric, _, window = key.rstrip("]").partition("[")
    ((name, threshold),) = operator.items()
    return Condition(metric, Operator(name), threshold, window or None, duration_ns(window) if window else None, reset)


def every(*parts: Condition | Group) -> Group:
    return Group(Logic.ALL, parts)


def some(*parts: Condition | Group) -> Group:
    return Group(Logic.ANY, parts)


def no(*parts: Condition | Group) -> Group:
    return Group(Logic.NONE, parts)


def rule(
    *conditions: Condition | Group, name: str = "rule", symbols: tuple[str, ...] = (SAMSUNG,), **keys: str
) -> Rule:
    """Durations as a user writes them: `for_="30s"`."""
    durations: dict[str, Any] = {f"{key.rstrip('_')}_ns": duration_ns(text) for key, text in keys.items()}
    return Rule(name=name, symbols=symbols, when=every(*conditions), **durations)


def record(t: int, symbol: str = SAMSUNG, *, time: str | None = None, **fields: int) -> Record:
    """Net volume is derived unless given, as for a rule test; `time` is the moment of receipt unless given."""
    return filled(t, fields, symbol, time)


def filled(t: int, fields: Mapping[str, int], symbol: str = SAMSUNG, time: str | None = None) -> Record:
    """A record with these fields, and 0 in the others."""
    assert set(fields) <= set(FIELDS)
    net = {"net_volume": fields.get("buy_volume", 0) - fields.get("sell_volume", 0), **fields}
    return Record(symbol, clock_time(t) if time is None else time, *(net.get(name, 0) for name in FIELDS[2:]))


class Stage:
    """An engine, and the clock times of one date to speak to it in."""

    def __init__(self, *rules: Rule, hours: Hours = HOURS, day: int = DAY) -> None:
        self.engine = Engine(rules, hours)
        self.day = day

    def at(self, time: str) -> int:
        return at(time, self.day)

    def record(self, time: str, symbol: str = SAMSUNG, *, stamp: str | None = None, **fields: int) -> list[Alert]:
        t = self.at(time)
        return self.engine.apply(Frame(t, (filled(t, fields, symbol, stamp),), ""))

    def take(self, time: str, fields: Mapping[str, int]) -> list[Alert]:
        return self.frame(time, filled(self.at(time), fields))

    def frame(self, time: str, *records: Record) -> list[Alert]:
        return self.engine.apply(Frame(self.at(time), records, ""))

    def up(self, time: str, *symbols: str) -> list[Alert]:
        return self.engine.apply(Up(self.at(time), symbols or ("*",)))

    def down(self, time: str, *symbols: str) -> list[Alert]:
        return self.engine.apply(Down(self.at(time), symbols or ("*",)))

    def start(self, time: str) -> list[Alert]:
        return self.engine.apply(Start(self.at(time)))

    def tick(self, time: str) -> list[Alert]:
        """Every tick up to this one, and this one."""
        return self.engine.advance(self.at(time) + 1)

    def reload(self, time: str, *rules: Rule) -> tuple[Transition, ...]:
        self.engine.advance(self.at(time))
        return self.engine.reload(rules, self.at(time))

    def silence(self, time: str, *silences: Silence) -> list[Alert]:
        alerts = self.engine.advance(self.at(time))
        self.engine.silence(silences, self.at(time))
        return alerts

    def why(self, name: str = "rule", symbol: str = SAMSUNG) -> Explanation:
        found = self.engine.explain(name, symbol)
        assert found is not None
        return found

    def shown(self, name: str = "rule", symbol: str = SAMSUNG) -> Snapshot:
        (found,) = (shown for shown in self.engine.state() if (shown.rule, shown.symbol) == (name, symbol))
        return found

    def value(self, name: str = "rule", symbol: str = SAMSUNG) -> Number | None:
        """Of the rule's first condition, at the last evaluation."""
        return self.shown(name, symbol).values[0][1]


def told(alerts: list[Alert]) -> list[tuple[str, str]]:
    """State, or why it is suppressed, or the number of the repeat; and the clock time."""
    return [(_what(alert), _clock(alert.at)) for alert in alerts]


def _what(alert: Alert) -> str:
    if alert.suppressed is not None:
        return alert.suppressed.value
    return f"repeat {alert.repeat}" if alert.repeat else alert.state.value


def _clock(t: int) -> str:
    digits = clock_time(t)
    rest = f"{t % SECOND_NS:09d}".rstrip("0")
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}" + (f".{rest}" if rest else "")
