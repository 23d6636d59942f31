"""An alert: what the evaluation found, and what is stored, sent and shown of it."""

from dataclasses import dataclass
from enum import StrEnum

from engine.rules.model import Number, Severity


class State(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Suppression(StrEnum):
    """Why a firing is kept in history but not sent; looked at in this order."""

    SILENCE = "silence"
    COOLDOWN = "cooldown"
    MAX_PER_DAY = "max_per_day"


@dataclass(frozen=True, slots=True)
class Alert:
    """One firing, repeat or resolution of one rule on one symbol. Times are nanoseconds since the epoch."""

    id: str
    """A function of rule, symbol, state, the evaluation and `repeat` only: two engines over one stream agree on it."""
    rule: str
    symbol: str
    """A code; for a summed rule `@group` or the rule's name."""
    state: State
    at: int
    """The evaluation's time."""
    since: int
    """When it became pending; for an event rule the same as `at`."""
    severity: Severity
    values: tuple[tuple[str, Number | None], ...]
    """One entry per distinct condition in written order: its key, and its value or None where undefined."""
    repeat: int = 0
    suppressed: Suppression | None = None
    record_time: str | None = None
    """HHMMSS of the symbol's last record, as the exchange stamped it."""
    labels: tuple[tuple[str, str], ...] = ()
