"""Text as users write quantities, to numbers and back: durations, a trader's 만·억·조, rates, sizes, times of day.

Everything here raises `WrongValueError` for text that does not fit, with the forms that would.
"""

import re
from datetime import timedelta
from decimal import Decimal

from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.problems import WrongValueError

_DURATION = re.compile(r"(?=[0-9])(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?", re.ASCII)
_AMOUNT = re.compile(r"([-+]?(?:[0-9]{1,18}|[0-9]{1,3}(?:,[0-9]{3}){1,5})(?:\.[0-9]{1,12})?) ?(만|억|조)? ?(주|원)?")
_RATE = re.compile(r"([1-9][0-9]{0,5})/(s|m|h)", re.ASCII)
_SIZE = re.compile(r"([1-9][0-9]{0,8})\s?(MB|GB|TB)", re.ASCII)
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)

DURATION_FORMS = "[0-9]{1,6}h([0-9]{1,6}m)?([0-9]{1,6}s)?|[0-9]{1,6}m([0-9]{1,6}s)?|[0-9]{1,6}s"
DURATION_PATTERN = f"^({DURATION_FORMS})$"
AMOUNT_PATTERN = r"^\s*[-+]?([0-9]{1,18}|[0-9]{1,3}(,[0-9]{3}){1,5})(\.[0-9]{1,12})? ?(만|억|조)? ?(주|원)?\s*$"
RATE_PATTERN = "^[1-9][0-9]{0,5}/[smh]$"
SIZE_PATTERN = r"^[1-9][0-9]{0,8}\s?(MB|GB|TB)$"
TIME_OF_DAY_FORMS = "([01][0-9]|2[0-3]):[0-5][0-9]|24:00"
HOURS_PATTERN = rf"^\s*({TIME_OF_DAY_FORMS})\s*~\s*({TIME_OF_DAY_FORMS})\s*$"
"""For editors: the same forms without look-ahead, which their regular expressions do not have."""

_SCALES = {"만": 10**4, "억": 10**8, "조": 10**12}
_RATE_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SIZE_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def duration_ns(text: str) -> int:
    """`"45s"`, `"5m"`, `"1h30m"` → nanoseconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise WrongValueError("not-a-duration", found=text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return (hours * 3600 + minutes * 60 + seconds) * SECOND_NS


def duration(text: str) -> timedelta:
    return timedelta(seconds=duration_ns(text) // SECOND_NS)


def duration_text(seconds: float) -> str:
    """Back again: `5400` → `"1h30m"`; what is under a second shows as `0s`."""
    whole = int(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def amount(text: str) -> tuple[int | float, str]:
    """`"3만주"` → (30000, "주"), `"-1.5조"` → (-1500000000000, ""): a number, exact where whole, and its unit."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise WrongValueError("not-an-amount", found=text)
    digits, scale, unit = match.groups()
    exact = Decimal(digits.replace(",", "")) * _SCALES.get(scale, 1)
    return (int(exact) if exact == exact.to_integral_value() else float(exact)), unit or ""


def amount_text(number: float, locale: Locale) -> str:
    """A number as a trader reads it: at most two units in Korean (`12억 3,457만`), K·M·B·T in English."""
    sign, size = ("-" if number < 0 else ""), abs(number)
    if size < 10_000:
        return f"{sign}{size:,.0f}" if float(size).is_integer() else f"{sign}{size:,.2f}"
    if locale is Locale.EN:
        for unit, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
            if round(size / scale, 2) >= 1:  # 999,999,999 is 1B, and not 1,000M
                return f"{sign}{size / scale:,.2f}".rstrip("0").rstrip(".") + unit
    return sign + _korean(int(size))


def _korean(size: int) -> str:
    """Two neighbouring units say enough: nobody trades on the last won of 12조."""
    for upper, lower, scale in (("조", "억", 10**8), ("억", "만", 10**4), ("만", "", 1)):
        if size >= scale * 10_000:
            high, low = divmod(size // scale, 10_000)
            return f"{high:,}{upper}" + (f" {low:,}{lower}" if low else "")
    return f"{size:,}"


def rate(text: str) -> timedelta:
    """`"20/m"` → the least time between two messages that keeps to it on average."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise WrongValueError("not-a-rate", found=text)
    return timedelta(seconds=_RATE_SECONDS[match[2]]) / int(match[1])


def size_bytes(text: str) -> int:
    """`"20GB"` → bytes (powers of ten)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise WrongValueError("not-a-size", found=text)
    return int(match[1]) * _SIZE_BYTES[match[2]]


def time_of_day_ns(text: str) -> int:
    """`"09:05"` → nanoseconds since KST midnight; `"24:00"` is the end of the day."""
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None:
        raise WrongValueError("not-a-time", found=text)
    hour, minute = (int(part) for part in text.split(":"))
    return (hour * 60 + minute) * 60 * SECOND_NS


def hours_ns(text: str) -> tuple[int, int]:
    """`"10:00~16:30"` → nanoseconds since KST midnight of both ends."""
    start, tilde, end = text.partition("~")
    if not tilde:
        raise WrongValueError("not-hours", found=text)
    span = time_of_day_ns(start.strip()), time_of_day_ns(end.strip())
    if span[0] >= span[1]:
        raise WrongValueError("empty-hours", found=text)
    return span
