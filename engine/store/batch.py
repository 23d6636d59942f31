"""What is stored together, and what is found again after a restart. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from engine import kst
from engine.delivery.notice import Notice
from engine.delivery.parcel import Delivery
from engine.evaluation.standing import Standing

ENDED = "ended"
"""The state of a row of history that no alert made: a firing that ended without a word."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A firing that ended silently at `at`: with its date, with its rule, or because the rule fell asleep."""

    rule: str
    symbol: str
    at: int
    name: str = ""
    """The stock's name, as the stock master has it."""

    @property
    def id(self) -> str:
        """Of the same length and making as an alert's."""
        return blake2b(json.dumps([self.rule, self.symbol, ENDED, self.at]).encode(), digest_size=8).hexdigest()

    def to_json(self) -> str:
        """One line, as an alert's, with what an ending has."""
        fields = {
            "id": self.id,
            "rule": self.rule,
            "symbol": self.symbol,
            "name": self.name,
            "state": ENDED,
            "at": kst.iso(self.at),
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step of the evaluation came to. All of it is stored, or nothing."""

    mark: int
    """The time up to which is evaluated, with this batch; nanoseconds since the epoch."""
    notices: Sequence[Notice] = ()
    standings: Sequence[Standing] = ()
    """Those that changed, as of `mark`. A life that is not firing is kept as one at rest: what was pending starts anew
    after a restart."""
    endings: Sequence[Ending] = ()
    deliveries: Sequence[Delivery] = ()
    """Where notices of this batch, or of earlier ones, stand with their targets. The last of a pair counts."""
    checkpoint: str | None = None
    """The newest one as text; None: the one before stays."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of the time before the start."""

    mark: int | None
    """Of the last batch, of whatever day; None: nothing was ever stored."""
    checkpoint: str | None
    """The last one, of whatever day."""
    standings: tuple[Standing, ...]
    """Of the day that was asked for: what fires, and what was sent. Sorted by rule and symbol."""
    known: frozenset[str]
    """Ids of all that was stored with a time of that day or later."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the history: an alert, an ending, or a notice of the daemon itself."""

    seq: int
    """Counts up in the order of storing."""
    id: str
    at: int
    """Nanoseconds since the epoch."""
    rule: str | None
    """None, as `symbol`, for the daemon's own."""
    symbol: str | None
    state: str
    """`firing`, `resolved`, `ended`, or `system` for the daemon's own."""
    suppressed: str | None
    line: str
    """The whole as JSON, with its words."""
