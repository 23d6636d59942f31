"""Cases by which other alerting systems define the same words, as tables."""

import pytest
from evaluation_stage import SAMSUNG, Stage, condition, rule

from engine.evaluation.lifecycle import Phase

# Kapacitor's example of levels with resets: 60 70 80, and back at 50 60 70.

LEVELS = {"info": (60, 50), "warn": (70, 60), "crit": (80, 70)}


def test_kapacitors_levels_as_three_rules() -> None:
    """There one alert has one memory, and from crit 62 falls to info; here warn remembers that it has not seen 60."""
    parts = {name: condition("buy_resting", above=above, reset=reset) for name, (above, reset) in LEVELS.items()}
    stage = Stage(*(rule(part, name=name) for name, part in parts.items()))
    highest = []
    for minute, value in enumerate((61, 73, 64, 85, 62, 56, 47)):
        stage.record(f"09:1{minute}:00", buy_resting=value)
        firing = [name for name in LEVELS if stage.shown(name).phase is Phase.FIRING]
        highest.append(firing[-1] if firing else "ok")
    assert highest == ["info", "warn", "warn", "crit", "warn", "info", "ok"]


# Prometheus' `for` and `keep_firing_for`: an evaluation a minute, met above 50. i, p, f: the phase after each.


@pytest.mark.parametrize(
    ("hold", "keep", "values", "phases"),
    [
        ("0s", "0s", (75, 10, 75, 10), "fifi"),
        ("1m", "0s", (75, 85, 70, 10, 75), "pffip"),
        ("1m", "0s", (75, 10, 75, 10), "pipi"),
        ("2m", "0s", (75, 75, 10, 75, 75, 75), "ppippf"),
        ("1m", "1m", (75, 85, 70, 70, 10, 10, 10), "pffffii"),
        ("1m", "2m", (75, 85, 10, 10, 10, 10), "pfffii"),
        ("1m", "2m", (75, 85, 10, 10, 70, 10, 10, 10), "pffffffi"),  # held again: the clock starts anew
        ("5m", "1m", (75, 75, 10, 10), "ppii"),  # what never fired is kept by nothing
        ("0s", "1m", (10, 75, 10, 75, 10, 10), "iffffi"),
    ],
)
def test_prometheus_clocks(hold: str, keep: str, values: tuple[int, ...], phases: str) -> None:
    stage = Stage(rule(condition("buy_resting", above=50), for_=hold, keep_firing_for=keep))
    found = ""
    for minute, value in enumerate(values):
        stage.record(f"09:1{minute}:00", buy_resting=value)
        stage.tick(f"09:1{minute}:00")
        found += stage.shown(symbol=SAMSUNG).phase.value[0]
    assert found == phases
