"""From values to a scale that a person can read: which range is shown, which numbers stand beside it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.charts.figure import Figure
from engine.delivery import words
from engine.kst import SECOND_NS, day_number, day_start
from engine.locale import Locale
from engine.rules.model import RATIO_METRICS, Number

_TICKS = 6
"""Lines across the picture, at most about so many."""
_STEPS = (1, 2, 5, 10)
_ROOM = 0.08
"""Of the range, above and below."""
_STRETCH = 2.5
"""A second threshold or a reset may make the range this many times larger; beyond that the values look flat."""
_STRETCH_TO_ZERO = 1.5
_UNITS = {
    Locale.KO: (("조", 10**12), ("억", 10**8), ("만", 10**4)),
    Locale.EN: (("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)),
}


@dataclass(frozen=True, slots=True)
class Scale:
    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    """Of the ticks."""

    def part(self, value: float) -> float:
        """0 at the lower end, 1 at the upper one, not beyond."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def shows(self, value: float) -> bool:
        return self.low <= value <= self.high


def scale_of(figure: Figure) -> Scale:
    """All values, the nearest threshold, and whatever else of thresholds, reset and 0 is near enough."""
    condition = figure.stated.condition
    bounds = sorted(words.bounds(condition), key=lambda bound: abs(bound - figure.value))
    low, high = min(*figure.levels, bounds[0]), max(*figure.levels, bounds[0])
    others = [*bounds[1:], *([] if condition.reset is None else [condition.reset])]
    for other, stretch in [(other, _STRETCH) for other in others] + [(0, _STRETCH_TO_ZERO)]:
        if low < high and max(high, other) - min(low, other) <= stretch * (high - low):
            low, high = min(low, other), max(high, other)
    return _scale(low, high, figure.locale, ratio=condition.metric in RATIO_METRICS)


def _scale(low: Number, high: Number, locale: Locale, *, ratio: bool) -> Scale:
    least = 0.02 if ratio else 4.0  # a flat line: of a ratio a percent up and down, else two shares or won
    room = max((high - low) * _ROOM, (least - (high - low)) / 2, abs(high) * 1e-6)
    bottom, top = low - room, high + room
    step = _step((top - bottom) / _TICKS)
    first = math.ceil(bottom / step)
    ticks = tuple(number * step for number in range(first, math.floor(top / step) + 1))
    return Scale(bottom, top, ticks, _percents(ticks, step) if ratio else _amounts(ticks, step, locale))


def _step(about: float) -> float:
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(about))
    return next(step * power for step in _STEPS if step * power >= about * 0.999)


def _percents(ticks: Sequence[float], step: float) -> tuple[str, ...]:
    digits = max(0, -math.floor(math.log10(step * 100) + 1e-9))
    return tuple(words.percent(tick, digits) for tick in ticks)


def _amounts(ticks: Sequence[float], step: float, locale: Locale) -> tuple[str, ...]:
    """One unit for all of them: `5만`, `0`, `-5만`."""
    largest = max(map(abs, ticks), default=0)
    units = ((name, size) for name, size in _UNITS[locale] if largest >= size and step >= size / 100)
    name, size = next(units, ("", 1))
    return tuple(_plain(tick / size) + (name if tick else "") for tick in ticks)


def _plain(number: float) -> str:
    text = f"{number:,.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def minutes(start: int, end: int, every: int = 5) -> tuple[int, ...]:
    """The moments of the clock, `every` so many minutes, between two times."""
    midnight, step = day_start(day_number(start)), every * 60 * SECOND_NS
    first = midnight - (midnight - start) // step * step
    return tuple(range(first, end + 1, step))
