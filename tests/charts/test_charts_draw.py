"""The picture, pixel by pixel: what stands where, in which colour, and that all of it can be read."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from chart_cases import CASES, figure
from evaluation_stage import at, condition
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageColor

from engine.alert import State
from engine.charts import draw as drawing
from engine.charts import figure as figures
from engine.charts import sample, scale
from engine.charts.draw import DOWN, FONT, HEIGHT, LIMIT, PLAIN, UP, WIDTH, draw
from engine.charts.figure import Figure
from engine.charts.trace import Point
from engine.delivery import words
from engine.delivery.words import METRICS
from engine.locale import Locale, Text
from engine.rules.model import RATIO_METRICS, Operator
from engine.symbols import builtin

ROOT = Path(__file__).parents[2]
DOCUMENTED = ROOT / "docs/pictures/alert-ko.png"
EVERY = pytest.mark.parametrize("name", CASES)
Box = tuple[float, float, float, float]


def picture_of(shown: Figure) -> Image.Image:
    return Image.open(io.BytesIO(draw(shown))).convert("RGB")


def frame_of(shown: Figure, monkeypatch: pytest.MonkeyPatch) -> drawing._Frame:
    """Where its parts stand."""
    kept: list[drawing._Frame] = []
    original = drawing._lines

    def noted(frame: drawing._Frame) -> Image.Image:
        kept.append(frame)
        return original(frame)

    with monkeypatch.context() as patch:
        patch.setattr(drawing, "_lines", noted)
        draw(shown)
    return kept[0]


def like(pixel: object, colour: str, tolerance: int = 24) -> bool:
    """The palette has 64 colours, so none is exact."""
    assert isinstance(pixel, tuple)
    wanted = ImageColor.getrgb(colour)
    return all(abs(one - other) <= tolerance for one, other in zip(pixel, wanted, strict=True))


def extent(image: Image.Image, colour: str, box: Box = (0, 0, WIDTH, HEIGHT)) -> tuple[int, int, int, int] | None:
    """The box around all that has this colour; None: nothing has."""
    part = image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]  # a tuple of four
    far = ImageChops.difference(part, Image.new("RGB", part.size, colour))
    red, green, blue = far.split()
    near = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(lambda level: 255 if level <= 24 else 0)
    return near.getbbox()


# Lines


@EVERY
def test_a_picture_is_of_one_size_and_small(name: str) -> None:
    data = draw(CASES[name])
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
    assert len(data) < 30_000


@EVERY
def test_a_threshold_is_a_line_where_its_value_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CASES[name]
    frame, image = frame_of(shown, monkeypatch), picture_of(shown)
    near = [bound for bound in words.bounds(shown.stated.condition) if frame.scale.shows(bound)]
    assert near
    for bound in near:
        y = round(frame.y(bound))
        row = [like(image.getpixel((x, y)), LIMIT) for x in range(30, frame.right - 4)]
        assert sum(row) > 0.6 * len(row)
    if name != "a threshold far away":
        assert len(near) == len(words.bounds(shown.stated.condition))


def test_a_threshold_too_far_away_is_no_line_but_an_arrow_to_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CASES["a threshold far away"]
    frame, image = frame_of(shown, monkeypatch), picture_of(shown)
    y = round(frame.y(-5_000_000))
    assert y == drawing._BOTTOM
    row = [like(image.getpixel((x, y)), LIMIT, 60) for x in range(30, frame.right - 4)]
    assert not any(row)
    _, far, near = (tag.text for tag in drawing._tags(shown, frame.scale))
    assert (far, near) == ("▼ -500만", "8만")


def test_a_reset_is_a_thinner_broken_line(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CASES["positive"]
    frame, image = frame_of(shown, monkeypatch), picture_of(shown)
    y = round(frame.y(60_000))
    row = [like(image.getpixel((x, y)), LIMIT, 60) for x in range(30, frame.right - 4)]
    assert 0.3 * len(row) < sum(row) < 0.75 * len(row)
    column = [like(image.getpixel((34, y + off)), LIMIT, 60) for off in range(-6, 7)]
    limit = [like(image.getpixel((34, round(frame.y(100_000)) + off)), LIMIT, 60) for off in range(-6, 7)]
    assert sum(column) < sum(limit)


@pytest.mark.parametrize("name", ["positive", "negative", "crossing 0", "ratio", "inside a range"])
def test_red_is_above_zero_and_blue_below(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CASES[name]
    frame, image = frame_of(shown, monkeypatch), picture_of(shown)
    zero, end = frame.y(0), frame.x(shown.at) - 16
    box = 30, drawing._TOP, end, drawing._BOTTOM
    red, blue = (extent(image, colour, box) for colour in (UP, DOWN))
    assert red is not None
    assert blue is not None
    assert drawing._TOP + red[3] <= zero + 5
    assert drawing._TOP + blue[1] >= zero - 5


@pytest.mark.parametrize("name", ["level after the open", "only its own point", "flat"])
def test_what_has_no_sign_is_neither_red_nor_blue(name: str) -> None:
    image = picture_of(CASES[name])
    assert extent(image, PLAIN)
    assert not extent(image, UP)
    assert not extent(image, DOWN)


@pytest.mark.parametrize("name", ["gaps", "sum, and a gap before it", "only its own point"])
def test_no_line_goes_through_what_is_not_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CASES[name]
    frame, image = frame_of(shown, monkeypatch), picture_of(shown)
    assert shown.unknown
    alone = {point.t for run in shown.runs if len(run) == 1 for point in run}
    for start, end in shown.unknown:
        left, right = frame.x(start) + 5, frame.x(end) - (16 if end in alone else 5)
        if right > left:
            box = left, drawing._TOP, right, drawing._BOTTOM
            assert not any(extent(image, colour, box) for colour in (UP, DOWN, PLAIN))
        middle = round(min((frame.x(start) + frame.x(end)) / 2, frame.x(start) + 3)), drawing._BOTTOM - 3
        assert not like(image.getpixel(middle), drawing.GROUND, 8)


def test_the_moment_and_its_value_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = CASES["positive"]
    frame, image = frame_of(shown, monkeypatch), picture_of(shown)
    x, y = round(frame.x(shown.at)), round(frame.y(shown.value))
    assert like(image.getpixel((x, y)), UP)
    assert like(image.getpixel((x + 5, y + 5)), UP)
    column = [like(image.getpixel((x, below)), drawing.INK, 60) for below in range(y + 16, drawing._BOTTOM - 12)]
    assert sum(column) > 0.8 * len(column)


# Scale


def test_a_range_fires_outside_or_inside_and_the_opposite_under_none() -> None:
    infinite = float("inf")

    def zones(so: bool, **operator: Any) -> list[tuple[float, float]]:
        return list(figure(condition("net_volume", **operator), 0, 5, so=so).zones())

    assert zones(so=True, outside=(1, 3)) == zones(so=False, inside=(1, 3)) == [(-infinite, 1), (3, infinite)]
    assert zones(so=True, inside=(1, 3)) == zones(so=False, outside=(1, 3)) == [(1, 3)]
    assert zones(so=True, above=2) == zones(so=False, at_most=2) == [(2, infinite)]
    assert zones(so=True, crosses_below=2) == zones(so=True, below=2) == zones(so=False, at_least=2) == [(-infinite, 2)]


@pytest.mark.parametrize(
    ("low", "high", "locale", "labels"),
    [
        (0, 123_456, Locale.KO, ("0", "5만", "10만")),
        (-1_200, 400, Locale.KO, ("-1,000", "-500", "0", "500")),
        (9_000_000_000, 11_000_000_000, Locale.KO, ("90억", "95억", "100억", "105억", "110억")),
        (10_000, 10_040, Locale.KO, ("10,000", "10,010", "10,020", "10,030", "10,040")),
        (0, 2_400_000_000_000, Locale.EN, ("0", "0.5T", "1T", "1.5T", "2T", "2.5T")),
    ],
)
def test_the_numbers_beside_it_are_round(low: int, high: int, locale: Locale, labels: tuple[str, ...]) -> None:
    assert scale._scale(low, high, locale, ratio=False).labels == labels


def test_ratios_are_percentages() -> None:
    assert scale._scale(-0.2, 0.42, Locale.KO, ratio=True).labels == ("-20%", "0%", "+20%", "+40%")
    assert scale._scale(0.3, 0.3, Locale.KO, ratio=True).labels == ("+29%", "+29.5%", "+30%", "+30.5%", "+31%")


# Words


def boxes(shown: Figure, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Box]]:
    """Every text that is written, and where."""
    found: list[tuple[str, Box]] = []
    original = drawing._text

    def noted(pen: Any, at: tuple[float, float], text: str, size: int, colour: str, *, anchor: str = "lm") -> None:
        left, top, right, bottom = drawing._font(size).getbbox(text, anchor=anchor)
        found.append((text, (at[0] + left, at[1] + top, at[0] + right, at[1] + bottom)))
        original(pen, at, text, size, colour, anchor=anchor)

    with monkeypatch.context() as patch:
        patch.setattr(drawing, "_text", noted)
        draw(shown)
    return found


def overlapping(found: list[tuple[str, Box]]) -> Iterator[tuple[str, str]]:
    for (one, a), (other, b) in combinations(found, 2):
        if min(a[2], b[2]) - max(a[0], b[0]) > 0 and min(a[3], b[3]) - max(a[1], b[1]) > 0:
            yield one, other


@EVERY
def test_every_word_is_inside_the_picture_and_none_over_another(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = boxes(CASES[name], monkeypatch)
    for text, (left, top, right, bottom) in found:
        assert left >= 0, text
        assert right <= WIDTH, text
        assert top >= 0, text
        assert bottom <= HEIGHT, text
    assert list(overlapping(found)) == []


def test_it_says_whom_what_how_much_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [text for text, _ in boxes(CASES["positive"], monkeypatch)]
    for text in (
        "삼성전자(005930)", "발생 10:42:17", "5분 순매수량", "12만 3,456주", "기준 > 10만주, 해제 ≤ 6만주",
        "12만 3,456", "10만", "6만", "10:15", "10:40", "KST", "42초 지속",
        "규칙: semis-program-buying · 조건 2개 중 1개",
    ):  # fmt: skip
        assert text in said


def test_a_session_that_opened_in_it_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "장 시작 09:00" in [text for text, _ in boxes(CASES["level after the open"], monkeypatch)]
    assert not any("장 시작" in text for text, _ in boxes(CASES["positive"], monkeypatch))


def test_only_gaps_are_missed_before_the_open_and_all_after_it() -> None:
    early = CASES["before the open"]
    assert early.unknown == ((early.runs[0][-1].t, early.runs[1][0].t),)
    late = figure(condition("net_volume", above=1), 0, 5, time="09:10:00", looks=60)
    assert late.unknown == ((at("09:00:00"), at("09:05:00")),)
    assert figure(condition("net_volume", above=1), 0, 5, time="09:10:00", looks=118).unknown == ()


def test_a_value_never_looks_equal_to_the_threshold_it_is_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    ratio = figure(condition("imbalance", above=0.3), 0.1, 0.30001)
    assert {"+30%", "+30.001%"} <= {text for text, _ in boxes(ratio, monkeypatch)}
    value = figure(condition("net_value", above=1_000_000_000_000), 0, 1_000_000_000_001)
    assert {"1조", "1,000,000,000,001"} <= {text for text, _ in boxes(value, monkeypatch)}


def test_who_is_named_in_a_picture_is_called_by_nobody() -> None:
    assert figures.plain("＠here \u200d삼성\ufe0f\n전자", 40) == "@here 삼성 전자"


# Letters


def ink(text: str) -> bytes:
    return bytes(drawing._font(40).getmask(text))


NO_GLYPH = ink("\uffff")


def texts(module: object) -> Iterator[str]:
    for value in vars(module).values():
        several = value.values() if isinstance(value, dict) else [value]
        for each in several:
            if isinstance(each, Text):
                yield from each


def test_all_that_a_picture_says_has_letters() -> None:
    said = {*"".join([*texts(words), *texts(figures)]), *"0123456789,.:%+-()@#&/'\"만억조주원KMBT▲▼…·<>≥≤~−_"}
    said |= {letter for metric in METRICS.values() for text in metric for letter in text}
    said |= {letter for name in builtin.NAMES.values() for letter in name}
    assert [letter for letter in sorted(said - {" "}) if ink(letter) == NO_GLYPH] == []


def test_what_has_no_letter_shows_as_a_box() -> None:
    assert any(NO_GLYPH)
    assert ink("漢") == ink("😀") == NO_GLYPH
    draw(figure(condition("net_volume", above=1), 0, 5, subject="漢字 😀 뷁 \u0301\U0010ffff", rule="\ufffd"))


def test_the_font_and_its_licence_are_in_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = [sys.executable, "-m", "flit_core.wheel", "--outdir", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    wheel = zipfile.ZipFile(built)
    assert wheel.getinfo(f"engine/charts/{FONT.name}").file_size == FONT.stat().st_size < 500_000
    assert b"SIL OPEN FONT LICENSE Version 1.1" in wheel.read("engine/charts/OFL.txt").replace(
        b"\n\nVersion", b" Version"
    )


# Anything


numbers = st.integers(-(10**16), 10**16) | st.integers(-20, 20)


@st.composite
def anything(draw_: st.DrawFn) -> Figure:
    metric = draw_(st.sampled_from(sorted(METRICS)))
    number = st.floats(-1, 1) if metric in RATIO_METRICS else numbers
    operator = draw_(st.sampled_from(Operator))
    pair = tuple(sorted((draw_(number), draw_(number))))
    threshold = pair if operator.is_range else pair[0]
    reset = None if operator.is_range else draw_(st.none() | number)
    told: dict[str, Any] = {"reset": reset, operator.value: threshold}
    shown = figure(condition(metric, **told), 0, draw_(number), looks=0)
    points = sorted(draw_(st.sets(st.integers(1, 1790))))
    cut = draw_(st.integers(0, len(points)))
    end, last = shown.at, shown.runs[-1]
    runs = [
        tuple(Point(end - s * 10**9, draw_(number)) for s in reversed(part)) for part in (points[cut:], points[:cut])
    ]
    return Figure(
        draw_(st.text(max_size=60)),
        shown.stated,
        (*(run for run in runs if run), last),
        draw_(st.integers(end - 3 * 10**12, end + 10**12)),
        draw_(st.integers(end - 3 * 10**12, end)),
        draw_(st.sampled_from(State)),
        draw_(st.sampled_from([0, 0, 7])),
        draw_(st.text(max_size=80)),
        draw_(st.integers(1, 64)),
        draw_(st.sampled_from(Locale)),
    )


@settings(max_examples=60, deadline=None)
@given(anything())
def test_any_figure_can_be_drawn_and_read(shown: Figure) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = boxes(shown, patch)
    for text, (left, top, right, bottom) in found:
        assert 0 <= left <= right <= WIDTH, text
        assert 0 <= top <= bottom <= HEIGHT, text
    assert list(overlapping(found)) == []
    assert all(low < high for low, high in shown.unknown)


# Samples


def test_a_sample_says_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for locale, word in ((Locale.KO, "견본"), (Locale.EN, "SAMPLE")):
        said = [text for text, _ in boxes(sample.example(locale, sample=True), monkeypatch)]
        assert any(word in text for text in said)
    assert sample.sample(Locale.KO).startswith(b"\x89PNG")


def test_the_documented_picture_is_what_is_drawn_now() -> None:
    """If it is not, and that is meant, `DOCUMENTED.write_bytes(draw(sample.example(Locale.KO)))` renews it."""
    kept, now = Image.open(DOCUMENTED).convert("RGB"), picture_of(sample.example(Locale.KO))
    assert kept.size == now.size
    difference = ImageChops.difference(kept, now).convert("L").point(lambda level: 255 if level > 40 else 0)
    differ = difference.histogram()[255]
    assert differ < 500  # another FreeType smooths some letters otherwise
    assert DOCUMENTED.stat().st_size < 60_000
