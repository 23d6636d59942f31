"""A second implementation of the rule language, written from its page alone, slow and obvious on purpose.

It keeps the whole log and asks it anew for every value of every evaluation, and evaluates every tick of every second.
Only what the page itself calls a state is kept from one evaluation to the next: memories, lives, counts.
`replay` gives the alerts as `pgmwatch replay --json --all` prints them, without `id`, `name`, `title` and `message`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from page_recording import SECOND, Line, Record, at, iso, lines, seoul
from page_rules import Condition, Exact, Group, Rule, Subject, conditions_of, duration, load

GRACE = 120 * SECOND
"""So long after `#up` a symbol without a record counts as one that has nothing to tell."""

Hours = Callable[[str], tuple[str, str]]
"""`2026-11-20` → its session, `("09:00", "15:30")`."""
Value = int | float | None
Alert = dict[str, object]


@dataclass(frozen=True)
class Span:
    """Blindness: from `start` until `end`, None while nobody knows when."""

    start: int
    end: int | None


@dataclass(frozen=True)
class Applied:
    """One entry of the log: a mark, or a record that was applied."""

    t: int
    line: Line
    before: int
    """When the line before came."""
    record: Record | None = None
    is_correction: bool = False

    @property
    def date(self) -> str:
        return date_of(self.t)


@dataclass
class Memory:
    """What one condition remembers."""

    holds: bool = False
    last: Value = None
    crossed: bool = False
    """It crossed and has not been back at its reset since."""


@dataclass
class Life:
    phase: str = "inactive"
    since: int = 0
    unmet_since: int | None = None
    was_sent: bool = False
    last_message: int = 0
    repeats: int = 0
    ends_seen: int = 0
    """How many blindnesses had ended when it was last looked at."""


@dataclass
class Tally:
    sent: int = 0
    last: int | None = None


@dataclass
class State:
    memories: dict[int, Memory] = field(default_factory=dict)
    life: Life = field(default_factory=Life)
    tally: Tally = field(default_factory=Tally)

    def memory(self, place: int) -> Memory:
        return self.memories.setdefault(place, Memory())


@cache
def date_of(t: int) -> str:
    """In Korea."""
    return f"{seoul(t):%Y-%m-%d}"


@cache
def midnight(date: str) -> int:
    return at(date, "00:00:00")


def clock(time: str) -> int:
    hours, minutes = time.split(":")
    return (int(hours) * 60 + int(minutes)) * 60 * SECOND


class Log:
    """Everything that happened, and what can be known from it about a symbol on a date."""

    def __init__(self, hours: Hours) -> None:
        self.entries: list[Applied] = []
        self.spans: dict[tuple[str, str], list[Span]] = {}
        """What `all_spans` said, until the next entry."""
        self.records: dict[tuple[str, str], list[Applied]] = {}
        self.hours = hours

    def open(self, date: str) -> int:
        return midnight(date) + clock(self.hours(date)[0])

    def add(self, entry: Applied) -> None:
        self.entries.append(entry)
        self.spans = {}
        if entry.record is not None:
            self.records.setdefault((entry.record.symbol, entry.date), []).append(entry)

    def of(self, symbol: str, date: str) -> list[Applied]:
        """The records of a symbol on a date."""
        return self.records.get((symbol, date), [])

    def blindness(self, symbol: str, date: str, now: int) -> list[Span]:
        """Every blindness of that date that has begun; ended ones have an end, at or before `now`."""
        if (symbol, date) not in self.spans:
            self.spans[symbol, date] = self.all_spans(symbol, date)
        spans = self.spans[symbol, date]
        if spans and spans[-1].end is not None and spans[-1].end > now:
            return [*spans[:-1], Span(spans[-1].start, None)]
        return spans

    def all_spans(self, symbol: str, date: str) -> list[Span]:
        """As far as the log goes; the last one's end may be still to come."""
        spans: list[Span] = []
        is_known = False
        start: int | None = None
        end: int | None = None
        for entry in self.entries:
            if entry.date != date:
                continue
            if start is not None and end is not None and end <= entry.t:
                spans.append(Span(start, end))
                start = end = None
            if entry.record is not None:
                if entry.record.symbol == symbol:
                    if start is not None:
                        spans.append(Span(start, entry.t))
                        start = end = None
                    is_known = True
            elif entry.line.kind in ("down", "start") and entry.line.touches(symbol) and is_known:
                if start is None:
                    start = entry.before if entry.line.kind == "start" else entry.t
                end = None
            elif entry.line.kind == "up" and entry.line.touches(symbol) and start is not None and end is None:
                end = entry.t + GRACE
        if start is not None:
            spans.append(Span(start, end))
        return spans

    def is_start_known(self, symbol: str, date: str) -> bool:
        """Of a symbol with a record on that date."""
        first = self.of(symbol, date)[0]
        if first.t < self.open(date):
            return True
        since: int | None = None
        for entry in self.entries[: self.entries.index(first)]:
            if entry.line.touches(symbol) and entry.record is None:
                if entry.line.kind != "up":
                    since = None
                elif since is None:
                    since = entry.t
        return since is not None and since < self.open(date)

    def change(self, symbol: str, name: str, moment: int, now: int) -> int | None:
        """Of a field of a symbol that has a record today, between `moment` and now."""
        date = date_of(now)
        records = self.of(symbol, date)
        is_cumulative = "resting" not in name
        if is_cumulative and any(entry.is_correction and moment < entry.t for entry in records):
            return None
        for span in self.blindness(symbol, date, now):
            if span.start < moment and (span.end is None or moment < span.end):
                return None
        fields = [entry.record.fields for entry in records if entry.t <= moment and entry.record is not None]
        latest = records[-1].record
        assert latest is not None
        if fields:
            return latest.fields[name] - fields[-1][name]
        if is_cumulative and (moment < self.open(date) or self.is_start_known(symbol, date)):
            return latest.fields[name]
        return None


class Model:
    def __init__(self, rules: list[Rule], hours: Hours) -> None:
        self.rules = rules
        self.hours = hours
        self.log = Log(hours)
        self.date = ""
        self.states: dict[tuple[str, str], State] = {}
        self.alerts: list[Alert] = []

    # what happens

    def happen(self, line: Line, before: int) -> None:
        if line.kind != "frame":
            self.log.add(Applied(line.t, line, before))
        if line.kind == "start":
            self.restart()
        for record in line.records:
            self.receive(record, line, before)

    def restart(self) -> None:
        """A restart is a gap, also for a sum whose members have nothing to tell yet."""
        for state in self.states.values():
            if state.life.phase == "pending":
                state.life = Life()

    def receive(self, record: Record, line: Line, before: int) -> None:
        earlier = self.log.of(record.symbol, date_of(line.t))
        last = earlier[-1].record if earlier else None
        if last is not None and record.time < last.time:
            return
        self.turn_to(line.t)
        falls = last is not None and any(
            record.fields[name] < last.fields[name] for name in ("sell_volume", "sell_value", "buy_volume", "buy_value")
        )
        self.log.add(Applied(line.t, line, before, record, is_correction=falls))
        is_unknown_start = last is None and not self.log.is_start_known(record.symbol, self.date)
        for rule in self.rules:
            for subject in rule.subjects:
                if record.symbol in subject.members and (falls or (rule.is_sum and is_unknown_start)):
                    self.state(rule, subject).memories.clear()
        for rule in self.rules:
            for subject in rule.subjects:
                if record.symbol in subject.members and self.is_awake(rule, line.t):
                    self.evaluate(rule, subject, line.t)

    def tick(self, now: int) -> None:
        self.turn_to(now)
        for rule in self.rules:
            for subject in rule.subjects:
                if not self.is_awake(rule, now):
                    state = self.state(rule, subject)
                    state.memories, state.life = {}, Life()
                elif not any(self.is_blind(member, now) for member in subject.members):
                    self.evaluate(rule, subject, now)

    def turn_to(self, now: int) -> None:
        """A new date begins with nothing."""
        if date_of(now) != self.date:
            self.date = date_of(now)
            self.states = {}

    # what is known

    def state(self, rule: Rule, subject: Subject) -> State:
        return self.states.setdefault((rule.name, subject.name), State())

    def is_blind(self, symbol: str, now: int) -> bool:
        return any(span.end is None for span in self.log.blindness(symbol, date_of(now), now))

    def is_awake(self, rule: Rule, now: int) -> bool:
        past = now - midnight(date_of(now))
        return any(
            self.moment(start, now) <= past < self.moment(end, now)
            for start, end in (span.split("~") for span in rule.active)
        )

    def moment(self, text: str, now: int) -> int:
        """`open+5m` → ns since midnight."""
        for word, time in zip(("open", "close"), self.hours(date_of(now)), strict=True):
            if text.startswith(word):
                rest = text.removeprefix(word)
                sign = -1 if rest.startswith("-") else 1
                return clock(time) + sign * duration(rest.lstrip("+-"))
        return clock(text)

    def level(self, subject: Subject, name: str, now: int) -> int | None:
        logs = [self.log.of(member, date_of(now)) for member in subject.members]
        known = [entries[-1].record for entries in logs if entries]
        return sum(record.fields[name] for record in known if record is not None) if known else None

    def change(self, subject: Subject, name: str, moment: int, now: int) -> int | None:
        total: int | None = None
        for member in subject.members:
            if self.log.of(member, date_of(now)):
                change = self.log.change(member, name, moment, now)
                if change is None:
                    return None
                total = change + (total or 0)
        return total

    def value(self, condition: Condition, subject: Subject, now: int) -> Value:
        def amount(name: str) -> int | None:
            if condition.window is None:
                return self.level(subject, name, now)
            return self.change(subject, name, now - duration(condition.window), now)

        unit = "value" if "value" in condition.metric else "resting" if condition.is_resting else "volume"
        if "imbalance" not in condition.metric and "total" not in condition.metric:
            return amount(condition.metric)
        sell, buy, net = amount(f"sell_{unit}"), amount(f"buy_{unit}"), amount(f"net_{unit}")
        if sell is None or buy is None or net is None:
            return None
        if "total" in condition.metric:
            return buy + sell
        if condition.window is not None and (sell < 0 or buy < 0):
            return None
        return net / (buy + sell) if buy + sell else 0.0

    # conditions

    def truth(self, condition: Condition, memory: Memory, value: Value, *, is_nothing_traded: bool) -> bool | None:
        if condition.is_crossing:
            return crossing(condition, memory, value, is_nothing_traded=is_nothing_traded)
        if value is None:
            return None
        if condition.reset is None or isinstance(condition.threshold, tuple):
            return holds(condition.operator, exact(value), condition.threshold)
        limit = condition.reset if memory.holds else condition.threshold
        memory.holds = holds(condition.operator, exact(value), limit)
        return memory.holds

    # evaluation

    def evaluate(self, rule: Rule, subject: Subject, now: int) -> None:
        state = self.state(rule, subject)
        ends = sum(
            span.end is not None for member in subject.members for span in self.log.blindness(member, date_of(now), now)
        )
        if state.life.phase == "pending" and ends != state.life.ends_seen:
            state.life = Life()
        state.life.ends_seen = ends
        sell, buy = self.level(subject, "sell_volume", now), self.level(subject, "buy_volume", now)
        is_nothing_traded = sell is not None and buy is not None and sell + buy == 0
        values = [self.value(condition, subject, now) for condition in rule.conditions]
        truths = [
            self.truth(condition, state.memory(place), value, is_nothing_traded=is_nothing_traded)
            for place, (condition, value) in enumerate(zip(rule.conditions, values, strict=True))
        ]
        shown = {condition.key: value for condition, value in zip(rule.conditions, values, strict=True)}
        is_met = verdict(rule.tree, truths)
        said = self.speak_event if rule.is_event else self.speak
        crossed = any(condition.is_crossing and truth for condition, truth in zip(rule.conditions, truths, strict=True))
        for word, since, repeat, suppressed in said(rule, state, now, is_met, crossed):
            self.alerts.append({
                "rule": rule.name, "symbol": subject.name, "state": word, "at": iso(now), "since": iso(since),
                "severity": rule.severity, "repeat": repeat, "suppressed": suppressed, "values": shown,
                "labels": rule.labels,
            })  # fmt: skip

    def speak_event(self, rule: Rule, state: State, now: int, is_met: bool | None, crossed: bool) -> list["Said"]:
        if is_met and crossed:
            reason = self.reason(rule, state.tally, now)
            if reason is None:
                state.tally.sent, state.tally.last = state.tally.sent + 1, now
            return [("firing", now, 0, reason)]
        return []

    def speak(self, rule: Rule, state: State, now: int, is_met: bool | None, _crossed: bool) -> list["Said"]:
        life = state.life
        if life.phase != "firing":
            if not is_met:
                life.phase = "inactive"
                return []
            if life.phase == "inactive":
                life.phase, life.since = "pending", now
            if now - life.since < rule.hold:
                return []
            life.phase = "firing"
            return [self.fire(rule, state, now)]
        if is_met is None:
            return []
        if is_met:
            life.unmet_since = None
            if not life.was_sent:
                return [self.fire(rule, state, now)] if self.reason(rule, state.tally, now) is None else []
            if rule.repeat is not None and now - life.last_message >= rule.repeat:
                life.repeats, life.last_message = life.repeats + 1, now
                return [("firing", life.since, life.repeats, None)]
            return []
        if life.unmet_since is None:
            life.unmet_since = now
        if now - life.unmet_since < rule.keep:
            return []
        state.life = Life(ends_seen=life.ends_seen)
        return [("resolved", life.since, 0, None)] if rule.resolved and life.was_sent else []

    def fire(self, rule: Rule, state: State, now: int) -> "Said":
        reason = self.reason(rule, state.tally, now)
        if reason is None:
            state.life.was_sent, state.life.last_message = True, now
            state.tally.sent, state.tally.last = state.tally.sent + 1, now
        return ("firing", state.life.since, 0, reason)

    def reason(self, rule: Rule, tally: Tally, now: int) -> str | None:
        if tally.last is not None and now - tally.last < rule.cooldown:
            return "cooldown"
        if rule.max_per_day is not None and tally.sent >= rule.max_per_day:
            return "max_per_day"
        return None


Said = tuple[str, int, int, str | None]
"""State, since, repeat, why it was suppressed."""


def exact(value: float) -> Fraction:
    return Fraction(value)


def holds(operator: str, value: Fraction, threshold: Exact | tuple[Exact, Exact]) -> bool:
    if isinstance(threshold, tuple):
        low, high = (Fraction(end) for end in threshold)
        return (low <= value <= high) if operator == "inside" else (value < low or value > high)
    limit = Fraction(threshold)
    return {"above": value > limit, "at_least": value >= limit, "below": value < limit, "at_most": value <= limit}[
        operator
    ]


def crossing(condition: Condition, memory: Memory, value: Value, *, is_nothing_traded: bool) -> bool | None:
    if is_nothing_traded and not condition.is_resting:
        memory.last, memory.crossed = None, False
        return None if value is None else False
    if value is None:
        return None
    assert not isinstance(condition.threshold, tuple)
    beyond, back = ("above", "at_most") if condition.operator == "crosses_above" else ("below", "at_least")
    now, limit = exact(value), condition.threshold
    was_there = memory.last is not None and holds(back, exact(memory.last), limit)
    crosses = was_there and not memory.crossed and holds(beyond, now, limit)
    memory.last = value
    if crosses:
        memory.crossed = True
    elif holds(back, now, limit if condition.reset is None else condition.reset):
        memory.crossed = False
    return crosses


def verdict(group: Group, truths: list[bool | None]) -> bool | None:
    """Kleene's logic; `truths` in written order of the conditions below."""
    rest = list(truths)
    results: list[bool | None] = []
    for part in group.parts:
        if isinstance(part, Group):
            size = len(list(conditions_of(part)))
            results.append(verdict(part, rest[:size]))
        else:
            size = 1
            results.append(rest[0])
        rest = rest[size:]
    if group.logic == "all":
        return False if False in results else None if None in results else True
    either = True if True in results else None if None in results else False
    return either if group.logic == "any" else None if either is None else not either


def second_from(t: int) -> int:
    """The first whole second at or after `t`."""
    return -(-t // SECOND) * SECOND


def replay(files: Mapping[str, str], recording: str, hours: Hours) -> list[Alert]:
    """Alerts that the rule files give on a recording, in order."""
    model = Model(load(dict(files)), hours)
    happened = lines(recording)
    if not happened:
        return []
    before = happened[0].t
    tick = second_from(before)
    for line in happened:
        while tick < line.t:
            if line.kind != "start":
                model.tick(tick)
            tick += SECOND
        model.happen(line, before)
        before = line.t
    model.tick(tick)
    return model.alerts
