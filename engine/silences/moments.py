"""Until when a silence lasts, as a person says it on a command line. Pure; nanoseconds since the epoch."""

from datetime import date

from engine import kst, units
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.problems import WrongValueError
from engine.session import Hours
from engine.silences.document import moment_ns


class MomentError(ValueError):
    """It says no moment that is still to come."""

    def __init__(self, why: Text) -> None:
        super().__init__(why.en)
        self.why = why

    def text(self, locale: Locale) -> str:
        return self.why.of(locale)


def after(duration: str, now: int) -> int:
    """`2h` from now; rounded up to a second: what was asked for is the least one gets. Raises MomentError."""
    try:
        length = units.duration_ns(duration)
    except WrongValueError:
        raise MomentError(
            Text(
                f'"{duration}" is no duration; write 45s, 30m or 1h30m',
                f'"{duration}": 시간 길이가 아닙니다. 45s, 30m, 1h30m처럼 쓰세요',
            )
        ) from None
    if not length:
        raise MomentError(Text("a silence must be longer than 0 s", "무음은 0초보다 길어야 합니다"))
    return -(-(now + length) // SECOND_NS) * SECOND_NS


def at(text: str, now: int) -> int:
    """`15:00` today, or `2026-11-23T09:00`. Raises MomentError."""
    found = _moment(text, now)
    if found <= now:
        shown = kst.iso(found)[:16].replace("T", " ")
        raise MomentError(Text(f"{shown} KST is over already", f"{shown} KST는 이미 지났습니다"))
    return found


def at_the_close(hours: Hours, now: int) -> int:
    """Of today's session. Raises MomentError after it, and on a day without one."""
    day = kst.day_number(now)
    close = hours.session(day).close
    if not hours.is_trading_day(day):
        raise MomentError(_no_session(kst.date_of(day)))
    if now >= close:
        shown = kst.iso(close)[11:16]
        raise MomentError(Text(f"the session closed at {shown} KST today", f"오늘 장은 {shown} KST에 마감했습니다"))
    return close


def _no_session(day: date) -> Text:
    return Text(f"there is no session today ({day})", f"오늘({day})은 장이 열리지 않습니다")


def _moment(text: str, now: int) -> int:
    midnight = kst.day_start(kst.day_number(now))
    try:
        return midnight + units.time_of_day_ns(text) if len(text) == len("15:00") else moment_ns(text)
    except WrongValueError:
        raise MomentError(
            Text(
                f'"{text}" is no time; write 15:00 or 2026-11-23T09:00',
                f'"{text}": 시각이 아닙니다. 15:00 또는 2026-11-23T09:00처럼 쓰세요',
            )
        ) from None


def whole_second(t: int) -> int:
    """Rounded down, so that a silence is in force at once."""
    return t // SECOND_NS * SECOND_NS
