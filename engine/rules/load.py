"""A folder of rule files → rules that can run, or everything that is wrong with any of them.

Pure but for reading the files; whole or not at all: one problem anywhere and there are no rules, so that a half-right
edit can never replace what worked.
"""

import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from engine import toml
from engine.errors import ConfigurationError
from engine.problems import Problem, Suggestions
from engine.rules.document import Defaults, File, RuleTable
from engine.rules.model import (
    Logic,
    Rule,
)
from engine.rules.names import Names
from engine.rules.reader import Draft, Groups, RuleReader, World, code_of
from engine.toml import Document, Location
from engine.validation import validate_rest

MAX_FOLDERS = 1_000
"""Below the rules folder: whoever points it at a whole disk shall not wait for it."""

MAX_DEPTH = 20
"""Of conditions in conditions: nobody reads more, and each level is a level of recursion here and in the evaluation."""

MAX_CONDITIONS = 200
"""Of a rule, in all its groups together: each is looked at in every evaluation of every symbol."""


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


class _Reading:
    """All files of one set: what they hold, and everything that is wrong with them."""

    def __init__(self, world: World) -> None:
        self.problems: list[Problem] = []
        self._world = world
        self._names = Names(world.master)
        self._suggestions = Suggestions()
        self._drafts: list[Draft] = []
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
        common = RuleReader(
            document, ("defaults",), self._world, self._names, self._suggestions, groups, self.problems, gone, own
        )
        common.check_defaults(file.defaults)
        for index, data in enumerate(() if whole else tables):
            self._add_rule(data, replace(common, at=("rule", index)), file.defaults)

    def _groups(self, file: File, document: Document, gone: frozenset[Location]) -> Groups:
        members = {}
        for name, entries in file.groups.items():
            before = len(self.problems)
            members[name] = _group_members(entries, self._names, document, ("groups", name), self.problems)
            if len(self.problems) > before:
                gone |= {("groups", name)}
        return Groups(members, gone)

    def _add_rule(self, data: Any, reader: "RuleReader", defaults: Defaults) -> None:
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
            found.append(code_of(entry, names, document, (*at, index), problems))
    return tuple(dict.fromkeys(code for code in found if code))


def _with_stars_resolved(drafts: Sequence[Draft], problems: list[Problem]) -> tuple[Rule, ...]:
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
