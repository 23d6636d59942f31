"""The vocabulary of messages: metrics, windows, amounts and durations as a trader reads them."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from engine import units
from engine.alert import Suppression
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.rules.model import RATIO_METRICS, RESTING_METRICS, VALUE_METRICS, Condition, Number, Operator

METRICS = {
    "sell_volume": Text("sell volume", "매도량"),
    "buy_volume": Text("buy volume", "매수량"),
    "net_volume": Text("net buy volume", "순매수량"),
    "total_volume": Text("total volume", "거래량"),
    "sell_value": Text("sell value", "매도대금"),
    "buy_value": Text("buy value", "매수대금"),
    "net_value": Text("net buy value", "순매수대금"),
    "total_value": Text("total value", "거래대금"),
    "imbalance": Text("buy imbalance", "매수 쏠림"),
    "value_imbalance": Text("buy imbalance by value", "매수 쏠림(대금)"),
    "sell_resting": Text("resting sell orders", "매도잔량"),
    "buy_resting": Text("resting buy orders", "매수잔량"),
    "net_resting": Text("net resting buy orders", "순매수잔량"),
    "resting_imbalance": Text("resting order imbalance", "호가잔량 쏠림"),
}
_LEVELS = RESTING_METRICS | {"resting_imbalance"}

NOT_SENT = {
    Suppression.SILENCE: Text("not sent: silenced", "보내지 않음: 알림 끔(silence)"),
    Suppression.COOLDOWN: Text("not sent: cooldown", "보내지 않음: 알림 간격(cooldown)"),
    Suppression.MAX_PER_DAY: Text("not sent: max_per_day", "보내지 않음: 하루 한도(max_per_day)"),
}

UNDEFINED = Text("no value", "값 없음")
THRESHOLD = Text("threshold", "기준")
_NOW = Text("{metric} now", "현재 {metric}")
_TODAY = Text("{metric} today", "당일 {metric}")
_CHANGE = Text("change in {metric} over {window}", "{window} {metric} 변화")
_FLOW = Text("{metric} over {window}", "{window} {metric}")

_SIGNS = {Operator.ABOVE: ">", Operator.AT_LEAST: "≥", Operator.BELOW: "<", Operator.AT_MOST: "≤"}
_LIMITS = {
    Operator.OUTSIDE: Text("below {low} or above {high}", "{low} 미만 또는 {high} 초과"),
    Operator.INSIDE: Text("{low} to {high}", "{low} ~ {high}"),
    Operator.CROSSES_ABOVE: Text("crossing above {low}", "{low} 상향 돌파"),
    Operator.CROSSES_BELOW: Text("crossing below {low}", "{low} 하향 돌파"),
}
_NOT = Text("not {limit}", "{limit} 아님")
_NOT_OUTSIDE = Text("not outside {low} to {high}", "{low} ~ {high} 밖 아님")
_BACK = {
    Operator.ABOVE: "≤",
    Operator.AT_LEAST: "<",
    Operator.BELOW: "≥",
    Operator.AT_MOST: ">",
    Operator.CROSSES_ABOVE: "≤",
    Operator.CROSSES_BELOW: "≥",
}
"""How a value must stand to the reset for it to end what holds, or to make a crossing possible again."""
_UNTIL = Text("until {sign} {reset}", "해제 {sign} {reset}")
_AGAIN = Text("re-arms at {sign} {reset}", "{sign} {reset} 뒤 재알림")
_UNITS = {"h": Text("{n} h", "{n}시간"), "m": Text("{n} min", "{n}분"), "s": Text("{n} s", "{n}초")}

_REASONS = {
    text.en: text
    for text in (
        Text("no connection", "연결할 수 없음"),
        Text("connection lost", "연결이 끊김"),
        Text("no reply", "응답 없음"),
        Text("not accepted", "받아들이지 않음"),
        Text("no SMTP", "SMTP 서버가 아님"),
        Text("STARTTLS not offered", "서버가 STARTTLS를 지원하지 않음"),
        Text("login not offered", "서버가 로그인을 지원하지 않음"),
        Text("interrupted", "보내는 중에 중단됨"),
        Text("interrupted before it was sent", "보내기 전에 중단됨"),
        Text("closed", "출력이 닫힘"),
        Text("not in this encoding", "출력 인코딩에 없는 글자"),
        Text("no longer configured", "설정에서 없어진 대상"),
        Text("sent elsewhere instead", "다른 대상으로 다시 보냄"),
    )
}
# Around what a service said, or with a number in it. The English of these is how they are written.
_REASON_FORMS = (
    (re.compile("in part: (?P<rest>.*)", re.DOTALL), "일부만 전송: {rest}"),
    (
        re.compile("(?P<rest>.*), redirects are not followed", re.DOTALL),
        "{rest}, 다른 주소로 넘기는 응답은 따라가지 않음",
    ),
    (re.compile(r"no end within (?P<rest>[\d.]+) s"), "{rest}초 안에 끝나지 않음"),
    (re.compile(r"no answer within (?P<rest>[\d.]+) s"), "{rest}초 안에 응답 없음"),
)


def reason(text: str, locale: Locale) -> str:
    """Why something was not delivered, for people: our own reasons in their language, a service's as they are.

    What is stored, logged and given as data stays `text`. Whatever is foreign in it still is: clean it for its place.
    """
    if locale is Locale.EN:
        return text
    if known := _REASONS.get(text):
        return known.of(locale)
    for form, words in _REASON_FORMS:
        if found := form.fullmatch(text):
            return words.format(rest=reason(found["rest"], locale))
    return text


def duration(ns: int, locale: Locale) -> str:
    """`1시간 30분 5초`, `1 h 30 min 5 s`; whole seconds."""
    seconds = max(ns, 0) // SECOND_NS
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    words = [_UNITS[unit].of(locale).format(n=count) for count, unit in parts if count]
    return " ".join(words) or _UNITS["s"].of(locale).format(n=0)


def metric(condition: Condition, locale: Locale) -> str:
    """What is measured, over which time: `5분 순매수량`, `net buy volume over 5 min`."""
    word = METRICS[condition.metric].of(locale)
    if condition.window is None:
        return (_NOW if condition.metric in _LEVELS else _TODAY).of(locale).format(metric=word)
    form = _CHANGE if condition.metric in _LEVELS else _FLOW
    return form.of(locale).format(metric=word, window=duration(units.duration_ns(condition.window), locale))


def amount(name: str, number: Number, locale: Locale) -> str:
    """A metric's value with its unit: `12만 3,456주`, `50억원`, `+42.1%`; ratios are percentages with their sign."""
    if name in RATIO_METRICS:
        return percent(number, 1)
    return units.amount_text(number, locale) + _unit(name, locale)


def value(condition: Condition, number: Number | None, locale: Locale) -> str:
    """Like `amount`, but exact where rounding would make it look equal to its threshold or reset."""
    if number is None:
        return UNDEFINED.of(locale)
    text = amount(condition.metric, number, locale)
    rivals = {amount(condition.metric, bound, locale) for bound in _rivals(condition) if bound != number}
    if text not in rivals:
        return text
    if condition.metric in RATIO_METRICS:
        finer = (percent(number, digits) for digits in range(2, 8))
        return next((candidate for candidate in finer if candidate not in rivals), text)
    return f"{number:,}" + _unit(condition.metric, locale)


def bounds(condition: Condition) -> tuple[Number, ...]:
    threshold = condition.threshold
    return threshold if isinstance(threshold, tuple) else (threshold,)


class Stated(NamedTuple):
    """A condition as a rule states it: that it is so, or, under `none`, that it is not."""

    condition: Condition
    so: bool = True


def limit(stated: Stated, locale: Locale) -> str:
    """The threshold with its direction: `> 10만주`, `0주 상향 돌파`, `> +99% 아님`."""
    condition = stated.condition
    texts = [amount(condition.metric, bound, locale) for bound in bounds(condition)]
    low, high = texts[0], texts[-1]
    if condition.operator is Operator.OUTSIDE and not stated.so:
        return _NOT_OUTSIDE.of(locale).format(low=low, high=high)  # "not below … or above …" has two readings
    if condition.operator in _SIGNS:
        plain = f"{_SIGNS[condition.operator]} {low}"
    else:
        plain = _LIMITS[condition.operator].of(locale).format(low=low, high=high)
    return plain if stated.so else _NOT.of(locale).format(limit=plain)


def limits(several: Sequence[Stated], joiner: str, locale: Locale) -> str:
    """The thresholds of several conditions on one value, each once, with their resets: `> +50%, 해제 ≤ +30%`.

    A reset that belongs to one of several, or to what is not so, stands in brackets with it.
    """
    alone = len(several) == 1 and several[0].so
    return joiner.join(dict.fromkeys(_with_reset(each, locale, alone=alone) for each in several))


def _with_reset(stated: Stated, locale: Locale, *, alone: bool) -> str:
    reset = _reset(stated.condition, locale)
    if not reset:
        return limit(stated, locale)
    if alone:
        return f"{limit(stated, locale)}, {reset}"
    bracket = Text(" ({reset})", "({reset})").of(locale).format(reset=reset)
    whole = limit(Stated(stated.condition), locale) + bracket
    return whole if stated.so else _NOT.of(locale).format(limit=whole)


def _reset(condition: Condition, locale: Locale) -> str:
    """Empty without one, or with one that changes nothing because it is the threshold."""
    if condition.reset is None or condition.reset == condition.threshold:
        return ""
    form = _AGAIN if condition.operator.is_crossing else _UNTIL
    reset = amount(condition.metric, condition.reset, locale)
    return form.of(locale).format(sign=_BACK[condition.operator], reset=reset)


def _rivals(condition: Condition) -> tuple[Number, ...]:
    return bounds(condition) if condition.reset is None else (*bounds(condition), condition.reset)


def _unit(name: str, locale: Locale) -> str:
    return (Text(" won", "원") if name in VALUE_METRICS else Text(" shares", "주")).of(locale)


def percent(number: Number, digits: int) -> str:
    """`+42.1%` of 0.421, with at most that many digits behind the point."""
    text = f"{number * 100:.{digits}f}"
    whole = text.rstrip("0").rstrip(".") if "." in text else text
    return "0%" if whole in ("0", "-0") else f"{'' if whole.startswith('-') else '+'}{whole}%"
