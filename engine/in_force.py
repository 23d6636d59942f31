"""The rules in force, and since when. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from engine.plan import Plan
from engine.rules.model import Rule


class InForce:
    """What the daemon works by: the plan that was read last and was right."""

    def __init__(self, plan: Plan, now: int) -> None:
        self.plan = plan
        self.read_at = now
        """When this set was read."""
        self.rules: Mapping[str, Rule] = {rule.name: rule for rule in plan.rules}
        """By name, disabled ones among them."""
        self.since: Mapping[str, int] = dict.fromkeys(self.rules, now)
        """When each came into force as it is."""

    def take(self, plan: Plan, now: int) -> None:
        """Another set; a rule that says the same as before stands since then."""
        before, since = self.rules, self.since
        self.plan, self.read_at = plan, now
        self.rules = {rule.name: rule for rule in plan.rules}
        self.since = {
            name: since[name] if name in before and _content(before[name]) == _content(rule) else now
            for name, rule in self.rules.items()
        }


def _content(rule: Rule) -> Rule:
    """What a rule says, wherever it stands."""
    return replace(rule, file="", line=0)
