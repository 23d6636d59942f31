"""Where a rule stands on a symbol, as a value to keep: what must outlive the process."""

from dataclasses import dataclass

from engine.evaluation.lifecycle import NOTHING_SENT, REST, Life, Tally

Key = tuple[str, str]
"""The names of a rule and of a symbol as it stands in alerts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One rule on one symbol."""

    rule: str
    symbol: str
    fingerprint: str
    """Of the rule that it belongs to (engine.evaluation.fingerprint)."""
    life: Life = REST
    tally: Tally = NOTHING_SENT

    @property
    def key(self) -> Key:
        return self.rule, self.symbol

    @property
    def is_at_rest(self) -> bool:
        """Nothing to tell: inactive, and nothing was sent today."""
        return self.life == REST and self.tally == NOTHING_SENT

    def since(self, midnight: int) -> "Standing":
        """What of it belongs to the date that began at `midnight`: lives and counts end with their date."""
        life = self.life if self.life.since >= midnight else REST
        tally = self.tally if (self.tally.sent_at or 0) >= midnight else NOTHING_SENT
        return Standing(self.rule, self.symbol, self.fingerprint, life, tally)
