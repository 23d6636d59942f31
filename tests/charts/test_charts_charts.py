"""Pictures for the workers: of the alert's own rule and moment, drawn once, and never at the cost of the message."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from evaluation_stage import HOURS, SAMSUNG, Stage, at, condition, record, rule

from engine.alert import Alert
from engine.charts import charts as module
from engine.charts.charts import Charts, wanted
from engine.charts.figure import Figure
from engine.delivery import message
from engine.delivery.notice import Notice
from engine.delivery.target import Address, Target
from engine.evaluation.engine import Engine
from engine.in_force import InForce
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.restart import recover
from engine.rules.model import Rule
from engine.store.batch import Past
from engine.stream import Alive, Event, Frame, Start, Up

FLOW = replace(rule(condition("net_volume[1m]", above=1_000)), notify=("desk",), chart=True)


@dataclass(frozen=True)
class Desk:
    """As much of a target as it takes."""

    address: Address
    takes_pictures: bool = True


def desk(*, chart: bool = False, takes_pictures: bool = True, notifiers: tuple[str, ...] = ("desk",)) -> Target:
    return cast("Target", Desk(Address("id", "desk[1]", notifiers, chart=chart), takes_pictures))


def charts_of(engine: Engine, rules: Sequence[Rule], since: int = 0) -> Charts:
    in_force = SimpleNamespace(
        rules={each.name: each for each in rules}, since=dict.fromkeys([each.name for each in rules], since)
    )
    charts = Charts(engine, cast("InForce", in_force), HOURS, Locale.KO)
    charts.follow(rules, [desk()])
    return charts


def notice_of(alert: Alert, of: Rule = FLOW) -> Notice:
    return message.notice(alert, of, "삼성전자", Locale.KO)


@pytest.fixture
def stage() -> Stage:
    return Stage(FLOW)


def run(stage: Stage, charts: Charts) -> Notice:
    """Two minutes of a session, looked at each second, and the alert at their end."""
    alerts = []
    for second in range(121):
        time = at("09:00:00") + second * SECOND_NS
        volume = second * 10 if second < 120 else 9_000
        alerts += stage.engine.apply(Frame(time, (record(time, buy_volume=volume),), ""))
        charts.look()
    (alert,) = alerts
    return notice_of(alert)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What was drawn, without a pixel."""
    figures: list[Figure] = []

    def draw(figure: Figure) -> bytes:
        figures.append(figure)
        return b"picture %d" % len(figures)

    monkeypatch.setattr(module, "_draw", draw)
    return figures


async def test_a_picture_ends_in_the_alert_and_shows_what_the_engine_measured(
    stage: Stage, drawn: list[Figure]
) -> None:
    charts = charts_of(stage.engine, [FLOW])
    assert await charts.picture(run(stage, charts)) == b"picture 1"
    (figure,) = drawn
    (points,) = figure.runs
    seconds = [(point.t - at("09:00:00")) // SECOND_NS for point in points]
    assert seconds == [*range(0, 120, 5), 120]
    assert [point.value for point in points] == [*(min(second, 60) * 10 for second in seconds[:-1]), 8_400]
    assert figure.subject == "삼성전자(005930)"
    assert (figure.rule, figure.conditions, figure.opening) == ("rule", 1, at("09:00:00"))


async def test_a_real_picture_is_drawn_in_a_thread(stage: Stage) -> None:
    charts = charts_of(stage.engine, [FLOW])
    picture = await charts.picture(run(stage, charts))
    assert picture is not None
    assert picture.startswith(b"\x89PNG")


async def test_targets_that_ask_at_once_share_one_drawing(stage: Stage, drawn: list[Figure]) -> None:
    charts = charts_of(stage.engine, [FLOW])
    notice = run(stage, charts)
    found: list[bytes | None] = []

    async def ask() -> None:
        found.append(await charts.picture(notice))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    found.append(await charts.picture(notice))
    assert found == [b"picture 1"] * 6
    assert len(drawn) == 1


async def test_one_who_gives_up_leaves_the_drawing_to_the_next(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    charts = charts_of(stage.engine, [FLOW])
    notice = run(stage, charts)
    hang, asked, found = threading.Event(), trio.Event(), []
    token = trio.lowlevel.current_trio_token()

    def draw(_figure: Figure) -> bytes:
        token.run_sync_soon(asked.set)
        hang.wait(10)
        return b"picture"

    monkeypatch.setattr(module, "_draw", draw)

    async def ask() -> None:
        found.append(await charts.picture(notice))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as impatient:
            async with trio.open_nursery() as first:
                first.start_soon(charts.picture, notice)
                await asked.wait()
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                impatient.cancel()
        hang.set()
    assert found == [b"picture"]
    assert len(charts._drawings) == 1


async def test_an_error_of_ours_costs_the_picture_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    charts = charts_of(stage.engine, [FLOW])
    notice = run(stage, charts)

    def draw(_figure: Figure) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "_draw", draw)
    assert await charts.picture(notice) is None
    assert await charts.picture(notice) is None
    assert [entry.getMessage() for entry in caplog.records if entry.levelno == logging.ERROR] == [
        f"picture not drawn id={notice.id}"
    ]


async def test_pictures_wait_until_the_past_is_looked_at(
    stage: Stage, drawn: list[Figure], autojump_clock: object
) -> None:
    charts = charts_of(stage.engine, [FLOW])
    looked_at = charts_of(stage.engine, [FLOW])
    notice = run(stage, looked_at)
    with trio.move_on_after(2):
        await charts.picture(notice)
    assert drawn == []
    charts.look()
    assert await charts.picture(notice) == b"picture 1"


async def test_a_bounded_number_is_remembered(stage: Stage, drawn: list[Figure]) -> None:
    charts = charts_of(stage.engine, [FLOW])
    notice = run(stage, charts)
    for number in range(40):
        await charts.picture(replace(notice, id=str(number)))
    assert len(charts._drawings) == 32
    await charts.picture(replace(notice, id="39"))
    assert len(drawn) == 40
    await charts.picture(replace(notice, id="0"))
    assert len(drawn) == 41


# Nothing to show


async def why_not(charts: Charts, notice: Notice, caplog: pytest.LogCaptureFixture) -> str:
    with caplog.at_level(logging.INFO):
        assert await charts.picture(notice) is None
    (line,) = (entry.getMessage() for entry in caplog.records if entry.getMessage().startswith("no picture"))
    return line.partition("reason=")[2]


async def test_a_rule_that_is_gone_has_no_picture(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    notice = run(stage, charts_of(stage.engine, [FLOW]))
    charts = charts_of(stage.engine, [])
    charts.look()
    assert await why_not(charts, notice, caplog) == '"no rule"'


async def test_a_value_that_was_not_known_has_no_picture(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    charts = charts_of(stage.engine, [FLOW])
    notice = run(stage, charts)
    assert notice.alert is not None
    unknown = replace(notice, alert=replace(notice.alert, values=(("net_volume[1m]", None),)))
    assert await why_not(charts, unknown, caplog) == '"no value"'


async def test_what_nobody_followed_has_no_picture(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    notice = run(stage, charts_of(stage.engine, [FLOW]))
    charts = charts_of(stage.engine, [FLOW])
    charts.follow([], [])
    charts.look()
    assert await why_not(charts, notice, caplog) == '"not followed"'


async def test_a_threshold_that_the_alert_was_not_about_is_not_drawn(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    notice = run(stage, charts_of(stage.engine, [FLOW]))
    edited = replace(FLOW, when=rule(condition("net_volume[1m]", above=2_000)).when)
    charts = charts_of(stage.engine, [edited], since=at("09:03:00"))
    charts.look()
    assert await why_not(charts, notice, caplog) == '"rule has changed"'


async def test_a_rule_that_says_the_same_since_a_restart_has_its_picture(stage: Stage, drawn: list[Figure]) -> None:
    charts = charts_of(stage.engine, [FLOW], since=at("09:03:00"))
    assert await charts.picture(run(stage, charts)) == b"picture 1"


async def test_a_sum_of_which_nobody_knows_whose_it_was_has_no_picture(caplog: pytest.LogCaptureFixture) -> None:
    """Its group was another one before the restart: its values were drawn, up to one of the group of then."""
    total = replace(FLOW, aggregate="@group")
    stage = Stage(total)
    notice = run(stage, charts_of(stage.engine, [total]))
    charts = charts_of(stage.engine, [total], since=at("09:03:00"))
    charts.look()
    assert await why_not(charts, notice, caplog) == '"rule has changed"'


# What is looked at


async def test_a_blindness_after_the_last_look_leaves_the_alert_alone(stage: Stage, drawn: list[Figure]) -> None:
    charts = charts_of(stage.engine, [FLOW])
    stage.record("09:00:00", buy_volume=0)
    charts.look()
    stage.down("09:00:01", SAMSUNG)
    (alert,) = stage.record("09:00:03", buy_volume=5_000)
    await charts.picture(notice_of(alert))
    assert [len(run) for run in drawn[0].runs] == [1, 1]


def day() -> Iterator[Event]:
    yield Up(at("08:50:00"), ("*",))
    for second in range(3_600 * 2):
        time = at("09:00:00") + second * SECOND_NS
        yield Frame(time, (record(time, buy_volume=second),), "") if second % 3 else Alive(time)


async def test_after_a_restart_the_picture_is_whole_at_once(drawn: list[Figure]) -> None:
    stage = Stage(FLOW)
    charts = charts_of(stage.engine, [FLOW])
    end = at("11:00:00")
    await trio.to_thread.run_sync(
        lambda: recover(stage.engine, charts.recalling(day(), end), Past(None, None, (), frozenset()), end)
    )
    stage.engine.apply(Start(end))
    stage.engine.apply(Up(end, ("*",)))
    charts.look()
    (alert,) = stage.engine.apply(Frame(end + SECOND_NS, (record(end + SECOND_NS, buy_volume=90_000),), ""))
    await charts.picture(notice_of(alert))
    recalled, own = drawn[0].runs
    assert len(recalled) in (358, 359, 360)
    assert {point.value for point in recalled} <= {59, 60, 61}
    assert len(own) == 1
    assert charts._traces._times[0] > at("09:59:50")  # an hour, and no more


async def test_what_is_recalled_is_what_was_looked_at_then() -> None:
    live, again = Stage(FLOW), Stage(FLOW)
    seen, recalled = charts_of(live.engine, [FLOW]), charts_of(again.engine, [FLOW])
    for event in day():
        live.engine.apply(event)
        seen.look()
    for event in recalled.recalling(day(), at("11:00:00")):
        again.engine.learn(event)
    assert 700 < len(recalled._traces._times) <= 721  # an hour before the end, and nothing before that
    ((key, track),) = recalled._traces._tracks.items()
    kept = dict(zip(seen._traces._times, seen._traces._tracks[key].values, strict=True))
    both = [time for time in recalled._traces._times if time in kept]
    values = dict(zip(recalled._traces._times, track.values, strict=True))
    # The recalled look is the moment before the live one: each knows what had come by then.
    assert all(abs(values[time] - kept[time]) <= 1 for time in both)


def notified(**given: Any) -> Rule:
    return replace(FLOW, **({"chart": None} | given))


@pytest.mark.parametrize(
    ("of", "targets", "is_wanted"),
    [
        (notified(), [desk()], False),
        (notified(), [desk(chart=True)], True),
        (notified(chart=True), [desk()], True),
        (notified(chart=False), [desk(chart=True)], False),
        (notified(chart=True), [desk(takes_pictures=False)], False),
        (notified(chart=True), [desk(notifiers=("other",))], False),
        (notified(), [desk(), desk(chart=True, notifiers=("other", "desk"))], True),
        (notified(enabled=False), [desk(chart=True)], False),
    ],
)
def test_only_what_can_be_shown_is_followed(of: Rule, targets: list[Target], is_wanted: bool) -> None:
    assert list(wanted([of], targets)) == ([of] if is_wanted else [])


def test_other_rules_are_followed_from_the_next_look_on(stage: Stage) -> None:
    charts = charts_of(stage.engine, [FLOW])
    assert charts._traces.tracks == 1
    more = (FLOW, replace(FLOW, name="more", when=rule(condition("buy_volume", above=1)).when))
    charts.follow(more, [desk()])
    assert charts._traces.tracks == 2
    charts.follow(more, [])  # the same rules: nothing is looked at again
    assert charts._traces.tracks == 2


def test_pillow_is_not_loaded_before_a_picture_is_drawn() -> None:
    script = "import sys, engine.charts.charts, engine.charts.sample; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
