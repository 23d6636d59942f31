"""A picture of made-up data: to see that one arrives, and for the documentation."""

import random
from datetime import date

from engine.alert import State
from engine.charts.figure import Figure
from engine.charts.trace import INTERVAL_NS, Point, Run
from engine.delivery.words import Stated
from engine.kst import SECOND_NS, day_of, day_start
from engine.locale import Locale, Text
from engine.rules.model import Condition, Number, Operator

_THRESHOLD = 100_000
_CONDITION = Condition("net_volume", Operator.ABOVE, _THRESHOLD, "5m", 300 * SECOND_NS, reset=60_000)
_OPENING = day_start(day_of(date(2026, 11, 20))) + 9 * 3600 * SECOND_NS
_AT = _OPENING + (22 * 60 + 17) * SECOND_NS
_SEED = 10
_SUBJECT = Text("Samsung Electronics(005930)", "삼성전자(005930)")
_VALUE: Number = 123_456
_HELD_NS = 40 * SECOND_NS
_RISE = 45
"""Looks before the end, from which on somebody buys."""


def example(locale: Locale, *, sample: bool = False) -> Figure:
    """Buying that picks up after the open, with a minute of which nothing was known. The same every time."""
    return Figure(
        subject=_SUBJECT.of(locale),
        stated=Stated(_CONDITION),
        runs=_runs(),
        opening=_OPENING,
        since=_AT - _HELD_NS,
        state=State.FIRING,
        repeat=0,
        rule="semis-program-buying",
        conditions=2,
        locale=locale,
        sample=sample,
    )


def sample(locale: Locale) -> bytes:
    """PNG bytes of a picture that says that it is none of the market's."""
    from engine.charts.draw import draw

    return draw(example(locale, sample=True))


def _runs() -> tuple[Run, ...]:
    """A walk that ends in the value; a minute of it is not known, and neither are the windows that start in there."""
    chance = random.Random(_SEED)  # noqa: S311 -- a drawing, the same every time
    points: list[Point] = []
    value = 0.0
    for t in range(_OPENING, _AT, INTERVAL_NS):
        left = (_AT - t) // INTERVAL_NS
        pull = (_VALUE - value) * 0.06 if left < _RISE else -value * 0.02
        value += chance.gauss(0, 4_000) + pull
        points.append(Point(t, round(value)))
    return tuple(points[:80]), tuple(points[92:140]), (*points[152:], Point(_AT, _VALUE))
