"""A moment as users write it: KST, unless they say otherwise. Pure."""

from datetime import datetime

from engine.kst import KST, SECOND_NS, day_of, day_start
from engine.problems import WrongValueError
from engine.validation import shown

YEARS = range(2000, 2100)
"""Beyond these somebody mistyped, and calendars know nothing."""


def moment_ns(value: object) -> int:
    """`"2026-11-20T09:10:00"` or a TOML date-time → nanoseconds since the epoch. Raises WrongValueError."""
    found = value
    if isinstance(value, str) and len(value) > len("2026-11-20"):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
    if not isinstance(found, datetime) or found.year not in YEARS:
        raise WrongValueError("not-a-moment", found=shown(value)[:80])
    local = found.replace(tzinfo=KST) if found.tzinfo is None else found.astimezone(KST)
    seconds = (local.hour * 60 + local.minute) * 60 + local.second
    return day_start(day_of(local.date())) + seconds * SECOND_NS + local.microsecond * 1000
