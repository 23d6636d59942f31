"""The task between the feeds and the notifiers: events in, alerts out, in the order in which things happened.

The feeds put events here without waiting; this task applies whatever has come, runs the ticks that are due, and hands
the alerts over. All of it runs on one thread, so a tick at T may run as soon as the clock is past T and the inbox is
empty: no event with an earlier time can come any more.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import trio

from engine.alert import Alert
from engine.clock import Clock
from engine.evaluation.engine import Engine
from engine.gap import Gap
from engine.kst import SECOND_NS
from engine.stream import Alive, Down, Event, Frame, Up

log = logging.getLogger(__name__)

_BATCH = 200
"""Events applied before other tasks get their turn: 200 frames take a few ms, so that PINGPONG is answered in time."""
_MAX_WAITING = 1_000_000
"""Events that may wait. Reader and evaluator take turns on one thread, so more than a burst's worth is a defect of
ours, and a million frames are a minute at twice the highest rate that the broker has been seen to send."""
_AWAY_NS = 3 * SECOND_NS
"""This task wakes every second; having been away for longer means that the process was suspended or starved, or that
the machine slept. What was received afterwards may be old: it must not look like a burst, so everything counts as blind
in between."""
_LAG_NS = SECOND_NS
"""An event applied this long after it was received is worth a line in the log."""


Commit = Callable[[Sequence[Event], Sequence[Alert]], None]
"""What was applied since the last call, in order, and the alerts that follow from it."""


class Evaluator:
    """Applies events to the engine, and hands on what was applied: so a recording is all that the engine has heard."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        commit: Commit,
        symbols: Iterable[str] = (),
        on_gap: Callable[[Gap, int, int], None] = lambda _kind, _since, _until: None,
        *,
        held: bool = False,
    ) -> None:
        """`symbols`: all that the feeds will try to get; they count as lost until an `Up` names them.

        `held`: nothing is applied before `release`; what comes waits, and that is no absence. `commit` must not wait.
        `on_gap` hears of every gap that is not the feed's: kind, since, until (until − since is how far a clock was
        set). Like `commit` it must not wait, and it must not put anything here.
        """
        self._engine = engine
        self._clock = clock
        self._commit = commit
        self._on_gap = on_gap
        self._inbox: deque[Event] = deque()
        self._came = trio.Event()
        self._lost = dict.fromkeys(symbols)  # an ordered set
        self._here = clock.now()
        self._held = held
        self._applied_to = self._newest = 0
        self._behind = False
        self._dropped: set[str] = set()
        self.lag_ns = 0
        """How long the last event of the last batch had waited."""

    def put(self, event: Event) -> None:
        """Take an event; never waits."""
        if len(self._inbox) >= _MAX_WAITING:
            raise RuntimeError("the evaluator does not keep up")
        self._note_absence(event.t)
        if isinstance(event, Frame):
            # Ours may stand still for milliseconds. Time and place name an alert, and a time says up to where is
            # evaluated: so a frame shares its time with nothing that came before.
            newest = max(self._newest, self._applied_to)
            event = event if event.t > newest else event._replace(t=newest + 1)
        elif isinstance(event, Up):
            for symbol in event.symbols:
                self._lost.pop(symbol, None)
        elif isinstance(event, Down):
            self._lost.update(dict.fromkeys(event.symbols))
        self._newest = max(self._newest, event.t)
        self._inbox.append(event)
        self._came.set()

    @property
    def is_held(self) -> bool:
        """Nothing is applied yet."""
        return self._held

    def release(self) -> None:
        """The engine is where it should be: go on from there."""
        self._held = False
        self._came.set()

    def also_lost(self, symbols: Iterable[str]) -> None:
        """Symbols that the feeds will try to get from now on: not up before an `Up` names them."""
        self._lost.update(dict.fromkeys(symbols))

    async def run(self) -> None:
        """Evaluate until cancelled; what was put before is then lost, so call `drain` when the feeds have ended."""
        while True:
            if not self._inbox or self._held:
                self._came = trio.Event()
                with trio.move_on_after(self._until_next_tick_s()):
                    await self._came.wait()
            self._follow_the_wall()
            self._note_absence(self._clock.now())
            if not self._held:
                self._step()
            await trio.lowlevel.checkpoint()

    def settle(self) -> int:
        """Bring the evaluation to the present, before its rules or silences change: → its present (ns)."""
        if self._held:
            return self._engine.now or 0
        self._step()
        self.drain()
        return self._applied_to

    def drain(self) -> None:
        """Apply all that still waits; nothing where the engine is not ready yet."""
        while self._inbox and not self._held:
            self._step()

    def _step(self) -> None:
        events = [self._inbox.popleft() for _ in range(min(len(self._inbox), _BATCH))]
        while self._inbox and self._inbox[0].t <= events[-1].t:  # up to when is evaluated, is told by a time
            events.append(self._inbox.popleft())
        received = events[-1].t if events else None
        if events:
            self._applied_to = max(self._applied_to, events[-1].t)
        now = self._clock.now()
        if not self._inbox and self._applied_to <= now - now % SECOND_NS < now:
            # Time has come past a whole second, at which a tick is due, and nothing says so yet. Each second has a
            # line, and a tick that ran has one after it: whoever replays the lines runs it as well.
            events.append(Alive(now))
            self._applied_to = now
        alerts = [alert for event in events for alert in self._engine.apply(event)]
        if events:
            self._commit(events, alerts)
        self._note_lag(0 if received is None else self._clock.now() - received)
        self._note_drops()

    def _follow_the_wall(self) -> None:
        """A clock that was set is no less a gap, though our time never falls; so is a sleep that nothing tells of.

        It may have been set right after the last look, so the gap begins there.
        """
        step = self._clock.catch_up()
        now = self._clock.now()
        if step > 0:
            log.warning("clock set forward seconds=%.1f", step / SECOND_NS)
            self._insert_gap(Gap.CLOCK_FORWARD, self._here, now)
        elif step < 0:
            log.warning("clock set back seconds=%.1f", -step / SECOND_NS)
            self._insert_gap(Gap.CLOCK_BACK, now + step, now)

    def _note_absence(self, now: int) -> None:
        """Before anything that came after it: a gap, from the last moment this task was there until now."""
        if now - self._here > _AWAY_NS:
            log.warning("evaluation away seconds=%.1f", (now - self._here) / SECOND_NS)
            self._insert_gap(Gap.AWAY, self._here, now)
        self._here = max(self._here, now)

    def _insert_gap(self, kind: Gap, since: int, now: int) -> None:
        """All is blind in between. A clock that was set back took no time: the gap is this moment."""
        lost = now if kind is Gap.CLOCK_BACK else since
        self._here = now
        self._inbox += (Down(lost, ("*",)), Up(now, ("*",)))
        if self._lost:  # what was lost before is not back because we are
            self._inbox.append(Down(now, tuple(self._lost)))
        self._on_gap(kind, since, now)

    def _until_next_tick_s(self) -> float:
        """A tick is due when the clock is past a whole second; 1 ms more makes sure that it is."""
        return (SECOND_NS - self._clock.now() % SECOND_NS) / SECOND_NS + 0.001

    def _note_lag(self, lag_ns: int) -> None:
        self.lag_ns = lag_ns
        behind = lag_ns > _LAG_NS
        if behind != self._behind:
            self._behind = behind
            log.warning("evaluation %s lag_ms=%d", "behind" if behind else "caught up", self.lag_ns // 1_000_000)

    def _note_drops(self) -> None:
        """Once for each reason: a clock that is a minute slow makes every record look early, and nothing else tells."""
        for reason, count in self._engine.counters.dropped.items():
            if count and reason not in self._dropped:
                self._dropped.add(reason)
                log.warning("evaluation drops records reason=%s", reason)
