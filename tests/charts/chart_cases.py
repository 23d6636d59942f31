"""Figures of every kind, from walks of chance that are the same each time."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation_stage import at, condition

from engine.alert import State
from engine.charts.figure import Figure
from engine.charts.trace import INTERVAL_NS, Point, Run
from engine.delivery.words import Stated
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Condition, Number

Gaps = Sequence[tuple[int, int]]


def walk(end: int, first: float, last: Number, looks: int = 360, gaps: Gaps = ()) -> tuple[Run, ...]:
    """From about `first` to `last`, which is the alert's own; nothing is known in the gaps (looks)."""
    chance, value, step = random.Random(3), first, abs(last - first) / 15
    whole = isinstance(last, int)
    runs: list[list[Point]] = [[]]
    for place in range(looks):
        value += chance.gauss(0, step) + (last - value) * 0.02 * (1 + 8 * (place / looks) ** 4)
        if any(low <= place < high for low, high in gaps):
            runs.append([])
        else:
            runs[-1].append(Point(end - (looks - place) * INTERVAL_NS, round(value) if whole else value))
    runs[-1].append(Point(end, last))
    return tuple(tuple(run) for run in runs if run)


def figure(
    measured: Condition,
    first: float,
    last: Number,
    *,
    time: str = "10:42:17",
    so: bool = True,
    looks: int = 360,
    gaps: Gaps = (),
    held_s: int = 0,
    **others: Any,
) -> Figure:
    end = at(time)
    given: dict[str, Any] = {
        "subject": "삼성전자(005930)",
        "state": State.FIRING,
        "repeat": 0,
        "rule": "semis-program-buying",
        "conditions": 1,
        "locale": Locale.KO,
    }
    return Figure(
        stated=Stated(measured, so),
        runs=walk(end, first, last, looks, gaps),
        opening=at("09:00:00"),
        since=end - held_s * SECOND_NS,
        **(given | others),
    )


LONG = "a rule with a really very long name that nobody can read on a phone at all, ever"
CASES: Mapping[str, Figure] = {
    "positive": figure(
        condition("net_volume[5m]", above=100_000, reset=60_000), -20_000, 123_456, held_s=42, conditions=2
    ),
    "negative": figure(condition("net_value[10m]", below=-5_000_000_000), 1_000_000_000, -5_234_567_890),
    "crossing 0": figure(condition("net_volume", crosses_above=0), -300_000, 1_204, subject="에코프로비엠(247540)"),
    "ratio": figure(condition("imbalance[5m]", above=0.3, reset=0.2), -0.2, 0.3421),
    "level after the open": figure(
        condition("buy_resting", at_least=2_000_000), 1_200_000, 2_034_511, time="09:12:40", looks=148
    ),
    "outside a range, resolved": figure(
        condition("net_volume[5m]", outside=(-50_000, 80_000)), 10_000, -61_234, state=State.RESOLVED, held_s=330
    ),
    "inside a range": figure(
        condition("imbalance", inside=(-0.05, 0.05)), 0.4, 0.0312, locale=Locale.EN, subject="SK hynix(000660)"
    ),
    "gaps": figure(
        condition("net_volume[5m]", above=100_000), -20_000, 123_456, gaps=((100, 130), (131, 150), (200, 201))
    ),
    "only its own point": figure(condition("total_value[1h]", above=50_000_000_000), 0, 51_234_567_890, looks=0),
    "sum, and a gap before it": figure(
        condition("net_value[30m]", above=100_000_000_000),
        2e10,
        101_234_567_890,
        subject="반도체 그룹 40종목 합계",
        gaps=((0, 40), (350, 360)),
    ),
    "long words": figure(
        condition("net_value[1h30m]", crosses_below=-1_500_000_000_000, reset=-1_000_000_000_000),
        -1e11,
        -1_534_567_890_123,
        locale=Locale.EN,
        subject="group semiconductors-and-equipment-of-the-whole-market, sum of 40 stocks",
        rule=LONG,
        conditions=3,
        sample=True,
        repeat=12,
    ),
    "a threshold far away": figure(condition("net_volume[5m]", outside=(-5_000_000, 80_000)), 10_000, 81_234),
    "flat": figure(condition("sell_volume", above=99), 100, 100),
    "all at the foot": figure(
        condition("net_value[5m]", below=-5_000_000_000, reset=-4_990_000_000), 60_000_000_000, -5_010_000_000
    ),
    "not so": figure(condition("net_volume[5m]", above=100_000), 90_000, 50_000, so=False),
    "before the open": figure(condition("net_resting", above=5), 0, 8, time="08:41:00", looks=100, gaps=((50, 60),)),
    "over midnight": figure(condition("net_volume", above=1_000), 900, 1_001, time="00:10:00"),
}
