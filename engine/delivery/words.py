"""The vocabulary of messages: metrics, windows, amounts and durations as a trader reads them."""

from collections.abc import Iterable

from engine import units
from engine.kst import SECOND_NS
from engine.locale import Locale, Text
from engine.rules.model import RATIO_METRICS, RESTING_METRICS, VALUE_METRICS, Condition, Number, Operator

METRICS = {
    "sell_volume": Text("sell volume", "매도량"),
    "buy_volume": Text("buy volume", "매수량"),
    "net_volume": Text("net buy volume", "순매수량"),
    "total_volume": Text("total volume", "매매량"),
    "sell_value": Text("sell value", "매도금액"),
    "buy_value": Text("buy value", "매수금액"),
    "net_value": Text("net buy value", "순매수금액"),
    "total_value": Text("total value", "매매금액"),
    "imbalance": Text("buy imbalance", "순매수 비율"),
    "value_imbalance": Text("buy imbalance by value", "금액 순매수 비율"),
    "sell_resting": Text("resting sell orders", "매도호가잔량"),
    "buy_resting": Text("resting buy orders", "매수호가잔량"),
    "net_resting": Text("net resting buy orders", "순매수호가잔량"),
    "resting_imbalance": Text("resting order imbalance", "호가잔량 비율"),
}
_LEVELS = RESTING_METRICS | {"resting_imbalance"}

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
_UNITS = {"h": Text("{n} h", "{n}시간"), "m": Text("{n} min", "{n}분"), "s": Text("{n} s", "{n}초")}


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
        return _percent(number, 1)
    return units.amount_text(number, locale) + _unit(name, locale)


def value(condition: Condition, number: Number | None, locale: Locale) -> str:
    """Like `amount`, but exact where rounding would make it look equal to its threshold."""
    if number is None:
        return UNDEFINED.of(locale)
    text = amount(condition.metric, number, locale)
    rivals = {amount(condition.metric, bound, locale) for bound in bounds(condition) if bound != number}
    if text not in rivals:
        return text
    if condition.metric in RATIO_METRICS:
        finer = (_percent(number, digits) for digits in range(2, 8))
        return next((candidate for candidate in finer if candidate not in rivals), text)
    return f"{number:,}" + _unit(condition.metric, locale)


def bounds(condition: Condition) -> tuple[Number, ...]:
    threshold = condition.threshold
    return threshold if isinstance(threshold, tuple) else (threshold,)


def limit(condition: Condition, locale: Locale) -> str:
    """The threshold with its direction: `> 10만주`, `0주 상향 돌파`."""
    texts = [amount(condition.metric, bound, locale) for bound in bounds(condition)]
    if condition.operator in _SIGNS:
        return f"{_SIGNS[condition.operator]} {texts[0]}"
    return _LIMITS[condition.operator].of(locale).format(low=texts[0], high=texts[-1])


def limits(conditions: Iterable[Condition], joiner: str, locale: Locale) -> str:
    """The thresholds of several conditions on one value, each once."""
    return joiner.join(dict.fromkeys(limit(condition, locale) for condition in conditions))


def _unit(name: str, locale: Locale) -> str:
    return (Text(" won", "원") if name in VALUE_METRICS else Text(" shares", "주")).of(locale)


def _percent(number: Number, digits: int) -> str:
    text = f"{number * 100:.{digits}f}"
    whole = text.rstrip("0").rstrip(".") if "." in text else text
    return "0%" if whole in ("0", "-0") else f"{'' if whole.startswith('-') else '+'}{whole}%"
