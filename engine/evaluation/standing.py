"""Where a rule stands on a symbol, as a value to keep: what must outlive the process."""

from dataclasses import dataclass, replace

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

    def between(self, midnight: int, now: int) -> "Standing":
        """What of it belongs to the date that began at `midnight`: lives and counts end with their date.

        What a clock that was wrong put later than `now` is of now: a cooldown must not last until then.
        """
        life = _lived(self.life, now) if self.life.since >= midnight else REST
        tally = _counted(self.tally, now) if (self.tally.sent_at or 0) >= midnight else NOTHING_SENT
        return Standing(self.rule, self.symbol, self.fingerprint, life, tally)


def _lived(life: Life, now: int) -> Life:
    unmet_since, told_at = _by(life.unmet_since, now), _by(life.told_at, now)
    return replace(life, since=min(life.since, now), unmet_since=unmet_since, told_at=told_at)


def _counted(tally: Tally, now: int) -> Tally:
    return tally._replace(sent_at=_by(tally.sent_at, now))


def _by(moment: int | None, now: int) -> int | None:
    return None if moment is None else min(moment, now)
