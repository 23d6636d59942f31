"""Test files → tests that can be run, or everything that is wrong with any of them.

A key that is wrong in itself is left out, and the rest is looked at all the same: whoever has mended what was told does
not want to be told more. Nothing is said about what only the wrong key could decide.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from engine import toml
from engine.alert import State
from engine.errors import ConfigurationError
from engine.kst import DAY_NS
from engine.problems import Problem, nearest
from engine.rule_tests.document import GIVEN, Case, Expect, File, Series
from engine.rules import load as rules_load
from engine.rules.model import Rule
from engine.rules.names import Names
from engine.rules.reader import World
from engine.toml import Document, Location
from engine.validation import validate_rest

MAX_LASTS_NS = 7 * DAY_NS
"""Of a test. A rule knows nothing longer than a date, so whoever writes more has slipped, and would wait for it."""


_Model = TypeVar("_Model", bound=BaseModel)

_NO_CASE: Mapping[str, Any] = {"name": "?", "rules": ("?",)}
_NO_SERIES: Mapping[str, Any] = {"symbol": "?", "every": "1s"}
_NO_EXPECT: Mapping[str, Any] = {"at": "0s", "rule": "?", "symbol": "?", "state": State.FIRING}
"""What stands for required keys that are missing or wrong."""


class _Known(NamedTuple):
    """What can be said of the rules that a test names."""

    rules: tuple[Rule, ...] | None
    """None: they cannot be read, so nothing can be said about what they watch."""
    names: frozenset[str] | None
    """Of the rules, also of those that have mistakes. None: not all can be known."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The records of one symbol: `rows` has a tuple per record, the fields of GIVEN in their order."""

    symbol: str
    every_ns: int
    rows: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """The lines of a recording from `since` on and before `until`, in nanoseconds since the epoch; None: no bound."""

    path: Path
    since: int | None
    until: int | None


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation whose symbol is a code, `@group` or a rule's name, as an alert has it."""

    written: Expect
    symbol: str
    line: int


@dataclass(frozen=True, slots=True)
class Trial:
    """A test that can be run."""

    name: str
    file: str
    line: int
    rules: tuple[Rule, ...]
    start: int | None
    """What `at` counts from, in nanoseconds since the epoch. None: the first line of the recording."""
    material: tuple[Trace, ...] | Slice
    expected: tuple[Expected, ...]


def test_files(places: Iterable[Path]) -> list[Path]:
    """Each file, and the `*.toml` of each folder, by name; a file that is named twice is there once."""
    found = [file for place in places for file in (sorted(place.glob("*.toml")) if place.is_dir() else [place])]
    return list(dict.fromkeys(found))


def load(paths: Iterable[Path], world: World) -> tuple[Trial, ...]:
    """All tests of these files, in order. Raises ConfigurationError with every problem of every file."""
    problems: list[Problem] = []
    trials: list[Trial] = []
    for path in paths:
        try:
            trials += _read_file(toml.read(path), world, problems)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(_each_once(problems))
    return tuple(trials)


def _each_once(problems: Iterable[Problem]) -> list[Problem]:
    """Several tests may name the rules that are wrong. In the order of files and lines."""
    seen: dict[tuple[object, ...], Problem] = {}
    for each in problems:
        seen.setdefault((each.file, each.line, each.key, each.code, each.detail.get("found")), each)
    return sorted(seen.values(), key=lambda problem: (problem.file, problem.line or 0))


def _read_file(document: Document, world: World, problems: list[Problem]) -> list[Trial]:
    reader = _Reader(document, world, Names(world.master), problems, {}, set())
    return [reader.read(case, ("test", index)) for index, case in enumerate(reader.cases())]


@dataclass(frozen=True, slots=True)
class _Reader:
    """One test file: collects what is wrong with it into `problems`."""

    document: Document
    world: World
    names: Names
    problems: list[Problem]
    known_rules: dict[tuple[Path, ...], _Known]
    """Rules that several tests name are read once."""
    gone: set[Location]
    """What was wrong in itself and is left out."""

    def cases(self) -> list[Case]:
        """Every [[test]], each as far as it can be used."""
        lists, rest = self._apart(self.document.data, ("test",))
        self._table(File, rest, (), {})
        return [self._case(data, ("test", index)) for index, data in enumerate(lists["test"])]

    def _case(self, data: Any, at: Location) -> Case:
        lists, rest = self._apart(data, ("series", "expect"))
        case = self._table(Case, rest, at, _NO_CASE)
        series = [self._table(Series, each, (*at, "series", index), _NO_SERIES)
                  for index, each in enumerate(lists["series"])]  # fmt: skip
        expect = [self._table(Expect, each, (*at, "expect", index), _NO_EXPECT)
                  for index, each in enumerate(lists["expect"])]  # fmt: skip
        return case.model_copy(update={"series": tuple(series), "expect": tuple(expect)})

    def _apart(self, data: Any, keys: Sequence[str]) -> tuple[dict[str, tuple[Any, ...]], Any]:
        """The lists of tables under these keys, which are read one by one; and what is left of the table."""
        if not isinstance(data, Mapping):
            return dict.fromkeys(keys, ()), data
        lists = {key: data[key] if isinstance(data.get(key), tuple) else () for key in keys}
        return lists, {key: value for key, value in data.items() if not (key in keys and isinstance(value, tuple))}

    def _table(self, model: type[_Model], data: Any, at: Location, missing: Mapping[str, Any]) -> _Model:
        """As much of it as is right."""
        if not isinstance(data, Mapping):
            self._problem(at, "not-table")
            self.gone.add(at)
            return model.model_validate(missing)
        table, problems, gone = validate_rest(model, data, self.document, at, missing=missing)
        self.problems.extend(problems)
        self.gone.update(gone)
        return table

    def _is_known(self, at: Location) -> bool:
        """Whether what stands there was not left out."""
        return not any(at[:length] in self.gone for length in range(1, len(at) + 1))

    def read(self, case: Case, at: Location) -> Trial:
        """The test; what is missing from it has left a problem."""
        known = self._rules(case.rules, at)
        self._check_material(case, at)
        return Trial(
            case.name,
            self.document.path,
            self.document.line(at) or 0,
            known.rules or (),
            case.from_ if case.start is None else case.start,
            self._material(case, known.rules, at),
            tuple(self._expectations(case.expect, known, at)),
        )

    def _problem(self, at: Location, code: str, **detail: str) -> None:
        self.problems.append(self.document.problem(at, code, **detail))

    def _beside(self, written: str) -> Path:
        """Relative to the test file; `tests/../a.toml` is shown as `a.toml`."""
        return Path(os.path.normpath(Path(self.document.path).parent / written))

    def _rules(self, entries: Sequence[str], at: Location) -> _Known:
        if not self._is_known((*at, "rules")):
            return _Known(None, None)
        places = tuple(map(self._beside, entries))
        absent = [index for index, place in enumerate(places) if not place.exists()]
        for index in absent:
            self._problem((*at, "rules", index), "no-file")
        there = tuple(place for place in places if place.exists())
        if absent:
            self._load_rules(there, complete=False)
            return _Known(None, None)
        if there not in self.known_rules:
            self.known_rules[there] = self._load_rules(there, complete=True)
        return self.known_rules[there]

    def _load_rules(self, places: Sequence[Path], *, complete: bool) -> _Known:
        """`complete`: no file is missing, else a star may have nothing to stand for."""
        try:
            found = [file for place in places for file in (rules_load.rule_files(place) if place.is_dir() else [place])]
            files = sorted(set(found), key=Path.as_posix)
        except ConfigurationError as error:
            self.problems.extend(error.problems)
            return _Known(None, None)
        try:
            rules = rules_load.load_files(files, self.world)
        except ConfigurationError as error:
            self.problems.extend(each for each in error.problems if complete or each.code != "no-symbols")
            return _Known(None, _names_in(files))
        return _Known(rules, frozenset(rule.name for rule in rules))

    def _check_material(self, case: Case, at: Location) -> None:
        recorded = case.recording is not None or not self._is_known((*at, "recording"))
        made_up = bool(case.series) or not self._is_known((*at, "series"))
        if recorded == made_up:
            self._problem(at, "series-or-recording")
        if case.series and case.start is None and self._is_known((*at, "start")):
            self._problem((*at, "start"), "missing-key")
        for key, moment in (("from", case.from_), ("until", case.until)):
            if moment is not None and not recorded:
                self._problem((*at, key), "only-with-recording")
        if case.from_ is not None and case.until is not None and case.until <= case.from_:
            self._problem((*at, "until"), "empty-hours", found="from ~ until")
        if case.recording is not None and not self._beside(case.recording).is_file():
            self._problem((*at, "recording"), "no-file")

    def _material(self, case: Case, rules: Sequence[Rule] | None, at: Location) -> tuple[Trace, ...] | Slice:
        if case.recording is not None:
            return Slice(self._beside(case.recording), case.from_, case.until)
        traces: list[Trace] = []
        for index, series in enumerate(case.series):
            place = (*at, "series", index)
            symbol = self._symbol(series.symbol, (*place, "symbol"))
            if symbol and symbol in {trace.symbol for trace in traces}:
                self._problem((*place, "symbol"), "named-twice", found=series.symbol)
            if symbol and rules is not None and not any(symbol in rule.symbols for rule in rules):
                self._problem((*place, "symbol"), "not-watched", found=series.symbol)
            traces.append(Trace(symbol, series.every, self._rows(series, place)))
        return tuple(traces)

    def _rows(self, series: Series, at: Location) -> tuple[tuple[int, ...], ...]:
        given = {name: values for name in GIVEN if (values := getattr(series, name))}
        if not given:
            if not any(place[: len(at)] == at for place in self.gone):
                self._problem(at, "no-series")
            return ()
        first, *others = given
        count = len(given[first])
        for name in others:
            if len(given[name]) != count:
                found = str(len(given[name]))
                self._problem((*at, name), "not-as-many", found=found, other=first, allowed=str(count))
        if (count - 1) * series.every > MAX_LASTS_NS:
            self._problem((*at, "every"), "lasts-too-long", limit=_days(MAX_LASTS_NS))
        zeros = (0,) * count
        return tuple(zip(*(given.get(name, zeros) for name in GIVEN), strict=False))

    def _symbol(self, written: str, at: Location) -> str:
        """The code; empty where it means none, or is not there."""
        if not self._is_known(at):
            return ""
        meant = self.names.meaning(written)
        if isinstance(meant, str):
            return meant
        self._problem(at, meant.code, found=written, **meant.detail)
        return ""

    def _expectations(self, expectations: Sequence[Expect], known: _Known, at: Location) -> Iterator[Expected]:
        for index, expect in enumerate(expectations):
            place = (*at, "expect", index)
            if expect.at > MAX_LASTS_NS:
                self._problem((*place, "at"), "lasts-too-long", limit=_days(MAX_LASTS_NS))
            yield Expected(expect, self._check_expected(expect, known, place), self.document.line(place) or 0)

    def _check_expected(self, expect: Expect, known: _Known, at: Location) -> str:
        """The symbol as an alert has it."""
        is_named = self._is_known((*at, "rule"))
        if is_named and known.names is not None and expect.rule not in known.names:
            meant = nearest(expect.rule, sorted(known.names))
            self._problem((*at, "rule"), "unknown-rule", found=expect.rule, nearest=meant)
        rule = next((rule for rule in known.rules or () if is_named and rule.name == expect.rule), None)
        if rule is None:
            return self._stock(expect, known, at)
        keys = list(dict.fromkeys(condition.key for condition in rule.when.conditions()))
        for key in expect.values:
            if key not in keys:
                self._problem((*at, "values", key), "unknown-value", found=key, allowed=", ".join(keys))
        return self._symbol_of(rule, expect, at)

    def _stock(self, expect: Expect, known: _Known, at: Location) -> str:
        """Of a rule that nothing is known of: it may be summed, and its alerts carry a group or its name."""
        if expect.symbol.startswith("@") or expect.symbol in (expect.rule, *(known.names or ())):
            return expect.symbol
        return self._symbol(expect.symbol, (*at, "symbol"))

    def _symbol_of(self, rule: Rule, expect: Expect, at: Location) -> str:
        if expect.symbol == rule.aggregate or not self._is_known((*at, "symbol")):
            return expect.symbol
        if rule.aggregate is not None or expect.symbol.startswith("@"):
            meant = "" if rule.aggregate is None else rule.aggregate
            self._problem((*at, "symbol"), "not-watched-by", rule=rule.name, found=expect.symbol, nearest=meant)
            return expect.symbol
        symbol = self._symbol(expect.symbol, (*at, "symbol"))
        if symbol and symbol not in rule.symbols:
            self._problem((*at, "symbol"), "not-watched-by", rule=rule.name, found=expect.symbol)
        return symbol


def _names_in(files: Iterable[Path]) -> frozenset[str] | None:
    """Of all rules in these files, be they right or not; None where one has none that can be read."""
    found: set[str] = set()
    for file in files:
        try:
            tables = toml.read(file).data.get("rule", ())
        except ConfigurationError:
            return None
        for table in tables if isinstance(tables, tuple) else (None,):
            name = table.get("name") if isinstance(table, dict) else None
            if not isinstance(name, str):
                return None
            found.add(name)
    return frozenset(found)


def _days(duration_ns: int) -> str:
    return f"{duration_ns // DAY_NS}d"
