"""The rule page, read out slowly: a reference to compare the engine with.

Deliberately naive. Nothing is kept but the log of what was received and of what was evaluated; every value, blindness,
memory and count is worked out from the whole log each time it is needed, and every tick is evaluated. It shares with
the engine only the models and the dates.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from engine.alert import Alert, State, Suppression
from engine.evaluation.lifecycle import Phase
from engine.kst import SECOND_NS, day_number, day_start
from engine.record import Record
from engine.rules.model import Anchor, Condition, Group, Logic, Moment, Number, Operator, Rule, Severity
from engine.session import Hours
from engine.silences.model import Silence
from engine.stream import Down, Event, Frame, Start, Up

CUMULATIVE = ("sell_volume", "sell_value", "buy_volume", "buy_value")
FIELDS = Record._fields[2:]
RESTING = ("sell_resting", "buy_resting", "net_resting", "resting_imbalance")


class Entry(NamedTuple):
    """What happened to one symbol. `since`: for a start, the moment of the line before; otherwise `t`."""

    t: int
    what: str
    since: int
    record: Record | None = None


@dataclass
class Case:
    """One rule on one symbol (or one sum)."""

    rule: Rule
    symbol: str
    members: tuple[str, ...]
    seen: list[tuple[dict[str, Number | None], bool]] = field(default_factory=list)
    """Every evaluation since the memories were last empty: values, and whether the day had a trade."""
    values: dict[str, Number | None] = field(default_factory=dict)
    truths: tuple[bool | None, ...] = ()
    verdict: bool | None = None
    phase: Phase = Phase.INACTIVE
    since: int = 0
    unmet_since: int | None = None
    messages: list[Alert] = field(default_factory=list)
    """What this firing had to say."""
    sent: list[Alert] = field(default_factory=list)
    """Every firing message of the rule and symbol today that counts."""
    gaps: int = 0
    """Blindnesses that had ended at the last look."""

    def __post_init__(self) -> None:
        self.drop()

    def drop(self) -> None:
        keys = dict.fromkeys(condition.key for condition in self.rule.when.conditions())
        self.seen = []
        self.values = dict.fromkeys(keys)
        self.truths = tuple(None for _ in self.rule.when.conditions())
        self.verdict = None
        self.rest()

    def rest(self) -> None:
        self.phase, self.since, self.unmet_since, self.messages = Phase.INACTIVE, 0, None, []


class Model:
    def __init__(self, rules: Sequence[Rule], hours: Hours, others: Sequence[str] = ()) -> None:
        """`others`: symbols that no rule names yet; what came of them is known as soon as one does."""
        self.hours = hours
        self.cases = list(_cases(rules))
        self.watched = {member for case in self.cases for member in case.members}
        self.known = set(self.watched)
        self.log: dict[str, list[Entry]] = {symbol: [] for symbol in (*self.watched, *others)}
        self.silences: Sequence[Silence] = ()
        self.counts: dict[tuple[str, str], list[Alert]] = {}
        self.now: int | None = None
        self.tick = 0
        self.day = -1
        self.dropped = {"unknown_symbol": 0, "bad_time": 0, "early": 0, "out_of_order": 0}
        self.corrections = 0
        self.applied: list[Record] = []

    # Time (rule 3)

    def apply(self, event: Event) -> list[Alert]:
        if self.now is None:
            self.now = event.t
            self.tick = _ceil(event.t)
        before = self.now
        t = max(event.t, before)
        alerts: list[Alert] = []
        while self.tick < t:
            if not isinstance(event, Start):
                alerts += self.at_tick(self.tick)
            self.tick += SECOND_NS
        self.now = t
        match event:
            case Frame():
                for place, record in enumerate(event.records):
                    alerts += self.at_record(t, place, record)
            case Up() | Down():
                what = "up" if isinstance(event, Up) else "down"
                for symbol in self.log if "*" in event.symbols else event.symbols:
                    if symbol in self.log:
                        self.log[symbol].append(Entry(t, what, t))
            case Start():
                for entries in self.log.values():
                    entries.append(Entry(t, "start", before))
                for case in self.cases:
                    if case.phase is Phase.PENDING:
                        case.rest()  # the restart is a gap
        return alerts

    def reload(self, rules: Sequence[Rule]) -> None:
        now = self.now or 0
        self.date(now)
        before = {(case.rule.name, case.symbol): case for case in self.cases}
        self.counts |= {key: case.sent for key, case in before.items()}
        self.cases = []
        for case in _cases(rules):
            key = case.rule.name, case.symbol
            old = before.get(key)
            case.sent = self.counts.get(key, [])
            if old is not None and _decides_alike(old.rule, case.rule):
                old.rule = case.rule
            self.cases.append(old if old is not None and old.rule is case.rule else case)
        self.watched = {member for case in self.cases for member in case.members}
        for symbol in self.watched - self.known:
            self.log[symbol].append(Entry(now, "new", now))  # it is yet to be subscribed
        self.known |= self.watched

    def at_tick(self, t: int) -> list[Alert]:
        self.now = t
        self.date(t)
        alerts = []
        for case in self.cases:
            if not self.awake(case.rule, t):
                case.drop()
            elif not any(self.blind(member, t) for member in case.members):
                alerts += self.evaluate(case, t, None)
        return alerts

    def at_record(self, t: int, place: int, record: Record) -> list[Alert]:
        self.date(t)
        symbol = record.symbol
        if not self.accepted(t, record):
            return []
        today = self.today(symbol, t)
        first = not today
        corrected = not first and any(getattr(record, name) < getattr(today[-1][1], name) for name in CUMULATIVE)
        self.log[symbol].append(Entry(t, "record", t, record))
        if symbol not in self.known:
            self.dropped["unknown_symbol"] += 1
            return []
        self.applied.append(record)
        self.corrections += corrected
        cases = [case for case in self.cases if symbol in case.members]
        for case in cases:
            if corrected or (first and case.rule.aggregate is not None and not self.start_known(symbol, t)):
                case.seen = []
        return [alert for case in cases if self.awake(case.rule, t) for alert in self.evaluate(case, t, place)]

    def date(self, t: int) -> None:
        """Rule 7."""
        if day_number(t) != self.day:
            self.day = day_number(t)
            for case in self.cases:
                case.drop()
                case.sent = []
            self.counts = {}
            self.known = set(self.watched)

    def accepted(self, t: int, record: Record) -> bool:
        """Rule 2."""
        today = self.today(record.symbol, t) if record.symbol in self.log else []
        unknown = record.symbol not in self.known
        if record.symbol not in self.log:
            reason = "unknown_symbol"
        elif not re.fullmatch(r"\d{6}", record.time, re.ASCII) or _seconds(record.time) is None:
            reason = "bad_time"
        elif (_seconds(record.time) or 0) * SECOND_NS > t - day_start(day_number(t)) + 60 * SECOND_NS:
            reason = "early"
        elif today and record.time < today[-1][1].time:
            reason = "out_of_order"
        else:
            return True
        self.dropped["unknown_symbol" if unknown else reason] += 1
        return False

    def awake(self, rule: Rule, t: int) -> bool:
        day = day_number(t)

        def at(moment: Moment) -> int:
            session = self.hours.session(day)
            anchors = {Anchor.MIDNIGHT: day_start(day), Anchor.OPEN: session.open, Anchor.CLOSE: session.close}
            return anchors[moment.anchor] + moment.offset_ns

        return not rule.active or any(at(span.start) <= t < at(span.end) for span in rule.active)

    # What is known (rules 4, 5, 6)

    def today(self, symbol: str, t: int) -> list[tuple[int, Record]]:
        """The symbol's records of the date of `t`, up to `t`."""
        return [
            (entry.t, entry.record)
            for entry in self.log[symbol]
            if entry.record is not None and day_number(entry.t) == day_number(t) and entry.t <= t
        ]

    def spans(self, symbol: str, now: int) -> tuple[list[tuple[int, int]], int | None]:
        """The symbol's blindnesses of the date that have ended, and since when it is blind if it is."""
        ended: list[tuple[int, int]] = []
        blind: int | None = None
        up: int | None = None
        has_record = False
        for entry in self.log[symbol]:
            if day_number(entry.t) != day_number(now):
                continue
            if blind is not None and up is not None and up + 120 * SECOND_NS <= entry.since:
                ended.append((blind, up + 120 * SECOND_NS))
                blind = None
            if entry.what == "record":
                has_record = True
                if blind is not None:
                    ended.append((blind, entry.t))
                blind = None
            elif entry.what == "up":
                up = entry.t if up is None else up
            elif has_record and entry.what != "new":
                blind = entry.since if blind is None else blind
            if entry.what in ("down", "start", "new"):
                up = None
        if blind is not None and up is not None and up + 120 * SECOND_NS <= now:
            ended.append((blind, up + 120 * SECOND_NS))
            blind = None
        return ended, blind

    def blind(self, symbol: str, now: int) -> bool:
        return self.spans(symbol, now)[1] is not None

    def start_known(self, symbol: str, t: int) -> bool:
        opening = self.hours.session(day_number(t)).open
        up: int | None = None
        for entry in self.log[symbol]:
            if entry.what == "record" and day_number(entry.t) == day_number(t):
                return entry.t < opening or (up is not None and up < opening)
            if entry.what == "up":
                up = entry.t if up is None else up
            if entry.what in ("down", "start", "new"):
                up = None
        raise AssertionError("no record")

    def earlier(self, symbol: str, moment: int, now: int, *, cumulative: bool) -> dict[str, int] | None:
        records = self.today(symbol, now)
        ended, blind = self.spans(symbol, now)
        if any(start < moment < end for start, end in ended) or (blind is not None and blind < moment):
            return None
        if cumulative and any(moment < t for t in self.corrected_at(records)):
            return None
        before = [record for t, record in records if t <= moment]
        if before:
            return before[-1]._asdict()
        known = moment < self.hours.session(day_number(now)).open or self.start_known(symbol, now)
        return dict.fromkeys(FIELDS, 0) if cumulative and known else None

    def corrected_at(self, records: list[tuple[int, Record]]) -> Iterator[int]:
        for (_, before), (t, after) in pairwise(records):
            if any(getattr(after, name) < getattr(before, name) for name in CUMULATIVE):
                yield t

    def value(self, condition: Condition, members: Sequence[str], now: int) -> Number | None:
        present = [member for member in members if self.today(member, now)]
        if not present:
            return None
        latest = [self.today(member, now)[-1][1]._asdict() for member in present]
        change = {name: sum(record[name] for record in latest) for name in FIELDS}
        windowed = condition.window_ns is not None
        if condition.window_ns is not None:
            for member in present:
                cumulative = condition.metric not in RESTING
                earlier = self.earlier(member, now - condition.window_ns, now, cumulative=cumulative)
                if earlier is None:
                    return None
                for name in FIELDS:
                    change[name] -= earlier[name]
        return _metric(condition.metric, change, windowed=windowed)

    # Evaluation

    def evaluate(self, case: Case, now: int, place: int | None) -> list[Alert]:
        self.notice_gaps(case, now)
        distinct = {condition.key: condition for condition in case.rule.when.conditions()}
        case.values = {key: self.value(condition, case.members, now) for key, condition in distinct.items()}
        latest = [self.today(member, now)[-1][1] for member in case.members if self.today(member, now)]
        case.seen.append((case.values, sum(record.sell_volume + record.buy_volume for record in latest) != 0))
        conditions = list(case.rule.when.conditions())
        case.truths = tuple(_truth(condition, case.seen) for condition in conditions)
        case.verdict = _kleene(case.rule.when, iter(case.truths))
        truths = zip(conditions, case.truths, strict=True)
        said = self.live(case, now, [part.operator.is_crossing and truth is True for part, truth in truths])
        if said is None:
            return []
        state, repeat, reason = said
        alert = Alert(
            id="",
            rule=case.rule.name,
            symbol=case.symbol,
            state=state,
            at=now,
            since=now if case.rule.is_event else case.since,
            severity=case.rule.severity,
            values=tuple(case.values.items()),
            repeat=repeat,
            suppressed=reason,
            record_time=self.last_time(case),
            labels=case.rule.labels,
        )
        if state is State.FIRING and (reason is None or repeat):
            case.messages.append(alert)
        if state is State.FIRING and reason is None and not repeat:
            case.sent.append(alert)
        if state is State.RESOLVED or (case.phase is Phase.INACTIVE):
            case.rest()
        return [alert]

    def last_time(self, case: Case) -> str:
        """Empty of what was only heard of while nobody watched it: there it is not compared."""
        return next((record.time for record in reversed(self.applied) if record.symbol in case.members), "")

    def state(self) -> list[tuple[str, str, Phase, int | None, dict[str, Number | None], tuple[bool | None, ...]]]:
        """Rule, symbol, phase, since, values, truths of the conditions."""
        now = self.now or 0
        for case in self.cases:
            self.notice_gaps(case, now)
        return [
            (
                case.rule.name,
                case.symbol,
                case.phase,
                None if case.phase is Phase.INACTIVE else case.since,
                case.values,
                case.truths,
            )
            for case in self.cases
        ]

    def notice_gaps(self, case: Case, now: int) -> None:
        gaps = sum(len(self.spans(member, now)[0]) for member in case.members)
        if gaps != case.gaps and case.phase is Phase.PENDING:
            case.rest()
        case.gaps = gaps

    def kept(self, case: Case, now: int) -> Suppression | None:
        """Repeats and resolved alerts are kept back by a silence only."""
        rule, symbol = case.rule, case.symbol
        found = any(one.matches(rule, symbol) for one in self.silences if one.start <= now < one.until)
        return Suppression.SILENCE if found else None

    def reason(self, case: Case, now: int) -> Suppression | None:
        if self.kept(case, now):
            return Suppression.SILENCE
        if any(now - alert.at < case.rule.cooldown_ns for alert in case.sent):
            return Suppression.COOLDOWN
        if case.rule.max_per_day is not None and len(case.sent) >= case.rule.max_per_day:
            return Suppression.MAX_PER_DAY
        return None

    def live(self, case: Case, now: int, crossed: list[bool]) -> tuple[State, int, Suppression | None] | None:
        rule = case.rule
        if rule.is_event:
            fires = case.verdict is True and any(crossed)
            return (State.FIRING, 0, self.reason(case, now)) if fires else None
        if case.phase is Phase.INACTIVE and case.verdict is True:
            case.phase, case.since = Phase.PENDING, now
        if case.phase is Phase.PENDING:
            if case.verdict is not True:
                case.rest()
            elif now - case.since >= rule.for_ns:
                case.phase = Phase.FIRING
                return State.FIRING, 0, self.reason(case, now)
            return None
        if case.phase is Phase.FIRING and case.verdict is True:
            case.unmet_since = None
            if not case.messages:
                return (State.FIRING, 0, None) if self.reason(case, now) is None else None
            if rule.repeat_ns is not None and now - case.messages[-1].at >= rule.repeat_ns:
                return State.FIRING, len(case.messages), self.kept(case, now)
        if case.phase is Phase.FIRING and case.verdict is False:
            if case.unmet_since is None:
                case.unmet_since = now
            if now - case.unmet_since >= rule.keep_firing_for_ns:
                if rule.resolved and case.messages:
                    return State.RESOLVED, 0, self.kept(case, now)
                case.rest()
        return None


def _cases(rules: Sequence[Rule]) -> Iterator[Case]:
    for rule in rules:
        if not rule.enabled:
            continue
        if rule.aggregate is not None:
            yield Case(rule, rule.aggregate, rule.symbols)
        else:
            yield from (Case(rule, symbol, (symbol,)) for symbol in rule.symbols)


def _decides_alike(one: Rule, other: Rule) -> bool:
    """Of rules per symbol: on a symbol that both have."""
    return _deciding(one) == _deciding(other)


def _deciding(rule: Rule) -> Rule:
    symbols = tuple(sorted(rule.symbols)) if rule.aggregate else ()
    shown = replace(rule, description="", title="", message="", file="", line=0, severity=Severity.INFO)
    return replace(shown, symbols=symbols, notify=(), labels=(), chart=None)


def _ceil(t: int) -> int:
    return t if t % SECOND_NS == 0 else t - t % SECOND_NS + SECOND_NS


def _seconds(time: str) -> int | None:
    hour, minute, second = int(time[:2]), int(time[2:4]), int(time[4:])
    return hour * 3600 + minute * 60 + second if hour < 24 and minute < 60 and second < 60 else None


def _metric(metric: str, change: dict[str, int], *, windowed: bool) -> Number | None:
    kind = "volume" if metric in ("total_volume", "imbalance") else "value"
    buy, sell, net = change[f"buy_{kind}"], change[f"sell_{kind}"], change[f"net_{kind}"]
    if metric in ("total_volume", "total_value"):
        return buy + sell
    if metric == "resting_imbalance":
        buy, sell, net = change["buy_resting"], change["sell_resting"], change["net_resting"]
    elif metric not in ("imbalance", "value_imbalance"):
        return change[metric]
    if windowed and (buy < 0 or sell < 0):
        return None
    return 0 if buy + sell == 0 else net / (buy + sell)


def _truth(condition: Condition, seen: list[tuple[dict[str, Number | None], bool]]) -> bool | None:
    """The condition's truth at the last evaluation, from all since its memory was empty."""
    history = [(values[condition.key], traded) for values, traded in seen]
    value = history[-1][0]
    threshold = condition.threshold
    if isinstance(threshold, tuple):
        low, high = threshold
        if value is None:
            return None
        inside = low <= value <= high
        return inside if condition.operator is Operator.INSIDE else not inside
    # The four that look down are the others upside down.
    down = condition.operator in (Operator.BELOW, Operator.AT_MOST, Operator.CROSSES_BELOW)
    sign = -1 if down else 1
    flipped = [(None if value is None else sign * value, traded) for value, traded in history]
    reset = None if condition.reset is None else sign * condition.reset
    if condition.operator.is_crossing:
        if (
            condition.metric not in RESTING
        ):  # empty while there is no trade: so nothing before the last such moment counts
            quiet = [at for at, (_, traded) in enumerate(flipped) if not traded]
            if quiet and quiet[-1] == len(flipped) - 1:
                return None if value is None else False
            flipped = flipped[quiet[-1] + 1 :] if quiet else flipped
        return _crosses([value for value, _ in flipped], sign * threshold, reset)
    strict = condition.operator in (Operator.ABOVE, Operator.BELOW)
    return _exceeds([value for value, _ in flipped], sign * threshold, reset, strict=strict)


def _exceeds(values: list[Number | None], threshold: Number, reset: Number | None, *, strict: bool) -> bool | None:
    holding = False
    for value in values:
        if value is None:
            continue
        beyond = value > threshold if strict else value >= threshold
        ends = reset is None or (value <= reset if strict else value < reset)
        holding = beyond or (holding and not ends)
    return None if values[-1] is None else holding


def _crosses(values: list[Number | None], threshold: Number, reset: Number | None) -> bool | None:
    if values[-1] is None:
        return None
    defined = [value for value in values if value is not None]
    crossed = False
    waiting = False
    for before, now in pairwise(defined):
        if reset is not None and before <= reset:
            waiting = False
        crossed = before <= threshold < now and not waiting
        waiting = waiting or (crossed and reset is not None)
    return crossed


def _kleene(group: Group, truths: Iterator[bool | None]) -> bool | None:
    """False 0, undefined ½, true 1: `all` is the least, `any` the greatest, `none` what `any` leaves to 1."""
    numbers = []
    for part in group.parts:
        truth = next(truths) if isinstance(part, Condition) else _kleene(part, truths)
        numbers.append(0.5 if truth is None else float(truth))
    found = min(numbers) if group.logic is Logic.ALL else max(numbers)
    return {0.0: False, 0.5: None, 1.0: True}[1 - found if group.logic is Logic.NONE else found]
