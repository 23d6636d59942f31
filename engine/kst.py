"""Korean time: a fixed offset, as there has been no daylight saving since 1988. All times are ns since the epoch."""

from datetime import date, datetime, timedelta, timezone

KST = timezone(timedelta(hours=9), "KST")
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
_OFFSET_NS = 9 * 3600 * SECOND_NS
_EPOCH = date(1970, 1, 1)


def day_number(t: int) -> int:
    """The KST date of `t`, as days since 1970-01-01."""
    return (t + _OFFSET_NS) // DAY_NS


def day_start(day: int) -> int:
    """KST midnight at which the date with this number begins."""
    return day * DAY_NS - _OFFSET_NS


def date_of(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def day_of(when: date) -> int:
    return (when - _EPOCH).days


def clock_time(t: int) -> str:
    """HHMMSS in KST."""
    seconds = (t + _OFFSET_NS) % DAY_NS // SECOND_NS
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def iso(t: int) -> str:
    """`2026-11-20T09:05:30.000000+09:00`: microseconds, truncated."""
    seconds, rest = divmod(t, SECOND_NS)
    return datetime.fromtimestamp(seconds, KST).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest // 1000:06d}+09:00"
