"""Test files → tests that can be run, or everything that is wrong with any of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine import toml
from engine.errors import ConfigurationError
from engine.kst import DAY_NS
from engine.problems import Problem, nearest
from engine.rule_tests.document import GIVEN, Case, Expect, File, Series
from engine.rules import load as rules_load
from engine.rules.load import World
from engine.rules.model import Rule
from engine.rules.names import Names
from engine.toml import Document, Location
from engine.validation import validate

MAX_LASTS_NS = 7 * DAY_NS
"""Of a test. A rule knows nothing longer than a date, so whoever writes more has slipped, and would wait for it."""


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
            trials += _read_file(toml.read(path), world)
        except ConfigurationError as error:
            problems += [problem for problem in error.problems if problem not in problems]  # of rules named by several
    if problems:
        raise ConfigurationError(problems)
    return tuple(trials)


def _read_file(document: Document, world: World) -> list[Trial]:
    file = validate(File, document.data, document)
    if isinstance(file, list):
        raise ConfigurationError(file)
    problems: list[Problem] = []
    reader = _Reader(document, world, Names(world.master), problems, {})
    trials = [reader.read(case, ("test", index)) for index, case in enumerate(file.test)]
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: (problem.file, problem.line or 0)))
    return trials


@dataclass(frozen=True, slots=True)
class _Reader:
    """One test file: collects what is wrong with it into `problems`."""

    document: Document
    world: World
    names: Names
    problems: list[Problem]
    known_rules: dict[tuple[Path, ...], tuple[Rule, ...] | None]
    """Rules that several tests name are read once."""

    def read(self, case: Case, at: Location) -> Trial:
        """The test; what is missing from it has left a problem."""
        rules = self._rules(case.rules, at)
        self._check_material(case, at)
        return Trial(
            case.name,
            self.document.path,
            self.document.line(at) or 0,
            rules or (),
            case.from_ if case.start is None else case.start,
            self._material(case, rules, at),
            tuple(self._expectations(case.expect, rules, at)),
        )

    def _problem(self, at: Location, code: str, **detail: str) -> None:
        self.problems.append(self.document.problem(at, code, **detail))

    def _beside(self, written: str) -> Path:
        """Relative to the test file; `tests/../a.toml` is shown as `a.toml`."""
        return Path(os.path.normpath(Path(self.document.path).parent / written))

    def _rules(self, entries: Sequence[str], at: Location) -> tuple[Rule, ...] | None:
        """None: they cannot be read, so nothing can be said about what names them."""
        places = tuple(map(self._beside, entries))
        absent = [index for index, place in enumerate(places) if not place.exists()]
        for index in absent:
            self._problem((*at, "rules", index), "no-file")
        if absent:
            return None
        if places not in self.known_rules:
            self.known_rules[places] = self._load_rules(places)
        return self.known_rules[places]

    def _load_rules(self, places: Sequence[Path]) -> tuple[Rule, ...] | None:
        try:
            files = [file for place in places for file in (rules_load.rule_files(place) if place.is_dir() else [place])]
            return rules_load.load_files(sorted(set(files), key=Path.as_posix), self.world)
        except ConfigurationError as error:
            self.problems.extend(error.problems)
            return None

    def _check_material(self, case: Case, at: Location) -> None:
        if (case.recording is None) == (not case.series):
            self._problem(at, "series-or-recording")
        if case.series and case.start is None:
            self._problem((*at, "start"), "missing-key")
        for key, moment in (("from", case.from_), ("until", case.until)):
            if moment is not None and case.recording is None:
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
        meant = self.names.meaning(written)
        if isinstance(meant, str):
            return meant
        self._problem(at, meant.code, found=written, **meant.detail)
        return ""

    def _expectations(
        self, expectations: Sequence[Expect], rules: Sequence[Rule] | None, at: Location
    ) -> Iterator[Expected]:
        for index, expect in enumerate(expectations):
            place = (*at, "expect", index)
            if expect.at > MAX_LASTS_NS:
                self._problem((*place, "at"), "lasts-too-long", limit=_days(MAX_LASTS_NS))
            symbol = expect.symbol if rules is None else self._check_expected(expect, rules, place)
            yield Expected(expect, symbol, self.document.line(place) or 0)

    def _check_expected(self, expect: Expect, rules: Sequence[Rule], at: Location) -> str:
        """The symbol as an alert has it."""
        rule = next((rule for rule in rules if rule.name == expect.rule), None)
        if rule is None:
            meant = nearest(expect.rule, [rule.name for rule in rules])
            self._problem((*at, "rule"), "unknown-rule", found=expect.rule, nearest=meant)
            return expect.symbol
        keys = list(dict.fromkeys(condition.key for condition in rule.when.conditions()))
        for key in expect.values:
            if key not in keys:
                self._problem((*at, "values", key), "unknown-value", found=key, allowed=", ".join(keys))
        if expect.symbol == rule.aggregate:
            return expect.symbol
        if rule.aggregate is not None or expect.symbol.startswith("@"):
            known = "" if rule.aggregate is None else rule.aggregate
            self._problem((*at, "symbol"), "not-watched-by", rule=rule.name, found=expect.symbol, nearest=known)
            return expect.symbol
        symbol = self._symbol(expect.symbol, (*at, "symbol"))
        if symbol and symbol not in rule.symbols:
            self._problem((*at, "symbol"), "not-watched-by", rule=rule.name, found=expect.symbol)
        return symbol


def _days(duration_ns: int) -> str:
    return f"{duration_ns // DAY_NS}d"
