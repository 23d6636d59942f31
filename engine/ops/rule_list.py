"""What `rules list` shows: the rules in force, since when, and what they do today. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine import kst
from engine.evaluation.lifecycle import Phase
from engine.evaluation.standing import Standing
from engine.evaluation.watch import Snapshot
from engine.locale import Locale, Text
from engine.rules.model import Rule
from engine.text import clean

_READ = Text("{count} rules, read {read_at}", "규칙 {count}개, {read_at}에 읽음")
_RULE = Text(
    "  {name}: {symbols} symbols, since {since}; pending {pending}, firing {firing}, sent today {sent} ({file}:{line})",
    "  {name}: 종목 {symbols}개, {since}부터; 대기 {pending}, 발생 {firing}, 오늘 보냄 {sent} ({file}:{line})",
)
_OFF = Text("  {name}: switched off ({file}:{line})", "  {name}: 꺼짐 ({file}:{line})")
_REFUSED = Text(
    "the files as they are now are not in force, for these errors:",
    "지금 파일은 다음 오류 때문에 적용되지 않았습니다:",
)


def of(
    rules: Iterable[Rule],
    *,
    since: Mapping[str, int],
    read_at: int,
    active: Iterable[Snapshot],
    standings: Iterable[Standing],
    refused: Sequence[str],
) -> dict[str, Any]:
    """`active`: where rules are pending or firing; `refused`: what is wrong with the files as they are now."""
    phases = Counter((each.rule, each.phase) for each in active)
    sent: Counter[str] = Counter()
    for standing in standings:
        sent[standing.rule] += standing.tally.sent
    return {
        "read_at": kst.iso(read_at),
        "refused": list(refused),
        "rules": [
            {
                "name": rule.name,
                "file": rule.file,
                "line": rule.line,
                "enabled": rule.enabled,
                "since": kst.iso(since[rule.name]),
                "symbols": len(rule.symbols),
                "severity": rule.severity,
                "notify": list(rule.notify),
                "pending": phases[rule.name, Phase.PENDING],
                "firing": phases[rule.name, Phase.FIRING],
                "sent_today": sent[rule.name],
            }
            for rule in rules
        ],
    }


def lines(found: Mapping[str, Any], locale: Locale) -> list[str]:
    """`of`, for people."""
    read_at = _time(found["read_at"])
    shown = [_READ.of(locale).format(count=len(found["rules"]), read_at=read_at)]
    for rule in found["rules"]:
        form = _RULE if rule["enabled"] else _OFF
        fields = {**rule, "name": clean(rule["name"]), "since": _time(rule["since"]), "sent": rule["sent_today"]}
        shown.append(form.of(locale).format_map(fields))
    if found["refused"]:
        shown += [_REFUSED.of(locale), *(f"  {clean(each)}" for each in found["refused"])]
    return shown


def _time(iso: str) -> str:
    """With the date: a daemon runs for months."""
    return f"{iso[:10]} {iso[11:19]}"
