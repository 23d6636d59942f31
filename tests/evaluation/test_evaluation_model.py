"""The engine against the slow reference model: random rules on random streams."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from evaluation_model import Model
from evaluation_streams import SYMBOLS, Hush, Reload, Step, lively_scenarios, scenarios
from hypothesis import HealthCheck, given, settings

from engine.alert import Alert
from engine.evaluation.checkpoint import Checkpoint
from engine.evaluation.engine import Engine
from engine.evaluation.lifecycle import REST, Phase
from engine.evaluation.standing import Key, Standing
from engine.kst import SECOND_NS, day_number
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.stream import Event, Start

Scenario = tuple[tuple[Rule, ...], Hours, list[Event]]
Lively = tuple[tuple[Rule, ...], Hours, list[Step]]
LOOKS = Rule(
    name="looks",
    symbols=SYMBOLS,
    when=Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 10**9, "125s", 125 * SECOND_NS),)),
)
"""Says nothing; because of it, all that any rule may ask for is known before it asks."""
RELAXED = (HealthCheck.too_slow, HealthCheck.data_too_large)


def nameless(alerts: list[Alert]) -> list[Alert]:
    return [replace(alert, id="") for alert in alerts]


def timeless(alerts: list[Alert]) -> list[Alert]:
    """Which record a sum's latest one was is not known of what was adopted; it is only shown."""
    return [replace(alert, id="", record_time=None) for alert in alerts]


def assert_knows(engine: Engine, model: Model) -> None:
    if model.day == day_number(model.now or 0):  # the model notices a new date at a record or tick only
        found = engine.state()
        assert [
            (at.rule, at.symbol, at.phase, at.since, dict(at.values), at.conditions) for at in found
        ] == model.state()


@settings(max_examples=120, deadline=None, suppress_health_check=RELAXED)
@given(scenarios)
def test_engine_says_and_knows_what_the_page_says(scenario: Scenario) -> None:
    rules, hours, stream = scenario
    engine, model = Engine(rules, hours), Model(rules, hours)
    for event in stream:
        assert nameless(engine.apply(event)) == model.apply(event)
        assert_knows(engine, model)
    assert {drop.value: count for drop, count in engine.counters.dropped.items()} == model.dropped
    assert engine.counters.corrections == model.corrections
    assert engine.counters.records == len(model.applied)


@settings(max_examples=70, deadline=None, suppress_health_check=RELAXED)
@given(lively_scenarios)
def test_reloads_and_silences(scenario: Lively) -> None:
    """The model knows all that ever came; the engine asks for it where a new rule looks further back than the old."""
    rules, hours, steps = scenario
    engine, model = Engine(rules, hours), Model(rules, hours, SYMBOLS)
    heard: list[Event] = []
    for step in steps:
        if isinstance(step, Hush):
            model.silences = step.silences
            engine.silence(step.silences, engine.now or 0)
        elif isinstance(step, Reload):
            model.reload(step.rules)
            reload(engine, step.rules, hours, heard)
        else:
            heard.append(step)
            assert timeless(engine.apply(step)) == timeless(model.apply(step))
        assert_knows(engine, model)


def reload(engine: Engine, rules: Sequence[Rule], hours: Hours, heard: list[Event]) -> None:
    lacking = engine.lacks(rules)
    engine.reload(rules, engine.now or 0)
    assert engine.lacks(rules) is lacking
    if lacking:
        learned = Engine(rules, hours)
        for event in heard:
            learned.learn(event)
        engine.adopt_past(learned)
        assert not engine.lacks(rules)


@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
@given(scenarios)
def test_looking_at_the_clock_more_often_changes_nothing(scenario: Scenario) -> None:
    """Live, `advance` is called at any time; a replay calls it hardly ever."""
    rules, hours, stream = scenario
    seldom, often = Engine(rules, hours), Engine(rules, hours)
    expected = [alert for event in stream for alert in seldom.apply(event)]
    found: list[Alert] = []
    last = 0
    for event in stream:
        if not isinstance(event, Start) and last:  # the time before a start was nobody's
            for now in range(last, event.t, SECOND_NS // 3):
                found += often.advance(now)
            found += often.advance(event.t)
        found += often.apply(event)
        last = max(last, event.t)
    assert found == expected
    assert often.state() == seldom.state()


@settings(max_examples=30, deadline=None, suppress_health_check=RELAXED)
@given(scenarios)
def test_reloading_the_same_rules_changes_nothing(scenario: Scenario) -> None:
    rules, hours, stream = scenario
    quiet, busy = Engine(rules, hours), Engine(rules, hours)
    for event in stream:
        assert busy.apply(event) == quiet.apply(event)
        assert busy.reload(rules, busy.now or 0) == ()
        assert not busy.lacks(rules)
        assert busy.state() == quiet.state()


@settings(max_examples=12, deadline=None, suppress_health_check=RELAXED)
@given(lively_scenarios)
def test_a_restart_from_a_checkpoint_changes_nothing(scenario: Lively) -> None:
    """Cut after every event: what was learned and what was restored go on as what was never away."""
    rules, hours, steps = scenario
    stream = [step for step in steps if not isinstance(step, (Hush, Reload))]
    hush = next((step.silences for step in steps if isinstance(step, Hush)), ())
    first = Engine(rules, hours)
    first.silence(hush, 0)
    cuts, said = [], []
    for event in stream:
        said.append(first.apply(event))
        cuts.append(first.checkpoint().to_json())
    for cut, text in enumerate(cuts, 1):
        second = Engine(rules, hours)
        for event in stream[:cut]:
            second.learn(event)
        assert second.restore(Checkpoint.from_json(text))
        second.silence(hush, 0)
        assert second.checkpoint().to_json() == text
        assert [second.apply(event) for event in stream[cut:]] == said[cut:]
        assert second.state() == first.state()
        assert second.standings() == first.standings()


@settings(max_examples=20, deadline=None, suppress_health_check=RELAXED)
@given(lively_scenarios)
def test_rules_edited_while_nothing_ran_start_at_the_checkpoint_as_by_a_reload(scenario: Lively) -> None:
    rules, hours, steps = scenario
    stream = [step for step in steps if not isinstance(step, (Hush, Reload))]
    edited = next((step.rules for step in steps if isinstance(step, Reload)), rules)
    cut = len(stream) // 2
    first, second = Engine((*rules, LOOKS), hours), Engine((*edited, LOOKS), hours)
    for event in stream[:cut]:
        first.apply(event)
        second.learn(event)
    text = first.checkpoint().to_json()
    first.reload((*edited, LOOKS), first.now or 0)
    assert second.restore(Checkpoint.from_json(text))
    for event in stream[cut:]:
        assert timeless(second.apply(event)) == timeless(first.apply(event))
    assert second.state() == first.state()
    assert second.standings() == first.standings()


@settings(max_examples=30, deadline=None, suppress_health_check=RELAXED)
@given(lively_scenarios)
def test_what_changed_adds_up_to_what_stands(scenario: Lively) -> None:
    rules, hours, steps = scenario
    engine = Engine(rules, hours)
    kept: dict[Key, Standing] = {}
    for step in steps:
        if isinstance(step, Hush):
            engine.silence(step.silences, engine.now or 0)
        elif isinstance(step, Reload):
            engine.reload(step.rules, engine.now or 0)
            rules = step.rules
        else:
            engine.apply(step)
        kept |= {standing.key: standing for standing in engine.changed()}
        assert lasting(kept.values()) == lasting(engine.standings())
    again = Engine(rules, hours)
    again.stand([*kept.values()], engine.now or 0)
    assert lasting(again.standings()) == lasting(engine.standings())


def lasting(standings: Iterable[Standing]) -> set[Standing]:
    """What fires, and counts: these belong to the name, whatever the rule says now."""
    lives = (at if at.life.phase is Phase.FIRING else replace(at, life=REST, fingerprint="") for at in standings)
    return {at for at in lives if not at.is_at_rest}
