"""The life of an alert: what is said at which second, for a script of verdicts."""

from dataclasses import replace
from typing import Any

import pytest

from engine.alert import State, Suppression
from engine.evaluation.conditions import Truth
from engine.evaluation.lifecycle import (
    REST,
    TABLE,
    Life,
    Phase,
    Said,
    Tally,
    due,
    fire_once,
    interrupted,
    step,
    suppression,
)
from engine.evaluation.series import NEVER
from engine.rules.model import Group, Logic, Rule

RULE = Rule(name="rule", symbols=("005930",), when=Group(Logic.ALL, ()))
VERDICTS: dict[str, Truth] = {"+": True, "-": False, "?": None}


def play(rule: Rule, script: str) -> list[str]:
    """One evaluation a unit of time, from 0 on: `+` met, `-` not met, `?` undefined, blank none."""
    life, tally, heard = REST, Tally(), []
    for now, sign in enumerate(script):
        if sign != " ":
            life, tally, said = step(rule, life, tally, VERDICTS[sign], now)
            if said is not None:
                heard.append(f"{now} {_text(said)} since {said.since}")
    return heard


def _text(said: Said) -> str:
    if said.suppressed:
        return said.suppressed.value
    return f"repeat {said.repeat}" if said.repeat else said.state.value


@pytest.mark.parametrize(
    ("keys", "script", "expected"),
    [
        # for
        ({}, "-+", ["1 firing since 1"]),
        ({}, "++++", ["0 firing since 0"]),
        ({"for_ns": 3}, "+++", []),
        ({"for_ns": 3}, "++++", ["3 firing since 0"]),
        ({"for_ns": 3}, "+    +", ["5 firing since 0"]),
        ({"for_ns": 3}, "++-++++", ["6 firing since 3"]),
        ({"for_ns": 3}, "++?++++", ["6 firing since 3"]),
        # resolved, keep_firing_for
        ({"resolved": True}, "+-", ["0 firing since 0", "1 resolved since 0"]),
        ({}, "+-+", ["0 firing since 0", "2 firing since 2"]),
        ({"resolved": True}, "+??-", ["0 firing since 0", "3 resolved since 0"]),
        ({"resolved": True, "keep_firing_for_ns": 3}, "+--", ["0 firing since 0"]),
        ({"resolved": True, "keep_firing_for_ns": 3}, "+----", ["0 firing since 0", "4 resolved since 0"]),
        ({"resolved": True, "keep_firing_for_ns": 3}, "+--+---", ["0 firing since 0"]),
        ({"resolved": True, "keep_firing_for_ns": 3}, "+--+----", ["0 firing since 0", "7 resolved since 0"]),
        ({"resolved": True, "keep_firing_for_ns": 3}, "+-???", ["0 firing since 0"]),  # the clock runs on, but
        ({"resolved": True, "keep_firing_for_ns": 3}, "+-???-", ["0 firing since 0", "5 resolved since 0"]),
        ({"resolved": True, "keep_firing_for_ns": 3}, "+???-", ["0 firing since 0"]),  # an undefined one starts none
        ({"resolved": True, "for_ns": 2}, "++-", []),  # never fired
        # cooldown
        ({"cooldown_ns": 4}, "+-+-+", ["0 firing since 0", "2 cooldown since 2", "4 firing since 4"]),
        ({"cooldown_ns": 4}, "+-++++", ["0 firing since 0", "2 cooldown since 2", "4 firing since 2"]),
        ({"cooldown_ns": 4, "resolved": True}, "+-+-", [
            "0 firing since 0", "1 resolved since 0", "2 cooldown since 2",
        ]),
        ({"cooldown_ns": 4, "keep_firing_for_ns": 9}, "+---+-", ["0 firing since 0"]),
        ({"cooldown_ns": 4}, "+-+???+", ["0 firing since 0", "2 cooldown since 2", "6 firing since 2"]),
        # one reason giving way to another makes no alert
        ({"cooldown_ns": 4, "max_per_day": 1}, "+-+++++", ["0 firing since 0", "2 cooldown since 2"]),
        # max_per_day
        ({"max_per_day": 1}, "+-+-+", ["0 firing since 0", "2 max_per_day since 2", "4 max_per_day since 4"]),
        ({"max_per_day": 2}, "+-+-+", ["0 firing since 0", "2 firing since 2", "4 max_per_day since 4"]),
        ({"max_per_day": 1, "repeat_ns": 1, "resolved": True}, "+-++-", [
            "0 firing since 0", "1 resolved since 0", "2 max_per_day since 2",
        ]),
        # repeat
        ({"repeat_ns": 2}, "+++++", ["0 firing since 0", "2 repeat 1 since 0", "4 repeat 2 since 0"]),
        ({"repeat_ns": 2, "keep_firing_for_ns": 9}, "+---+", ["0 firing since 0", "4 repeat 1 since 0"]),
        ({"repeat_ns": 2}, "+???+", ["0 firing since 0", "4 repeat 1 since 0"]),
        ({"repeat_ns": 0}, "+++", ["0 firing since 0", "1 repeat 1 since 0", "2 repeat 2 since 0"]),
        # repeats count for neither cooldown nor max_per_day; they count from the message that was sent
        ({"repeat_ns": 2, "cooldown_ns": 4, "max_per_day": 2}, "+++-+", [
            "0 firing since 0", "2 repeat 1 since 0", "4 firing since 4",
        ]),
        ({"repeat_ns": 2, "cooldown_ns": 4}, "+-++++++", [
            "0 firing since 0", "2 cooldown since 2", "4 firing since 2", "6 repeat 1 since 2",
        ]),
    ],
)  # fmt: skip
def test_script(keys: dict[str, Any], script: str, expected: list[str]) -> None:
    assert play(replace(RULE, **keys), script) == expected


def test_the_table_has_a_row_for_everything() -> None:
    assert set(TABLE) == {(phase, verdict) for phase in Phase for verdict in VERDICTS.values()}


def test_an_event_stays_nowhere_and_is_counted_when_sent() -> None:
    rule = replace(RULE, cooldown_ns=5, max_per_day=2)
    heard, tally = [], Tally()
    for now in (10, 14, 15, 20):
        life, tally, said = fire_once(rule, tally, now)
        assert life == REST
        heard.append(said)
    assert heard == [
        Said(State.FIRING, 10),
        Said(State.FIRING, 14, suppressed=Suppression.COOLDOWN),
        Said(State.FIRING, 15),
        Said(State.FIRING, 20, suppressed=Suppression.MAX_PER_DAY),
    ]


@pytest.mark.parametrize(
    ("tally", "now", "expected"),
    [
        (Tally(), 0, None),
        (Tally(1, 10), 14, Suppression.COOLDOWN),
        (Tally(1, 10), 15, None),
        (Tally(3, 10), 14, Suppression.COOLDOWN),  # the first reason in order
        (Tally(3, 10), 15, Suppression.MAX_PER_DAY),
    ],
)
def test_reasons_in_order(tally: Tally, now: int, expected: Suppression | None) -> None:
    assert suppression(replace(RULE, cooldown_ns=5, max_per_day=3), tally, now) is expected


def test_a_gap_ends_what_was_pending_and_nothing_else() -> None:
    firing = Life(Phase.FIRING, 3, unmet_since=5, told_at=4, repeats=1)
    assert (interrupted(Life(Phase.PENDING, 3)), interrupted(firing), interrupted(REST)) == (REST, firing, REST)


FULL = replace(RULE, for_ns=7, keep_firing_for_ns=8, cooldown_ns=9, repeat_ns=20, max_per_day=5)
FIRED = Life(Phase.FIRING, 3)


@pytest.mark.parametrize(
    ("rule", "life", "verdict", "tally", "expected"),
    [
        (FULL, REST, False, Tally(), NEVER),
        (FULL, Life(Phase.PENDING, 3), True, Tally(), 10),
        (FULL, replace(FIRED, unmet_since=6), False, Tally(), 14),
        (FULL, replace(FIRED, unmet_since=6), None, Tally(), NEVER),
        (FULL, replace(FIRED, told_at=4), True, Tally(1, 4), 24),
        (replace(FULL, repeat_ns=None), replace(FIRED, told_at=4), True, Tally(1, 4), NEVER),
        (FULL, FIRED, True, Tally(1, 1), 10),
        (FULL, FIRED, True, Tally(5, -5), NEVER),  # only max_per_day is left
    ],
)
def test_when_time_alone_changes_something(rule: Rule, life: Life, verdict: Truth, tally: Tally, expected: int) -> None:
    assert due(rule, life, tally, verdict, 6) == expected
