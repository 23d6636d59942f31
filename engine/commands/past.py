"""Since when and until when, as a person says it of what is past. Pure; nanoseconds since the epoch."""

import re

from engine import kst, units
from engine.kst import DAY_NS
from engine.locale import Text
from engine.problems import WrongValueError
from engine.silences.document import moment_ns
from engine.silences.moments import MomentError

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def since(text: str, now: int) -> int:
    """`09:30` today, `2026-11-20 09:30`, the midnight of `2026-11-20`, or `2h` ago. Raises MomentError."""
    found = _moment(text, now)
    if found > now:
        raise MomentError(Text(f'"{text}" is still to come', f'"{text}": 아직 오지 않은 시각입니다'))
    return found


def until(text: str, now: int) -> int:
    """As `since`, but a date means the end of it, and it may be to come. Raises MomentError."""
    return _moment(text, now) + (DAY_NS if _DAY.fullmatch(text) else 0)


def today(now: int) -> int:
    """Its midnight."""
    return kst.day_start(kst.day_number(now))


def _moment(text: str, now: int) -> int:
    try:
        if "-" not in text:
            is_clock = ":" in text
            return moment_ns(f"{kst.iso(now)[:10]} {text}") if is_clock else now - units.duration_ns(text)
        return moment_ns(f"{text} 00:00" if _DAY.fullmatch(text) else text)
    except WrongValueError:
        raise MomentError(
            Text(
                f'"{text}" is no time; write 09:30, 2026-11-20, 2026-11-20 09:30 or 2h (ago)',
                f'"{text}": 시각이 아닙니다. 09:30, 2026-11-20, 2026-11-20 09:30, 2h(전)처럼 쓰세요',
            )
        ) from None
