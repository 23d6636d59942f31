"""What was expected against what came. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.alert import Alert
from engine.rule_tests.load import Expected
from engine.rules.model import Number

RATIO_DIGITS = 4
"""To which a ratio is compared: as many as people write, and as many as a message shows."""
_MICROSECOND_NS = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """One of the two may be missing: what was expected did not come, or what came was not expected."""

    expected: Expected | None
    came: Alert | None


def differences(expected: Sequence[Expected], alerts: Sequence[Alert], start: int) -> list[Difference]:
    """Empty where every expectation has its alert and every alert its expectation; in the order of time.

    What is left on both sides is put side by side where rule and symbol are the same: first what came at the expected
    moment, then in order.
    """
    missing, surplus = _unmatched(expected, alerts, start)
    found: list[Difference] = []
    for at_its_moment in (True, False):
        for each in list(missing):
            came = next((alert for alert in surplus if _beside(each, alert, start, at_its_moment=at_its_moment)), None)
            if came is not None:
                missing.remove(each)
                surplus.remove(came)
                found.append(Difference(each, came))
    found += [Difference(each, None) for each in missing]
    found += [Difference(None, alert) for alert in surplus]
    return sorted(found, key=lambda each: moment(each, start))


def moment(difference: Difference, start: int) -> int:
    """When to look at what stood where: the expected time, or that of the alert nobody expected."""
    if difference.expected is not None:
        return start + difference.expected.written.at
    assert difference.came is not None
    return difference.came.at


def _unmatched(expected: Sequence[Expected], alerts: Sequence[Alert], start: int) -> tuple[list[Expected], list[Alert]]:
    by_key: dict[object, list[Alert]] = {}
    for alert in alerts:
        by_key.setdefault(_key(alert, start), []).append(alert)
    missing: list[Expected] = []
    for each in expected:
        candidates = by_key.get(_expected_key(each), [])
        came = next((alert for alert in candidates if same_values(each.written.values, dict(alert.values))), None)
        if came is None:
            missing.append(each)
        else:
            candidates.remove(came)
    left = {id(alert) for candidates in by_key.values() for alert in candidates}
    return missing, [alert for alert in alerts if id(alert) in left]


def _key(alert: Alert, start: int) -> object:
    at = (alert.at - start) // _MICROSECOND_NS
    return at, alert.rule, alert.symbol, alert.state, alert.repeat, alert.suppressed


def _expected_key(expected: Expected) -> object:
    written = expected.written
    at = written.at // _MICROSECOND_NS
    return at, written.rule, expected.symbol, written.state, written.repeat, written.suppressed


def _beside(expected: Expected, alert: Alert, start: int, *, at_its_moment: bool) -> bool:
    if (expected.written.rule, expected.symbol) != (alert.rule, alert.symbol):
        return False
    return not at_its_moment or (alert.at - start) // _MICROSECOND_NS == expected.written.at // _MICROSECOND_NS


def same_values(expected: Mapping[str, Number | None], came: Mapping[str, Number | None]) -> bool:
    """Those that are expected; others do not count."""
    return all(_same(value, came.get(key)) for key, value in expected.items())


def _same(expected: Number | None, came: Number | None) -> bool:
    if expected is None or came is None:
        return expected is came
    if isinstance(came, int):
        return expected == came
    return round(expected, RATIO_DIGITS) == round(came, RATIO_DIGITS)
