"""Why a rule says nothing of a symbol: as data (the daemon's answer, --json), then as lines for people. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engine import kst, units
from engine.delivery import words
from engine.delivery.words import Stated
from engine.evaluation.explanation import ConditionNow, Explanation, Reason
from engine.kst import day_number, day_start
from engine.locale import Locale, Text
from engine.problems import DID_YOU_MEAN, nearest
from engine.rules.model import Condition, Logic, Operator, Rule
from engine.symbols.master import Master
from engine.text import clean

_HEAD = Text("{rule} · {symbol} · as of {at} KST", "{rule} · {symbol} · {at} KST 기준")
_REASONS = {
    Reason.ASLEEP: Text("silent: the rule sleeps (active)", "조용한 이유: 규칙이 쉬는 시간입니다(active)"),
    Reason.NO_RECORD: Text("silent: no record of the symbol today", "조용한 이유: 오늘 이 종목의 데이터가 없습니다"),
    Reason.BLIND: Text(
        "silent: its data is lost since {blind} and nothing has come since",
        "조용한 이유: {blind}부터 데이터가 끊겼고 그 뒤로 받은 것이 없습니다",
    ),
    Reason.UNDEFINED: Text(
        "silent: a value is not known yet, and without it the conditions are not met",
        "조용한 이유: 아직 알 수 없는 값이 있고, 그 값 없이는 조건이 성립하지 않습니다",
    ),
    Reason.NOT_MET: Text("silent: the conditions are not met", "조용한 이유: 조건이 성립하지 않습니다"),
    Reason.NO_CROSSING: Text(
        "silent: nothing crosses at this moment; all else is met",
        "조용한 이유: 지금은 돌파가 없습니다. 나머지 조건은 성립합니다",
    ),
    Reason.PENDING: Text("silent: it has not held for long enough", "조용한 이유: 아직 지속 시간(for)이 모자랍니다"),
    Reason.SILENCE: Text("silent: silenced by the user", "조용한 이유: 사용자가 알림을 꺼 두었습니다(silence)"),
    Reason.COOLDOWN: Text(
        "silent: the last message is too recent (cooldown)", "조용한 이유: 마지막 알림 뒤 간격이 짧습니다(cooldown)"
    ),
    Reason.MAX_PER_DAY: Text(
        "silent: all messages of the day are sent (max_per_day)",
        "조용한 이유: 하루 알림 한도를 다 썼습니다(max_per_day)",
    ),
    Reason.TOLD: Text(
        "it has spoken, and says nothing new until it repeats or is over",
        "이미 알렸고, 반복 시각이 되거나 끝날 때까지 새로 알릴 것이 없습니다",
    ),
}
_SPEAKS = Text("nothing keeps it silent: it speaks", "조용할 이유가 없습니다. 알립니다")
_UNTIL = Text("{reason}; until {until} at the earliest", "{reason}. 빨라야 {until} 이후")
_ALSO_SILENCED = Text("a silence is in force until {until}", "무음 적용 중: {until}까지")
_PHASES = {
    "inactive": Text("state: inactive", "상태: 비활성"),
    "pending": Text("state: pending since {since}, fires at {fires}", "상태: {since}부터 대기, {fires}에 발생"),
    "firing": Text("state: firing since {since}", "상태: {since}부터 발생"),
}
_UNMET = Text("; not met since {unmet}, over at {resolves}", "; {unmet}부터 불성립, {resolves}에 해제")
_CONDITIONS = Text("conditions:", "조건:")
_SIGNS = {True: "✓", False: "✗"}
_UNKNOWN_VALUE, _NOT_LOOKED_AT = "?", "·"
_CONDITION = Text("  {sign} {metric} {value} (threshold {limits})", "  {sign} {metric} {value} (기준 {limits})")
_HOLDS_BACK = Text(", held by its reset", ", reset 때문에 유지 중")
_PLAIN = Text("", "")
_DISARMED = Text(", waits for its reset", ", reset을 기다리는 중")
_KNOWN_AT = Text(", known at {at} at the earliest", ", 빨라야 {at} 이후에 알 수 있음")
_RECORD = Text("last record {time}", "마지막 레코드 {time}")
_NO_RECORD = Text("no record today", "오늘 레코드 없음")
_SENT = Text("; {count} sent today, the last at {at}", "; 오늘 {count}건 보냄, 마지막 {at}")
_NONE_SENT = Text("; none sent today", "; 오늘 보낸 알림 없음")
_UNKNOWN = {
    "rule": Text('no rule is named "{found}"', '"{found}"(이)라는 규칙이 없습니다'),
    "symbol": Text(
        'the rule "{rule}" does not watch "{found}"', '규칙 "{rule}"은(는) "{found}"을(를) 감시하지 않습니다'
    ),
    "disabled": Text('the rule "{rule}" is switched off', '규칙 "{rule}"은(는) 꺼져 있습니다'),
}

Explain = Callable[[str, str], Explanation | None]
"""An engine's `explain`: rule and symbol, as in alerts."""


class Unknown(NamedTuple):
    """What was asked for is not there."""

    what: str
    """`rule`, `symbol` or `disabled`."""
    found: str
    rule: str
    nearest: str


def answer(rules: Sequence[Rule], master: Master, explain: Explain, *, rule: str, symbol: str) -> dict[str, Any]:
    """What `lines` and --json show, or `{"unknown": …}` with what `unknown_text` needs.

    `symbol` is a code, a Korean name, `@group`, or a summed rule's own name. `explain` must be of an engine over
    `rules`.
    """
    found = subject(rules, master, rule, symbol)
    if isinstance(found, Unknown):
        return {"unknown": found._asdict()}
    meant, code = found
    explained = explain(meant.name, code)
    if explained is None:
        return {"unknown": Unknown("symbol", symbol, meant.name, "")._asdict()}
    return of(explained, meant, master.name(code))


def subject(rules: Sequence[Rule], master: Master, name: str, symbol: str) -> tuple[Rule, str] | Unknown:
    """The rule, and the symbol as its alerts have it. Any stock of a summed rule means the sum."""
    rule = next((rule for rule in rules if rule.name == name), None)
    if rule is None:
        return Unknown("rule", name, "", nearest(name, [rule.name for rule in rules]))
    if not rule.enabled:
        return Unknown("disabled", name, rule.name, "")
    codes = [symbol, *master.codes(symbol)]
    if rule.aggregate is not None and (symbol in (rule.aggregate, rule.name) or set(codes) & set(rule.symbols)):
        return rule, rule.aggregate
    if rule.aggregate is None:
        watched = next((code for code in codes if code in rule.symbols), None)
        if watched is not None:
            return rule, watched
    return Unknown("symbol", symbol, rule.name, _nearest_symbol(rule, master, symbol))


def _nearest_symbol(rule: Rule, master: Master, written: str) -> str:
    names = {master.name(code): master.label(code) for code in rule.symbols}
    known = [*names, *rule.symbols, *filter(None, [rule.aggregate])]
    found = nearest(written, filter(None, known))
    return names.get(found, found)


def unknown_text(unknown: Mapping[str, str], locale: Locale) -> str:
    text = _UNKNOWN[unknown["what"]].of(locale).format_map(unknown)
    meant = unknown["nearest"]
    return clean(text + (DID_YOU_MEAN.of(locale).format(nearest=meant) if meant else ""), 500)


def of(found: Explanation, rule: Rule, name: str) -> dict[str, Any]:
    """Plain data. Times are ISO in KST, null where there is none."""
    return {
        "rule": found.rule,
        "symbol": found.symbol,
        "name": name,
        "at": kst.iso(found.at),
        "reason": found.reason,
        "until": _iso(_until(found, rule)),
        "met": found.verdict,
        "phase": found.phase,
        "since": _iso(found.since),
        "unmet_since": _iso(found.unmet_since),
        "fires_at": _iso(found.fires_at),
        "resolves_at": _iso(found.resolves_at),
        "repeats_at": _iso(found.repeats_at),
        "told_at": _iso(found.told_at),
        "awake": found.awake,
        "sleep_changes_at": _iso(found.changes_at),
        "blind_since": _iso(found.blind_since),
        "record": None if found.record is None else found.record._asdict(),
        "sent_today": found.tally.sent,
        "last_sent_at": _iso(found.tally.sent_at),
        "cooldown_until": _iso(found.cooldown_until),
        "silenced_until": _iso(found.silenced_until),
        "conditions": [_condition_fields(each) for each in found.conditions],
    }


def _condition_fields(found: ConditionNow) -> dict[str, Any]:
    threshold = list(found.threshold) if isinstance(found.threshold, tuple) else found.threshold
    return {
        "key": found.key,
        "operator": found.operator,
        "threshold": threshold,
        "reset": found.reset,
        "value": found.value,
        "met": found.truth,
        "holds_back": found.holds_back,
        "known_at": _iso(found.known_at),
    }


def _iso(t: int | None) -> str | None:
    return None if t is None else kst.iso(t)


def _until(found: Explanation, rule: Rule) -> int | None:
    """Until when, at the earliest, the reason lasts; None where time alone does not end it."""
    match found.reason:
        case Reason.ASLEEP:
            return found.changes_at
        case Reason.UNDEFINED:
            return _known_at(found, rule)
        case Reason.PENDING:
            return found.fires_at
        case Reason.SILENCE:
            return found.silenced_until
        case Reason.COOLDOWN:
            return found.cooldown_until
        case Reason.MAX_PER_DAY:
            return day_start(day_number(found.at) + 1)
        case Reason.TOLD:
            return min(filter(None, [found.repeats_at, found.resolves_at]), default=None)
        case _:
            return None


def _known_at(found: Explanation, rule: Rule) -> int | None:
    """Where all must hold, the last value that is missing counts; else already the first may do."""
    missing = [each.known_at for each in found.conditions if each.value is None]
    known = [at for at in missing if at is not None]
    plain = rule.when.logic is Logic.ALL and all(isinstance(part, Condition) for part in rule.when.parts)
    if plain:
        return max(known) if known and len(known) == len(missing) else None
    return min(known, default=None)


def lines(found: Mapping[str, Any], locale: Locale) -> list[str]:
    """The data of `of`, for people."""
    label = f"{found['name']}({found['symbol']})" if found["name"] else found["symbol"]
    head = {"rule": clean(found["rule"]), "symbol": clean(label), "at": found["at"][:19].replace("T", " ")}
    return [
        _HEAD.of(locale).format_map(head),
        _reason_line(found, locale),
        *_silence_lines(found, locale),
        _state_line(found, locale),
        _CONDITIONS.of(locale),
        *(_condition_line(each, found["at"], locale) for each in found["conditions"]),
        "".join(_record_parts(found, locale)),
    ]


def _reason_line(found: Mapping[str, Any], locale: Locale) -> str:
    if found["reason"] is None:
        return _SPEAKS.of(locale)
    reason = _REASONS[Reason(found["reason"])].of(locale).format(blind=_clock(found, "blind_since"))
    if found["until"] is None:
        return reason
    return _UNTIL.of(locale).format(reason=reason, until=_clock(found, "until"))


def _silence_lines(found: Mapping[str, Any], locale: Locale) -> Iterator[str]:
    """A silence that is in force, also where something else comes first."""
    if found["silenced_until"] is not None and found["reason"] != Reason.SILENCE:
        yield _ALSO_SILENCED.of(locale).format(until=_clock(found, "silenced_until"))


def _state_line(found: Mapping[str, Any], locale: Locale) -> str:
    times = {"since": _clock(found, "since"), "fires": _clock(found, "fires_at")}
    state = _PHASES[found["phase"]].of(locale).format_map(times)
    if found["unmet_since"] is None:
        return state
    over = {"unmet": _clock(found, "unmet_since"), "resolves": _clock(found, "resolves_at")}
    return state + _UNMET.of(locale).format_map(over)


def _condition_line(found: Mapping[str, Any], at: str, locale: Locale) -> str:
    condition = _condition(found)
    line = _CONDITION.of(locale).format(
        sign=_sign(found),
        metric=words.metric(condition, locale),
        value=words.value(condition, found["value"], locale),
        limits=words.limits([Stated(condition)], "", locale),
    )
    line += _reset_words(condition, found).of(locale)
    known_at = found["known_at"]
    return line + (_KNOWN_AT.of(locale).format(at=_shown(known_at, at)) if known_at else "")


def _sign(found: Mapping[str, Any]) -> str:
    """A value may be known although nobody has compared it: the rule sleeps, or its stock is blind."""
    if found["value"] is None:
        return _UNKNOWN_VALUE
    return _NOT_LOOKED_AT if found["met"] is None else _SIGNS[found["met"]]


def _reset_words(condition: Condition, found: Mapping[str, Any]) -> Text:
    """What only the reset explains: a value back at the threshold that still holds, a crossing that does not count."""
    if not found["holds_back"]:
        return _PLAIN
    if condition.operator.is_crossing:
        return _DISARMED
    low, high = sorted((words.bounds(condition)[0], found["reset"]))
    return _HOLDS_BACK if found["value"] is not None and low <= found["value"] <= high else _PLAIN


def _condition(found: Mapping[str, Any]) -> Condition:
    metric, _, window = found["key"].rstrip("]").partition("[")
    threshold = tuple(found["threshold"]) if isinstance(found["threshold"], (list, tuple)) else found["threshold"]
    window_ns = units.duration_ns(window) if window else None
    return Condition(metric, Operator(found["operator"]), threshold, window or None, window_ns, found["reset"])


def _record_parts(found: Mapping[str, Any], locale: Locale) -> Iterator[str]:
    record = found["record"]
    time = "" if record is None else f"{record['time'][:2]}:{record['time'][2:4]}:{record['time'][4:]}"
    yield (_NO_RECORD if record is None else _RECORD).of(locale).format(time=time)
    if found["last_sent_at"] is None:
        yield _NONE_SENT.of(locale)
    else:
        yield _SENT.of(locale).format(count=found["sent_today"], at=_clock(found, "last_sent_at"))


def _clock(found: Mapping[str, Any], key: str) -> str:
    """One of its times; `-` where there is none."""
    return "-" if found[key] is None else _shown(found[key], found["at"])


def _shown(iso: str, at: str) -> str:
    """`2026-11-20T10:00:00.…` → `10:00:00`, with the date where it is not the one of `at`."""
    return iso[11:19] if iso[:10] == at[:10] else f"{iso[:10]} {iso[11:19]}"
