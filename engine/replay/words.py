"""What a replay prints: alerts, changes and sums as lines for people, and as JSON. Pure."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine import kst
from engine.alert import Alert, State
from engine.delivery import message
from engine.delivery.message import Templates
from engine.delivery.notice import Notice
from engine.delivery.words import NOT_SENT
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.replay.against import Change, Comparison, Kind, Said
from engine.rules.model import Rule
from engine.symbols.master import Master
from engine.text import clean

MAX_COUNTED = 50
"""Lines of counts that a terminal gets; a rule over the whole market has thousands of symbols."""

_SIGNS = {Kind.APPEARED: "+", Kind.GONE: "-", Kind.MOVED: "~", Kind.UNCHANGED: "="}
_KINDS = {
    Kind.APPEARED: Text("appeared", "생김"),
    Kind.GONE: Text("gone", "사라짐"),
    Kind.MOVED: Text("moved", "옮겨짐"),
    Kind.UNCHANGED: Text("unchanged", "그대로"),
}
_LATER = Text("{by} later", "{by} 늦어짐")
_EARLIER = Text("{by} earlier", "{by} 빨라짐")
_SECONDS = Text("{by} s", "{by}초")
_COUNTS = Text("alerts before → after:", "알림 건수(전 → 후):")
_TOTAL = Text("  total {counts}: {kinds}", "  합계 {counts}: {kinds}")
_RULE = Text("  {rule}: {counts}", "  {rule}: {counts}")
_SYMBOL = Text("    {symbol} {counts}", "    {symbol} {counts}")
_STATES = {
    State.FIRING: Text("firing {before:,} → {after:,}", "발생 {before:,} → {after:,}"),
    State.RESOLVED: Text("resolved {before:,} → {after:,}", "해제 {before:,} → {after:,}"),
}
_MORE = Text("  … and {count} more lines", "  … 외 {count}줄")
_SUMMARY = Text(
    "{records:,} records, {alerts:,} alerts, {suppressed:,} suppressed, {malformed:,} malformed lines, {seconds:.1f} s",
    "레코드 {records:,}건, 알림 {alerts:,}건, 보내지 않은 알림 {suppressed:,}건, 불량 줄 {malformed:,}건,"
    " {seconds:.1f}초",
)
_SUMMARY_OF_BOTH = Text(
    "{records:,} records, alerts {alerts}, suppressed {suppressed} (before → after), {malformed:,} malformed lines, "
    "{seconds:.1f} s",
    "레코드 {records:,}건, 알림 {alerts}건, 보내지 않은 알림 {suppressed}건(전 → 후), 불량 줄 {malformed:,}건, "
    "{seconds:.1f}초",
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
    return f"{_when(alert.at)} {notice.line or notice.title}{_why(alert, locale)}"


def _why(alert: Alert, locale: Locale) -> str:
    return "" if alert.suppressed is None else f" ({NOT_SENT[alert.suppressed].of(locale)})"


def change_line(change: Change, before: Told, after: Told, locale: Locale) -> str:
    """A sign and a word for what became of the alert, when each side told it, and what it said.

    No other time stands there: that of the record behind it would be taken for one of the two.
    """
    assert change.kind is not None
    alert, told = change.alert, before if change.after is None else after
    what = f"{told(alert).title} · {clean(alert.rule)}{_why(alert, locale)}"
    return f"{_SIGNS[change.kind]} {_KINDS[change.kind].of(locale)} {_times(change, locale)} {what}"


def _times(change: Change, locale: Locale) -> str:
    """`2026-11-20 09:00:01 → 09:00:31 (30 s later)`; one time where there is one."""
    if change.kind is not Kind.MOVED or change.before is None or change.after is None:
        return _when(change.alert.at)
    before, after = change.before.at, change.after.at
    form = _LATER if after > before else _EARLIER
    exact = f"{abs(after - before) / SECOND_NS:.3f}".rstrip("0").rstrip(".")
    by = form.of(locale).format(by=_SECONDS.of(locale).format(by=exact))
    day = "" if kst.day_number(before) == kst.day_number(after) else kst.iso(after)[:10] + " "
    return f"{kst.iso(before)[:10]} {_exact_clock(before)} → {day}{_exact_clock(after)} ({by})"


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
    """Before → after by rule and by its symbols, those that differ most first, and the sum."""
    lines: list[str] = []
    sums = _Sums(found)
    for rule in sums.ordered(sums.of_rules):
        lines.append(_RULE.of(locale).format(rule=clean(rule), counts=_counts(sums.of_rules[rule], locale)))
        for symbol in sums.ordered(sums.of_symbols[rule]):
            counts = _counts(sums.of_symbols[rule][symbol], locale)
            lines.append(_SYMBOL.of(locale).format(symbol=clean(master.label(symbol)), counts=counts))
    shown = lines[:MAX_COUNTED]
    more = [_MORE.of(locale).format(count=len(lines) - len(shown))] if len(lines) > len(shown) else []
    kinds = ", ".join(f"{_KINDS[kind].of(locale)} {found.kinds[kind]:,}" for kind in Kind)
    total = _TOTAL.of(locale).format(counts=_counts(sums.total, locale), kinds=kinds)
    return [_COUNTS.of(locale), *shown, *more, total]


_Sum = Counter[tuple[State, bool]]
"""How many alerts of a state; True: of the set after."""


class _Sums:
    def __init__(self, found: Comparison) -> None:
        self.total = _Sum()
        self.of_rules: dict[str, _Sum] = {}
        self.of_symbols: dict[str, dict[str, _Sum]] = {}
        for is_after, counts in ((False, found.before), (True, found.after)):
            for key, count in counts.items():
                of_symbols = self.of_symbols.setdefault(key.rule, {})
                of_rule = self.of_rules.setdefault(key.rule, _Sum())
                for each in (self.total, of_rule, of_symbols.setdefault(key.symbol, _Sum())):
                    each[key.state, is_after] += count

    @staticmethod
    def ordered(sums: Mapping[str, _Sum]) -> list[str]:
        """Those that differ most first, else by name."""
        return sorted(sums, key=lambda name: (-_difference(sums[name]), name))


def _difference(of: _Sum) -> int:
    return sum(abs(of[state, True] - of[state, False]) for state in State)


def _counts(of: _Sum, locale: Locale) -> str:
    """`firing 2 → 1, resolved 2 → 1`; resolved only where there are any."""
    shown = [state for state in State if state is State.FIRING or of[state, False] or of[state, True]]
    return ", ".join(
        _STATES[state].of(locale).format(before=of[state, False], after=of[state, True]) for state in shown
    )


def summary(records: int, said: Said, malformed: int, seconds: float, locale: Locale) -> str:
    counts = {"records": records, "alerts": said.sent, "suppressed": said.suppressed, "malformed": malformed}
    return _SUMMARY.of(locale).format(**counts, seconds=seconds)


def summary_of_both(records: int, sides: tuple[Said, Said], malformed: int, seconds: float, locale: Locale) -> str:
    """`sides`: what the rules before said, and those after."""
    before, after = sides
    return _SUMMARY_OF_BOTH.of(locale).format(
        records=records,
        alerts=f"{before.sent:,} → {after.sent:,}",
        suppressed=f"{before.suppressed:,} → {after.suppressed:,}",
        malformed=malformed,
        seconds=seconds,
    )


def _exact_clock(t: int) -> str:
    """`09:05:30`, `09:05:30.25`: to the millisecond, where two alerts may share a second."""
    return kst.iso(t)[11:23].rstrip("0").rstrip(".") if t % SECOND_NS // 1_000_000 else kst.iso(t)[11:19]


def _when(t: int) -> str:
    """`2026-11-20 09:05:30`"""
    return kst.iso(t)[:19].replace("T", " ")
