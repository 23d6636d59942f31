"""Rule files as the rule language's page reads, without a look at how the product loads them.

Codes, groups, `"*"`, `exclude`, `aggregate` and all that decides whether and when an alert fires; a file is taken to be
right, so nothing is checked. Durations and times of day are nanoseconds, thresholds exact numbers.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache, cached_property

SECOND = 1_000_000_000
UNITS = {"": 1, "만": 10**4, "억": 10**8, "조": 10**12}
CROSSINGS = ("crosses_above", "crosses_below")
OPERATORS = ("above", "at_least", "below", "at_most", "outside", "inside", *CROSSINGS)
LOGIC = ("all", "any", "none")

Exact = int | float | Fraction


@dataclass(frozen=True)
class Condition:
    metric: str
    window: str | None
    """As written."""
    operator: str
    threshold: Exact | tuple[Exact, Exact]
    reset: Exact | None

    @property
    def key(self) -> str:
        return self.metric if self.window is None else f"{self.metric}[{self.window}]"

    @property
    def is_crossing(self) -> bool:
        return self.operator in CROSSINGS

    @property
    def is_resting(self) -> bool:
        return "resting" in self.metric


@dataclass(frozen=True)
class Group:
    logic: str
    parts: tuple["Condition | Group", ...]


@dataclass(frozen=True)
class Subject:
    """What a rule is evaluated for: one symbol, or the sum of several."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    name: str
    subjects: tuple[Subject, ...]
    is_sum: bool
    tree: Group
    hold: int
    keep: int
    cooldown: int
    max_per_day: int | None
    repeat: int | None
    resolved: bool
    active: tuple[str, ...]
    severity: str
    labels: dict[str, str]

    @cached_property
    def conditions(self) -> list[Condition]:
        return list(conditions_of(self.tree))

    @cached_property
    def is_event(self) -> bool:
        return any(condition.is_crossing for condition in self.conditions)


def conditions_of(group: Group) -> Iterator[Condition]:
    """In written order."""
    for part in group.parts:
        if isinstance(part, Condition):
            yield part
        else:
            yield from conditions_of(part)


@cache
def duration(text: str) -> int:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    assert found, text
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (hours * 3600 + minutes * 60 + seconds) * SECOND


def number(given: str | float) -> Exact:
    """`-1.5조` → -1500000000000: what a trader writes is exact, also where it is a part of a 만."""
    if not isinstance(given, str):
        return given
    found = re.fullmatch(r"(-?[\d,_.]+)([만억조]?)[주원]?", given.replace(" ", ""))
    assert found, given
    return Fraction(Decimal(found[1].replace(",", ""))) * UNITS[found[2]]


def condition(table: dict[str, object]) -> Condition:
    operator = next(word for word in OPERATORS if word in table)
    given = table[operator]
    threshold = (number(given[0]), number(given[1])) if isinstance(given, list) else number(given)  # type: ignore[arg-type]  # TOML
    window = table.get("window")
    reset = table.get("reset")
    return Condition(
        metric=str(table["metric"]),
        window=None if window is None else str(window),
        operator=operator,
        threshold=threshold,
        reset=None if reset is None else number(reset),  # type: ignore[arg-type]  # TOML
    )


def tree(table: dict[str, object]) -> Group:
    """A table with one of `all`, `any`, `none`; one inline condition is an `all` of one."""
    for word in LOGIC:
        if word in table:
            entries = table[word]
            assert isinstance(entries, list)
            return Group(word, tuple(condition(entry) if "metric" in entry else tree(entry) for entry in entries))
    return Group("all", (condition(table),))


def spelled(names: list[str], groups: dict[str, list[str]], everyone: list[str]) -> list[str]:
    """Codes in written order, each once."""
    codes: list[str] = []
    for name in names:
        codes += everyone if name == "*" else groups[name[1:]] if name.startswith("@") else [name]
    return list(dict.fromkeys(codes))


def load(files: dict[str, str]) -> list[Rule]:
    """Every enabled rule of `{file name: text}`, in the order in which alerts of one evaluation stand."""
    documents = [tomllib.loads(files[name]) for name in sorted(files)]
    written = [
        (document.get("groups", {}), {**document.get("defaults", {}), **table})
        for document in documents
        for table in document.get("rule", [])
    ]
    tables = [(groups, table) for groups, table in written if table.get("enabled", True)]
    everyone = [code for groups, table in tables for code in spelled(table["symbols"], groups, [])]
    return [rule(table, groups, everyone) for groups, table in tables]


def rule(table: dict[str, object], groups: dict[str, list[str]], everyone: list[str]) -> Rule:
    given: dict[str, object] = {
        "exclude": [], "for": "0s", "keep_firing_for": "0s", "cooldown": "0s", "max_per_day": None, "repeat": None,
        "resolved": False, "active": ["open~close"], "severity": "warning", "labels": {}, "aggregate": None, **table,
    }  # fmt: skip
    symbols, exclude, active, labels = given["symbols"], given["exclude"], given["active"], given["labels"]
    assert isinstance(symbols, list)
    assert isinstance(exclude, list)
    assert isinstance(active, list)
    assert isinstance(labels, dict)
    gone = spelled(exclude, groups, everyone)
    codes = [code for code in spelled(symbols, groups, everyone) if code not in gone]
    is_sum = given["aggregate"] == "sum"
    if is_sum:
        is_one_group = len(symbols) == 1 and symbols[0].startswith("@")
        subjects: tuple[Subject, ...] = (Subject(symbols[0] if is_one_group else str(given["name"]), tuple(codes)),)
    else:
        subjects = tuple(Subject(code, (code,)) for code in codes)
    repeat, most = given["repeat"], given["max_per_day"]
    return Rule(
        name=str(given["name"]),
        subjects=subjects,
        is_sum=is_sum,
        tree=tree(table),
        hold=duration(str(given["for"])),
        keep=duration(str(given["keep_firing_for"])),
        cooldown=duration(str(given["cooldown"])),
        max_per_day=most if isinstance(most, int) else None,
        repeat=None if repeat is None else duration(str(repeat)),
        resolved=bool(given["resolved"]),
        active=tuple(active),
        severity=str(given["severity"]),
        labels=labels,
    )
