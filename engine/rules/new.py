"""A new rule as a file: from what somebody asked for to TOML text. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

import tomli_w

from engine import toml
from engine.errors import ConfigurationError
from engine.locale import Locale, Text
from engine.problems import Problem
from engine.rules.load import load_files
from engine.rules.model import Operator, Rule
from engine.rules.reader import World

_NOT_IN_A_NAME = re.compile(r"[^\w.-]+")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,12}", re.ASCII)
_NOTE = Text(
    "Keys and conditions: docs/rules.md. Whether all is well: pgmwatch check.",
    "키와 조건은 docs/rules.md, 검사는 pgmwatch check.",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rule of one condition, each value as it was typed; empty: left out."""

    name: str
    symbols: tuple[str, ...]
    metric: str
    operator: Operator
    threshold: tuple[str, ...]
    """Two for a range, else one."""
    window: str = ""
    reset: str = ""
    for_: str = ""
    cooldown: str = ""
    description: str = ""
    severity: str = ""
    notify: tuple[str, ...] = ()
    resolved: bool = False


def problem(wanted: Wanted, world: World, others: Sequence[Rule]) -> Problem | None:
    """The first thing that is wrong with it, beside the rules that there are. None: nothing is.

    Asked after each answer, with something right for what has not been answered yet.
    """
    named = [symbol for rule in others if rule.enabled for symbol in rule.symbols]
    taken = next((rule for rule in others if rule.name.strip() == wanted.name.strip()), None)
    if taken is not None:
        detail = {"found": wanted.name, "other": f"{taken.file}:{taken.line}"}
        return Problem("", None, "name", "rule-named-twice", detail)
    symbols = tuple(named[0] if symbol == "*" and named else symbol for symbol in wanted.symbols)
    written = text(replace(wanted, symbols=symbols), "-", Locale.EN)
    try:
        load_files((), world, toml.parse(written.encode(), "-"))
    except ConfigurationError as error:
        return error.problems[0]
    return None


def symbols_of(typed: Sequence[str]) -> tuple[str, ...]:
    """`"005930, SK하이닉스"` → each by itself."""
    return tuple(part.strip() for each in typed for part in each.split(",") if part.strip())


def file_name(rule: str) -> str:
    """`semis-buying.toml`: what a file system takes of a rule's name, and what the loader reads."""
    plain = _NOT_IN_A_NAME.sub("-", rule).strip("-._")
    return f"{plain or 'rule'}.toml"


def is_read(path: PurePath) -> bool:
    """Whether the loader looks at a file there, `path` being relative to the rules folder."""
    hidden = any(part.startswith(("_", ".")) for part in path.parts)
    return path.suffix == ".toml" and not hidden and "tests" not in path.parts[:-1]


def number(typed: str) -> Any:
    """`30000` and `0.3` as numbers; all else as text: "3만주" is the loader's to read or refuse."""
    if _INTEGER.fullmatch(typed):
        return int(typed)
    return float(typed) if _DECIMAL.fullmatch(typed) else typed


def table(wanted: Wanted) -> dict[str, Any]:
    """The keys of the rule, in the order in which they are read best."""
    numbers = [number(each) for each in wanted.threshold]
    threshold = numbers if wanted.operator.is_range else numbers[0]
    keys: dict[str, Any] = {
        "name": wanted.name,
        "description": wanted.description,
        "symbols": list(wanted.symbols),
        "metric": wanted.metric,
        "window": wanted.window,
        wanted.operator.value: threshold,
        "reset": number(wanted.reset) if wanted.reset else "",
        "for": wanted.for_,
        "cooldown": wanted.cooldown,
        "severity": wanted.severity,
        "notify": list(wanted.notify),
        "resolved": wanted.resolved or "",
    }
    always = ("name", "symbols", wanted.operator.value)
    return {key: value for key, value in keys.items() if key in always or value not in ("", [])}


def text(wanted: Wanted, schema: str, locale: Locale) -> str:
    """The whole file. `schema`: where its schema lies, relative to it."""
    lines = [f"{key} = {_value(value)}" for key, value in table(wanted).items()]
    return "\n".join([f"#:schema {schema}", f"# {_NOTE.of(locale)}", "", "[[rule]]", *lines, ""])


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return tomli_w.dumps({"k": value}).removeprefix("k = ").rstrip("\n")
