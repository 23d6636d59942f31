"""A scenario file → the faults to play, or everything that is wrong with it. Pure but for reading the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import toml
from engine.config.model import Table
from engine.errors import ConfigurationError
from engine.problems import Problem, nearest
from engine.simulator.kinds import KINDS, Fault
from engine.toml import Document, Location
from engine.validation import shown, validate

MAX_FAULTS = 1_000
"""Each is asked about every frame: a file with more is a mistake."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Faults in the order of the file."""

    faults: tuple[Fault, ...]


class _File(Table):
    description: str = ""
    fault: tuple[Any, ...] = ()


def load(path: Path) -> Scenario:
    """Read a scenario file. Raises ConfigurationError with everything that is wrong with it."""
    return _scenario(toml.read(path))


def parse(text: str, path: str = "scenario") -> Scenario:
    """The text of a scenario file; `path` is what errors name."""
    return _scenario(toml.parse(text.encode(), path))


def _scenario(document: Document) -> Scenario:
    file = validate(_File, document.data, document)
    problems = file if isinstance(file, list) else []
    written = document.data.get("fault", ())
    tables = written if isinstance(written, tuple) else ()
    if len(tables) > MAX_FAULTS:
        found = str(len(tables))
        problems.append(document.problem(("fault",), "out-of-range", found=found, allowed=f"≤ {MAX_FAULTS}"))
    faults = tuple(_faults(tables[:MAX_FAULTS], document, problems))
    if problems:
        raise ConfigurationError(sorted(problems, key=lambda problem: problem.line or 0))
    return Scenario(faults)


def _faults(tables: tuple[Any, ...], document: Document, problems: list[Problem]) -> Iterator[Fault]:
    for index, table in enumerate(tables):
        location = ("fault", index)
        kind = _kind(table, document, location)
        if isinstance(kind, Problem):
            problems.append(kind)
            continue
        fault = validate(kind, table, document, location)
        if isinstance(fault, list):
            problems += fault
        else:
            yield fault


def _kind(table: Any, document: Document, location: Location) -> type[Fault] | Problem:
    if not isinstance(table, dict):
        return document.problem(location, "not-table")
    do = table.get("do")
    if do is None:
        return document.problem((*location, "do"), "missing-key")
    if not isinstance(do, str):
        return document.problem((*location, "do"), "not-text")
    if do not in KINDS:
        allowed = ", ".join(f'"{kind}"' for kind in KINDS)
        return document.problem(
            (*location, "do"), "not-one-of", found=shown(do), allowed=allowed, nearest=nearest(do, KINDS)
        )
    return KINDS[do]
