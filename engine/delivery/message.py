"""The words of a message: an alert into title and text, several notices into one message. Pure.

A trader reads these on a phone between two other things, so the first line says who and what, every value stands
beside its threshold, and nothing needs indentation or a fixed-width face: Telegram's HTML eats leading spaces.
The signs are not coloured circles, because red means *up* and blue *down* to a Korean trader.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine import kst, template, text
from engine.alert import Alert, State
from engine.delivery import words
from engine.delivery.notice import Notice
from engine.delivery.words import Stated
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.rules.model import Condition, Group, Logic, Number, Operator, Rule, Severity
from engine.template import Spoken, TemplateFailedError

MAX_CONDITION_LINES = 12
"""More do not fit on a phone; the first ones are those that the user wrote first."""
MAX_DIGEST_LINES = 30
"""About 3,000 characters: what Telegram takes in one message."""
MAX_TITLE = 120
"""What mail clients and phones show of a subject."""
MAX_RULE_IN_TITLE = 40
"""So that the words behind a long name are not cut off; the body has all of it."""
LATE_NS = 30 * SECOND_NS
"""From here on a message says how late it is."""

_SIGNS = {Severity.INFO: "ℹ️", Severity.WARNING: "⚠️", Severity.CRITICAL: "🚨"}
_RESOLVED_SIGN = "✅"
_BULLET = "· "

_RESOLVED = Text("resolved after {lasted}", "해제 ({lasted} 지속)")
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
    Logic.ALL: Text("all of:", "다음 모두:"),
    Logic.ANY: Text("at least one of:", "다음 중 하나 이상:"),
}
_JOINERS = {
    Logic.ALL: Text(" and ", " 그리고 "),
    Logic.ANY: Text(" or ", " 또는 "),
}

_AND_MORE_TITLE = Text("{title} · and {n} more", "{title} 외 {n}건")
_AND_MORE = Text("… and {n} more (pgmwatch alerts shows all)", "… 외 {n}건 (전체는 pgmwatch alerts)")
_LATE = Text("sent {late} late", "{late} 늦게 보냄")
_OLDEST_LATE = Text("oldest sent {late} late", "가장 오래된 알림은 {late} 늦게 보냄")
_MAY_REPEAT = Text("may repeat an earlier message", "앞선 메시지와 중복될 수 있음")
_SOME_REPEAT = Text("{n} of them may repeat an earlier message", "이 중 {n}건은 앞선 메시지와 중복될 수 있음")
_UNSENT = Text("not sent, too old: {n}", "오래되어 보내지 못한 알림: {n}건")
_ONLY_UNSENT = Text(
    "⚠️ pgmwatch · alerts that could not be sent in time: {n}", "⚠️ pgmwatch · 제때 보내지 못한 알림 {n}건"
)

Values = Mapping[str, Number | None]
"""An alert's values by key."""


class Due(NamedTuple):
    """A notice that is to be sent. `may_repeat`: an earlier attempt may have reached the reader."""

    notice: Notice
    may_repeat: bool = False


class Unsent(NamedTuple):
    """What was given up since the last delivery: all counted, the most urgent known."""

    total: int = 0
    named: tuple[Notice, ...] = ()
    may_repeat: bool = False
    """An earlier message may have told of it."""


class _Tree(NamedTuple):
    """A rule's conditions without `none`: each says itself whether it is so, and only `all` and `any` join them."""

    logic: Logic
    parts: "tuple[Stated | _Tree, ...]"


@dataclass(frozen=True, slots=True)
class Templates:
    """The user's own words for alerts of rules that have none of their own; empty: the built-in ones."""

    title: str = ""
    message: str = ""
    failed: Callable[[str, str, str], None] = lambda _rule, _key, _reason: None
    """Told of a template that gave no text: rule, `title` or `message`, reason. The alert goes out all the same."""


BUILT_IN = Templates()


def notice(alert: Alert, rule: Rule, name: str, locale: Locale, templates: Templates = BUILT_IN) -> Notice:
    """An alert with its words. `name` is the stock's name, empty if unknown; `rule` the one that made the alert."""
    spoken = _spoken(alert, rule, name, locale)
    title, message = _worded(alert, rule, spoken, locale, templates)
    told = headline(alert, rule)
    own_title = title != spoken.title
    return Notice(
        alert.id,
        alert.at,
        alert.severity,
        title,
        message,
        rule.notify,
        line=_line(title, alert, rule, locale, own_title=own_title),
        size=_size(told, dict(alert.values)),
        alert=alert,
        name=name,
        chart=rule.chart,
    )


def compose(alert: Alert, rule: Rule, name: str, locale: Locale, templates: Templates = BUILT_IN) -> tuple[str, str]:
    """Title (one line) and body (several) of one alert: the rule's own words, else `templates`, else the built-in."""
    return _worded(alert, rule, _spoken(alert, rule, name, locale), locale, templates)


def _spoken(alert: Alert, rule: Rule, name: str, locale: Locale) -> Spoken:
    """The built-in words."""
    body = [
        *_condition_lines(alert, rule.when, locale),
        " · ".join(_times(alert, locale)),
        _RULE.of(locale).format(name=text.unpinged(rule.name)),
        text.unpinged(rule.description),
    ]
    return Spoken(
        name,
        subject(alert, rule, name, locale),
        sign(alert.severity, resolved=alert.state is State.RESOLVED),
        _title(alert, rule, name, locale),
        "\n".join(line for line in body if line),
    )


def _worded(alert: Alert, rule: Rule, spoken: Spoken, locale: Locale, templates: Templates) -> tuple[str, str]:
    sources = {"title": rule.title or templates.title, "message": rule.message or templates.message}
    said = {"title": spoken.title, "message": spoken.message}
    if not any(sources.values()):  # nearly always
        return spoken.title, spoken.message
    given = template.variables(alert, rule, headline(alert, rule), spoken, locale)
    for key, source in sources.items():
        try:
            said[key] = template.render(source, given, locale) if source else said[key]
        except TemplateFailedError as error:
            templates.failed(rule.name, key, str(error))
    return text.clean(said["title"], MAX_TITLE) or spoken.title, said["message"]


def _line(title: str, alert: Alert, rule: Rule, locale: Locale, *, own_title: bool) -> str:
    """The title, and what a reader of one line needs besides: threshold, rule and time.

    Beside a title of the user's own no threshold: it may speak of something else.
    """
    time = _clock(alert.record_time or kst.clock_time(alert.at))
    if alert.state is State.RESOLVED:
        return f"{title} · {time}"
    told = headline(alert, rule)
    threshold = "" if own_title or _in_title(told) else f" ({words.limits([told], '', locale)})"
    return f"{title}{threshold} · {text.unpinged(rule.name)} {time}"


def sign(severity: Severity, *, resolved: bool = False) -> str:
    return _RESOLVED_SIGN if resolved else _SIGNS[severity]


def headline(alert: Alert, rule: Rule) -> Stated:
    """The condition that best says what happened.

    The first whose value is beyond its threshold; else the first that its reset may be holding; else one that is said
    not to be so. What stands in a group that is not met says nothing, as far as the values alone can tell.
    """
    values = dict(alert.values)
    telling = list(_telling(_stated(rule.when), values))
    return min(telling, key=lambda each: _rank(each, values))  # the first of equals


class Rendered(NamedTuple):
    """A message in plain text: its title, its body, and lines about the message itself."""

    title: str
    body: str
    remarks: tuple[str, ...]


def render(due: Sequence[Due], unsent: Unsent, now: int, locale: Locale) -> Rendered:
    """One message of everything that is due, as of `now`: a single notice whole, several as a line each.

    Where nothing is due, it tells of what was given up.
    """
    if not due:
        remarks = (_MAY_REPEAT.of(locale),) if unsent.may_repeat else ()
        names = "\n".join(_unsent_names(unsent, locale))
        return Rendered(_ONLY_UNSENT.of(locale).format(n=unsent.total), names, remarks)
    ordered = _ordered(due)
    title, lines = _whole(ordered[0].notice) if len(ordered) == 1 else _digest(ordered, locale)
    return Rendered(title, "\n".join(lines), (*_remarks(ordered, now, locale), *_unsent_lines(unsent, locale)))


def foremost(notices: Sequence[Notice]) -> Notice | None:
    """The one that a message of all these is headed by; None of none."""
    return _foremost(_ordered([Due(notice) for notice in notices])) if notices else None


def _foremost(ordered: Sequence[Due]) -> Notice:
    """The most urgent one; where all is over, the last, which says so."""
    first = ordered[0].notice
    return ordered[-1].notice if first.resolved or _is_over(first, _endings(ordered)) else first


def _ordered(due: Sequence[Due]) -> list[Due]:
    """What holds by its urgency, then what is over as it happened: a firing stands with the ending that came later."""
    endings = _endings(due)
    holds = [each for each in due if not _is_over(each.notice, endings)]
    over = [each for each in due if _is_over(each.notice, endings)]
    return sorted(holds, key=lambda each: each.notice.urgency) + sorted(over, key=lambda each: each.notice.at)


def _endings(due: Sequence[Due]) -> dict[tuple[str, str], int]:
    """When rule and symbol were last said to be over."""
    resolved = [each.notice.alert for each in due if each.notice.alert is not None and each.notice.resolved]
    return {(alert.rule, alert.symbol): alert.at for alert in sorted(resolved, key=lambda alert: alert.at)}


def _is_over(one: Notice, endings: Mapping[tuple[str, str], int]) -> bool:
    alert = one.alert
    return alert is not None and alert.at <= endings.get((alert.rule, alert.symbol), alert.at - 1)


def _whole(only: Notice) -> tuple[str, list[str]]:
    return only.title, [only.message] if only.message else []


def _digest(ordered: Sequence[Due], locale: Locale) -> tuple[str, list[str]]:
    title = _AND_MORE_TITLE.of(locale).format(title=_foremost(ordered).title, n=len(ordered) - 1)
    told = ordered[:MAX_DIGEST_LINES]
    lines = [line for each in told for line in _digest_lines(each.notice)]
    rest = len(ordered) - len(told)
    return title, [*lines, _AND_MORE.of(locale).format(n=rest)] if rest else lines


def _digest_lines(one: Notice) -> list[str]:
    """An alert in a line. What the daemon says of itself whole: its title alone does not say what is not seen."""
    whole = [f"  {line}" for line in one.message.splitlines()] if one.kind else []
    return [_digest_line(one), *whole]


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
    yield from _unsent_names(unsent, locale)


def _unsent_names(unsent: Unsent, locale: Locale) -> Iterator[str]:
    yield from (_BULLET + _digest_line(each) for each in unsent.named)
    rest = unsent.total - len(unsent.named)
    if rest and unsent.named:
        yield _AND_MORE.of(locale).format(n=rest)


def _title(alert: Alert, rule: Rule, name: str, locale: Locale) -> str:
    resolved = alert.state is State.RESOLVED
    told = _over(alert, rule, locale) if resolved else _what(headline(alert, rule), dict(alert.values), locale)
    repeat = _REPEAT.of(locale).format(n=alert.repeat) if alert.repeat else ""
    title = f"{sign(alert.severity, resolved=resolved)} {subject(alert, rule, name, locale)} {told}{repeat}"
    return text.clean(title, MAX_TITLE)


def _over(alert: Alert, rule: Rule, locale: Locale) -> str:
    """The rule, not a condition of it: the first one may still hold, and another have ended it."""
    over = _RESOLVED.of(locale).format(lasted=words.duration(alert.at - alert.since, locale))
    known = rule.aggregate is not None and alert.symbol == rule.name  # the subject has said it
    return over if known else f"{text.unpinged(rule.name, MAX_RULE_IN_TITLE)} {over}"


def _what(told: Stated, values: Values, locale: Locale) -> str:
    shown = words.value(told.condition, values.get(told.condition.key), locale)
    limit = f", {words.limit(told, locale)}" if _in_title(told) else ""
    return f"{words.metric(told.condition, locale)} {shown}{limit}"


def _in_title(told: Stated) -> bool:
    """Whether the value alone says nothing, or the opposite of what was meant."""
    return told.condition.operator.is_crossing or not told.so


def subject(alert: Alert, rule: Rule, name: str, locale: Locale) -> str:
    """Whom it tells of: `삼성전자(005930)`; for a summed rule its group or name, and over how many stocks."""
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
    lines = list(_tree_lines(_stated(when), dict(alert.values), locale, depth=0))
    if len(lines) <= MAX_CONDITION_LINES:
        return lines
    kept = lines[:MAX_CONDITION_LINES]
    return [*kept, _MORE_CONDITIONS.of(locale).format(n=len(lines) - len(kept))]


def _tree_lines(tree: _Tree, values: Values, locale: Locale, *, depth: int) -> Iterator[str]:
    """A line for each distinct value of the tree, then its branches, each under a head; bullets count the depth."""
    if depth or (tree.logic is not Logic.ALL and len(tree.parts) > 1):
        yield _BULLET * max(depth - 1, 0) + _HEADS[tree.logic].of(locale)
        depth = max(depth, 1)
    joiner = _JOINERS[tree.logic].of(locale)
    for key, several in _by_key(tree).items():
        shown = words.value(several[0].condition, values.get(key), locale)
        limits = words.limits(several, joiner, locale)
        measured = words.metric(several[0].condition, locale)
        yield f"{_BULLET * depth}{measured} {shown} ({words.THRESHOLD.of(locale)} {limits})"
    for part in tree.parts:
        if isinstance(part, _Tree):
            yield from _tree_lines(part, values, locale, depth=depth + 1)


def _by_key(tree: _Tree) -> dict[str, list[Stated]]:
    found: dict[str, list[Stated]] = {}
    for part in tree.parts:
        if isinstance(part, Stated):
            found.setdefault(part.condition.key, []).append(part)
    return found


def _stated(group: Group, *, so: bool = True) -> _Tree:
    """`group`, or its opposite: not (a and b) is told as "at least one of: not a, not b".

    A reader of a line inside "none of: all of:" would have to work that out. Groups that need no head are dissolved.
    """
    if group.logic is Logic.NONE:
        so = not so
    logic = Logic.ALL if (group.logic is Logic.ALL) == so else Logic.ANY
    parts: list[Stated | _Tree] = []
    for part in group.parts:
        told = Stated(part, so) if isinstance(part, Condition) else _stated(part, so=so)
        needless = isinstance(told, _Tree) and (told.logic is logic or len(told.parts) == 1)
        parts.extend(told.parts if isinstance(told, _Tree) and needless else [told])
    only = parts[0] if len(parts) == 1 else None
    return only if isinstance(only, _Tree) else _Tree(logic, tuple(parts))


def _telling(tree: _Tree, values: Values) -> Iterator[Stated]:
    parts = [part for part in tree.parts if tree.logic is Logic.ALL or _may_hold(part, values)]
    for part in parts or tree.parts:
        if isinstance(part, Stated):
            yield part
        else:
            yield from _telling(part, values)


def _may_hold(part: Stated | _Tree, values: Values) -> bool:
    if isinstance(part, Stated):
        return _rank(part, values) < _UNTOLD
    truths = [_may_hold(each, values) for each in part.parts]
    return all(truths) if part.logic is Logic.ALL else any(truths)


_UNTOLD = 3


def _rank(told: Stated, values: Values) -> int:
    """0: beyond its threshold; 1: not back at its reset; 2: rightly said not to be so; else `_UNTOLD`."""
    condition, number = told.condition, values.get(told.condition.key)
    beyond = _beyond(condition, number)
    if not told.so:
        return _UNTOLD if beyond or number is None else 2
    if beyond:
        return 0
    if condition.reset is None or condition.operator.is_crossing:
        return _UNTOLD
    return 1 if _beyond(replace(condition, threshold=condition.reset), number) else _UNTOLD


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


def _size(told: Stated, values: Values) -> float:
    """|value / threshold| with the smaller threshold of a range; 0 where that says nothing."""
    number = values.get(told.condition.key)
    least = min(abs(bound) for bound in words.bounds(told.condition))
    return abs(number / least) if told.so and number is not None and least else 0.0


def _clock(hhmmss: str) -> str:
    return f"{hhmmss[:2]}:{hhmmss[2:4]}:{hhmmss[4:6]}"
