"""What keeps the heartbeat from being called, one by one."""

from dataclasses import replace

import pytest
from incident_stage import FRIDAY, HOURS, at, feed

from engine.heartbeat.signs import Ailment, Vitals, What, ailments
from engine.kis.status import Phase
from engine.kst import SECOND_NS

NOON = at("12:00")
UP = replace(feed(up=at("08:00")), last_frame=NOON)
DOWN = feed(down=NOON)
IDLE_NS = 60 * SECOND_NS
WELL = Vitals(
    now=NOON,
    look_age_ns=0,
    feeds=(UP,),
    idle_ns=IDLE_NS,
    unreadable=(),
    is_all_dropped=False,
    is_recovering=False,
    evaluated=NOON,
    lag_ns=0,
    rules=3,
    store=None,
    store_lag_ns=0,
    failing=(),
)


def test_all_is_well() -> None:
    assert ailments(WELL, HOURS) == ()


@pytest.mark.parametrize(
    ("well", "ill", "ailment"),
    [
        ({"look_age_ns": 5 * SECOND_NS}, {"look_age_ns": 5 * SECOND_NS + 1}, Ailment(What.LOOK)),
        ({"rules": 1}, {"rules": 0}, Ailment(What.RULES)),
        ({"is_recovering": False}, {"is_recovering": True, "evaluated": 0}, Ailment(What.RECOVERING)),
        ({"evaluated": NOON - 5 * SECOND_NS}, {"evaluated": NOON - 6 * SECOND_NS}, Ailment(What.EVALUATION)),
        ({"evaluated": None}, {"evaluated": 0}, Ailment(What.EVALUATION)),
        ({"unreadable": ("second",)}, {"unreadable": ("second", "main")}, Ailment(What.UNREADABLE, "main")),
        ({"is_all_dropped": False}, {"is_all_dropped": True}, Ailment(What.UNUSABLE)),
        ({"lag_ns": 10 * SECOND_NS}, {"lag_ns": 10 * SECOND_NS + 1}, Ailment(What.LAG)),
        ({"store": None}, {"store": "disk full"}, Ailment(What.STORE, "disk full")),
        ({"store_lag_ns": 10 * SECOND_NS}, {"store_lag_ns": 11 * SECOND_NS}, Ailment(What.STORE_LAG)),
        ({"failing": ()}, {"failing": ("desk[1] slack",)}, Ailment(What.TARGET, "desk[1] slack")),
        ({"feeds": ()}, {"feeds": (DOWN,)}, Ailment(What.DOWN, "main")),
        ({"feeds": (UP,)}, {"feeds": (UP, feed("second", down=NOON))}, Ailment(What.DOWN, "second")),
        (
            {"feeds": (replace(UP, last_frame=NOON - 70 * SECOND_NS),)},
            {"feeds": (replace(UP, last_frame=NOON - 71 * SECOND_NS),)},
            Ailment(What.UNHEARD, "main"),
        ),
        ({"feeds": (UP,)}, {"feeds": (replace(UP, last_frame=None),)}, Ailment(What.UNHEARD, "main")),
        ({"feeds": (UP,)}, {"feeds": (replace(UP, subscribed=()),)}, Ailment(What.UNWATCHED, "main")),
        ({"feeds": (UP,)}, {"feeds": (replace(UP, silent_since=at("11:00")),)}, Ailment(What.SILENT, "main")),
    ],
)
def test_each_sign_by_itself(well: dict[str, object], ill: dict[str, object], ailment: Ailment) -> None:
    assert ailments(replace(WELL, **well), HOURS) == ()  # type: ignore[arg-type]  # names and values stand in the table
    assert ailments(replace(WELL, **ill), HOURS) == (ailment,)  # type: ignore[arg-type]  # likewise


def test_an_account_without_symbols_rests_and_others_do_not() -> None:
    idle = feed("second", symbols=(), phase=Phase.IDLE)
    assert ailments(replace(WELL, feeds=(UP, idle)), HOURS) == ()


@pytest.mark.parametrize(
    ("time", "day", "wanted"),
    [
        ("08:49:59", FRIDAY, False),
        ("08:50", FRIDAY, True),
        ("15:29:59", FRIDAY, True),
        ("15:30", FRIDAY, False),
        ("03:00", FRIDAY, False),
        ("12:00", FRIDAY + 1, False),
    ],
)
def test_a_feed_is_wanted_in_the_session_and_ten_minutes_before_it(time: str, day: int, wanted: bool) -> None:
    now = at(time, day)
    found = ailments(replace(WELL, now=now, evaluated=now, feeds=(DOWN,)), HOURS)
    assert bool(found) == wanted


def test_all_that_is_wrong_is_named() -> None:
    found = ailments(replace(WELL, rules=0, store="disk full", feeds=(DOWN,), failing=("a", "b")), HOURS)
    assert [each.what for each in found] == [What.RULES, What.DOWN, What.STORE, What.TARGET, What.TARGET]
