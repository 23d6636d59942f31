"""What is allowed but can hardly be meant: a rule that can never speak, or speaks to nobody. Pure."""

from collections.abc import Iterator, Sequence

from engine.problems import Problem
from engine.rules.model import RATIO_METRICS, Condition, Operator, Rule
from engine.symbols.master import Master

_UPWARD = (Operator.ABOVE, Operator.CROSSES_ABOVE)
_DOWNWARD = (Operator.BELOW, Operator.CROSSES_BELOW)


_MAX_CODES = 10
"""That one doubt names; a rule may name thousands that an old master does not have."""


def doubts(rules: Sequence[Rule], master: Master) -> list[Problem]:
    """One for each doubtful place in rules that are switched on; none of them keeps the rules from running."""
    enabled = [rule for rule in rules if rule.enabled]
    if not enabled:
        return [Problem("", None, "", "nothing-to-watch")]
    found = [doubt for rule in enabled for doubt in _of_rule(rule)]
    return [*found, *_unknown_codes(enabled, master)]


def _of_rule(rule: Rule) -> Iterator[Problem]:
    if not rule.notify:
        yield Problem(rule.file, rule.line, rule.name, "tells-nobody")
    for condition in rule.when.conditions():
        if condition.metric in RATIO_METRICS and _is_out_of_reach(condition):
            found = {"metric": condition.metric, "operator": condition.operator.value}
            yield Problem(rule.file, rule.line, rule.name, "out-of-reach", found)


def _unknown_codes(rules: Sequence[Rule], master: Master) -> Iterator[Problem]:
    """Each code once, at the first rule that has it. The built-in list is too short to doubt anything by."""
    if master.loaded is None:
        return
    seen: set[str] = set()
    for rule in rules:
        unknown = [code for code in rule.symbols if code not in master and code not in seen]
        seen.update(unknown)
        if unknown:
            codes = ", ".join(unknown[:_MAX_CODES]) + (" …" if len(unknown) > _MAX_CODES else "")
            detail = {"codes": codes, "loaded": master.loaded.isoformat()}
            yield Problem(rule.file, rule.line, rule.name, "unknown-code", detail)


def _is_out_of_reach(condition: Condition) -> bool:
    """A ratio lies in [−1, 1]; 30 is what somebody writes who means 30 %."""
    threshold = condition.threshold
    if isinstance(threshold, tuple):
        low, high = threshold
        return (low > 1 or high < -1) if condition.operator is Operator.INSIDE else (low <= -1 and high >= 1)
    if condition.operator in _UPWARD:
        return threshold >= 1
    if condition.operator in _DOWNWARD:
        return threshold <= -1
    return threshold > 1 if condition.operator is Operator.AT_LEAST else threshold < -1
