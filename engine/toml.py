"""A TOML file with the line of every key, so that an error can say where.

tomllib reads the values and is the judge of what is valid; tree-sitter only tells positions, which tomllib drops.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import tree_sitter
import tree_sitter_toml

from engine.errors import ConfigurationError
from engine.problems import Problem

MAX_BYTES = 4_000_000
"""Ten thousand rules are 2 MB; past this a file is a mistake, and reading it would take seconds."""

MAX_STEPS = 20
"""Of a dotted key: ours have three. tomllib takes time and memory by the square of them: 14 GB for a key of 100 KB."""

Location = tuple[str | int, ...]
"""Keys and array indices from the top of a file down to a value."""

_STEP = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_TEXT = r"""\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}.*?'{3}|\#[^\n]*+"""
_TOKEN = re.compile(rf"{_TEXT}|(?P<deep>(?:{_STEP}[ \t]*+\.[ \t]*+){{{MAX_STEPS}}})|{_STEP}", re.DOTALL)
"""Texts and comments, in which dots are only dots, and keys with too many."""
_AT_LINE = re.compile(r" ?\(at line (\d+), column \d+\)")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file. Arrays are tuples: what was read stays as it was."""

    path: str
    data: Mapping[str, Any]
    lines: Mapping[Location, int]
    bodies: Mapping[Location, tuple[int, int]] = field(default_factory=dict)
    """First and last line of what stands between the quotes of texts over several lines."""

    def line(self, location: Location) -> int | None:
        """Line of the key, or of the nearest table around it where the key itself is missing."""
        while location:
            if (line := self.lines.get(location)) is not None:
                return line
            location = location[:-1]
        return None

    def problem(self, location: Location, code: str, **detail: str) -> Problem:
        """A problem at that place. What was found is told as written: a `${NAME}` may stand for a secret."""
        written = self._written(location)
        if "found" in detail and isinstance(written, str) and "${" in written:
            detail |= {"found": written, "nearest": ""}
        return Problem(self.path, self.line(location), key_text(location), code, detail)

    def problem_within(self, location: Location, line: int | None, code: str, **detail: str) -> Problem:
        """A problem in a text of several lines, at that line of it, counted from 1, where that can be told."""
        problem = self.problem(location, code, **detail)
        first, last = self.bodies.get(location, (0, -1))
        written = self._written(location)
        as_written = isinstance(written, str) and written.count("\n") == last - first  # no \n, no line joined by a \
        return replace(problem, line=first + line - 1) if line and as_written else problem

    def _written(self, location: Location) -> Any:
        value: Any = self.data
        for step in location:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):  # a missing key
                return None
        return value


def key_text(location: Location) -> str:
    """`rule[2].all[0].above`: as a person would name the place; counted from 1."""
    text = ""
    for step in location:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read(path: Path) -> Document:
    """Read a file. Raises ConfigurationError where it is missing, unreadable, too large, not UTF-8 or not TOML."""
    shown = str(path).encode(errors="replace").decode()  # a name in cp949 is no text
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise _failed(shown, None, "not-a-regular-file")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _failed(shown, None, "no-file") from None
    except OSError as error:
        raise _failed(shown, None, "unreadable", reason=error.strerror or type(error).__name__) from error
    if len(raw) > MAX_BYTES:
        raise _failed(shown, None, "too-large", limit=f"{MAX_BYTES // 1_000_000} MB")
    return parse(raw, shown)


def parse(raw: bytes, path: str) -> Document:
    """Bytes of a file → values and lines; `path` is only shown. Raises ConfigurationError."""
    try:
        text = raw.decode("utf-8-sig")  # Windows Notepad writes a byte order mark
    except UnicodeDecodeError as error:
        raise _failed(path, raw.count(b"\n", 0, error.start) + 1, "not-utf-8") from None
    text = text.replace("\r\n", "\n")
    if (line := _deep_line(text)) is not None:
        raise _failed(path, line, "key-too-deep", limit=str(MAX_STEPS))
    try:
        data = tomllib.loads(text)
        return Document(path, _frozen(data), *_places(text))
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        raise _failed(path, line, "not-toml", reason=_AT_LINE.sub("", str(error))) from None
    except ValueError as error:  # an integer of thousands of digits, which Python refuses to read
        raise _failed(path, None, "not-toml", reason=str(error).split(";", maxsplit=1)[0]) from None
    except RecursionError:
        raise _failed(path, None, "not-toml", reason="nested too deeply") from None


def _deep_line(text: str) -> int | None:
    """The first line with a key of too many steps."""
    if all(line.count(".") < MAX_STEPS for line in text.split("\n")):  # nearly always; a key stands in one line
        return None
    deep = next((token for token in _TOKEN.finditer(text) if token["deep"]), None)
    return None if deep is None else text.count("\n", 0, deep.start()) + 1


def _failed(path: str, line: int | None, code: str, **detail: str) -> ConfigurationError:
    return ConfigurationError([Problem(path, line, "", code, detail)])


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_frozen(inner) for inner in value)
    return value


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_toml.language()))


_Lines = dict[Location, int]
_Bodies = dict[Location, tuple[int, int]]


def _places(text: str) -> tuple[_Lines, _Bodies]:
    """Line of every key and array entry; of texts over several lines, where they begin and end.

    The text has passed tomllib, so the tree is whole.
    """
    lines: _Lines = {}
    bodies: _Bodies = {}
    counts: dict[Location, int] = {}  # elements seen so far of each [[array of tables]]
    for node in _parser().parse(text.encode()).root_node.named_children:
        if node.type == "pair":
            _note_pair(node, (), lines, bodies)
        elif node.type in ("table", "table_array_element"):
            header, *rest = node.named_children
            location = _absolute(_key(header), counts)
            if node.type == "table_array_element":
                index = counts[location] = counts.get(location, -1) + 1
                lines.setdefault(location, _line(node))
                location = (*location, index)
            _note(location, _line(node), lines)
            for pair in rest:
                if pair.type == "pair":
                    _note_pair(pair, location, lines, bodies)
    return lines, bodies


def _note_pair(pair: tree_sitter.Node, base: Location, lines: _Lines, bodies: _Bodies) -> None:
    key, value = (child for child in pair.named_children if child.type != "comment")
    location = (*base, *_key(key))
    _note(location, _line(pair), lines)
    _note_value(value, location, lines, bodies)


def _note_value(value: tree_sitter.Node, location: Location, lines: _Lines, bodies: _Bodies) -> None:
    inner = [child for child in value.named_children if child.type != "comment"]
    if value.type == "inline_table":
        for pair in inner:
            _note_pair(pair, location, lines, bodies)
    elif value.type == "array":
        for index, element in enumerate(inner):
            lines[(*location, index)] = _line(element)
            _note_value(element, (*location, index), lines, bodies)
    elif value.type == "string" and value.end_point.row > value.start_point.row:
        assert value.text is not None
        begins_below = value.text[3:4] == b"\n"  # TOML drops a line break right behind the quotes
        bodies[location] = (_line(value) + begins_below, int(value.end_point.row) + 1)


def _note(location: Location, line: int, lines: _Lines) -> None:
    """A dotted key also opens the tables on its way."""
    for length in range(1, len(location)):
        lines.setdefault(location[:length], line)
    lines[location] = line


def _absolute(key: tuple[str, ...], counts: Mapping[Location, int]) -> Location:
    """A header such as [rule.labels] speaks of the last [[rule]] so far."""
    location: Location = ()
    for step in key:
        if location in counts:
            location = (*location, counts[location])
        location = (*location, step)
    return location


def _key(node: tree_sitter.Node) -> tuple[str, ...]:
    """Quoted and dotted keys: tomllib knows how to read them, so let it."""
    assert node.text is not None
    text = node.text.decode()
    if node.type == "bare_key":  # nearly all of them
        return (text,)
    if '"' not in text and "'" not in text:
        return tuple(step.strip() for step in text.split("."))
    table: Any = tomllib.loads(f"{text} = 0")
    path: list[str] = []
    while isinstance(table, dict):
        ((step, table),) = table.items()
        path.append(step)
    return tuple(path)


def _line(node: tree_sitter.Node) -> int:
    return int(node.start_point.row) + 1
