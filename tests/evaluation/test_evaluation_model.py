"""The engine against the slow reference model: random rules on random streams."""

from collections.abc import Sequence
from dataclasses import replace

from evaluation_model import Alive, Model
from evaluation_streams import scenarios
from hypothesis import HealthCheck, given, settings

from engine.alert import Alert
from engine.evaluation.engine import Engine
from engine.kst import SECOND_NS, day_number
from engine.rules.model import Rule
from engine.session import Hours
from engine.stream import Event, Start

Scenario = tuple[Sequence[Rule], Hours, list[Event | Alive]]
RELAXED = (HealthCheck.too_slow, HealthCheck.data_too_large)


def feed(engine: Engine, event: Event | Alive) -> list[Alert]:
    return engine.advance(event.t) if isinstance(event, Alive) else engine.apply(event)


def nameless(alerts: list[Alert]) -> list[Alert]:
    return [replace(alert, id="") for alert in alerts]


@settings(max_examples=120, deadline=None, suppress_health_check=RELAXED)
@given(scenarios)
def test_engine_says_and_knows_what_the_page_says(scenario: Scenario) -> None:
    rules, hours, stream = scenario
    engine, model = Engine(rules, hours), Model(rules, hours)
    for event in stream:
        assert nameless(feed(engine, event)) == model.apply(event)
        if model.day == day_number(model.now or 0):  # the model notices a new date at a record or tick only
            found = engine.state()
            assert [
                (at.rule, at.symbol, at.phase, at.since, dict(at.values), at.conditions) for at in found
            ] == model.state()
    assert {drop.value: count for drop, count in engine.counters.dropped.items()} == model.dropped
    assert engine.counters.corrections == model.corrections
    assert engine.counters.records == len(model.applied)


@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
@given(scenarios)
def test_looking_at_the_clock_more_often_changes_nothing(scenario: Scenario) -> None:
    """Live, `advance` is called at any time; a replay calls it hardly ever."""
    rules, hours, stream = scenario
    seldom, often = Engine(rules, hours), Engine(rules, hours)
    expected = [alert for event in stream for alert in feed(seldom, event)]
    found: list[Alert] = []
    last = 0
    for event in stream:
        if not isinstance(event, Start) and last:  # the time before a start was nobody's
            for now in range(last, event.t, SECOND_NS // 3):
                found += often.advance(now)
            found += often.advance(event.t)
        found += feed(often, event)
        last = max(last, event.t)
    assert found == expected
    assert often.state() == seldom.state()
