"""What a replay prints: alerts, changes and sums as lines for people, and as JSON. Pure."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine import kst
from engine.alert import Alert, Suppression
from engine.delivery import message
from engine.delivery.message import Templates
from engine.delivery.notice import Notice
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.replay.against import Change, Comparison, Kind
from engine.rules.model import Rule
from engine.symbols.master import Master
from engine.text import clean

MAX_COUNTED = 50
"""Lines of counts that a terminal gets; a rule over the whole market has thousands of symbols."""

_WHY = {
    Suppression.SILENCE: Text("not sent: silenced", "보내지 않음: 알림 끔(silence)"),
    Suppression.COOLDOWN: Text("not sent: cooldown", "보내지 않음: 알림 간격(cooldown)"),
    Suppression.MAX_PER_DAY: Text("not sent: max_per_day", "보내지 않음: 하루 한도(max_per_day)"),
}
_SIGNS = {Kind.APPEARED: "+", Kind.GONE: "-", Kind.MOVED: "~", Kind.UNCHANGED: "="}
_KINDS = {
    Kind.APPEARED: Text("appeared", "생김"),
    Kind.GONE: Text("gone", "사라짐"),
    Kind.MOVED: Text("moved", "옮겨짐"),
    Kind.UNCHANGED: Text("unchanged", "그대로"),
}
_LATER = Text("{by} s later, from {before}", "{by}초 늦어짐, 전에는 {before}")
_EARLIER = Text("{by} s earlier, from {before}", "{by}초 빨라짐, 전에는 {before}")
_COUNTS = Text("alerts before → after:", "알림 건수(전 → 후):")
_TOTAL = Text("  total {before:,} → {after:,}: {kinds}", "  합계 {before:,} → {after:,}: {kinds}")
_COUNT = Text("  {rule} {symbol} {before:,} → {after:,}", "  {rule} {symbol} {before:,} → {after:,}")
_MORE = Text("  … and {count} more", "  … 외 {count}건")
_SUMMARY = Text(
    "{records:,} records, {alerts:,} alerts, {suppressed:,} suppressed, {malformed:,} malformed lines, {seconds:.1f} s",
    "레코드 {records:,}건, 알림 {alerts:,}건, 보내지 않은 알림 {suppressed:,}건, 불량 줄 {malformed:,}건,"
    " {seconds:.1f}초",
)

Told = Callable[[Alert], Notice]
"""An alert with the words of the rule that made it."""


def teller(rules: Sequence[Rule], master: Master, locale: Locale, templates: Templates) -> Told:
    by_name = {rule.name: rule for rule in rules}

    def told(alert: Alert) -> Notice:
        return message.notice(alert, by_name[alert.rule], master.name(alert.symbol), locale, templates)

    return told


def alert_line(alert: Alert, told: Told, locale: Locale) -> str:
    """Date and time, what happened, and whether nobody would have been told."""
    notice = told(alert)
    why = "" if alert.suppressed is None else f" ({_WHY[alert.suppressed].of(locale)})"
    return f"{_when(alert.at)} {notice.line or notice.title}{why}"


def change_line(change: Change, before: Told, after: Told, locale: Locale) -> str:
    """A sign and a word for what became of the alert, then the alert."""
    told = before if change.after is None else after
    assert change.kind is not None
    moved = f" ({_moved(change.before, change.after, locale)})" if change.before and change.after else ""
    by = moved if change.kind is Kind.MOVED else ""
    return f"{_SIGNS[change.kind]} {_KINDS[change.kind].of(locale)} {alert_line(change.alert, told, locale)}{by}"


def _moved(before: Alert, after: Alert, locale: Locale) -> str:
    form = _LATER if after.at > before.at else _EARLIER
    by = f"{abs(after.at - before.at) / SECOND_NS:.3f}".rstrip("0").rstrip(".")
    return form.of(locale).format(by=by, before=_when(before.at)[11:])


def change_json(change: Change, before: Told, after: Told) -> str:
    """`change`, what it is about, and the alerts whole: null where there is none."""
    alert = change.alert
    return _json(
        {
            "change": change.kind,
            "rule": alert.rule,
            "symbol": alert.symbol,
            "state": alert.state,
            "before": _alert_fields(change.before, before),
            "after": _alert_fields(change.after, after),
        }
    )


def _alert_fields(alert: Alert | None, told: Told) -> Any:
    return None if alert is None else json.loads(told(alert).to_json())


def _json(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def count_lines(found: Comparison, master: Master, locale: Locale) -> list[str]:
    """Before → after by rule and symbol, those that differ most first, and the sum."""
    keys = sorted({*found.before, *found.after}, key=lambda key: (-abs(found.after[key] - found.before[key]), key))
    lines = [_COUNTS.of(locale)]
    for rule, symbol in keys[:MAX_COUNTED]:
        counts = {"before": found.before[rule, symbol], "after": found.after[rule, symbol]}
        lines.append(_COUNT.of(locale).format(rule=clean(rule), symbol=clean(master.label(symbol)), **counts))
    if len(keys) > MAX_COUNTED:
        lines.append(_MORE.of(locale).format(count=len(keys) - MAX_COUNTED))
    kinds = ", ".join(f"{_KINDS[kind].of(locale)} {found.kinds[kind]:,}" for kind in Kind)
    total = _TOTAL.of(locale).format(before=found.before.total(), after=found.after.total(), kinds=kinds)
    return [*lines, total]


def summary(counts: Mapping[str, int], seconds: float, locale: Locale) -> str:
    """`counts`: records, alerts, suppressed, malformed."""
    return _SUMMARY.of(locale).format(**counts, seconds=seconds)


def _when(t: int) -> str:
    """`2026-11-20 09:05:30`"""
    return kst.iso(t)[:19].replace("T", " ")
