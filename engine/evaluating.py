"""Rules over the stream, as they run in the daemon: engine, evaluator and keeper as one, with the words of alerts.

events → evaluator → engine → alerts → words → keeper (recording, database) → `post`. What may change while it runs, the
rules and the silences, changes here, between two events.
"""

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import trio

from engine import restart
from engine.alert import Alert, State
from engine.clock import Clock
from engine.delivery import message
from engine.delivery.notice import Notice
from engine.delivery.templates import FailureLog
from engine.evaluation.engine import Engine
from engine.evaluation.lifecycle import Phase
from engine.evaluation.watch import Transition
from engine.evaluator import Evaluator
from engine.gap import Gap
from engine.in_force import InForce
from engine.keeper import Keeper, Post, Work
from engine.kst import SECOND_NS, date_of, day_number
from engine.locale import Locale, Text
from engine.plan import Plan
from engine.recording import reader
from engine.recording.reader import UnreadableRecordingError
from engine.silences.model import Silence
from engine.state_files import StateFiles
from engine.store.batch import Ending
from engine.stream import Event
from engine.text import quoted

log = logging.getLogger(__name__)

_CHECKPOINT_NS = 60 * SECOND_NS
"""How much of a day's recording a restart has to evaluate again at most; writing one takes milliseconds."""
_FUTURE = Text(
    "something in it lies in the future, so a clock was wrong then or is now",
    "미래의 시각이 들어 있습니다. 그때나 지금 시계가 틀렸습니다",
)


class Evaluating:
    """Made and used on the Trio thread; `begin` first, `run` beside it."""

    def __init__(
        self,
        plan: Plan,
        clock: Clock,
        files: StateFiles,
        post: Post,
        on_gap: Callable[[Gap, int, int], None],
    ) -> None:
        """`post` gets each notice once, when it is stored or cannot be; `on_gap`: see Evaluator."""
        self._configuration = plan.configuration
        self._clock = clock
        self._files = files
        self._started = self._checked_at = clock.now()
        self.in_force = InForce(plan, self._started)
        self._silences: tuple[Silence, ...] = ()
        self._endings: list[Transition] = []
        self.engine = Engine(plan.enabled_rules, plan.configuration.hours(), self._note)
        self.evaluator = Evaluator(self.engine, clock, self._commit, plan.symbols, on_gap, held=True)
        past = files.past.mark
        mark = self._started if past is None or past > self._started else past
        self.keeper = Keeper(files.writer, files.database, post, mark, clock.now)
        settings = plan.configuration.settings
        self._locale = settings.locale
        self._templates = message.Templates(settings.alerts.title, settings.alerts.message, FailureLog())

    def __repr__(self) -> str:
        return f"<Evaluating {self.evaluator!r} {self.keeper!r}>"

    # From beginning to end

    async def run(self) -> None:
        """Evaluate and keep, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keeper.run)
            nursery.start_soon(self.evaluator.run)

    async def begin(self, through: Callable[[Iterable[Event]], Iterable[Event]] = iter) -> str | None:
        """Bring the engine to where the last run left off, beside the feeds; what they bring is evaluated then.

        What was recorded goes `through` there, in the thread that learns it: it must give on each event as it is.
        → why not all that was remembered could be used.
        """
        began, past = trio.current_time(), self._files.past
        recorded = _Recorded(self._files.recording, self._locale)
        gc.disable()  # a million records that stay would be looked through again and again: a third of the time
        try:
            found = await trio.to_thread.run_sync(
                lambda: restart.recover(self.engine, through(recorded.events()), past, self._started),
                abandon_on_cancel=True,
            )
        finally:
            gc.enable()
        self._endings.clear()  # they are in the history already, or were never ours
        seconds = trio.current_time() - began
        log.info(
            "recovered lines=%d learned=%d new_alerts=%d seconds=%.2f",
            *(found.lines, found.learned, len(found.alerts), seconds),
        )
        self._commit((), found.alerts)
        self.evaluator.release()
        self.keep_everything()
        return recorded.unread or (_FUTURE.of(self._locale) if found.distrusted else None)

    async def finish(self) -> None:
        """Evaluate what has come last. What a disk does not take within the keeper's patience is told all the same."""
        self.evaluator.drain()
        self.keep_everything()
        await self.keeper.stored()

    async def close(self, seconds: float) -> None:
        """Keep the last steps of the delivery, as far as the disk takes them within `seconds`."""
        with trio.move_on_after(seconds):
            await self.keeper.finish()

    def apply(self, event: Event) -> None:
        """A line that is played: its time is its own, and so are its ticks."""
        self._commit((event,), self.engine.apply(event))

    def advance(self, now: int) -> None:
        """Run the ticks before `now` that no line comes after."""
        self._commit((), self.engine.advance(now))

    # What comes of it

    def name(self, symbol: str) -> str:
        """What a stock is called, or nothing."""
        return self.in_force.plan.master.name(symbol)

    def say(self, notices: Sequence[Notice]) -> None:
        """A word of the daemon itself: kept and told like an alert."""
        if notices:
            self.keeper.put(Work(notices=notices))

    def _note(self, change: Transition) -> None:
        _log_transition(change)
        if change.before is Phase.FIRING and change.after is Phase.INACTIVE:
            self._endings.append(change)

    def _commit(self, events: Sequence[Event], alerts: Sequence[Alert]) -> None:
        """What was applied, and the alerts that follow from it."""
        for alert in alerts:
            log.info(
                "alert %s rule=%s symbol=%s repeat=%d suppressed=%s id=%s",
                alert.state,
                quoted(alert.rule),
                quoted(alert.symbol),
                alert.repeat,
                alert.suppressed or "no",
                alert.id,
            )
        notices = [self._notice(alert) for alert in alerts]
        endings = self._silent_endings(alerts)
        standings = self.engine.changed() if notices or endings else ()
        self.keeper.put(Work(events, notices, standings, endings, mark=self.engine.now or 0))

    def _notice(self, alert: Alert) -> Notice:
        rule = self.in_force.rules[alert.rule]
        return message.notice(alert, rule, self.name(alert.symbol), self._locale, self._templates)

    def _silent_endings(self, alerts: Iterable[Alert]) -> list[Ending]:
        """Firings that are over without a word: the history has them."""
        told = {(alert.rule, alert.symbol) for alert in alerts if alert.state is State.RESOLVED}
        over, self._endings[:] = self._endings[:], []
        return [
            Ending(each.rule, each.symbol, each.at, self.name(each.symbol))
            for each in over
            if (each.rule, each.symbol) not in told
        ]

    # What is kept besides

    def keep_changes(self) -> None:
        """Each second: what changed without an alert, and now and then all of it."""
        if self.evaluator.is_held:
            return
        now = self._clock.now()
        if now - self._checked_at >= _CHECKPOINT_NS:
            self._checked_at = now
            self.keep_everything()
        elif standings := self.engine.changed():
            self.keeper.put(Work(standings=standings, mark=self.engine.now or 0))

    def keep_everything(self) -> None:
        """All of where the rules stand: after this, a start needs nothing from before it but the symbols' values."""
        if self.evaluator.is_held:
            return
        self.engine.changed()
        checkpoint = self.engine.checkpoint().to_json()
        work = Work(standings=self.engine.standings(), mark=self.engine.now or 0, checkpoint=checkpoint)
        self.keeper.put(work)

    # What changes while it runs

    def take_rules(self, plan: Plan) -> bool:
        """Another set of rules; nothing of it is half applied. → whether they need more of the day than is at hand.

        `learn_the_day` then gets it; until then the windows that are too long are not known.
        """
        evaluated = self.evaluator.settle()
        lacks = self.engine.lacks(plan.enabled_rules)
        self.in_force.take(plan, self._clock.now())
        self.engine.reload(plan.enabled_rules, evaluated)
        self._commit((), ())
        self.keep_everything()
        return lacks

    async def learn_the_day(self) -> None:
        """A window is longer than any was before: what it starts from stands in the day's recording."""
        began, today = trio.current_time(), date_of(day_number(self._clock.now()))
        await self.keeper.caught_up()
        folder, rules, hours = (
            self._configuration.recordings_folder,
            self.in_force.plan.enabled_rules,
            self._configuration.hours(),
        )

        def learn() -> tuple[Engine, str | None]:
            past = Engine(rules, hours)
            recorded = _Recorded(reader.day_file(folder, today), self._locale)
            for event in recorded.events():
                past.learn(event)
            return past, recorded.unread

        past, unread = await trio.to_thread.run_sync(learn, abandon_on_cancel=True)
        self.engine.adopt_past(past)
        seconds = trio.current_time() - began
        log.info("rules learned the day so far seconds=%.2f unread=%s", seconds, quoted(unread or "nothing"))

    def take_silences(self, silences: tuple[Silence, ...]) -> None:
        """These instead of the ones before."""
        if silences == self._silences:
            return
        self._silences = silences
        evaluated = 0 if self.evaluator.is_held else self.evaluator.settle()  # held: the past comes first
        self.engine.silence(silences, evaluated)
        self.keep_everything()
        log.info("silences in force=%d", self.silences_in_force())

    def silences_in_force(self) -> int:
        now = self._clock.now()
        return sum(each.start <= now < each.until for each in self._silences)


class _Recorded:
    """The day's recording as far as it can be read: a disk may fail in the middle of it."""

    def __init__(self, path: Path | None, locale: Locale) -> None:
        self._paths = [] if path is None else [path]
        self._locale = locale
        self.unread: str | None = None
        """Why it could not be read to its end."""

    def events(self) -> Iterator[Event]:
        try:
            yield from reader.events(self._paths)
        except UnreadableRecordingError as error:
            self.unread = error.text(self._locale)


def _log_transition(change: Transition) -> None:
    """Pending comes and goes with every record: only the end of a firing is worth INFO; alerts have their own line."""
    level = logging.INFO if change.before is Phase.FIRING else logging.DEBUG
    if log.isEnabledFor(level):
        words = change.before, change.after, quoted(change.rule), quoted(change.symbol)
        log.log(level, "rule %s => %s rule=%s symbol=%s", *words)
