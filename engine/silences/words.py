"""What the silence commands show: as data (their --json) and as lines in the user's language. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from engine import kst
from engine.delivery.words import duration
from engine.kst import DAY_NS, SECOND_NS
from engine.locale import Locale, Text
from engine.problems import DID_YOU_MEAN, nearest
from engine.rules.model import Rule
from engine.silences.file import Entry
from engine.silences.model import Silence
from engine.symbols.master import Master
from engine.text import clean

LONG_NS = 90 * DAY_NS
"""Who silences for longer has mistyped a year, or wants the rule switched off."""

_EVERYTHING = Text("everything", "모든 알림")
_RULE = Text('rule "{name}"', '규칙 "{name}"')
_LABEL = Text("label {key}={value}", "라벨 {key}={value}")
_IN_FORCE = Text("until {until} KST ({left} left)", "{until} KST까지 ({left} 남음)")
_TO_COME = Text("from {start} until {until} KST", "{start}부터 {until} KST까지")
_OVER = Text("over since {until} KST", "{until} KST에 끝남")
_ADDED = Text("silenced: {line}", "무음 설정: {line}")
_REMOVED = Text("no longer silenced: {line}", "무음 해제: {line}")
_NONE = Text("no silences", "무음이 없습니다")
_UNKNOWN = Text('no silence has the id "{ident}"', '"{ident}" 무음이 없습니다')
_NONE_OF_RULE = Text('no silence names the rule "{rule}"', '규칙 "{rule}"의 무음이 없습니다')
_FITS_NOTHING = Text(
    "fits no rule and symbol that is watched now; it is kept all the same",
    "지금 감시 중인 규칙과 종목 중 맞는 것이 없습니다. 그래도 저장했습니다",
)
_LONG = Text(
    "lasts {days} days; is that meant? To end it: pgmwatch silence remove {ident}",
    "{days}일 동안 이어집니다. 의도한 것이 아니면 pgmwatch silence remove {ident}로 해제하세요",
)
_RULES_UNREADABLE = Text(
    "the rules have mistakes (pgmwatch check), so nobody can say whether it fits one",
    "규칙에 오류가 있어(pgmwatch check) 맞는 규칙이 있는지 확인하지 못했습니다",
)


def state(silence: Silence, now: int) -> str:
    """`active`, `pending` (not begun) or `expired`."""
    if now >= silence.until:
        return "expired"
    return "active" if now >= silence.start else "pending"


def of_entry(entry: Entry, now: int) -> dict[str, Any]:
    said = entry.silence
    return {
        "id": entry.id,
        "state": state(said, now),
        "rule": said.rule,
        "symbol": said.symbol,
        "labels": dict(said.labels),
        "all": not (said.rule or said.symbol or said.labels),
        "from": kst.iso(said.start),
        "until": kst.iso(said.until),
        "comment": said.comment,
    }


def line(entry: Entry, master: Master, now: int, locale: Locale) -> str:
    """`3f2a1c  until 15:30 KST (2 h left)  삼성전자(005930)  # why`."""
    said = entry.silence
    comment = f"# {clean(said.comment)}" if said.comment else ""
    parts = (entry.id, _when(said, now, locale), _what(said, master, locale), comment)
    return "  ".join(part for part in parts if part)


def added(entry: Entry, master: Master, now: int, locale: Locale) -> str:
    return _ADDED.of(locale).format(line=line(entry, master, now, locale))


def removed(entry: Entry, master: Master, now: int, locale: Locale) -> str:
    return _REMOVED.of(locale).format(line=line(entry, master, now, locale))


def none(locale: Locale) -> str:
    return _NONE.of(locale)


def unknown(ident: str, locale: Locale) -> str:
    return _UNKNOWN.of(locale).format(ident=clean(ident))


def none_of_rule(rule: str, locale: Locale) -> str:
    return _NONE_OF_RULE.of(locale).format(rule=clean(rule))


def fits(silence: Silence, rules: Iterable[Rule]) -> bool:
    """Whether it speaks of anything that is watched."""
    return any(
        silence.matches(rule, symbol)
        for rule in rules
        if rule.enabled
        for symbol in (rule.symbols if rule.aggregate is None else (rule.aggregate,))
    )


def doubts(entry: Entry, rules: Sequence[Rule] | None, now: int, locale: Locale) -> list[str]:
    """What makes one wonder whether it was meant so. `rules` None: they cannot be read."""
    days = (entry.silence.until - now) // DAY_NS
    too_long = entry.silence.until - now > LONG_NS
    long = _LONG.of(locale).format(days=f"{days:,}", ident=entry.id) if too_long else ""
    return list(filter(None, (_doubt_of_fit(entry.silence, rules, locale), long)))


def _doubt_of_fit(silence: Silence, rules: Sequence[Rule] | None, locale: Locale) -> str:
    if rules is None:
        return _RULES_UNREADABLE.of(locale)
    if fits(silence, rules):
        return ""
    names = [rule.name for rule in rules]
    meant = nearest(silence.rule, names) if silence.rule is not None and silence.rule not in names else ""
    hint = DID_YOU_MEAN.of(locale).format(nearest=clean(meant)) if meant else ""
    return _FITS_NOTHING.of(locale) + hint


def _what(said: Silence, master: Master, locale: Locale) -> str:
    named = [_RULE.of(locale).format(name=clean(said.rule))] if said.rule is not None else []
    if said.symbol is not None:
        named.append(clean(master.label(said.symbol)))
    named += [_LABEL.of(locale).format(key=clean(key), value=clean(value)) for key, value in said.labels]
    return ", ".join(named) or _EVERYTHING.of(locale)


def _when(said: Silence, now: int, locale: Locale) -> str:
    now_is = state(said, now)
    start, until = _shown(said.start, now), _shown(said.until, now)
    if now_is == "active":
        # Rounded down: one that was made for a minute ends with a whole second, and "1 min 1 s" is not what was asked.
        left = duration(max(said.until - now, SECOND_NS), locale)
        return _IN_FORCE.of(locale).format(until=until, left=left)
    return (_TO_COME if now_is == "pending" else _OVER).of(locale).format(start=start, until=until)


def _shown(t: int, now: int) -> str:
    """`15:30`, or with its date where that is another; seconds where there are any."""
    date, time = kst.iso(t)[:10], kst.iso(t)[11:19].removesuffix(":00")
    return time if kst.day_number(t) == kst.day_number(now) else f"{date} {time}"
