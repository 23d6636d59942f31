"""The memory of values: the engine's own at each look, joined only where all in between was known, and bounded."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest
from evaluation_model import Case, Model
from evaluation_stage import HYNIX, SAMSUNG, Stage, at, condition, rule
from evaluation_streams import scenarios
from hypothesis import HealthCheck, given, settings

from engine.charts.trace import INTERVAL_NS, KEPT_NS, Point, Run, Traces, TrackKey, subject_of, unknown
from engine.evaluation.engine import Engine
from engine.evaluation.watch import Reading
from engine.kst import SECOND_NS
from engine.rules.model import Condition, Rule
from engine.session import Hours
from engine.stream import Event

FLOW = condition("net_volume[10s]", above=100)
TOTAL = condition("net_volume", above=100)
KEY = ((SAMSUNG,), FLOW.key)
LATER = 1 << 62


def points(runs: Iterable[Run] | None) -> list[tuple[int, float]]:
    return [(point.t, point.value) for run in runs or () for point in run]


def seen(traces: Traces, key: TrackKey) -> list[list[float]]:
    """Values by run, without the alert's own."""
    runs = traces.runs(key, 0, Point(LATER, 0), broken=True)
    assert runs is not None
    return [[point.value for point in run] for run in runs[:-1]]


def looked(stage: Stage, *rules: Rule) -> Traces:
    traces = Traces()
    traces.follow(rules)
    traces.look(stage.engine.read, stage.engine.now or 0)
    return traces


def flow(value: int) -> Reading:
    return Reading(((FLOW.key, value),), blind=False, was_blind=False)


# Against the engine and the page


def members_of(case: Case, condition: Condition) -> TrackKey:
    return subject_of(case.rule, case.symbol), condition.key


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenarios)
def test_a_value_is_what_the_page_says_at_the_moment_of_the_look(
    scenario: tuple[tuple[Rule, ...], Hours, list[Event]],
) -> None:
    rules, hours, stream = scenario
    engine, model, traces = Engine(rules, hours), Model(rules, hours), Traces()
    traces.follow(rules)
    expected: dict[TrackKey, list[tuple[int, float]]] = {}
    for event in stream:
        engine.apply(event)
        model.apply(event)
        now = engine.now or 0
        if now == traces.last_at:
            continue
        traces.look(engine.read, now)
        for case in model.cases:
            for each in case.rule.when.conditions():
                value = model.value(each, case.members, now)
                known = value is not None and not any(model.blind(member, now) for member in case.members)
                kept = expected.setdefault(members_of(case, each), [])
                if value is not None and known and (now, value) not in kept:
                    kept.append((now, value))
    for key, values in expected.items():
        assert points(traces.runs(key, 0, Point(LATER, 0), broken=True))[:-1] == values


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scenarios)
def test_looking_changes_no_alert(scenario: tuple[tuple[Rule, ...], Hours, list[Event]]) -> None:
    rules, hours, stream = scenario
    plain, watched, traces = Engine(rules, hours), Engine(rules, hours), Traces()
    traces.follow(rules)
    for event in stream:
        assert plain.apply(event) == watched.apply(event)
        traces.look(watched.read, watched.now or 0)


# What is joined


def test_values_of_a_session_without_a_gap_are_one_run() -> None:
    stage = Stage(rule(FLOW))
    traces = Traces()
    traces.follow([rule(FLOW)])
    stage.record("08:59:50", buy_volume=0)
    for second in range(0, 60, 5):
        stage.record(f"09:00:{second:02d}", buy_volume=second)
        traces.look(stage.engine.read, stage.engine.now or 0)
    assert seen(traces, KEY) == [[0, 5, *[10] * 10]]


def test_a_blind_span_parts_the_values_and_nothing_of_it_is_known() -> None:
    stage = Stage(rule(TOTAL))
    traces = Traces()
    traces.follow([rule(TOTAL)])
    for time, volume in (("09:00:00", 1), ("09:00:05", 2), ("09:00:10", None), ("09:00:15", None), ("09:00:20", 9)):
        if volume is None:
            stage.down(time, "*")
        else:
            stage.record(time, buy_volume=volume)
        traces.look(stage.engine.read, stage.at(time))
    key = ((SAMSUNG,), TOTAL.key)
    assert seen(traces, key) == [[1, 2], [9]]
    runs = traces.runs(key, 0, Point(at("09:00:22"), 10), broken=False)
    assert runs is not None
    assert list(unknown(runs, at("09:00:00"), at("09:00:22"))) == [(at("09:00:05"), at("09:00:20"))]


def test_a_blindness_between_two_looks_parts_them() -> None:
    stage = Stage(rule(TOTAL))
    stage.record("09:00:00", buy_volume=1)
    traces = looked(stage, rule(TOTAL))
    stage.down("09:00:01", "*")
    stage.record("09:00:03", buy_volume=7)
    traces.look(stage.engine.read, at("09:00:05"))
    assert seen(traces, ((SAMSUNG,), TOTAL.key)) == [[1], [7]]


def test_a_sum_is_not_known_while_a_member_is_blind() -> None:
    both = Rule(name="both", symbols=(SAMSUNG, HYNIX), when=rule(TOTAL).when, aggregate="@semis")
    stage = Stage(both)
    stage.record("09:00:00", SAMSUNG, buy_volume=1)
    stage.record("09:00:00", HYNIX, buy_volume=2)
    traces = looked(stage, both)
    stage.down("09:00:03", HYNIX)
    traces.look(stage.engine.read, at("09:00:05"))
    stage.record("09:00:08", HYNIX, buy_volume=5)
    traces.look(stage.engine.read, at("09:00:10"))
    assert seen(traces, ((SAMSUNG, HYNIX), TOTAL.key)) == [[3], [6]]


def test_what_nobody_looked_at_is_not_joined_and_neither_are_two_days() -> None:
    traces = Traces()
    traces.follow([rule(FLOW)])
    for time in (at("09:00:00"), at("09:00:15"), at("09:00:31"), at("23:59:58"), at("00:00:03") + 86_400 * SECOND_NS):
        traces.look(lambda *_: flow(1), time)
    assert [len(run) for run in seen(traces, KEY)] == [2, 1, 1, 1]


# The alert's own point


def last_run(value: int, t: int, *, broken: bool = False) -> tuple[Run, ...] | None:
    traces = Traces()
    traces.follow([rule(FLOW)])
    for second in (0, 5, 10):
        traces.look(lambda *_: flow(1), at("09:00:00") + second * SECOND_NS)
    return traces.runs(KEY, at("09:00:01"), Point(t, value), broken=broken)


def test_the_alerts_own_point_is_the_last_one() -> None:
    runs = last_run(150, at("09:00:12"))
    assert points(runs) == [(at("09:00:05"), 1), (at("09:00:10"), 1), (at("09:00:12"), 150)]
    assert runs is not None
    assert len(runs) == 1


def test_the_alerts_own_point_wins_over_a_look_at_the_same_moment() -> None:
    assert points(last_run(150, at("09:00:10"))) == [(at("09:00:05"), 1), (at("09:00:10"), 150)]


def test_what_came_after_the_alert_is_not_shown() -> None:
    assert points(last_run(150, at("09:00:07"))) == [(at("09:00:05"), 1), (at("09:00:07"), 150)]


@pytest.mark.parametrize(("t", "broken"), [("09:00:12", True), ("09:00:26", False)])
def test_a_gap_before_the_alert_leaves_its_point_alone(t: str, broken: bool) -> None:
    runs = last_run(150, at(t), broken=broken)
    assert runs is not None
    assert [len(run) for run in runs] == [2, 1]


def test_a_break_found_later_stands_between_the_last_look_and_the_alert() -> None:
    stage = Stage(rule(TOTAL))
    stage.record("09:00:00", buy_volume=1)
    traces = looked(stage, rule(TOTAL))
    stage.down("09:00:01", "*")
    stage.record("09:00:03", buy_volume=700)
    traces.look(stage.engine.read, at("09:00:05"))
    runs = traces.runs(((SAMSUNG,), TOTAL.key), 0, Point(at("09:00:03"), 700), broken=False)
    assert runs is not None
    assert [len(run) for run in runs] == [1, 1]


# Which, and how many


def test_rules_that_measure_the_same_share_a_track() -> None:
    traces = Traces()
    assert traces.follow([rule(FLOW), rule(condition("net_volume[10s]", below=-5), TOTAL, name="other")]) == 0
    assert traces.tracks == 2


def test_a_reload_keeps_the_past_of_what_is_measured_as_before() -> None:
    traces = Traces()
    traces.follow([rule(FLOW), rule(TOTAL, name="total")])
    traces.look(lambda *_: flow(7), at("09:00:00"))
    traces.follow([rule(condition("net_volume[10s]", above=999), name="renamed")])
    assert seen(traces, KEY) == [[7]]
    assert traces.runs(((SAMSUNG,), TOTAL.key), 0, Point(LATER, 0), broken=False) is None


def test_a_new_measure_is_known_from_its_first_look_on() -> None:
    traces = Traces()
    traces.follow([rule(TOTAL)])
    traces.look(lambda *_: flow(7), at("09:00:00"))
    traces.follow([rule(TOTAL), rule(FLOW, name="flow")])
    traces.look(lambda *_: flow(8), at("09:00:05"))
    assert seen(traces, KEY) == [[8]]


def test_two_sums_of_one_name_over_other_stocks_are_two() -> None:
    sums = [
        Rule(name=f"of {len(symbols)}", symbols=symbols, when=rule(FLOW).when, aggregate="@semis")
        for symbols in ((SAMSUNG, HYNIX), (SAMSUNG,))
    ]
    traces = Traces()
    traces.follow(sums)
    assert traces.tracks == 2


def test_there_is_a_limit_to_the_tracks_and_it_says_how_many_are_left_out() -> None:
    symbols = tuple(f"{number:06d}" for number in range(10))
    many = Rule(name="many", symbols=symbols, when=rule(FLOW, TOTAL).when)
    few, other = replace(many, name="few", symbols=symbols[:3]), replace(many, name="other", symbols=symbols[5:])
    traces = Traces(limit=7)
    assert traces.follow([many, few, other, other]) == 3  # of the few all is followed
    assert traces.tracks == 7
    assert traces.runs((("000009",), FLOW.key), 0, Point(1, 1), broken=False) is None
    assert Traces(limit=20).follow([many, few, other]) == 0


class _Counted(tuple[str, ...]):
    """Symbols, and how many of them were asked for."""

    __slots__ = ()
    asked = 0

    def __iter__(self) -> Iterator[str]:
        for symbol in super().__iter__():
            _Counted.asked += 1
            yield symbol


def test_what_there_was_no_room_for_was_walked_through_to_the_last_symbol_at_each_reload() -> None:
    """1.5 s for ten thousand rules of forty symbols each, between two events."""
    symbols = _Counted(f"{number:06d}" for number in range(41))
    rules = [
        Rule(name=f"r{number}", symbols=symbols, when=rule(condition(f"net_volume[{10 + number}s]", above=1)).when)
        for number in range(1_000)
    ]
    traces = Traces(limit=2_000)
    assert traces.follow(rules) == 952  # 48 of them whole, and a part of the next
    assert traces.tracks == 2_000
    assert _Counted.asked < 4_000
    _Counted.asked = 0
    same = [replace(rules[0], name=f"same {number}") for number in range(1_000)]
    assert traces.follow(same) == 0
    assert _Counted.asked == 41


def test_an_hour_is_kept_and_no_more() -> None:
    traces = Traces()
    traces.follow([rule(FLOW)])
    start = at("09:00:00")
    for number in range(2_000):
        traces.look(lambda *_: flow(1), start + number * INTERVAL_NS)
        assert len(traces._times) < 780
    kept = points(traces.runs(KEY, 0, Point(start + 2_000 * INTERVAL_NS, 1), broken=False))
    assert kept[0][0] <= traces.last_at - KEPT_NS + INTERVAL_NS
    (track,) = traces._tracks.values()
    assert len(track.values) == len(track.breaks) == len(traces._times)
    assert sys.getsizeof(track.values) + sys.getsizeof(track.breaks) < 9_000


def test_it_is_time_to_look_once_in_five_seconds_of_the_clock() -> None:
    traces = Traces()
    assert not traces.is_due(at("09:00:00"))  # nothing is followed
    traces.follow([rule(FLOW)])
    traces.look(lambda *_: flow(1), at("09:00:03"))
    assert not traces.is_due(at("09:00:04.9"))
    assert traces.is_due(at("09:00:05"))


def test_whole_numbers_stay_exact() -> None:
    value = 9 * 10**15 - 1  # nine thousand trillion won
    traces = Traces()
    traces.follow([rule(FLOW)])
    traces.look(lambda *_: flow(value), 1)
    assert seen(traces, KEY) == [[value]]
