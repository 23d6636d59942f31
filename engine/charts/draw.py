"""A figure into a PNG: 1000 × 560 pixels, to be read on a phone. Pure, and the only file that knows Pillow.

Lines are drawn at twice the size and made smaller, because Pillow smooths letters and not lines.
The ground is a light card with an edge of its own: chats are dark or light, and the picture must be read in both.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from engine import units
from engine.charts import scale
from engine.charts.figure import SAMPLE, UNKNOWN, Figure, clock
from engine.charts.scale import Scale
from engine.charts.trace import SHOWN_NS, Point, Run
from engine.delivery import words
from engine.rules.model import RATIO_METRICS, Number

WIDTH, HEIGHT = 1000, 560
FONT = Path(__file__).parent / "PgmwatchGothic-Bold.ttf"

GROUND, EDGE, GRID = "#ffffff", "#c3cad6", "#e4e8ef"
INK, GRAY = "#161d2b", "#566072"
UP, DOWN, PLAIN = "#d3222a", "#1b5fd0", "#0b6e69"
"""Red is up and blue is down in Korea; what has no sign is neither."""
LIMIT, ZONE = "#a85400", "#fff2d9"
HATCH, HATCHED = "#b9c1ce", "#edf0f5"
DONE = "#2b6e3f"

_PAD = 26
_TOP, _BOTTOM = 144, 476
_COLUMN = (92, 230)
"""Width of the column of numbers: at least, at most."""
_INNER = 16
"""Between the last moment and the column: half of its mark."""
_APART = 38
"""Between two numbers of the column that must both be read."""
_LEAST_GAP = 6
"""Five seconds of which nothing is known are two pixels, and must be seen."""
_COLOURS = 64
"""All that are meant, and enough between them for smooth edges: half the bytes."""
_FINE = 2
"""How much larger lines are drawn."""


class _Tag(NamedTuple):
    """A number beside the picture that matters more than the grid's."""

    level: float
    text: str
    colour: str
    filled: bool
    y: float = 0.0


class _Frame(NamedTuple):
    """Where things stand in the picture."""

    figure: Figure
    scale: Scale
    right: int

    def x(self, t: float) -> float:
        left, right = _PAD, self.right - _INNER
        return left + (right - left) * min(max((t - self.figure.start) / SHOWN_NS, 0.0), 1.0)

    def y(self, value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * self.scale.part(value)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The plain layout: the other one brings a library that draws Arabic, and what it gives depends on the machine."""
    return ImageFont.truetype(FONT, size, layout_engine=ImageFont.Layout.BASIC)


def _width(text: str, size: int) -> int:
    return round(_font(size).getlength(text))


def draw(figure: Figure) -> bytes:
    """PNG bytes."""
    found = scale.scale_of(figure)
    tags = _tags(figure, found)
    column = max(_width(tag.text, 26) for tag in tags) + 34
    frame = _Frame(figure, found, WIDTH - min(max(column, _label_width(found), _COLUMN[0]), _COLUMN[1]))
    image = _lines(frame)
    pen = ImageDraw.Draw(image)
    _head(pen, figure)
    _numbers(pen, frame, tags)
    _times(pen, frame)
    _foot(pen, figure)
    pen.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=EDGE, width=2)
    small = image.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with io.BytesIO() as file:
        small.save(file, "PNG", compress_level=6)
        return file.getvalue()


def _label_width(found: Scale) -> int:
    return max((_width(label, 24) for label in found.labels), default=0) + 30


# The picture itself


def _lines(frame: _Frame) -> Image.Image:
    image = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), GROUND)
    pen = ImageDraw.Draw(image)
    for low, high in frame.figure.zones():
        if high > frame.scale.low and low < frame.scale.high:
            _box(pen, (_PAD, frame.y(high), frame.right, frame.y(low)), ZONE)
    for tick in frame.scale.ticks:
        bold = tick == 0
        _line(pen, [(_PAD, frame.y(tick)), (frame.right, frame.y(tick))], GRAY if bold else GRID, 2)
    for t in scale.minutes(frame.figure.start, frame.figure.at):
        _line(pen, [(frame.x(t), _TOP), (frame.x(t), _BOTTOM)], GRID, 1.5)
    for start, end in frame.figure.unknown:
        _hatch(pen, frame.x(start), max(frame.x(end), frame.x(start) + _LEAST_GAP), (_TOP, _BOTTOM))
    if frame.figure.opened is not None:
        x = frame.x(frame.figure.opened)
        _dashes(pen, (x, _TOP), (x, _BOTTOM), GRAY, 2)
    _thresholds(pen, frame)
    _held(pen, frame)
    for run in frame.figure.runs:
        _curve(pen, frame, run)
    _mark(pen, frame)
    return image.reduce(_FINE)


def _thresholds(pen: ImageDraw.ImageDraw, frame: _Frame) -> None:
    condition = frame.figure.stated.condition
    for bound in words.bounds(condition):
        if frame.scale.shows(bound):
            _line(pen, [(_PAD, frame.y(bound)), (frame.right, frame.y(bound))], LIMIT, 4)
    if condition.reset is not None and frame.scale.shows(condition.reset):
        y = frame.y(condition.reset)
        _dashes(pen, (_PAD, y), (frame.right, y), LIMIT, 2)


def _held(pen: ImageDraw.ImageDraw, frame: _Frame) -> None:
    held = frame.figure.held_from
    if held is not None:
        _box(pen, (frame.x(held), _BOTTOM - 8, frame.x(frame.figure.at), _BOTTOM), INK)


def _curve(pen: ImageDraw.ImageDraw, frame: _Frame, run: Run) -> None:
    signed = frame.figure.is_signed
    for colour, part in _by_sign(run) if signed else [(PLAIN, run)]:
        at = [(frame.x(point.t), frame.y(point.value)) for point in part]
        if len(at) == 1:
            _dot(pen, at[0], 4, colour)
        else:
            _line(pen, at, colour, 5)


def _by_sign(run: Sequence[Point]) -> Iterable[tuple[str, list[Point]]]:
    """In pieces of one colour, cut where they pass 0."""
    piece = [run[0]]
    for before, after in pairwise(run):
        if (before.value < 0) != (after.value < 0):
            share = before.value / (before.value - after.value)
            zero = Point(before.t + round((after.t - before.t) * share), 0)
            yield _sign(before.value), [*piece, zero]
            piece = [zero]
        piece.append(after)
    yield _sign(run[-1].value), piece


def _sign(value: Number) -> str:
    return DOWN if value < 0 else UP


def _colour(figure: Figure) -> str:
    return _sign(figure.value) if figure.is_signed else PLAIN


def _mark(pen: ImageDraw.ImageDraw, frame: _Frame) -> None:
    """The moment, and the value there."""
    x, y = frame.x(frame.figure.at), frame.y(frame.figure.value)
    _line(pen, [(x, _TOP - 14), (x, _BOTTOM)], INK, 2.5)
    _dot(pen, (x, y), 13, GROUND)
    _dot(pen, (x, y), 10, _colour(frame.figure))


# Numbers beside it


def _tags(figure: Figure, found: Scale) -> list[_Tag]:
    """The value, then thresholds and reset; where they stand is found later."""
    condition = figure.stated.condition
    limits = dict.fromkeys([*words.bounds(condition), *([] if condition.reset is None else [condition.reset])])
    return [
        _Tag(figure.value, _number(figure, figure.value), _colour(figure), filled=True),
        *(_Tag(limit, _arrow(found, limit) + _number(figure, limit), LIMIT, filled=False) for limit in limits),
    ]


def _arrow(found: Scale, limit: Number) -> str:
    """One that is too far away to be shown stands at the edge, with an arrow to where it would be."""
    if found.shows(limit):
        return ""
    return "▲ " if limit > found.high else "▼ "


def _number(figure: Figure, number: Number) -> str:
    """Without its unit, which stands in the head; exact where rounding makes it look like another."""
    condition = figure.stated.condition
    if condition.metric in RATIO_METRICS:
        return words.value(condition, number, figure.locale)
    text = units.amount_text(number, figure.locale)
    rivals = {units.amount_text(bound, figure.locale) for bound in words.bounds(condition) if bound != number}
    return f"{number:,}" if text in rivals else text


def _numbers(pen: ImageDraw.ImageDraw, frame: _Frame, tags: Sequence[_Tag]) -> None:
    placed = _placed([tag._replace(y=frame.y(tag.level)) for tag in tags])
    for tick, label in zip(frame.scale.ticks, frame.scale.labels, strict=True):
        y = frame.y(tick)
        if all(abs(y - tag.y) >= 30 for tag in placed):
            _text(pen, (frame.right + 14, min(y, _BOTTOM - 12)), label, 24, GRAY)
    for tag in placed:
        _draw_tag(pen, frame.right, tag)


def _placed(tags: Sequence[_Tag]) -> list[_Tag]:
    """One below the other, as near to where they belong as that allows; inside the picture."""
    found: list[_Tag] = []
    for tag in sorted(tags, key=lambda tag: tag.y):
        found.append(tag._replace(y=max(tag.y, found[-1].y + _APART if found else _TOP + _APART / 2)))
    lowest = _BOTTOM - _APART / 2
    for place in reversed(range(len(found))):
        found[place] = found[place]._replace(y=min(found[place].y, lowest))
        lowest = found[place].y - _APART
    return found


def _draw_tag(pen: ImageDraw.ImageDraw, right: int, tag: _Tag) -> None:
    size = _fitting(tag.text, 26, WIDTH - right - 30)
    box = (right + 6, tag.y - 17, right + 22 + _width(tag.text, size), tag.y + 17)
    pen.rounded_rectangle(box, 6, fill=tag.colour if tag.filled else GROUND, outline=tag.colour, width=2)
    _text(pen, (right + 14, tag.y), tag.text, size, GROUND if tag.filled else tag.colour)


def _times(pen: ImageDraw.ImageDraw, frame: _Frame) -> None:
    figure = frame.figure
    free = 0.0
    for t in scale.minutes(figure.start, figure.at):
        label, x = clock(t), frame.x(t)
        half = _width(label, 24) / 2
        if x - half >= max(free, 8) and x + half <= frame.right + 20:
            _text(pen, (x, _BOTTOM + 20), label, 24, GRAY, anchor="mm")
            free = x + half + 14
    _text(pen, (WIDTH - _PAD, _BOTTOM + 20), "KST", 24, GRAY, anchor="rm")
    if figure.opened is not None:
        _label(pen, (frame.x(figure.opened) + 8, _TOP + 16), figure.open_words(), 22, GRAY, right=frame.right)
    if figure.held_from is not None:
        end = frame.x(figure.at) - 12
        _label(
            pen, (end - _width(figure.held_words(), 22), _BOTTOM - 26), figure.held_words(), 22, INK, right=frame.right
        )


def _label(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str, *, right: float
) -> None:
    """On the picture, with ground around it."""
    x, y = min(at[0], right - _width(text, size) - 8), at[1]
    pen.rounded_rectangle((x - 5, y - 14, x + _width(text, size) + 5, y + 14), 5, fill=GROUND)
    _text(pen, (x, y), text, size, colour)


# Words around it


def _head(pen: ImageDraw.ImageDraw, figure: Figure) -> None:
    state = figure.state_words()
    wide = _width(state, 28) + 28
    left = WIDTH - _PAD - wide
    pen.rounded_rectangle((left, 18, WIDTH - _PAD, 62), 9, fill=DONE if figure.state == "resolved" else INK)
    _text(pen, (left + 14, 40), state, 28, GROUND)
    _fitted(pen, (_PAD, 40), figure.subject, 40, INK, room=left - _PAD - 20)
    _second_line(pen, figure)


def _second_line(pen: ImageDraw.ImageDraw, figure: Figure) -> None:
    """What, how much, and the threshold beside it; smaller where they are long."""
    room, y = WIDTH - 2 * _PAD, 98
    for shrink in (1.0, 0.9, 0.8, 0.72, 0.65):
        parts = [
            (figure.metric_words(), round(30 * shrink), GRAY),
            (figure.value_words(), round(40 * shrink), _colour(figure)),
            (figure.limit_words(), round(28 * shrink), LIMIT),
        ]
        widths = [_width(text, size) for text, size, _ in parts]
        if sum(widths) + 32 <= room:
            break
    x = float(_PAD)
    for (text, size, colour), width in zip(parts[:2], widths[:2], strict=True):
        _fitted(pen, (x, y), text, size, colour, room=room)
        x += width + 16
    text, size, colour = parts[2]
    _fitted(pen, (max(x, WIDTH - _PAD - widths[2]), y), text, size, colour, room=WIDTH - _PAD - x)


def _foot(pen: ImageDraw.ImageDraw, figure: Figure) -> None:
    right = float(WIDTH - _PAD)
    if figure.unknown:
        word = UNKNOWN.of(figure.locale)
        _text(pen, (right, 530), word, 22, GRAY, anchor="rm")
        right -= _width(word, 22) + 44
        _hatch(pen, right, right + 34, (518, 542), fine=1)
        right -= 16
    if figure.sample:
        word = SAMPLE.of(figure.locale)
        pen.rounded_rectangle((right - _width(word, 24) - 20, 514, right, 546), 6, fill=LIMIT)
        _text(pen, (right - 10, 530), word, 24, GROUND, anchor="rm")
        right -= _width(word, 24) + 36
    _fitted(pen, (_PAD, 530), figure.rule_words(), 22, GRAY, room=right - _PAD)


def _fitting(text: str, size: int, room: float) -> int:
    """The largest size up to `size` at which the text has room; not below 16."""
    while size > 16 and _width(text, size) > room:
        size -= 1
    return size


def _fitted(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str, *, room: float
) -> None:
    """Smaller down to two thirds, and then cut."""
    size = max(_fitting(text, size, room), size * 2 // 3)
    if _width(text, size) > room:
        while text and _width(text + "…", size) > room:
            text = text[:-1]
        text += "…"
    _text(pen, at, text, size, colour)


# Strokes. Coordinates are those of the picture.


def _text(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str, *, anchor: str = "lm"
) -> None:
    pen.text(at, text, fill=colour, font=_font(size), anchor=anchor)


def _line(pen: ImageDraw.ImageDraw, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
    fine = [(x * _FINE, y * _FINE) for x, y in points]
    pen.line(fine, colour, round(width * _FINE), joint="curve")
    if len(points) > 2:  # a curve has round ends
        for x, y in (points[0], points[-1]):
            _dot(pen, (x, y), width / 2, colour)


def _dashes(
    pen: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], colour: str, width: float
) -> None:
    length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    across, down = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    for begin in range(0, int(length), 16):
        stop = min(begin + 9, length)
        ends = [(start[0] + across * at, start[1] + down * at) for at in (begin, stop)]
        _line(pen, ends, colour, width)


def _dot(pen: ImageDraw.ImageDraw, at: tuple[float, float], radius: float, colour: str) -> None:
    x, y = at
    _scaled(pen.ellipse, (x - radius, y - radius, x + radius, y + radius), colour)


def _box(pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], colour: str) -> None:
    _scaled(pen.rectangle, box, colour)


def _scaled(shape: Callable[..., None], box: Sequence[float], colour: str) -> None:
    shape([each * _FINE for each in box], fill=colour)


def _hatch(pen: ImageDraw.ImageDraw, left: float, right: float, rows: tuple[float, float], fine: int = _FINE) -> None:
    """Slanted lines over a span of time: nothing is known of it."""
    top, bottom, low, high = (round(edge * fine) for edge in (*rows, left, right))
    pen.rectangle((low, top, high, bottom), fill=HATCHED)
    tall = bottom - top
    at = low - tall - (low - tall) % (11 * fine)
    while at < high:
        x0, x1 = max(at, low), min(at + tall, high)
        if x0 < x1:
            pen.line((x0, bottom - (x0 - at), x1, bottom - (x1 - at)), HATCH, round(1.5 * fine))
        at += 11 * fine
