"""Whether two rules decide alike: the same name for the same definition, in every process."""

import json
from collections.abc import Mapping
from hashlib import blake2b

from engine.rules.model import Condition, Group, Moment, Number, Rule, Span


def fingerprint(rule: Rule) -> str:
    """Of all that decides what a rule says of a symbol; what is only shown or chosen for sending has no part in it.

    Nor has the name, under which a rule is looked up anyway, nor the symbols: each stands for itself. A sum is over
    its members, so these do; their order does not.
    """
    decides = {
        "when": _group(rule.when),
        "sum": None if rule.aggregate is None else [rule.aggregate, sorted(rule.symbols)],
        "for": rule.for_ns,
        "keep_firing_for": rule.keep_firing_for_ns,
        "cooldown": rule.cooldown_ns,
        "max_per_day": rule.max_per_day,
        "repeat": rule.repeat_ns,
        "resolved": rule.resolved,
        "active": [_span(span) for span in rule.active],
    }
    canonical = json.dumps(decides, sort_keys=True, separators=(",", ":"))
    return blake2b(canonical.encode(), digest_size=16).hexdigest()


def _group(group: Group) -> Mapping[str, object]:
    return {
        group.logic.value: [_condition(part) if isinstance(part, Condition) else _group(part) for part in group.parts]
    }


def _condition(condition: Condition) -> list[object]:
    threshold = condition.threshold
    limits = [_plain(number) for number in (threshold if isinstance(threshold, tuple) else (threshold,))]
    reset = None if condition.reset is None else _plain(condition.reset)
    return [condition.key, condition.operator.value, limits, condition.window_ns, reset]


def _plain(number: Number) -> Number:
    """3 and 3.0 are the same threshold."""
    return int(number) if number == int(number) else number


def _span(span: Span) -> list[object]:
    return [*_moment(span.start), *_moment(span.end)]


def _moment(moment: Moment) -> tuple[str, int]:
    return moment.anchor.value, moment.offset_ns
