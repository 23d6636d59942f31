"""A silence: a person's word that some alerts shall not be sent for a while."""

from dataclasses import dataclass

from engine.rules.model import Rule


@dataclass(frozen=True, slots=True)
class Silence:
    """In force for `start` ≤ now < `until`, nanoseconds since the epoch. What it names must all fit; None fits all."""

    start: int
    until: int
    rule: str | None = None
    symbol: str | None = None
    """As it stands in alerts: a code; of a summed rule its `@group` or its name."""
    labels: tuple[tuple[str, str], ...] = ()
    """Each of them must be among the rule's."""
    comment: str = ""

    def matches(self, rule: Rule, symbol: str) -> bool:
        """Whether it speaks of this rule on this symbol, at whatever time."""
        return self.rule in (None, rule.name) and self.symbol in (None, symbol) and set(self.labels) <= set(rule.labels)
