"""The metrics: what a condition measures, as the change from one record to a later one.

A value without a window is the change from zero. Volumes and resting quantities are shares, values won, ratios floats.
"""

from collections.abc import Callable

from engine.record import Record
from engine.rules.model import RESTING_METRICS, Number

Measure = Callable[[Record, Record], Number | None]
"""(now, then) → the value, or None where it is undefined."""


def _ratio(net: int, buy: int, sell: int) -> float:
    """In [−1, 1] as long as the counters are sane; over nothing it is 0."""
    return net / (buy + sell) if buy + sell else 0.0


def _imbalance(now: Record, then: Record) -> float:
    return _ratio(
        now.net_volume - then.net_volume, now.buy_volume - then.buy_volume, now.sell_volume - then.sell_volume
    )


def _value_imbalance(now: Record, then: Record) -> float:
    return _ratio(now.net_value - then.net_value, now.buy_value - then.buy_value, now.sell_value - then.sell_value)


def _windowed_imbalance(now: Record, then: Record) -> float | None:
    """Flows are not negative: a part that is says that the counters were rewritten, so the ratio means nothing."""
    buy, sell = now.buy_volume - then.buy_volume, now.sell_volume - then.sell_volume
    return None if buy < 0 or sell < 0 else _ratio(now.net_volume - then.net_volume, buy, sell)


def _windowed_value_imbalance(now: Record, then: Record) -> float | None:
    buy, sell = now.buy_value - then.buy_value, now.sell_value - then.sell_value
    return None if buy < 0 or sell < 0 else _ratio(now.net_value - then.net_value, buy, sell)


_CHANGES: dict[str, Measure] = {
    "sell_volume": lambda now, then: now.sell_volume - then.sell_volume,
    "buy_volume": lambda now, then: now.buy_volume - then.buy_volume,
    "net_volume": lambda now, then: now.net_volume - then.net_volume,
    "total_volume": lambda now, then: now.buy_volume + now.sell_volume - then.buy_volume - then.sell_volume,
    "sell_value": lambda now, then: now.sell_value - then.sell_value,
    "buy_value": lambda now, then: now.buy_value - then.buy_value,
    "net_value": lambda now, then: now.net_value - then.net_value,
    "total_value": lambda now, then: now.buy_value + now.sell_value - then.buy_value - then.sell_value,
    "sell_resting": lambda now, then: now.sell_resting - then.sell_resting,
    "buy_resting": lambda now, then: now.buy_resting - then.buy_resting,
    "net_resting": lambda now, then: now.net_resting - then.net_resting,
}

_OF_THE_DAY: dict[str, Measure] = {
    **_CHANGES,
    "imbalance": _imbalance,
    "value_imbalance": _value_imbalance,
    "resting_imbalance": lambda now, _: _ratio(now.net_resting, now.buy_resting, now.sell_resting),
}

_OVER_A_WINDOW: dict[str, Measure] = {
    **_CHANGES,
    "imbalance": _windowed_imbalance,
    "value_imbalance": _windowed_value_imbalance,
}


def measure(metric: str, *, windowed: bool) -> Measure:
    return (_OVER_A_WINDOW if windowed else _OF_THE_DAY)[metric]


def is_level(metric: str) -> bool:
    """Of the order book, not counted from the session's start: it has no zero to start from and needs no trade."""
    return metric in RESTING_METRICS or metric == "resting_imbalance"
