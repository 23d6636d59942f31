"""What `test` prints of a test: as data (its --json), then as lines for people. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.alert import Alert
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.ops import why
from engine.rule_tests.load import Expected, Trial
from engine.rule_tests.run import Look, Outcome
from engine.rules.model import Number, Rule
from engine.symbols.master import Master
from engine.text import clean
from engine.units import duration_text

_SIGNS = {True: "✓", False: "✗"}
_FAILED = Text("✗ {name} ({file}:{line})", "✗ {name} ({file}:{line})")
_EXPECTED = Text("  expected: {alert}", "  기대: {alert}")
_CAME = Text("  came:     {alert}", "  실제: {alert}")
_NOTHING = Text("nothing", "없음")
_AT = Text("  at {at}:", "  {at} 시점:")
_MORE = Text("  … and {count} more differences", "  … 외 차이 {count}건")
_SUMMARY = Text("{tests} tests: {passed} passed, {failed} failed", "테스트 {tests}개: 통과 {passed}, 실패 {failed}")
_INDENT = "    "


def of(outcome: Outcome, master: Master) -> dict[str, Any]:
    """Plain data; `at` are durations from the start, as in the file."""
    trial = outcome.trial
    return {
        "test": trial.name,
        "file": trial.file,
        "line": trial.line,
        "passed": outcome.passed,
        "trouble": outcome.trouble,
        "differences": [_difference_fields(look, outcome, master) for look in outcome.looks],
        "more": outcome.more,
    }


def _difference_fields(look: Look, outcome: Outcome, master: Master) -> dict[str, Any]:
    expected, came = look.difference.expected, look.difference.came
    return {
        "at": offset_text(look.at - outcome.start),
        "line": None if expected is None else expected.line,
        "expected": None if expected is None else _expected_fields(expected),
        "came": None if came is None else _came_fields(came, outcome.start),
        "then": None
        if look.explanation is None
        else why.of(
            look.explanation, _rule(outcome.trial, look.explanation.rule), master.name(look.explanation.symbol)
        ),
    }


def _rule(trial: Trial, name: str) -> Rule:
    return next(rule for rule in trial.rules if rule.name == name)


def _expected_fields(expected: Expected) -> dict[str, Any]:
    written = expected.written
    return {
        "at": offset_text(written.at),
        "rule": written.rule,
        "symbol": expected.symbol,
        "state": written.state,
        "repeat": written.repeat,
        "suppressed": written.suppressed,
        "values": dict(written.values),
    }


def _came_fields(came: Alert, start: int) -> dict[str, Any]:
    return {
        "at": offset_text(came.at - start),
        "rule": came.rule,
        "symbol": came.symbol,
        "state": came.state,
        "repeat": came.repeat,
        "suppressed": came.suppressed,
        "values": dict(came.values),
    }


def lines(found: Mapping[str, Any], locale: Locale) -> list[str]:
    """The data of `of`, for people: one line if it passed."""
    if found["passed"]:
        return [f"{_SIGNS[True]} {clean(found['test'])}"]
    head = _FAILED.of(locale).format(name=clean(found["test"]), file=found["file"], line=found["line"])
    body = [f"  {clean(found['trouble'], 500)}"] if found["trouble"] else []
    for difference in found["differences"]:
        body += _difference_lines(difference, locale)
    more = [_MORE.of(locale).format(count=found["more"])] if found["more"] else []
    return [head, *body, *more]


def _difference_lines(found: Mapping[str, Any], locale: Locale) -> Iterator[str]:
    yield _EXPECTED.of(locale).format(alert=_alert(found["expected"], locale))
    yield _CAME.of(locale).format(alert=_alert(found["came"], locale))
    if found["then"] is not None:
        yield _AT.of(locale).format(at=found["at"])
        yield from (_INDENT + line for line in why.lines(found["then"], locale))


def _alert(fields: Mapping[str, Any] | None, locale: Locale) -> str:
    """`5m30s semis-program-buying 005930 firing net_volume[5m]=750000`"""
    if fields is None:
        return _NOTHING.of(locale)
    parts = [fields["at"], clean(fields["rule"]), clean(fields["symbol"]), fields["state"]]
    parts += [f"repeat={fields['repeat']}"] if fields["repeat"] else []
    parts += [f"suppressed={fields['suppressed']}"] if fields["suppressed"] else []
    parts += [f"{key}={_value(value)}" for key, value in fields["values"].items()]
    return " ".join(parts)


def _value(value: Number | None) -> str:
    return "undefined" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def summary(outcomes: Sequence[Mapping[str, Any]], locale: Locale) -> str:
    passed = sum(outcome["passed"] for outcome in outcomes)
    return _SUMMARY.of(locale).format(tests=len(outcomes), passed=passed, failed=len(outcomes) - passed)


def offset_text(duration_ns: int) -> str:
    """`5m30s`, `5m30.25s`: to the microsecond, as an expectation is written."""
    seconds, rest = divmod(duration_ns, SECOND_NS)
    fraction = f"{rest // 1000:06d}".rstrip("0")
    whole = duration_text(seconds)
    if not fraction:
        return whole
    head = whole.removesuffix("s") if whole.endswith("s") else f"{whole}0"
    return f"{head}.{fraction}s"
