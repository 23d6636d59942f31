"""Words of the user's own: Jinja2, with little left of it. Pure.

A template may come from anybody who can write a rule file, and runs in the daemon beside everything else. So what is
allowed is listed, node by node, and all else is refused when the rules are loaded: no loops, calls or assignments, and
neither `*`, `**` nor `%`, with which a line of text becomes a gigabyte. What is left takes time in proportion to its
length. Jinja's own sandbox stands behind that as a second wall.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine import kst, text, units
from engine.alert import Alert, State
from engine.delivery import words
from engine.delivery.words import Stated
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.problems import nearest
from engine.rules.model import Condition, Group, Logic, Number, Operator, Rule

MAX_SOURCE = 4_096
"""Characters of a template: what it may give at most, so more of it says nothing."""
MAX_OUTPUT = 4_096
"""Bytes of UTF-8; chats take about as much in one message."""
MAX_DEPTH = 20
"""Of expressions in expressions. Python's own compiler gives up at about a hundred."""
MAX_FAULTS = 10
"""Of one template: to say what each may have meant takes its time."""
MAX_NUMBER = 10**18
"""As of a threshold. Python writes no number of more than 4,300 digits, and sixteen to a digit they can be read."""
_KEPT = 500
"""Compiled templates. One takes a millisecond to make again; ten thousand rules may have ten thousand."""

VARIABLES = frozenset(
    {
        "rule", "description", "symbol", "name", "stock", "severity", "sign", "state", "firing", "resolved", "repeat",
        "at", "since", "lasted", "record_time", "metric", "window", "operator", "value", "threshold", "threshold_to",
        "reset", "metric_text", "value_text", "threshold_text", "values", "labels", "title", "message",
    }
)  # fmt: skip
FILTERS = (
    "amount",
    "exact",
    "percent",
    "duration",
    "clock",
    "date",
    "abs",
    "round",
    "upper",
    "lower",
    "trim",
    "default",
)
TESTS = ("defined", "undefined", "none")
_TABLES = ("values", "labels")
"""The variables that have keys."""

_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.If, nodes.CondExpr, nodes.Filter,
    nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add,
    nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Concat, nodes.List, nodes.Tuple, nodes.Getattr, nodes.Getitem,
    nodes.Keyword,
)  # fmt: skip
_WRITTEN: Mapping[type[nodes.Node], str] = {
    nodes.For: "{% for %}", nodes.Macro: "{% macro %}", nodes.CallBlock: "{% call %}",
    nodes.FilterBlock: "{% filter %}", nodes.Assign: "{% set %}", nodes.AssignBlock: "{% set %}",
    nodes.With: "{% with %}", nodes.Block: "{% block %}", nodes.Extends: "{% extends %}",
    nodes.Include: "{% include %}", nodes.Import: "{% import %}", nodes.FromImport: "{% from %}",
    nodes.ScopedEvalContextModifier: "{% autoescape %}", nodes.Mul: "*", nodes.Pow: "**", nodes.Mod: "%",
    nodes.Call: "( )", nodes.Dict: "{ }", nodes.Slice: "[ : ]",
}  # fmt: skip
_FAILURES = (
    TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, NameError, RecursionError,
)  # fmt: skip
"""What an expression of a template can raise: it adds texts to numbers, divides by zero, rounds infinity.

NameError: Jinja writes an infinite constant as `inf` and does not know that afterwards."""
_COMPILING_FAILS = (*_FAILURES, SyntaxError, MemoryError)
"""Jinja writes Python and works out constants; MemoryError is what Python's parser says of too deep a nesting."""


class Fault(NamedTuple):
    """What is wrong with a template. `line` counts from 1 within its text; None: the whole of it."""

    code: str
    """Of the problem, see engine.problems."""
    line: int | None
    detail: Mapping[str, str]


class TemplateFailedError(Exception):
    """A template gave no text; the reason is for a log line."""


class _Faulty(Exception):  # noqa: N818  carries what was found; it is no error of ours
    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(faults[0].code)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Spoken:
    """What the built-in words say of an alert: a template may use the parts, or the whole with something added."""

    name: str
    """The stock's; empty if unknown."""
    stock: str
    """`삼성전자(005930)`; of a sum, its group or name, and over how many."""
    sign: str
    title: str
    message: str


def variables(alert: Alert, rule: Rule, stated: Stated, spoken: Spoken, locale: Locale) -> dict[str, object]:
    """Everything that a template may say of an alert. `stated` is the condition that best says what happened."""
    told = stated.condition
    values = dict(alert.values)
    low, *high = words.bounds(told)
    resolved = alert.state is State.RESOLVED
    return {
        "rule": text.unpinged(rule.name),
        "description": text.unpinged(rule.description),
        "symbol": text.unpinged(alert.symbol),
        "name": text.unpinged(spoken.name),
        "stock": spoken.stock,
        "severity": alert.severity.value,
        "sign": spoken.sign,
        "state": alert.state.value,
        "firing": not resolved,
        "resolved": resolved,
        "repeat": alert.repeat,
        "at": kst.iso(alert.at),
        "since": kst.iso(alert.since),
        "lasted": (alert.at - alert.since) // SECOND_NS,
        "record_time": _clock(alert.record_time) if alert.record_time else "",
        "metric": told.metric,
        "window": told.window or "",
        "operator": told.operator.value,
        "value": values.get(told.key),
        "threshold": low,
        "threshold_to": high[0] if high else None,
        "reset": told.reset,
        "metric_text": words.metric(told, locale),
        "value_text": words.value(told, values.get(told.key), locale),
        "threshold_text": words.limit(stated, locale),
        "values": MappingProxyType(values),
        "labels": MappingProxyType({key: text.unpinged(value) for key, value in alert.labels}),
        "title": spoken.title[:MAX_OUTPUT],
        "message": spoken.message[:MAX_OUTPUT],
    }


def render(source: str, given: Mapping[str, object], locale: Locale) -> str:
    """The words, cleaned and cut. Raises TemplateFailedError, whatever is wrong."""
    try:
        return _fit(_compiled(source, locale).render(given))
    except _Faulty as error:
        raise TemplateFailedError(error.faults[0].code) from None
    except _FAILURES as error:
        raise TemplateFailedError(_reason(error)) from error


def faults(source: str, rule: Rule | None = None) -> list[Fault]:
    """What is wrong with a template: as it is written, else when it is tried on made-up alerts.

    `rule`: whose alerts it will speak of; None, of any rule's, so that it can count on no label and no value.
    """
    locale = Locale.KO
    try:
        template = _compiled(source, locale)
        looks_up = any(name in source for name in _TABLES)  # few do, and parsing takes its time
        unknown = _first(_unknown_keys(_parsed(source, locale), rule)) if looks_up else []
    except _Faulty as error:
        return error.faults
    return unknown or _tried(template, rule or _ANY_RULE, locale)


def faults_as_written(source: str) -> list[Fault]:
    """What is wrong with it whatever it will speak of."""
    try:
        _compiled(source, Locale.KO)
    except _Faulty as error:
        return error.faults
    return []


def _tried(template: Template, rule: Rule, locale: Locale) -> list[Fault]:
    """The first sample that it fails on: the others would say the same again."""
    for sample in _samples(rule):
        told = Stated(next(rule.when.conditions()))
        spoken = Spoken("", sample.symbol, "⚠️", rule.name, rule.name)
        try:
            template.render(variables(sample, rule, told, spoken, locale))
        except _FAILURES as error:
            line = _line_of(error.__traceback__)
            undefined = any(value is None for _, value in sample.values)
            code = "template-fails-undefined" if undefined else "template-fails"
            return [Fault(code, line, {"reason": _reason(error), "state": sample.state})]
    return []


def _samples(rule: Rule) -> Iterator[Alert]:
    """Firing, repeated and resolved, with every value and with none."""
    known = {condition.key: words.bounds(condition)[0] + 1 for condition in rule.when.conditions()}
    nothing: dict[str, Number | None] = dict.fromkeys(known)
    for values in (known, nothing):
        for state, repeat in ((State.FIRING, 0), (State.FIRING, 1), (State.RESOLVED, 0)):
            yield Alert(
                id="sample",
                rule=rule.name,
                symbol=rule.aggregate or "005930",
                state=state,
                at=_SAMPLE_AT,
                since=_SAMPLE_AT - 30 * SECOND_NS,
                severity=rule.severity,
                values=tuple(values.items()),
                repeat=repeat,
                record_time="090529" if values is known else None,
                labels=rule.labels,
            )


_SAMPLE_AT = 1_795_133_130 * SECOND_NS
"""2026-11-20 09:05:30 KST."""
_ANY_RULE = Rule("r", ("005930",), Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 100_000),)))


@lru_cache(maxsize=_KEPT)
def _compiled(source: str, locale: Locale) -> Template:
    """Raises _Faulty for what is not allowed; nothing else gets as far as running."""
    tree = _parsed(source, locale)
    if found := _first(_forbidden(tree)):
        raise _Faulty(found)
    try:
        return _environment(locale).from_string(tree)
    except TemplateSyntaxError as error:
        raise _Faulty([_broken(error)]) from None
    except _COMPILING_FAILS as error:
        raise _Faulty([Fault("template-broken", None, {"reason": _reason(error)})]) from None


def _first(found: Iterator[Fault]) -> list[Fault]:
    return list(islice(found, MAX_FAULTS))


def _parsed(source: str, locale: Locale) -> nodes.Template:
    if len(source) > MAX_SOURCE:
        raise _Faulty([Fault("too-long", None, {"limit": str(MAX_SOURCE)})])
    try:
        return _environment(locale).parse(source)
    except TemplateSyntaxError as error:
        raise _Faulty([_broken(error)]) from None
    except RecursionError:
        raise _Faulty([_TOO_DEEP]) from None
    except _COMPILING_FAILS as error:
        raise _Faulty([Fault("template-broken", None, {"reason": _reason(error)})]) from None


_TOO_DEEP = Fault("template-broken", None, {"reason": "nested too deeply"})


def _broken(error: TemplateSyntaxError) -> Fault:
    return Fault("template-broken", error.lineno, {"reason": error.message or "?"})


def _forbidden(tree: nodes.Template) -> Iterator[Fault]:
    """Everything in it that is not on a list."""
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            yield _TOO_DEEP
            return
        if (fault := _fault_of(node)) is not None:
            yield fault
        elif not isinstance(node, nodes.Getattr | nodes.Getitem):  # what is inside of those has been looked at
            waiting += [(child, depth + 1) for child in reversed(list(node.iter_child_nodes()))]


def _fault_of(node: nodes.Node) -> Fault | None:
    if not isinstance(node, _ALLOWED):
        written = _WRITTEN.get(type(node), type(node).__name__)
        return Fault("template-forbidden", node.lineno, {"found": written})
    if isinstance(node, nodes.Name) and node.name not in VARIABLES:
        return _unknown("template-unknown-variable", node, node.name, VARIABLES)
    if isinstance(node, nodes.Name) and node.name in _TABLES:  # looked up in, it is not come by
        return Fault("template-needs-key", node.lineno, {"found": node.name})
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        return _unknown("template-unknown-filter", node, node.name, FILTERS)
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        return _unknown("template-unknown-test", node, node.name, TESTS)
    if isinstance(node, nodes.Getattr | nodes.Getitem) and _key(node) is None:
        return Fault("template-forbidden", node.lineno, {"found": _inside_of(node)})
    if isinstance(node, nodes.Const) and node.value == math.inf:
        return Fault("template-forbidden", node.lineno, {"found": "∞"})
    if isinstance(node, nodes.Const) and isinstance(node.value, int) and node.value > MAX_NUMBER:
        return Fault("too-large-a-number", node.lineno, {"limit": "10¹⁸"})
    return None


def _unknown(code: str, node: nodes.Node, found: str, known: Any) -> Fault:
    detail = {"found": found, "allowed": ", ".join(sorted(known)), "nearest": nearest(found, sorted(known))}
    return Fault(code, node.lineno, detail)


def _inside_of(node: nodes.Getattr | nodes.Getitem) -> str:
    return f".{node.attr}" if isinstance(node, nodes.Getattr) else "[ ]"


def _key(node: nodes.Node) -> tuple[str, str] | None:
    """`("labels", "team")` of `labels.team` and `labels["team"]`; nothing else can be looked into."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem) or not isinstance(node.node, nodes.Name):
        return None
    if node.node.name not in _TABLES:
        return None
    if isinstance(node, nodes.Getattr):
        return None if node.attr.startswith("_") else (node.node.name, node.attr)
    if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.node.name, node.arg.value
    return None


def _unknown_keys(tree: nodes.Template, rule: Rule | None) -> Iterator[Fault]:
    """Labels and values that the rule does not have, unless the template asks first whether it does."""
    known: dict[str, list[str]] = {"values": [], "labels": []}
    if rule is not None:
        known["values"] = list(dict.fromkeys(condition.key for condition in rule.when.conditions()))
        known["labels"] = [key for key, _ in rule.labels]
    asked = {_key(test.node) for test in tree.find_all(nodes.Test) if test.name in ("defined", "undefined")}
    asked |= {_key(each.node) for each in tree.find_all(nodes.Filter) if each.node and each.name == "default"}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        found = _key(node)
        if found is not None and found not in asked and found[1] not in known[found[0]]:
            yield _unknown_key(node, found, rule, known[found[0]])


def _unknown_key(node: nodes.Node, found: tuple[str, str], rule: Rule | None, known: list[str]) -> Fault:
    table, key = found
    asked = f"{table}.{key}" if key.isidentifier() else f'{table}["{key}"]'
    if rule is None:
        return Fault("template-unasked", node.lineno, {"found": key, "asked": asked})
    code = "template-unknown-label" if table == "labels" else "template-unknown-key"
    detail = {"rule": rule.name, "nearest": nearest(key, known), "known": ", ".join(known)}
    return Fault(code, node.lineno, {"found": key, "asked": asked, **detail})


class _Environment(ImmutableSandboxedEnvironment):
    """A key of a table is an item, never a method: `labels.items` is the label of that name."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and argument in obj:
            return obj[argument]
        return self.undefined(name=str(argument))


@cache
def _environment(locale: Locale) -> _Environment:
    environment = _Environment(
        autoescape=False,  # whoever sends escapes, for where it goes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=0,
        finalize=lambda value: words.UNDEFINED.of(locale) if value is None else value,
    )
    environment.globals.clear()
    builtin = {name: environment.filters[name] for name in ("abs", "default")}
    environment.filters = {**builtin, **_own_filters(locale)}
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


def _own_filters(locale: Locale) -> dict[str, Callable[..., Any]]:
    """Each takes "no value" as well, and says so: an undefined value must not cost the message."""

    def known(say: Callable[..., str]) -> Callable[..., str]:
        return lambda value, *more: words.UNDEFINED.of(locale) if value is None else say(value, *more)

    return {
        "amount": known(lambda value: units.amount_text(value, locale)),
        "exact": known(lambda value: f"{value:,}"),
        "percent": known(lambda value, digits=1: words.percent(value, _digits(digits))),
        "duration": known(lambda value: words.duration(int(value) * SECOND_NS, locale)),
        "clock": known(lambda value: _clock(value[11:19].replace(":", "") or value)),
        "date": known(lambda value: value[:10]),
        "round": known(lambda value, digits=0: _rounded(value, _digits(digits))),
        "upper": known(lambda value: _shown(value).upper()),
        "lower": known(lambda value: _shown(value).lower()),
        "trim": known(lambda value: _shown(value).strip()),
    }


def _shown(value: object) -> str:
    """No more than can come out: one filter after the other would go through all of it each time."""
    return str(value)[:MAX_OUTPUT]


def _rounded(value: Number, digits: int) -> Any:
    return round(value, digits) if digits else round(value)


def _digits(digits: object) -> int:
    """Python rounds to as many digits as one asks for, also to minus a billion, which takes all memory."""
    if not isinstance(digits, int) or not 0 <= digits <= 9:
        raise ValueError("digits must be 0 to 9")
    return digits


def _clock(hhmmss: str) -> str:
    return f"{hhmmss[:2]}:{hhmmss[2:4]}:{hhmmss[4:6]}"


def _fit(said: str) -> str:
    """Lines without control characters, calling nobody, at most `MAX_OUTPUT` bytes."""
    said = said[: MAX_OUTPUT + 1]  # one more, so that it is seen to be longer
    lines = (text.unpinged(line, MAX_OUTPUT) for line in said.split("\n"))
    whole = "\n".join(lines).strip()
    raw = whole.encode()
    if len(raw) <= MAX_OUTPUT:
        return whole
    mark = text.ELLIPSIS
    return raw[: MAX_OUTPUT - len(mark.encode())].decode(errors="ignore").rstrip() + mark


def _reason(error: BaseException) -> str:
    return text.clean(str(error) or type(error).__name__)


def _line_of(traceback: TracebackType | None) -> int | None:
    """Jinja gives its frames the lines of the template."""
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
