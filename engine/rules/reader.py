"""One `[[rule]]` table → a rule, or everything that is wrong with it: what goes together, and with the rest. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from engine import template, units
from engine.problems import MAX_SUGGESTIONS, Problem, Suggestions, nearest
from engine.rules.document import Amount, Defaults, Entry, RuleTable
from engine.rules.model import (
    RATIO_METRICS,
    VALUE_METRICS,
    Condition,
    Group,
    Logic,
    Number,
    Operator,
    Rule,
)
from engine.rules.names import Names
from engine.symbols.master import Master
from engine.toml import Document, Location

_OPERATORS = tuple(operator.value for operator in Operator)
_EVENT_KEYS = ("for_", "keep_firing_for", "repeat", "resolved")
_SIGNS = {Operator.ABOVE: "≤", Operator.AT_LEAST: "≤", Operator.CROSSES_ABOVE: "≤"}


@dataclass(frozen=True, slots=True)
class World:
    """What rules may refer to beyond their own file."""

    notifiers: Collection[str]
    notify: tuple[str, ...]
    """Notifiers of a rule that names none."""
    session: tuple[int, int]
    """The usual open and close, nanoseconds from KST midnight."""
    master: Master
    """What stocks are called."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule that is right in itself; its symbols may still hold "*"."""

    rule: Rule
    document: Document
    at: Location
    excluded: frozenset[str]


class Groups(NamedTuple):
    """Of one file."""

    members: Mapping[str, tuple[str, ...]]
    gone: frozenset[Location]
    """Those that are there, but wrong: who names them makes no mistake."""

    def hide(self, entry: str) -> bool:
        """Whether it is such an `@group`."""
        return entry.startswith("@") and not self.gone.isdisjoint({("groups",), ("groups", entry[1:])})


def code_of(entry: str, names: Names, document: Document, at: Location, problems: list[Problem]) -> str:
    """The code that an entry means: itself, or that of the stock it names; empty where it means none."""
    meant = names.meaning(entry)
    if isinstance(meant, str):
        return meant
    problems.append(document.problem(at, meant.code, found=entry, **meant.detail))
    return ""


@dataclass(frozen=True, slots=True)
class RuleReader:
    """One [[rule]] table: collects what is wrong with it into `problems`."""

    document: Document
    at: Location
    world: World
    names: Names
    suggestions: Suggestions
    groups: Groups
    problems: list[Problem]
    gone: frozenset[Location]
    """What was wrong in itself and is left out of the table; nobody shall be told that it is missing."""
    own: Collection[str]
    """Keys that the table sets itself; a rule's others are its file's defaults."""

    def check_defaults(self, defaults: Defaults) -> None:
        """What is wrong with them whether or not a rule inherits it. A template is tried on who does."""
        self._check_values(defaults)
        for key in ("symbols", "exclude"):
            self._entries(getattr(defaults, key), key)
        self._notify(defaults)

    def read(self, own: RuleTable, defaults: Defaults) -> Draft | None:
        """The rule, or nothing if anything about it is wrong."""
        table = _merged(own, defaults)
        before = len(self.problems)
        self._check_values(table)
        self._check_event_rule(own)
        when = self._conditions(table, self.at, top=True)
        symbols = self._symbols(table)
        excluded = self._entries(table.exclude, "exclude")
        notify = self._notify(table)
        if isinstance(when, Condition):
            when = Group(Logic.ALL, (when,))
        if when is None or any(map(self.groups.hide, (*table.symbols, *table.exclude))):
            return None
        rule = Rule(
            name=table.name,
            symbols=symbols,
            when=when,
            description=table.description,
            enabled=table.enabled,
            aggregate=_aggregate_symbol(table),
            for_ns=table.for_,
            keep_firing_for_ns=table.keep_firing_for,
            cooldown_ns=table.cooldown,
            max_per_day=table.max_per_day,
            repeat_ns=table.repeat,
            resolved=table.resolved,
            active=table.active,
            severity=table.severity,
            notify=notify,
            title=table.title,
            message=table.message,
            chart=table.chart,
            labels=tuple(table.labels.items()),
            file=self.document.path,
            line=self.document.line(self.at) or 0,
        )
        if not self.gone:  # else it may speak of a label that is there, but wrong
            self._check_templates(rule)
        return Draft(rule, self.document, self.at, frozenset(excluded)) if len(self.problems) == before else None

    def _place(self, key: str) -> Location:
        """Where a key of the rule is written: in the rule, or in the defaults of its file."""
        return (*self.at, key) if key in self.own else ("defaults", key)

    def _problem(self, at: Location, code: str, **detail: str) -> None:
        self.problems.append(self.document.problem(at, code, **detail))

    def _check_values(self, table: Defaults) -> None:
        if table.aggregate not in (None, "sum"):
            self._problem(self._place("aggregate"), "not-one-of", found=str(table.aggregate), allowed='"sum"')
        for index, span in enumerate(table.active):
            if span.is_empty(*self.world.session):
                self._problem((*self._place("active"), index), "never-active")
        for key in ("title", "message"):
            self._note_faults(key, template.faults_as_written(getattr(table, key)))

    def _check_event_rule(self, own: RuleTable) -> None:
        if not _crosses(own):
            return
        for key in _EVENT_KEYS:
            if key in own.model_fields_set:
                self._problem((*self.at, key.rstrip("_")), "event-rule-key")

    def _check_templates(self, rule: Rule) -> None:
        for key in ("title", "message"):
            if source := getattr(rule, key):
                self._note_faults(key, template.faults(source, rule))

    def _note_faults(self, key: str, found: Iterable[template.Fault]) -> None:
        at = self._place(key)
        for each in found:
            self.problems.append(self.document.problem_within(at, each.line, each.code, **each.detail))

    def _symbols(self, table: RuleTable) -> tuple[str, ...]:
        wrong = {(*self.at, "symbols"), ("defaults", "symbols"), ("defaults",)} & self.gone
        if not table.symbols and not wrong:
            there = "symbols" in table.model_fields_set
            self._problem(
                self._place("symbols") if there else (*self.at, "symbols"), "empty" if there else "missing-key"
            )
        return self._entries(table.symbols, "symbols")

    def _entries(self, entries: Sequence[str], key: str) -> tuple[str, ...]:
        found: list[str] = []
        for index, entry in enumerate(entries):
            at = (*self._place(key), index)
            if entry == "*":
                found.append(entry)
            elif entry.startswith("@"):
                found += self._group(entry[1:], at)
            else:
                found += filter(None, [code_of(entry, self.names, self.document, at, self.problems)])
        return tuple(dict.fromkeys(found))

    def _group(self, name: str, at: Location) -> tuple[str, ...]:
        members = self.groups.members
        if name not in members and not self.groups.hide(f"@{name}"):
            self._problem(at, "unknown-group", found=name, nearest=self.suggestions.nearest(name, members))
        return members.get(name, ())

    def _notify(self, table: Defaults) -> tuple[str, ...]:
        names = self.world.notify if table.notify is None else table.notify
        for index, name in enumerate(table.notify or ()):
            if name not in self.world.notifiers:
                known = sorted(self.world.notifiers)
                detail = {"nearest": self.suggestions.nearest(name, known), "known": ", ".join(known)}
                self._problem((*self._place("notify"), index), "unknown-notifier", found=name, **detail)
        return tuple(dict.fromkeys(names))

    def _conditions(
        self, entry: Entry, at: Location, *, top: bool = False, denied: bool = False
    ) -> Condition | Group | None:
        """One entry: a condition, or a table with one of all, any, none."""
        kinds = [logic.value for logic in Logic if getattr(entry, logic) is not None]
        kinds += ["metric"] if entry.metric is not None else []
        if len(kinds) > 1:
            self._problem((*at, kinds[1]), "several-conditions", found=", ".join(kinds))
            return None
        if kinds and kinds[0] != "metric":
            self._check_no_leftovers(entry, at)
            return self._group_of_conditions(entry, Logic(kinds[0]), at, denied=denied)
        if not kinds and self._lacks(at, "metric", *Logic):
            self._problem(at, "no-metric" if _stray(entry) or not top else "no-condition")
        if not kinds:
            return None
        condition = self._condition(entry, at)
        if denied and condition is not None and condition.operator.is_crossing:
            self._problem((*at, condition.operator.value), "crossing-under-none")
        return condition

    def _lacks(self, at: Location, *keys: str) -> bool:
        """Whether none of them was there, be it misspelt or with a wrong value."""
        wrong = islice((str(place[-1]) for place in self.gone if place[:-1] == at), MAX_SUGGESTIONS)
        return not any(key in keys or nearest(key, keys) for key in wrong)

    def _check_no_leftovers(self, entry: Entry, at: Location) -> None:
        """An operator beside `all` would be ignored: the user meant something else."""
        for key in _stray(entry):
            self._problem((*at, key), "no-metric")

    def _group_of_conditions(self, entry: Entry, logic: Logic, at: Location, *, denied: bool) -> Group | None:
        entries: tuple[Entry, ...] = getattr(entry, logic)
        denied = denied or logic is Logic.NONE
        parts = [self._conditions(part, (*at, logic.value, index), denied=denied) for index, part in enumerate(entries)]
        whole = tuple(part for part in parts if part is not None)
        return Group(logic, whole) if len(whole) == len(parts) else None

    def _condition(self, entry: Entry, at: Location) -> Condition | None:
        before = len(self.problems)
        metric = entry.metric or ""
        operator = self._operator(entry, at)
        if operator is None:
            return None
        if entry.window is not None and metric == "resting_imbalance":
            self._problem((*at, "window"), "window-not-allowed", metric=metric)
        threshold = self._threshold(entry, operator, metric, at)
        reset = self._reset(entry, operator, metric, at)
        if len(self.problems) > before:
            return None
        window_ns = None if entry.window is None else units.duration_ns(entry.window)
        return Condition(metric, operator, threshold, entry.window, window_ns, reset)

    def _operator(self, entry: Entry, at: Location) -> Operator | None:
        found = [name for name in _OPERATORS if getattr(entry, name) is not None]
        if len(found) == 1:
            return Operator(found[0])
        if found:
            self._problem((*at, found[1]), "several-operators", found=", ".join(found))
        elif self._lacks(at, *_OPERATORS):
            self._problem((*at, "metric"), "no-operator", allowed=", ".join(_OPERATORS))
        return None

    def _threshold(self, entry: Entry, operator: Operator, metric: str, at: Location) -> Number | tuple[Number, Number]:
        written = getattr(entry, operator)
        at = (*at, operator.value)
        if operator.is_range:
            low, high = (self._number(end, metric, (*at, index)) for index, end in enumerate(written))
            return low, high
        return self._number(written, metric, at)

    def _reset(self, entry: Entry, operator: Operator, metric: str, at: Location) -> Number | None:
        if entry.reset is None:
            return None
        at = (*at, "reset")
        if operator.is_range:
            self._problem(at, "reset-without-use", operator=operator.value)
            return None
        reset, threshold = self._number(entry.reset, metric, at), getattr(entry, operator)[0]
        sign = _SIGNS.get(operator, "≥")
        if reset > threshold if sign == "≤" else reset < threshold:
            allowed = f"{sign} {threshold}"
            self._problem(at, "reset-beyond", allowed=allowed, operator=operator.value, threshold=str(threshold))
        return reset

    def _number(self, amount: Amount, metric: str, at: Location) -> Number:
        number, unit = amount
        if unit and (metric in RATIO_METRICS or (unit == "원") != (metric in VALUE_METRICS)):
            self._problem(at, "wrong-unit", unit=unit, metric=metric)
        return number


def _merged(table: RuleTable, defaults: Defaults) -> RuleTable:
    """A rule's own key wins over its file's default; defaults that an event rule cannot have are not meant for it."""
    inherited = defaults.model_fields_set - table.model_fields_set
    if _crosses(table):
        inherited = inherited.difference(_EVENT_KEYS)
    taken = {key: getattr(defaults, key) for key in inherited}
    return table.model_copy(update=taken) if taken else table


def _crosses(entry: Entry) -> bool:
    """Whether there is a crossing anywhere in it."""
    below = [part for logic in Logic for part in getattr(entry, logic) or ()]
    return entry.crosses_above is not None or entry.crosses_below is not None or any(map(_crosses, below))


def _aggregate_symbol(table: RuleTable) -> str | None:
    if table.aggregate is None:
        return None
    exactly_one_group = len(table.symbols) == 1 and table.symbols[0].startswith("@")
    return table.symbols[0] if exactly_one_group else table.name


def _stray(entry: Entry) -> list[str]:
    """Keys of a condition that stand where there is none."""
    return [key for key in ("window", *_OPERATORS, "reset") if getattr(entry, key) is not None]
