"""The words of a message: an alert into title and text, several notices into one message. Pure.

A trader reads these on a phone between two other things, so the first line says who and what, every value stands
beside its threshold, and nothing needs indentation or a fixed-width face: Telegram's HTML eats leading spaces.
The signs are not coloured circles, because red means *up* and blue *down* to a Korean trader.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from engine import kst, text
from engine.alert import Alert, State
from engine.delivery import words
from engine.delivery.notice import Notice
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.rules.model import Condition, Group, Logic, Number, Operator, Rule, Severity

MAX_CONDITION_LINES = 12
"""More do not fit on a phone; the first ones are those that the user wrote first."""
MAX_DIGEST_LINES = 20
"""About 2,000 characters: half of what Telegram takes in one message."""
MAX_TITLE = 120
"""What mail clients and phones show of a subject."""
LATE_NS = 30 * SECOND_NS
"""From here on a message says how late it is."""

_SIGNS = {Severity.INFO: "ℹ️", Severity.WARNING: "⚠️", Severity.CRITICAL: "🚨"}
_RESOLVED_SIGN = "✅"
_BULLET = "· "

_RESOLVED = Text("{measured} resolved after {lasted}", "{measured} 해제 ({lasted} 지속)")
_REPEAT = Text(" · repeat {n}", " · 반복 {n}회")
_HELD = Text("held for {lasted}", "{lasted} 동안 지속")
_LASTED = Text("from {start} to {end} KST", "{start} ~ {end} KST")
_RECORD = Text("record of {time} KST", "체결 {time} KST")
_EVALUATED = Text("evaluated {time} KST", "판정 {time} KST")
_RULE = Text("rule: {name}", "규칙: {name}")
_GROUP = Text("group {name}", "{name} 그룹")
_SUM = Text("{name}, sum of {n} stocks", "{name} {n}종목 합계")
_MORE_CONDITIONS = Text("and {n} more conditions", "조건 {n}개 더")
_HEADS = {
    Logic.ALL: Text("all of:", "모두 충족:"),
    Logic.ANY: Text("at least one of:", "하나 이상 충족:"),
    Logic.NONE: Text("none of:", "모두 미충족:"),
}
_JOINERS = {
    Logic.ALL: Text(" and ", " 그리고 "),
    Logic.ANY: Text(" or ", " 또는 "),
    Logic.NONE: Text(" or ", " 또는 "),
}

_AND_MORE_TITLE = Text("{title} · and {n} more", "{title} 외 {n}건")
_AND_MORE = Text("… and {n} more", "… 외 {n}건")
_LATE = Text("sent {late} late", "{late} 늦게 보냄")
_OLDEST_LATE = Text("oldest sent {late} late", "가장 오래된 알림은 {late} 늦게 보냄")
_MAY_REPEAT = Text("may repeat an earlier message", "앞선 메시지와 중복될 수 있음")
_SOME_REPEAT = Text("{n} of them may repeat an earlier message", "이 중 {n}건은 앞선 메시지와 중복될 수 있음")
_UNSENT = Text("not sent, too old: {n}", "오래되어 보내지 못한 알림: {n}건")


class Due(NamedTuple):
    """A notice that is to be sent. `may_repeat`: an earlier attempt may have reached the reader."""

    notice: Notice
    may_repeat: bool = False


class Unsent(NamedTuple):
    """What was given up since the last delivery: all counted, the last few known."""

    total: int = 0
    latest: tuple[Notice, ...] = ()


def notice(alert: Alert, rule: Rule, name: str, locale: Locale) -> Notice:
    """An alert with its words. `name` is the stock's name, empty if unknown; `rule` the one that made the alert."""
    title, message = compose(alert, rule, name, locale)
    told = headline(alert, rule)
    return Notice(
        alert.id,
        alert.at,
        alert.severity,
        title,
        message,
        rule.notify,
        line=_line(title, alert, rule, locale),
        size=_size(told, dict(alert.values).get(told.key)),
        alert=alert,
        name=name,
    )


def compose(alert: Alert, rule: Rule, name: str, locale: Locale) -> tuple[str, str]:
    """Title (one line) and body (several) of one alert."""
    body = [
        *_condition_lines(alert, rule.when, locale),
        " · ".join(_times(alert, locale)),
        _RULE.of(locale).format(name=text.unpinged(rule.name)),
        text.unpinged(rule.description),
    ]
    return _title(alert, rule, name, locale), "\n".join(line for line in body if line)


def _line(title: str, alert: Alert, rule: Rule, locale: Locale) -> str:
    """The title, and what a reader of one line needs besides: threshold, rule and time."""
    told = headline(alert, rule)
    silent = alert.state is State.RESOLVED or told.operator.is_crossing
    threshold = "" if silent else f" ({words.limit(told, locale)})"
    time = _clock(alert.record_time or kst.clock_time(alert.at))
    return f"{title}{threshold} · {text.unpinged(rule.name)} {time}"


def sign(severity: Severity, *, resolved: bool = False) -> str:
    return _RESOLVED_SIGN if resolved else _SIGNS[severity]


def headline(alert: Alert, rule: Rule) -> Condition:
    """The condition that best says what happened: the first whose value is beyond its threshold, not under `none`."""
    values = dict(alert.values)
    telling = list(_telling(rule.when)) or list(rule.when.conditions())
    return next((each for each in telling if _beyond(each, values.get(each.key))), telling[0])


def render(due: Sequence[Due], unsent: Unsent, now: int, locale: Locale) -> tuple[str, str]:
    """One message of everything that is due, as of `now`: a single notice whole, several as a line each."""
    ordered = sorted(due, key=lambda each: each.notice.urgency)
    title, lines = _whole(ordered[0].notice) if len(ordered) == 1 else _digest(ordered, locale)
    return title, "\n".join([*lines, *_remarks(ordered, now, locale), *_unsent_lines(unsent, locale)])


def _whole(only: Notice) -> tuple[str, list[str]]:
    return only.title, [only.message] if only.message else []


def _digest(ordered: Sequence[Due], locale: Locale) -> tuple[str, list[str]]:
    first = ordered[0].notice
    title = _AND_MORE_TITLE.of(locale).format(title=first.title, n=len(ordered) - 1)
    lines = [_digest_line(each.notice) for each in ordered[:MAX_DIGEST_LINES]]
    rest = len(ordered) - len(lines)
    return title, [*lines, _AND_MORE.of(locale).format(n=rest)] if rest else lines


def _digest_line(one: Notice) -> str:
    return one.line or one.title


def _remarks(due: Sequence[Due], now: int, locale: Locale) -> Iterator[str]:
    late = now - min(each.notice.at for each in due)
    if late > LATE_NS:
        yield (_LATE if len(due) == 1 else _OLDEST_LATE).of(locale).format(late=words.duration(late, locale))
    repeats = sum(each.may_repeat for each in due)
    if repeats:
        yield (_MAY_REPEAT if repeats == len(due) else _SOME_REPEAT).of(locale).format(n=repeats)


def _unsent_lines(unsent: Unsent, locale: Locale) -> Iterator[str]:
    if not unsent.total:
        return
    yield _UNSENT.of(locale).format(n=unsent.total)
    yield from (_BULLET + _digest_line(each) for each in unsent.latest)
    rest = unsent.total - len(unsent.latest)
    if rest and unsent.latest:
        yield _AND_MORE.of(locale).format(n=rest)


def _title(alert: Alert, rule: Rule, name: str, locale: Locale) -> str:
    resolved, told = alert.state is State.RESOLVED, headline(alert, rule)
    if resolved:
        lasted = words.duration(alert.at - alert.since, locale)
        what = _RESOLVED.of(locale).format(measured=words.metric(told, locale), lasted=lasted)
    else:
        what = _what(told, dict(alert.values), locale)
    repeat = _REPEAT.of(locale).format(n=alert.repeat) if alert.repeat else ""
    title = f"{sign(alert.severity, resolved=resolved)} {_subject(alert, rule, name, locale)} {what}{repeat}"
    return text.clean(title, MAX_TITLE)


def _what(condition: Condition, values: Mapping[str, Number | None], locale: Locale) -> str:
    shown = words.value(condition, values.get(condition.key), locale)
    crossing = f", {words.limit(condition, locale)}" if condition.operator.is_crossing else ""
    return f"{words.metric(condition, locale)} {shown}{crossing}"


def _subject(alert: Alert, rule: Rule, name: str, locale: Locale) -> str:
    """`삼성전자(005930)`; for a summed rule its group or name, and over how many stocks."""
    symbol = text.unpinged(alert.symbol, 80)
    if rule.aggregate is None:
        return f"{text.unpinged(name, 40)}({symbol})" if name else symbol
    group = alert.symbol.removeprefix("@")
    shown = _GROUP.of(locale).format(name=text.unpinged(group, 80)) if group != alert.symbol else symbol
    return _SUM.of(locale).format(name=shown, n=len(rule.symbols))


def _times(alert: Alert, locale: Locale) -> Iterator[str]:
    if alert.state is State.RESOLVED:
        start, end = _clock(kst.clock_time(alert.since)), _clock(kst.clock_time(alert.at))
        yield _LASTED.of(locale).format(start=start, end=end)
    elif alert.at - alert.since >= SECOND_NS:
        yield _HELD.of(locale).format(lasted=words.duration(alert.at - alert.since, locale))
    if alert.record_time is not None:
        yield _RECORD.of(locale).format(time=_clock(alert.record_time))
    else:
        yield _EVALUATED.of(locale).format(time=_clock(kst.clock_time(alert.at)))


def _condition_lines(alert: Alert, when: Group, locale: Locale) -> list[str]:
    lines = list(_group_lines(when, dict(alert.values), locale, depth=0))
    if len(lines) <= MAX_CONDITION_LINES:
        return lines
    kept = lines[:MAX_CONDITION_LINES]
    return [*kept, _MORE_CONDITIONS.of(locale).format(n=len(lines) - len(kept))]


def _group_lines(group: Group, values: Mapping[str, Number | None], locale: Locale, *, depth: int) -> Iterator[str]:
    """A line for each distinct value of the group, then its groups, each under a head; bullets count the depth."""
    plain = group.logic is not Logic.NONE and len(group.parts) == 1
    if not plain and (depth or group.logic is not Logic.ALL):
        yield _BULLET * max(depth - 1, 0) + _HEADS[group.logic].of(locale)
        depth = max(depth, 1)
    joiner = _JOINERS[group.logic].of(locale)
    for key, conditions in _by_key(group).items():
        shown = words.value(conditions[0], values.get(key), locale)
        limits = words.limits(conditions, joiner, locale)
        measured = words.metric(conditions[0], locale)
        yield f"{_BULLET * depth}{measured} {shown} ({words.THRESHOLD.of(locale)} {limits})"
    for part in group.parts:
        if isinstance(part, Group):
            yield from _group_lines(part, values, locale, depth=depth + 1)


def _by_key(group: Group) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for part in group.parts:
        if isinstance(part, Condition):
            found.setdefault(part.key, []).append(part)
    return found


def _telling(group: Group) -> Iterator[Condition]:
    if group.logic is Logic.NONE:
        return
    for part in group.parts:
        if isinstance(part, Condition):
            yield part
        else:
            yield from _telling(part)


def _beyond(condition: Condition, number: Number | None) -> bool:
    """Whether the value alone meets the condition; a held reset or the moment of a crossing cannot be seen in it."""
    if number is None:
        return False
    low, high = words.bounds(condition)[0], words.bounds(condition)[-1]
    match condition.operator:
        case Operator.ABOVE | Operator.CROSSES_ABOVE:
            return number > low
        case Operator.AT_LEAST:
            return number >= low
        case Operator.BELOW | Operator.CROSSES_BELOW:
            return number < low
        case Operator.AT_MOST:
            return number <= low
        case Operator.OUTSIDE:
            return not low <= number <= high
        case Operator.INSIDE:
            return low <= number <= high


def _size(condition: Condition, number: Number | None) -> float:
    """|value / threshold| with the smaller threshold of a range; 0 where that says nothing."""
    least = min(abs(bound) for bound in words.bounds(condition))
    return abs(number / least) if number is not None and least else 0.0


def _clock(hhmmss: str) -> str:
    return f"{hhmmss[:2]}:{hhmmss[2:4]}:{hhmmss[4:6]}"
