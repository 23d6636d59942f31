"""A folder of rule files → rules that can run, or everything that is wrong with any of them.

Pure but for reading the files; whole or not at all: one problem anywhere and there are no rules, so that a half-right
edit can never replace what worked.
"""

import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from engine import template, toml, units
from engine.errors import ConfigurationError
from engine.problems import MAX_SUGGESTIONS, Problem, Suggestions, nearest
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
from engine.validation import validate_rest

MAX_FOLDERS = 1_000
"""Below the rules folder: whoever points it at a whole disk shall not wait for it."""

MAX_DEPTH = 20
"""Of conditions in conditions: nobody reads more, and each level is a level of recursion here and in the evaluation."""

MAX_CONDITIONS = 200
"""Of a rule, in all its groups together: each is looked at in every evaluation of every symbol."""

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


def load(folder: Path, world: World, *more: Document) -> tuple[Rule, ...]:
    """All rules below `folder`, enabled or not, in the order of files by name and rules in the file.

    `more`: files that are not there yet, read as if they were. Raises ConfigurationError with every problem of every
    file.
    """
    return load_files(rule_files(folder), world, *more)


def load_files(paths: Sequence[Path], world: World, *more: Document) -> tuple[Rule, ...]:
    """The rules of just these files, in their order, as if they were all that there are."""
    reading = _Reading(world)
    for path in paths:
        try:
            document = toml.read(path)
        except ConfigurationError as error:
            reading.problems += error.problems
        else:
            reading.add(document)
    for document in more:
        reading.add(document)
    return reading.rules()


def rule_files(folder: Path) -> list[Path]:
    """Every `*.toml` below, by name, but what starts with `_` or `.` and folders named `tests`.

    Links are followed, each folder once. Raises ConfigurationError for a folder that cannot be read: a rule that is
    silently not there is worse than none.
    """
    try:
        is_there = folder.is_dir()
    except OSError as error:
        _refuse(error)
    if not is_there:
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


def _refuse(error: OSError) -> NoReturn:
    reason = error.strerror or type(error).__name__
    raise ConfigurationError([Problem(str(error.filename), None, "", "unreadable", {"reason": reason})])


class _Groups(NamedTuple):
    """Of one file."""

    members: Mapping[str, tuple[str, ...]]
    gone: frozenset[Location]
    """Those that are there, but wrong: who names them makes no mistake."""

    def hide(self, entry: str) -> bool:
        """Whether it is such an `@group`."""
        return entry.startswith("@") and not self.gone.isdisjoint({("groups",), ("groups", entry[1:])})


class _Reading:
    """All files of one set: what they hold, and everything that is wrong with them."""

    def __init__(self, world: World) -> None:
        self.problems: list[Problem] = []
        self._world = world
        self._names = Names(world.master)
        self._suggestions = Suggestions()
        self._drafts: list[_Draft] = []
        self._first: dict[str, str] = {}  # name → file:line of the first rule that has it

    def add(self, document: Document) -> None:
        tables = document.data.get("rule", ())
        whole = not isinstance(tables, tuple)
        file, problems, gone = validate_rest(
            File,
            document.data if whole else {**document.data, "rule": ()},
            document,
            (),
            missing={},
            meant=self._suggestions.nearest,
        )
        self.problems += problems
        groups = self._groups(file, document, gone)
        own = file.defaults.model_fields_set
        common = _RuleReader(
            document, ("defaults",), self._world, self._names, self._suggestions, groups, self.problems, gone, own
        )
        common.check_defaults(file.defaults)
        for index, data in enumerate(() if whole else tables):
            self._add_rule(data, replace(common, at=("rule", index)), file.defaults)

    def _groups(self, file: File, document: Document, gone: frozenset[Location]) -> _Groups:
        members = {}
        for name, entries in file.groups.items():
            before = len(self.problems)
            members[name] = _group_members(entries, self._names, document, ("groups", name), self.problems)
            if len(self.problems) > before:
                gone |= {("groups", name)}
        return _Groups(members, gone)

    def _add_rule(self, data: Any, reader: "_RuleReader", defaults: Defaults) -> None:
        document, at = reader.document, reader.at
        if not isinstance(data, dict):
            self.problems.append(document.problem(at, "not-table"))
            return
        data, deep = _without_excess(data, document, at)
        table, problems, gone = validate_rest(
            RuleTable, data, document, at, missing={"name": "?"}, meant=self._suggestions.nearest
        )
        self.problems += [*deep, *problems]
        self._note_name(data.get("name"), document, at)
        gone |= {(*at, problem.key.rpartition(".")[2]) for problem in deep}
        reader = replace(reader, gone=reader.gone | gone, own=table.model_fields_set)
        draft = reader.read(table, defaults)
        if draft is not None and not reader.gone:
            self._drafts.append(draft)

    def _note_name(self, name: Any, document: Document, at: Location) -> None:
        """Also of rules that are wrong otherwise. Two ways to write the same syllables are one name to who reads."""
        if not isinstance(name, str) or not name.strip():
            return
        key = unicodedata.normalize("NFC", name).strip()
        if key in self._first:
            self.problems.append(
                document.problem((*at, "name"), "rule-named-twice", found=name, other=self._first[key])
            )
        else:
            self._first[key] = f"{document.path}:{document.line(at)}"

    def rules(self) -> tuple[Rule, ...]:
        rules = _with_stars_resolved(self._drafts, self.problems)
        if self.problems:
            ordered = sorted(_each_once(self.problems), key=lambda problem: (problem.file, problem.line or 0))
            raise ConfigurationError(ordered)
        return rules


def _each_once(problems: Iterable[Problem]) -> list[Problem]:
    """A default that is wrong is wrong for every rule of its file, and one mistake."""
    seen: dict[tuple[object, ...], Problem] = {}
    for each in problems:
        seen.setdefault((each.file, each.line, each.key, each.code, each.detail.get("found")), each)
    return list(seen.values())


def _without_excess(data: dict[str, Any], document: Document, at: Location) -> tuple[dict[str, Any], list[Problem]]:
    """The table less the conditions that are nested too deeply or too many: what follows looks at each of them."""
    problems = []
    for key in Logic:
        if key in data and _is_deeper(data[key], MAX_DEPTH):
            problems.append(document.problem((*at, key.value), "nested-too-deeply", limit=str(MAX_DEPTH)))
        elif (count := _count(data.get(key))) > MAX_CONDITIONS:
            detail = {"found": str(count), "limit": str(MAX_CONDITIONS)}
            problems.append(document.problem((*at, key.value), "too-many-conditions", **detail))
        else:
            continue
        data = {other: value for other, value in data.items() if other != key}
    return data, problems


def _count(value: Any) -> int:
    """The conditions in it, which is nested no deeper than is allowed."""
    if isinstance(value, tuple):
        return sum(map(_count, value))
    groups = [value[key] for key in Logic if key in value] if isinstance(value, dict) else []
    return sum(map(_count, groups)) if groups else int(isinstance(value, dict))


def _is_deeper(value: Any, limit: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
    if isinstance(value, dict):
        limit -= 1
    return limit < 0 or any(_is_deeper(each, limit) for each in inner)


def _group_members(
    entries: Sequence[str], names: Names, document: Document, at: Location, problems: list[Problem]
) -> tuple[str, ...]:
    found: list[str] = []
    for index, entry in enumerate(entries):
        if entry == "*" or entry.startswith("@"):
            problems.append(document.problem((*at, index), "not-in-a-group", found=entry))
        else:
            found.append(_code(entry, names, document, (*at, index), problems))
    return tuple(dict.fromkeys(code for code in found if code))


def _code(entry: str, names: Names, document: Document, at: Location, problems: list[Problem]) -> str:
    """The code that an entry means: itself, or that of the stock it names; empty where it means none."""
    meant = names.meaning(entry)
    if isinstance(meant, str):
        return meant
    problems.append(document.problem(at, meant.code, found=entry, **meant.detail))
    return ""


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
    complete = not problems  # else a star may be empty for want of the rules that are wrong
    for draft in drafts:
        excluded = draft.excluded | (everything.keys() if "*" in draft.excluded else frozenset())
        wanted: list[str] = []
        for symbol in draft.rule.symbols:
            wanted += everything if symbol == "*" else [symbol]
        symbols = tuple(symbol for symbol in dict.fromkeys(wanted) if symbol not in excluded)
        sure = complete or "*" not in (*draft.rule.symbols, *draft.excluded)
        if not symbols and draft.rule.enabled and sure:
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
    suggestions: Suggestions
    groups: _Groups
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

    def read(self, own: RuleTable, defaults: Defaults) -> _Draft | None:
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
        return _Draft(rule, self.document, self.at, frozenset(excluded)) if len(self.problems) == before else None

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
                found += filter(None, [_code(entry, self.names, self.document, at, self.problems)])
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
