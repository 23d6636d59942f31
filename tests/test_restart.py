"""What a start makes of what the last life left behind: recording, stored alerts and states, checkpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from evaluation_stage import DAY, HOURS, SAMSUNG, Stage, at, condition, filled, rule, told
from evaluation_streams import scenarios, silences
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from engine.alert import Alert
from engine.evaluation.checkpoint import Checkpoint
from engine.evaluation.engine import Engine
from engine.evaluation.fingerprint import fingerprint
from engine.evaluation.lifecycle import REST, Life, Phase, Tally
from engine.evaluation.standing import Key, Standing
from engine.kst import DAY_NS, SECOND_NS, day_number, day_start
from engine.recording.upstream import Upstream
from engine.restart import Recovered, recover
from engine.rules.model import Rule
from engine.session import Hours
from engine.silences.model import Silence
from engine.store.batch import Past
from engine.stream import Alive, Event, Frame, Start, Up

RELAXED = (HealthCheck.too_slow, HealthCheck.data_too_large)


class Then(Enum):
    """What happens after a line was written; what was not committed when a kill comes is known from the lines only."""

    ON = "on"
    COMMIT = "commit"
    CHECKPOINT = "commit with a checkpoint"
    KILL = "kill, and start at once"
    KILL_LATE = "kill, and start just before the next line"


_KILLS = (Then.KILL, Then.KILL_LATE)
_thens = st.sampled_from([Then.ON] * 8 + [Then.COMMIT] * 3 + [Then.CHECKPOINT] * 2 + [*_KILLS])


@dataclass(frozen=True)
class History:
    """Lines, and what happens after each of them."""

    rules: tuple[Rule, ...]
    hours: Hours
    silences: tuple[Silence, ...]
    steps: tuple[tuple[Event, Then], ...]


@st.composite
def histories(draw: DrawFn) -> History:
    rules, hours, stream = draw(scenarios)
    events = [*apart(stream)]
    thens = draw(st.lists(_thens, min_size=len(events), max_size=len(events)))
    hush = tuple(draw(st.lists(silences(events[0].t + 5 * SECOND_NS), max_size=2)))
    return History(rules, hours, hush, tuple(zip(events, thens, strict=True)))


def apart(stream: Sequence[Event]) -> Iterator[Event]:
    """As the daemon writes them: no two lines at once, and here with room for a start between."""
    last = 0
    for event in stream:
        last = max(event.t, last + 2)
        yield event._replace(t=last)


@dataclass
class Store:
    """What the database keeps, of what is committed."""

    mark: int
    alerts: list[Alert] = field(default_factory=list)
    standings: dict[Key, tuple[int, Standing]] = field(default_factory=dict)
    checkpoint: str | None = None

    def commit(self, alerts: Sequence[Alert], engine: Engine) -> None:
        self.alerts += alerts
        self.mark = engine.now or self.mark
        for standing in engine.changed():
            life = standing.life if standing.life.phase is Phase.FIRING else REST
            self.standings[standing.key] = day_number(self.mark), replace(standing, life=life)

    def past(self, now: int) -> Past:
        found = tuple(standing for day, standing in self.standings.values() if day == day_number(now))
        return Past(self.mark, self.checkpoint, found, frozenset(alert.id for alert in self.alerts))


class Lives:
    """Lives of a daemon, one after the other, with one recording and one store."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.lines: list[Event] = []
        self.upstream = Upstream()
        self.store = Store(history.steps[0][0].t - 1)
        self.unstored: list[Alert] = []
        self.committed = 0
        """Lines up to the last commit."""
        self.never_read: list[tuple[int, int, int]] = []
        """Lines from, to, and the date of the start; of a date that is over nobody looks at what was not committed."""
        self.engine = self.fresh()

    def fresh(self) -> Engine:
        engine = Engine(self.history.rules, self.history.hours)
        engine.silence(self.history.silences, 0)
        return engine

    def live(self) -> None:
        steps = self.history.steps
        for place, (event, then) in enumerate(steps):
            self.hear(event)
            if then in _KILLS:
                self.start(event.t + 1 if then is Then.KILL or event is steps[-1][0] else steps[place + 1][0].t - 1)
            elif then is not Then.ON:
                self.commit(checkpoint=then is Then.CHECKPOINT)
        self.commit()

    def hear(self, event: Event) -> None:
        day = day_number(event.t)
        if self.lines and day != day_number(self.lines[-1].t) and not isinstance(event, Start):
            self.lines += self.upstream.marks(day_start(day))
            self.take(Alive(day_start(day)))  # each second has a line
        self.take(event)

    def take(self, event: Event) -> None:
        self.upstream.follow(event)
        self.lines.append(event)
        self.unstored += self.engine.apply(event)

    def commit(self, *, checkpoint: bool = False) -> None:
        self.store.commit(self.unstored, self.engine)
        self.unstored = []
        self.committed = len(self.lines)
        if checkpoint:
            self.store.checkpoint = self.engine.checkpoint().to_json()

    def start(self, now: int) -> None:
        today = [line for line in self.lines if day_number(line.t) == day_number(now)]
        self.never_read.append((self.committed, len(self.lines), day_number(now)))
        self.engine = self.fresh()
        found = recover(self.engine, today, self.store.past(now), now)
        assert (found.lines, found.distrusted) == (len(today), False)
        self.unstored = [*found.alerts]
        self.upstream = Upstream()
        self.hear(Start(now))

    def replayed(self) -> list[Alert]:
        """What one engine says that hears all that was recorded."""
        engine = self.fresh()
        said = [engine.apply(line) for line in self.lines]
        return [alert for place, alerts in enumerate(said) for alert in alerts if self.is_read(place, alert)]

    def is_read(self, place: int, alert: Alert) -> bool:
        day = day_number(alert.at)
        return all(not first <= place < end or day == today for first, end, today in self.never_read)


@settings(max_examples=60, deadline=None, suppress_health_check=RELAXED)
@given(histories())
def test_lives_that_were_killed_say_what_a_replay_says(history: History) -> None:
    """Each line may be the last before a kill, each one before it the last that was committed, or of a checkpoint."""
    lives = Lives(history)
    lives.live()
    assert lives.store.alerts == lives.replayed()


# The recording stopped before the evaluation did

BURST = rule(condition("net_volume[30m]", above=100))
BUYING = rule(condition("net_volume", above=0), for_="5s")


def frame(time: str, bought: int) -> Frame:
    t = at(time)
    return Frame(t, (filled(t, {"buy_volume": bought}),), "")


def restarted(
    one: Rule, lines: Sequence[Event], now: str, *, mark: str | None, checkpoint: str | None = None
) -> tuple[Stage, Recovered]:
    """A start at `now` with this behind it; nothing that fired or was sent is stored."""
    stage = Stage(one)
    past = Past(None if mark is None else at(mark), checkpoint, (), frozenset())
    found = recover(stage.engine, lines, past, at(now))
    stage.start(now)
    return stage, found


MORNING_LINES = (Start(at("08:50:00")), Up(at("08:50:01"), ("*",)), frame("09:30:00", 10), frame("10:00:00", 20))


def checkpoint_at(time: str, one: Rule) -> str:
    """The rule's state and memories as they were at the end of the morning's lines, and it is `time`."""
    engine = Engine([one], HOURS)
    for line in MORNING_LINES:
        engine.apply(line)
    engine.advance(at(time))
    return engine.checkpoint().to_json()


def test_a_window_that_starts_where_the_disk_was_full_is_not_known() -> None:
    """Nothing was recorded from 10:00 on; evaluated and stored was up to 11:00."""
    stage, _ = restarted(BURST, MORNING_LINES, "11:00:01", mark="11:00:00")
    stage.up("11:04:59")
    assert stage.record("11:05:00", buy_volume=1000) == []  # it would start at 10:35
    assert stage.value() is None
    assert told(stage.record("11:36:00", buy_volume=2000)) == [("firing", "11:36:00")]


def test_a_window_that_starts_at_the_last_line_is_known() -> None:
    stage, _ = restarted(BURST, MORNING_LINES, "10:00:03", mark="10:00:01")
    stage.up("10:00:03")
    assert told(stage.record("10:30:00", buy_volume=1000)) == [("firing", "10:30:00")]
    assert stage.record("10:30:00.5", buy_volume=1001) == []
    assert stage.value() is None


def test_what_was_lost_before_a_checkpoint_is_not_known_either() -> None:
    lines = (*MORNING_LINES, Start(at("11:00:01")), Up(at("11:00:02"), ("*",)))
    text = checkpoint_at("10:45:00", BURST)
    stage, found = restarted(BURST, lines, "11:00:03", mark="11:00:02", checkpoint=text)
    assert found.learned == len(MORNING_LINES)
    assert stage.record("11:05:00", buy_volume=1000) == []
    assert stage.value() is None
    (blind,) = stage.engine._series[SAMSUNG].known().spans
    assert blind == (at("10:00:00"), at("11:05:00"))


def test_what_waited_while_the_disk_was_full_waits_anew() -> None:
    stage, _ = restarted(BUYING, MORNING_LINES[:3], "09:30:06", mark="09:30:04")
    assert told(stage.record("09:30:07", buy_volume=20)) == []
    assert told(stage.tick("09:30:12")) == [("firing", "09:30:12")]


# A clock that was wrong


def test_a_mark_in_the_future_is_not_believed() -> None:
    """The machine had booted two hours ahead, ran until 11:30 of its time, and was set right."""
    lines = (Start(at("11:00:00")), frame("11:10:00", 7), Alive(at("11:30:00")))
    stage, found = restarted(BUYING, lines, "09:31:00", mark="11:30:00")
    assert (found.distrusted, found.lines, found.alerts) == (True, 0, ())
    assert stage.engine.now == at("09:31:00")
    stage.up("09:31:01")
    assert stage.record("09:31:02", buy_volume=1) == []
    assert told(stage.tick("09:31:07")) == [("firing", "09:31:07")]


def test_a_mark_of_tomorrow_is_not_believed() -> None:
    stage, found = restarted(BUYING, (), "09:31:00", mark=None)
    assert not found.distrusted
    found = recover(stage.engine, (), Past(at("03:00:00", DAY + 1), None, (), frozenset()), at("09:31:00"))
    assert (found.distrusted, stage.engine.now) == (True, at("09:31:00"))


def test_lines_before_the_future_are_read_and_blind_from_there() -> None:
    lines = (*MORNING_LINES, frame("12:00:00", 999), frame("10:05:00", 30))
    stage, found = restarted(BURST, lines, "10:10:00", mark="12:00:00")
    assert (found.distrusted, found.lines, found.alerts) == (True, len(MORNING_LINES), ())
    assert stage.record("10:35:00", buy_volume=1000) == []
    assert stage.value() is None
    assert stage.engine._series[SAMSUNG].known().spans == ((at("10:00:00"), at("10:35:00")),)


def test_nothing_before_a_mark_in_the_future_is_told_again() -> None:
    """What was received in the last second may lie after the start, and was told all the same."""
    soon = replace(BUYING, for_ns=0)
    lines = (Start(at("08:50:00")), frame("09:30:00.5", 10), frame("09:30:09", 20))
    stage, found = restarted(soon, lines, "09:30:00", mark="09:30:09")
    assert (found.distrusted, found.lines, found.alerts) == (True, 2, ())
    assert stage.engine.now == at("09:30:00.5")


def test_a_checkpoint_in_the_future_is_left_aside() -> None:
    """Its memories are of what has not happened yet; the lines say what has."""
    text = checkpoint_at("10:45:00", BUYING)
    _, found = restarted(BUYING, MORNING_LINES, "10:00:02", mark="10:00:01", checkpoint=text)
    assert (found.distrusted, found.learned, found.lines) == (True, 0, len(MORNING_LINES))


def test_a_clock_that_is_corrected_by_less_than_a_second_is_no_wrong_clock() -> None:
    text = checkpoint_at("10:00:00.5", BUYING)
    stage, found = restarted(BUYING, MORNING_LINES, "09:59:59.5", mark="10:00:00.5", checkpoint=text)
    assert (found.distrusted, found.learned) == (False, len(MORNING_LINES))
    assert stage.engine.now == at("10:00:00.5")


# What else a start may find


def test_a_checkpoint_of_yesterday_or_of_none_is_of_no_use() -> None:
    yesterday = replace(Checkpoint.from_json(checkpoint_at("10:00:00", BUYING)), now=at("10:00:00") - DAY_NS)
    for text in (yesterday.to_json(), "damaged", Engine([BUYING], HOURS).checkpoint().to_json()):
        _, found = restarted(BUYING, MORNING_LINES, "10:00:02", mark="10:00:00", checkpoint=text)
        assert (found.distrusted, found.learned, found.lines) == (False, 0, len(MORNING_LINES))
    engine = Engine([BUYING], HOURS)
    recover(engine, (), Past(None, yesterday.to_json(), (), frozenset()), at("10:00:02"))
    assert (engine.now, engine.changed()) == (None, ())


def test_where_nothing_was_ever_stored_nothing_of_the_past_is_told() -> None:
    _, found = restarted(BUYING, MORNING_LINES, "10:00:02", mark=None)
    assert (found.alerts, found.lines) == ((), len(MORNING_LINES))


def test_killed_between_a_line_and_its_commit_a_rule_fires_when_it_would_have() -> None:
    """Pending since 09:30:00; the line of 09:30:02 was written and not committed, that of 09:30:06 neither."""
    lines = (*MORNING_LINES[:3], frame("09:30:02", 11), frame("09:30:06", 12))
    _, found = restarted(BUYING, lines, "09:30:07", mark="09:30:01")
    assert told(list(found.alerts)) == [("firing", "09:30:05")]
    assert found.alerts[0].since == at("09:30:00")


def test_a_rule_edited_while_nothing_ran_does_not_cost_the_day_again() -> None:
    text = checkpoint_at("10:00:00", rule(condition("net_volume", above=0)))
    stage = Stage(BUYING)
    stored = Standing("rule", SAMSUNG, "another", Life(Phase.FIRING, at("09:30:00")), Tally(1, at("09:30:00")))
    found = recover(stage.engine, MORNING_LINES, Past(at("10:00:00"), text, (stored,), frozenset()), at("10:00:02"))
    assert (found.learned, found.lines) == (len(MORNING_LINES), len(MORNING_LINES))
    (standing,) = stage.engine.standings()
    assert (standing.fingerprint, standing.life, standing.tally.sent) == (fingerprint(BUYING), REST, 1)
