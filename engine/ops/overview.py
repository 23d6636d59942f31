"""What `check` and `status` show: first as data (their --json), then as lines in the user's language. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.config.model import Source
from engine.delivery import words
from engine.kis.slots import spread
from engine.locale import Locale, Text
from engine.ops.history import moment
from engine.plan import Plan
from engine.symbols.master import Master
from engine.text import clean
from engine.units import duration_text

_MAX_LISTED = 50
"""Lines of one kind that a terminal gets; --json has them all."""
_MAX_NAMED = 10
"""Symbols that one line names; --json has them all."""

_SOURCE = Text("source {source}, market {market}", "데이터 {source}, 시장 {market}")
_RULES = Text("{count} rules", "규칙 {count}개")
_RULE = Text("  {name}: {symbols} symbols, to {notify}", "  {name}: 종목 {symbols}개, 알림 {notify}")
_OFF = Text("  {name}: switched off", "  {name}: 꺼짐")
_NEEDED = Text(
    "{needed} registrations needed, {available} available ({accounts} × {each})",
    "실시간 등록 {needed}건 필요, {available}건 가능(계정 {accounts}개 × {each}건)",
)
_NOT_COVERED = Text("not covered: {symbols}", "등록 한도를 넘어 감시하지 못하는 종목: {symbols}")
_RULE_NOT_COVERED = Text("    not covered: {symbols}", "    감시하지 못하는 종목: {symbols}")
_AND_MORE = Text("{symbols} and {count} more", "{symbols} 외 {count}개")
_NAMES = Text("stock names: {stocks:,} of {loaded}", "종목명: {stocks:,}개({loaded} 기준)")
_BUILT_IN_NAMES = Text(
    "stock names: {stocks} built in; pgmwatch symbols update loads all",
    "종목명: 내장된 {stocks}개. 전체는 pgmwatch symbols update로 받습니다",
)
_TARGETS = Text("messages go to {targets}", "알림 대상: {targets}")
_WITHHELD = Text(
    "get nothing, as the market is simulated (run --notify NAME): {targets}",
    "모의 시장이라 보내지 않는 대상(run --notify NAME): {targets}",
)
_BEATS = Text("heartbeat: called every minute while all is well", "하트비트: 정상인 동안 매분 호출")
_BEAT_WITHHELD = Text(
    "heartbeat: not called, as the market is simulated and the address is not on this machine",
    "하트비트: 모의 시장이고 이 컴퓨터의 주소가 아니라서 호출하지 않음",
)
_FINE = Text("all is well", "이상 없음")

_UP = Text("pgmwatch {version}, up {up}; {source}", "pgmwatch {version}, 가동 {up}; {source}")
_RECOVERING = Text(
    "the day's recording is being read; rules are evaluated after that",
    "오늘 기록을 읽는 중입니다. 규칙은 그 뒤에 판정합니다",
)
_TROUBLE_NOW = Text("TROUBLE: {reason}", "문제: {reason}")
_SILENCES = Text(
    "silences in force: {count} (pgmwatch silence list)", "적용 중인 무음: {count}개(pgmwatch silence list)"
)
_NOTHING_WATCHED = Text("NOTHING IS WATCHED: no rule is in force", "감시하는 것이 없습니다: 적용 중인 규칙이 없습니다")
_CONFIG_CHANGED = Text(
    "config.toml has changed since the start: restart to use it",
    "config.toml이 시작한 뒤 바뀌었습니다. 적용하려면 다시 시작하세요",
)
_FEED = Text(
    "feed {account}: {phase}; {subscribed}/{wanted} symbols, {records} records, {malformed} malformed, last {age}",
    "피드 {account}: {phase}; 종목 {subscribed}/{wanted}, 레코드 {records}건, 불량 {malformed}건, 마지막 수신 {age}",
)
_AGO = Text("{age} ago", "{age} 전")
_NEVER = Text("never", "없음")
_TROUBLE = Text("  {error}; next attempt {at}", "  {error}; 다음 시도 {at}")
_SILENT = Text("  no data since {since}", "  {since}부터 데이터 없음")
_WITHOUT_DATA = {
    "left_out": Text("  beyond the broker's limit: {symbols}", "  증권사 등록 한도를 넘은 종목: {symbols}"),
    "rejected": Text("  rejected by the broker: {symbols}", "  증권사가 거부한 종목: {symbols}"),
    "unanswered": Text("  not confirmed by the broker: {symbols}", "  구독 확인을 받지 못한 종목: {symbols}"),
    "ghosts": Text(
        "  confirmed, but without any data today: {symbols}", "  구독은 됐지만 오늘 데이터가 없는 종목: {symbols}"
    ),
}
_NEXT = Text("  next attempt {at}", "  다음 시도 {at}")
_SYMBOL = Text("  {symbol} last record {age}", "  {symbol} 마지막 레코드 {age}")
_PHASES = {
    "waiting": Text("waiting to connect", "재접속 대기"),
    "approving": Text("asking for a key", "접속키 요청 중"),
    "connecting": Text("connecting", "연결 중"),
    "subscribing": Text("subscribing", "등록 중"),
    "up": Text("connected", "연결됨"),
    "idle": Text("nothing to watch", "감시할 종목 없음"),
    "ending": Text("ending", "종료 중"),
    "stopped": Text("stopped", "종료됨"),
    "pending": Text("pending", "대기"),
    "firing": Text("firing", "발생"),
}
_EVALUATION = Text(
    "rules: {rules}; firing {firing}, pending {pending}; {dropped} records not used, {corrections} corrections;"
    " lag {lag_ms} ms",
    "규칙: {rules}개; 발생 중 {firing}, 대기 중 {pending}; 쓰지 않은 레코드 {dropped}건, 정정 {corrections}건;"
    " 지연 {lag_ms} ms",
)
_STORE_LAG = Text("storing lags {lag_ms:,} ms", "저장 지연 {lag_ms:,} ms")
_HEARTBEAT = Text("heartbeat: last heard {last}", "하트비트: 마지막 전송 {last}")
_HEARTBEAT_FAILED = Text("; HEARTBEAT NOT HEARD: {error}", "; 하트비트 전송 실패: {error}")
_HEARTBEAT_HELD = Text("; HELD BACK: {ailments}", "; 보류 중: {ailments}")
_AILMENTS = {
    "look": Text("the daemon does not look after itself", "상태 점검이 멈춤"),
    "recovering": Text("today's recording is being read", "오늘 기록을 읽는 중"),
    "rules": Text("no rule is in force", "적용 중인 규칙 없음"),
    "feed-down": Text("feed {detail} is down", "피드 {detail} 끊김"),
    "feed-unheard": Text("nothing comes from feed {detail}", "피드 {detail}에서 아무것도 오지 않음"),
    "feed-silent": Text("no data from feed {detail}", "피드 {detail} 데이터 없음"),
    "feed-unwatched": Text("feed {detail} has no subscription", "피드 {detail} 구독 없음"),
    "feed-unreadable": Text("nothing from feed {detail} can be read", "피드 {detail} 데이터를 읽을 수 없음"),
    "records-unusable": Text("no record can be evaluated", "평가할 수 있는 레코드 없음"),
    "evaluation": Text("evaluation does not come forward", "평가가 진행되지 않음"),
    "lag": Text("evaluation lags", "평가 지연"),
    "store": Text("alerts are not stored: {detail}", "알림을 저장하지 못함: {detail}"),
    "store-lag": Text("storing lags", "저장 지연"),
    "target": Text("messages do not arrive at {detail}", "{detail}(으)로 알림이 가지 않음"),
}
_STATE = Text("  {phase} {rule} {symbol} since {since}{blind}", "  {phase} {rule} {symbol} {since}부터{blind}")
_BLIND = Text(" (not seen now)", " (지금은 데이터를 받지 못함)")
_TARGET = Text(
    "target {name}: {delivered} delivered, {queued} waiting, {failed} attempts failed, {refused} refused,"
    " {expired} expired{error}",
    "대상 {name}: 전송 {delivered}, 대기 {queued}, 실패한 시도 {failed}, 거부 {refused}, 만료 {expired}{error}",
)
_DEAD = Text(
    "undeliverable messages: {count:,} (pgmwatch notify dead)", "보내지 못한 메시지: {count:,}건(pgmwatch notify dead)"
)
_MORE = Text("  … and {count} more", "  … 외 {count}건")


def of_plan(plan: Plan, targets: Sequence[str], withheld: Sequence[str]) -> dict[str, Any]:
    """What would be watched, and where its alerts would go. `targets` and `withheld` are names, never URLs."""
    settings = plan.configuration.settings
    locale = settings.locale
    feed = settings.feed
    accounts = [account.name for account in feed.account] if feed.source is Source.KIS else [feed.source]
    left_out = spread(plan.symbols, accounts, feed.max_registrations).left_out
    without_room = frozenset(left_out)
    return {
        "source": feed.source,
        "market": feed.market,
        "rules": [
            {
                "name": rule.name,
                "file": rule.file,
                "line": rule.line,
                "enabled": rule.enabled,
                "symbols": list(rule.symbols),
                "notify": list(rule.notify),
                "not_covered": [symbol for symbol in rule.symbols if rule.enabled and symbol in without_room],
            }
            for rule in plan.rules
        ],
        "registrations": {"needed": len(plan.symbols), "available": len(accounts) * feed.max_registrations},
        "accounts": len(accounts),
        "not_covered": list(left_out),
        "master": {
            "stocks": len(plan.master),
            "loaded": plan.master.loaded.isoformat() if plan.master.loaded else None,
        },
        "targets": list(targets),
        "withheld": list(withheld),
        "heartbeat": _heartbeat(plan),
        "doubts": [doubt.text(locale) for doubt in plan.doubts],
    }


def _heartbeat(plan: Plan) -> str | None:
    if plan.configuration.is_heartbeat_withheld:
        return "withheld"
    return None if plan.configuration.heartbeat_url is None else "called"


def plan_lines(found: Mapping[str, Any], master: Master, locale: Locale) -> list[str]:
    """`of_plan`, for people."""
    registrations = found["registrations"]
    lines = [_SOURCE.of(locale).format_map(found), _RULES.of(locale).format(count=len(found["rules"]))]
    for rule in found["rules"]:
        shown = _RULE if rule["enabled"] else _OFF
        count, notify = len(rule["symbols"]), ", ".join(rule["notify"])
        lines.append(shown.of(locale).format(name=clean(rule["name"]), symbols=count, notify=notify))
        if rule["not_covered"]:
            symbols = _listed(rule["not_covered"], master, locale)
            lines.append(_RULE_NOT_COVERED.of(locale).format(symbols=symbols))
    each = registrations["available"] // found["accounts"]
    lines.append(_NEEDED.of(locale).format(**registrations, accounts=found["accounts"], each=each))
    if found["not_covered"]:
        lines.append(_NOT_COVERED.of(locale).format(symbols=_listed(found["not_covered"], master, locale)))
    names = _NAMES if found["master"]["loaded"] else _BUILT_IN_NAMES
    lines.append(names.of(locale).format_map(found["master"]))
    lines.append(_TARGETS.of(locale).format(targets=", ".join(found["targets"]) or "-"))
    if found["withheld"]:
        lines.append(_WITHHELD.of(locale).format(targets=", ".join(found["withheld"])))
    if found["heartbeat"] is not None:
        lines.append({"called": _BEATS, "withheld": _BEAT_WITHHELD}[found["heartbeat"]].of(locale))
    lines += found["doubts"]
    if not found["doubts"] and not found["not_covered"]:
        lines.append(_FINE.of(locale))
    return lines


def _named(symbol: str, master: Master) -> str:
    """A summed rule's symbol is the name of a rule or group: foreign text."""
    return clean(master.label(symbol))


def _listed(symbols: Sequence[str], master: Master, locale: Locale) -> str:
    listed = ", ".join(_named(symbol, master) for symbol in symbols[:_MAX_NAMED])
    more = len(symbols) - _MAX_NAMED
    return _AND_MORE.of(locale).format(symbols=listed, count=more) if more > 0 else listed


def status_lines(status: Mapping[str, Any], master: Master, locale: Locale) -> list[str]:
    """The daemon's answer to `status`, for people."""
    daemon = status["daemon"]
    source = _SOURCE.of(locale).format_map(daemon)
    lines = [_UP.of(locale).format(version=daemon["version"], up=duration_text(daemon["up_s"]), source=source)]
    if daemon["config_changed"]:
        lines.append(_CONFIG_CHANGED.of(locale))
    if daemon["recovering"]:
        lines.append(_RECOVERING.of(locale))
    lines += [_TROUBLE_NOW.of(locale).format(reason=clean(reason)) for reason in status["troubles"]]
    if status["silences"]:
        lines.append(_SILENCES.of(locale).format(count=status["silences"]))
    if not status["evaluation"]["rules"]:
        lines.append(_NOTHING_WATCHED.of(locale))
    for feed in status["feeds"]:
        lines += _feed_lines(feed, master, locale)
    if status["not_covered"]:
        lines.append(_NOT_COVERED.of(locale).format(symbols=_listed(status["not_covered"], master, locale)))
    lines.append(_EVALUATION.of(locale).format_map(_evaluation_fields(status["evaluation"])))
    if status["store_lag_ms"]:
        lines.append(_STORE_LAG.of(locale).format(lag_ms=status["store_lag_ms"]))
    if status["heartbeat"] is not None:
        lines.append(_heartbeat_line(status["heartbeat"], locale))
    lines += _limited(_state_lines(status["evaluation"]["states"], master, locale), locale)
    lines += [_TARGET.of(locale).format_map(_target_fields(target, locale)) for target in status["targets"]]
    if status["dead"]:
        lines.append(_DEAD.of(locale).format(count=status["dead"]))
    return lines


def _heartbeat_line(heartbeat: Mapping[str, Any], locale: Locale) -> str:
    line = _HEARTBEAT.of(locale).format(last=moment(heartbeat["last"]) if heartbeat["last"] else _NEVER.of(locale))
    if heartbeat["error"]:
        line += _HEARTBEAT_FAILED.of(locale).format(error=clean(words.reason(heartbeat["error"], locale)))
    held = [_AILMENTS[each["what"]].of(locale).format(detail=clean(each["detail"])) for each in heartbeat["ailments"]]
    return line + (_HEARTBEAT_HELD.of(locale).format(ailments=", ".join(held)) if held else "")


def _feed_lines(feed: Mapping[str, Any], master: Master, locale: Locale) -> list[str]:
    lines = [_FEED.of(locale).format_map(_feed_fields(feed, locale))]
    if feed["next_attempt"]:
        trouble = clean(feed["last_error"])
        lines.append((_TROUBLE if trouble else _NEXT).of(locale).format(error=trouble, at=feed["next_attempt"][11:19]))
    if feed["silent_since"]:
        lines.append(_SILENT.of(locale).format(since=feed["silent_since"][11:19]))
    for kind, form in _WITHOUT_DATA.items():
        if feed[kind]:
            lines.append(form.of(locale).format(symbols=_listed(list(feed[kind]), master, locale)))
    ages = [(_named(each["symbol"], master), _age(each["last_record_age_s"], locale)) for each in feed["symbols"]]
    return lines + _limited((_SYMBOL.of(locale).format(symbol=symbol, age=age) for symbol, age in ages), locale)


def _age(seconds: float | None, locale: Locale) -> str:
    return _NEVER.of(locale) if seconds is None else _AGO.of(locale).format(age=duration_text(seconds))


def _target_fields(target: Mapping[str, Any], locale: Locale) -> dict[str, Any]:
    error = f"; {clean(words.reason(target['last_error'], locale))}" if target["failing_since"] else ""
    return {**target, "failed": target["failed"] + target["unknown"], "error": error}


def _feed_fields(feed: Mapping[str, Any], locale: Locale) -> dict[str, Any]:
    return {
        **feed,
        "account": clean(feed["account"]),
        "phase": _PHASES[feed["phase"]].of(locale),
        "subscribed": sum(symbol["subscribed"] for symbol in feed["symbols"]),
        "wanted": len(feed["symbols"]),
        "records": f"{feed['records']:,}",
        "malformed": sum(feed["malformed"].values()) + sum(feed["dropped"].values()),
        "age": _age(feed["last_record_age_s"], locale),
    }


def _evaluation_fields(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    phases = Counter(state["phase"] for state in evaluation["states"])
    dropped = sum(evaluation["dropped"].values())
    return {**evaluation, "dropped": dropped, "firing": phases["firing"], "pending": phases["pending"]}


def _state_lines(states: Iterable[Mapping[str, Any]], master: Master, locale: Locale) -> Iterator[str]:
    for state in states:
        if state["since"]:
            since = state["since"][11:19]
            yield _STATE.of(locale).format(
                **{
                    **state,
                    "phase": _PHASES[state["phase"]].of(locale),
                    "rule": clean(state["rule"]),
                    "symbol": _named(state["symbol"], master),
                    "blind": _BLIND.of(locale) if state["blind"] else "",
                    "since": since,
                }
            )


def _limited(lines: Iterable[str], locale: Locale) -> list[str]:
    found = list(lines)
    more = len(found) - _MAX_LISTED
    return found if more <= 0 else [*found[:_MAX_LISTED], _MORE.of(locale).format(count=more)]
