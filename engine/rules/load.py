"""A folder of rule files → rules that can run, or everything that is wrong with any of them.

Pure but for reading the files; whole or not at all: one problem anywhere and there are no rules, so that a half-right
edit can never replace what worked.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine import toml, units
from engine.errors import ConfigurationError
from engine.problems import Problem, nearest
from engine.rules.document import Amount, Defaults, Entry, File, RuleTable
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
from engine.validation import validate

MAX_FOLDERS = 1_000
"""Below the rules folder: whoever points it at a whole disk shall not wait for it."""

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
class _Draft:
    """A rule that is right in itself; its symbols may still hold "*"."""

    rule: Rule
    document: Document
    at: Location
    excluded: frozenset[str]


def load(folder: Path, world: World) -> tuple[Rule, ...]:
    """All rules below `folder`, enabled or not, in the order of files by name and rules in the file.

    Raises ConfigurationError with every problem of every file.
    """
    return load_files(rule_files(folder), world)


def load_files(paths: Sequence[Path], world: World) -> tuple[Rule, ...]:
    """The rules of just these files, in their order, as if they were all that there are."""
    problems: list[Problem] = []
    drafts: list[_Draft] = []
    names = Names(world.master)
    for path in paths:
        try:
            document = toml.read(path)
        except ConfigurationError as error:
            problems += error.problems
            continue
        drafts += _read_file(document, world, names, problems)
    problems += _named_twice(drafts)
    rules = _with_stars_resolved(drafts, problems)
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: (problem.file, problem.line or 0)))
    return rules


def rule_files(folder: Path) -> list[Path]:
    """Every `*.toml` below, by name, but what starts with `_` or `.` and folders named `tests`.

    Links are followed, each folder once. Raises ConfigurationError for a folder that cannot be read: a rule that is
    silently not there is worse than none.
    """
    if not folder.is_dir():
        raise ConfigurationError([Problem(str(folder), None, "", "no-folder")])
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        if len(seen) >= MAX_FOLDERS:
            raise ConfigurationError([Problem(str(folder), None, "", "too-many-folders", {"limit": str(MAX_FOLDERS)})])
        fresh = (each for each in folders if not each.startswith(("_", ".")) and each != "tests")
        folders[:] = [each for each in fresh if os.path.realpath(Path(place, each)) not in seen]
        seen.add(os.path.realpath(place))
        found += [Path(place, name) for name in files if name.endswith(".toml") and not name.startswith(("_", "."))]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _refuse(error: OSError) -> None:
    reason = error.strerror or type(error).__name__
    raise ConfigurationError([Problem(str(error.filename), None, "", "unreadable", {"reason": reason})])


def _read_file(document: Document, world: World, names: Names, problems: list[Problem]) -> Iterator[_Draft]:
    file = validate(File, document.data, document)
    if isinstance(file, list):
        problems += file
        return
    groups = {
        name: _group_members(members, names, document, ("groups", name), problems)
        for name, members in file.groups.items()
    }
    for index, table in enumerate(file.rule):
        reader = _RuleReader(document, ("rule", index), world, names, groups, problems)
        if draft := reader.read(table, file.defaults):
            yield draft


def _group_members(
    entries: Sequence[str], names: Names, document: Document, at: Location, problems: list[Problem]
) -> tuple[str, ...]:
    found = [_code(entry, names, document, (*at, index), problems) for index, entry in enumerate(entries)]
    return tuple(dict.fromkeys(code for code in found if code))


def _code(entry: str, names: Names, document: Document, at: Location, problems: list[Problem]) -> str:
    """The code that an entry means: itself, or that of the stock it names; empty where it means none."""
    meant = names.meaning(entry)
    if isinstance(meant, str):
        return meant
    problems.append(document.problem(at, meant.code, found=entry, **meant.detail))
    return ""


def _named_twice(drafts: Sequence[_Draft]) -> Iterator[Problem]:
    first: dict[str, _Draft] = {}
    for draft in drafts:
        other = first.setdefault(draft.rule.name, draft)
        if other is not draft:
            place = f"{other.rule.file}:{other.rule.line}"
            at = (*draft.at, "name")
            yield draft.document.problem(at, "rule-named-twice", found=draft.rule.name, other=place)


def _with_stars_resolved(drafts: Sequence[_Draft], problems: list[Problem]) -> tuple[Rule, ...]:
    """A star is every symbol that any enabled rule names, in the order in which they are first named."""
    everything = dict.fromkeys(
        symbol
        for draft in drafts
        if draft.rule.enabled
        for symbol in draft.rule.symbols
        if symbol != "*" and symbol not in draft.excluded
    )
    rules = []
    for draft in drafts:
        excluded = draft.excluded | (everything.keys() if "*" in draft.excluded else frozenset())
        wanted: list[str] = []
        for symbol in draft.rule.symbols:
            wanted += everything if symbol == "*" else [symbol]
        symbols = tuple(symbol for symbol in dict.fromkeys(wanted) if symbol not in excluded)
        if not symbols and draft.rule.enabled:
            problems.append(draft.document.problem((*draft.at, "symbols"), "no-symbols"))
        rules.append(replace(draft.rule, symbols=symbols))
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class _RuleReader:
    """One [[rule]] table: collects what is wrong with it into `problems`."""

    document: Document
    at: Location
    world: World
    names: Names
    groups: Mapping[str, tuple[str, ...]]
    problems: list[Problem]

    def read(self, table: RuleTable, defaults: Defaults) -> _Draft | None:
        """The rule, or nothing if anything about it is wrong."""
        before = len(self.problems)
        own, table = table, _merged(table, defaults)
        self._check_supported(table)
        when = self._conditions(table, self.at, top=True)
        symbols = self._symbols(table.symbols, "symbols", table)
        excluded = self._symbols(table.exclude, "exclude", table)
        notify = self._notify(table)
        if isinstance(when, Condition):
            when = Group(Logic.ALL, (when,))
        if when is None or len(self.problems) > before:
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
            chart=table.chart,
            labels=tuple(table.labels.items()),
            file=self.document.path,
            line=self.document.line(self.at) or 0,
        )
        self._check_event_rule(rule, own)
        return _Draft(rule, self.document, self.at, frozenset(excluded)) if len(self.problems) == before else None

    def _problem(self, at: Location, code: str, **detail: str) -> None:
        self.problems.append(self.document.problem(at, code, **detail))

    def _check_supported(self, table: RuleTable) -> None:
        if table.aggregate not in (None, "sum"):
            self._problem((*self.at, "aggregate"), "not-one-of", found=str(table.aggregate), allowed='"sum"')
        for key in ("title", "message"):
            if getattr(table, key) is not None:
                self._problem((*self.at, key), "not-in-this-version")
        for index, span in enumerate(table.active):
            if span.is_empty(*self.world.session):
                self._problem((*self.at, "active", index), "never-active")

    def _check_event_rule(self, rule: Rule, own: RuleTable) -> None:
        if not rule.is_event:
            return
        for key in _EVENT_KEYS:
            if getattr(own, key):
                self._problem((*self.at, key.rstrip("_")), "event-rule-key")

    def _symbols(self, entries: Sequence[str], key: str, table: RuleTable) -> tuple[str, ...]:
        if key == "symbols" and not entries:
            self._problem((*self.at, key), "empty" if key in table.model_fields_set else "missing-key")
        found: list[str] = []
        for index, entry in enumerate(entries):
            at = (*self.at, key, index)
            if entry == "*":
                found.append(entry)
            elif entry.startswith("@"):
                found += self._group(entry[1:], at)
            else:
                found += filter(None, [_code(entry, self.names, self.document, at, self.problems)])
        return tuple(dict.fromkeys(found))

    def _group(self, name: str, at: Location) -> tuple[str, ...]:
        if name not in self.groups:
            self._problem(at, "unknown-group", found=name, nearest=nearest(name, self.groups))
            return ()
        return self.groups[name]

    def _notify(self, table: RuleTable) -> tuple[str, ...]:
        names = self.world.notify if table.notify is None else table.notify
        for index, name in enumerate(table.notify or ()):
            if name not in self.world.notifiers:
                meant = nearest(name, self.world.notifiers)
                self._problem((*self.at, "notify", index), "unknown-notifier", found=name, nearest=meant)
        return tuple(dict.fromkeys(names))

    def _conditions(
        self, entry: Entry, at: Location, *, top: bool = False, denied: bool = False
    ) -> Condition | Group | None:
        """One entry: a condition, or a table with one of all, any, none."""
        kinds = [logic.value for logic in Logic if getattr(entry, logic) is not None]
        kinds += ["metric"] if entry.metric is not None else []
        if len(kinds) > 1:
            self._problem(at, "several-conditions", found=", ".join(kinds))
            return None
        if kinds and kinds[0] != "metric":
            self._check_no_leftovers(entry, at)
            return self._group_of_conditions(entry, Logic(kinds[0]), at, denied=denied)
        if not kinds and (_stray(entry) or not top):
            self._problem(at, "no-metric")
            return None
        if not kinds:
            self._problem(at, "no-condition")
            return None
        condition = self._condition(entry, at)
        if denied and condition is not None and condition.operator.is_crossing:
            self._problem((*at, condition.operator.value), "crossing-under-none")
        return condition

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
        else:
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
