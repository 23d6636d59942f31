"""Which records are records: a dropped one is counted, evaluates nothing and ends no blindness."""

import re
from enum import StrEnum

from engine.evaluation.series import Series
from engine.kst import SECOND_NS, clock_time, day_number
from engine.record import Record

_HHMMSS = re.compile(r"(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]")

_AHEAD_NS = 60 * SECOND_NS
"""How far the exchange's clock may be ahead of ours before a record's time counts as nonsense."""

_END_OF_DAY = "240000"


class Drop(StrEnum):
    UNKNOWN_SYMBOL = "unknown_symbol"
    BAD_TIME = "bad_time"
    """No HHMMSS of a day."""
    EARLY = "early"
    """More than 60 s ahead of the time of receipt, in KST."""
    OUT_OF_ORDER = "out_of_order"
    """Earlier than the symbol's last record of the day."""


def latest_time(t: int) -> str:
    """The last HHMMSS that a record received at `t` may have. Such texts compare as the times they stand for."""
    ahead = t + _AHEAD_NS
    return clock_time(ahead) if day_number(ahead) == day_number(t) else _END_OF_DAY


def refusal(record: Record, series: Series, limit: str) -> Drop | None:
    """Why the record is dropped; None: it is the next one of its symbol. `limit`: from `latest_time`."""
    time = record.time
    before = series.latest
    if before is not None and time == before.time:
        return None  # was good a moment ago, and `limit` never falls within a date
    if _HHMMSS.fullmatch(time) is None:
        return Drop.BAD_TIME
    if time > limit:
        return Drop.EARLY
    if before is not None and time < before.time:
        return Drop.OUT_OF_ORDER
    return None
