"""The nursery: the one place that knows everyone, and in which order they start and end.

simulator (if that is the source) → delivery → evaluator → feeds; and back: the feeds end cleanly, what they brought is
evaluated, the workers settle what is in flight. All of it within 10 s.
"""

import logging
import math
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import trio
from pydantic import SecretStr

from engine import __version__, kst, status
from engine.alert import Alert
from engine.attempts import Attempts
from engine.clock import Clock
from engine.config.model import Account, Settings, Source
from engine.config.model import Feed as FeedSettings
from engine.delivery import deliver, message
from engine.errors import PgmwatchError
from engine.evaluation.engine import Engine
from engine.evaluation.lifecycle import Phase
from engine.evaluation.watch import Transition
from engine.evaluator import Evaluator
from engine.gap import Gap
from engine.incidents.monitor import Monitor
from engine.kis.feed import Feed
from engine.kis.slots import spread
from engine.locale import Locale
from engine.ops import control, state_folder
from engine.ready import Ready
from engine.simulator import server as simulator
from engine.simulator.scenario import Scenario
from engine.store.outbox import Outbox
from engine.stream import Event, Start
from engine.text import quoted

logger = logging.getLogger(__name__)

ENDED, REFUSED, INTERRUPTED = 0, 3, 130
"""Exit codes. REFUSED: no account's credentials were ever right, so there is nothing to run for."""

END_S = 9.0
"""From the signal to the end of the process; a second is left for the interpreter on a busy machine."""
_LEAST_DRAIN_S = 0.5
"""What delivery gets even where the broker took all the time to say goodbye."""

_LOOK_S = 1.0
"""How often somebody looks after the feeds: system alerts are a matter of ten seconds."""

_SIMULATED_ACCOUNT = Account(name="simulator", app_key=SecretStr("SIMULATED-KEY"), app_secret=SecretStr("SIMULATED"))


def run(ready: Ready) -> int:
    """Run until a signal; → exit code. Raises StateFolderError where its state folder cannot be had."""
    with state_folder.held(ready.plan.configuration.state_folder):
        return _in_trio(partial(_serve, ready))


def simulate(
    settings: Settings, host: str, rest_port: int, websocket_port: int, scenario: Scenario | None = None
) -> int:
    """The simulator alone, until a signal; → exit code. Raises SimulatorError where it cannot listen."""
    start = partial(
        simulator.serve,
        settings.simulator,
        host=host,
        rest_port=rest_port,
        websocket_port=websocket_port,
        scenario=scenario,
    )
    return _in_trio(partial(_simulate, start))


def _in_trio(main: Callable[[], Awaitable[int]]) -> int:
    """`trio.run`; an error of theirs that ended a nursery comes out by itself, a defect of ours as the group it is."""
    try:
        return trio.run(main)
    except BaseExceptionGroup as group:
        cause: BaseException = group
        while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
            cause = cause.exceptions[0]
        if isinstance(cause, PgmwatchError):
            raise cause from None
        raise


async def _simulate(start: Any) -> int:
    async with trio.open_nursery() as nursery:
        stopping = _Stopping(nursery.cancel_scope)
        await nursery.start(stopping.watch)
        await nursery.start(start)
        await stopping.asked.wait()
        nursery.cancel_scope.cancel()
    return stopping.code


async def _serve(ready: Ready) -> int:
    async with trio.open_nursery() as nursery:
        stopping = _Stopping(nursery.cancel_scope)
        await nursery.start(stopping.watch)
        daemon = _Daemon(ready, await _upstream(nursery, ready))
        await daemon.run(stopping)
        nursery.cancel_scope.cancel()
    logger.info("ended")
    return stopping.code


async def _upstream(nursery: trio.Nursery, ready: Ready) -> FeedSettings:
    """Where the feed comes from: the broker, or a simulator that is started here."""
    settings = ready.plan.configuration.settings
    if settings.feed.source is Source.KIS:
        return settings.feed
    addresses = await nursery.start(partial(simulator.serve, settings.simulator, scenario=ready.scenario))
    return settings.feed.model_copy(
        update={
            "rest_url": addresses.rest_url,
            "websocket_url": addresses.websocket_url,
            "account": (_SIMULATED_ACCOUNT,),
        }
    )


class _Stopping:
    """SIGTERM and SIGINT: the first asks for a clean end, a second one ends at once. SIGHUP ends nothing."""

    def __init__(self, everything: trio.CancelScope) -> None:
        self._everything = everything
        self._deadline = math.inf
        self.asked = trio.Event()
        self.code = ENDED

    def left_s(self) -> float:
        """What is left of the time that a clean end may take."""
        return max(self._deadline - trio.current_time(), _LEAST_DRAIN_S)

    def end(self, code: int) -> None:
        """Ask for a clean end with this exit code."""
        self.code = code
        self._deadline = trio.current_time() + END_S
        self.asked.set()

    def _signalled(self, number: int) -> None:
        code = INTERRUPTED if number == signal.SIGINT else ENDED
        if self.asked.is_set():
            logger.warning("ending at once signal=%s", signal.Signals(number).name)
            self.code = self.code or code
            self._everything.cancel()
        else:
            logger.info("ending signal=%s", signal.Signals(number).name)
            self.end(code)

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    logger.warning("SIGHUP: rules are read at the start only; restart to read them anew")
                else:
                    self._signalled(number)


class _Daemon:
    """The parts of one run, and how they are joined."""

    def __init__(self, ready: Ready, feed_settings: FeedSettings) -> None:
        self._ready = ready
        self._configuration = ready.plan.configuration
        self._settings = ready.plan.configuration.settings
        self._rules = {rule.name: rule for rule in ready.plan.rules}
        self._clock = Clock()
        self._started = self._clock.now()
        self._store = Outbox(target.address for target in ready.targets)
        self._engine = Engine(ready.plan.enabled_rules, self._configuration.hours(), _log_transition)
        self._evaluator = Evaluator(self._engine, self._clock, self._commit, ready.plan.symbols, self._on_gap)
        accounts = [account.name for account in feed_settings.account]
        spreading = spread(ready.plan.symbols, accounts, feed_settings.max_registrations)
        self._not_covered = spreading.left_out
        self._monitor = self._make_monitor(spreading.left_out)
        attempts = Attempts(self._configuration.state_folder) if self._settings.feed.source is Source.KIS else None
        self._feeds = tuple(
            self._make_feed(account, spreading.accounts[account.name], feed_settings, attempts)
            for account in feed_settings.account
            if spreading.accounts[account.name]  # more accounts than symbols: no session is held for nothing
        )

    def _make_monitor(self, not_covered: Sequence[str]) -> Monitor:
        if not_covered:
            logger.warning("symbols not covered count=%d symbols=%s", len(not_covered), ",".join(not_covered))
        return Monitor(
            self._ready.plan.rules,
            self._configuration.hours(),
            self._settings.locale,
            notify=self._settings.alerts.ops,
            name=self._ready.plan.master.name,
            not_covered=not_covered,
            started=self._started,
        )

    def _make_feed(
        self, account: Account, symbols: Sequence[str], settings: FeedSettings, attempts: Attempts | None
    ) -> Feed:
        make = partial(
            Feed,
            account,
            symbols,
            settings,
            tr_id=settings.market.tr_id,
            clock=self._clock,
            put=self._evaluator.put,
            hours=self._configuration.hours(),
        )
        if attempts is None:
            return make()  # a simulator starts empty each run, and counts nothing against anybody
        past = attempts.of(account)
        return make(past=past.state, approved=past.approved, remember=partial(attempts.remember, account))

    async def run(self, stopping: _Stopping) -> None:
        """Everything, from the first task to the last message."""
        for doubt in self._ready.plan.doubts:
            logger.warning("doubtful %s", doubt.text(Locale.EN))
        for name in self._ready.withheld:
            logger.warning('target withheld name="%s" reason="the market is simulated; run --notify NAME"', name)
        logger.info(
            "started version=%s source=%s market=%s rules=%d symbols=%d targets=%d",
            __version__,
            self._settings.feed.source,
            self._settings.feed.market,
            len(self._ready.plan.enabled_rules),
            len(self._ready.plan.symbols),
            len(self._ready.targets),
        )
        drain, drained = trio.Event(), trio.Event()
        async with trio.open_nursery() as background:
            background.start_soon(self._deliver, stopping, drain, drained)
            await background.start(control.serve, self._configuration.state_folder, {"status": self._status})
            background.start_soon(self._evaluator.run)
            background.start_soon(self._watch_over_feeds, stopping)
            self._evaluator.put(Start(self._clock.now()))
            async with trio.open_nursery() as feeding:
                for feed in self._feeds:
                    feeding.start_soon(feed.run)
                await stopping.asked.wait()
                for feed in self._feeds:
                    feed.stop()
            self._evaluator.drain()
            drain.set()
            await drained.wait()
            background.cancel_scope.cancel()

    async def _deliver(self, stopping: "_Stopping", drain: trio.Event, drained: trio.Event) -> None:
        await deliver.run(
            self._store,
            self._ready.targets,
            self._clock,
            drain,
            alerts=self._settings.alerts,
            locale=self._settings.locale,
            drain_s=stopping.left_s,
        )
        drained.set()

    async def _watch_over_feeds(self, stopping: "_Stopping") -> None:
        """Say what a person must know of them; end where nothing can ever come of it."""
        while not stopping.asked.is_set():
            feeds = [feed.status() for feed in self._feeds]
            now = self._clock.now()
            never_right = bool(feeds) and all(feed.refused and not feed.approved for feed in feeds)
            if not never_right or any(feed.last_ending for feed in feeds):  # else an earlier run has told of it
                seen = self._monitor.look(
                    now, feeds, self._engine.counters, ahead_ns=self._clock.ahead, lag_ns=self._evaluator.lag_ns
                )
                self._store.commit(seen, now)
            if never_right:
                next_ask = min((feed.next_attempt for feed in feeds if feed.next_attempt), default=now)
                logger.error(
                    "ending: the broker refused the credentials of every account;"
                    " they are not asked about before %s unless they change",
                    kst.iso(next_ask)[:19],
                )
                stopping.end(REFUSED)
            await trio.sleep(_LOOK_S)

    def _on_gap(self, kind: Gap, since: int, until: int) -> None:
        self._store.commit(self._monitor.gap(until, since, kind), until)

    def _commit(self, _events: Sequence[Event], alerts: Sequence[Alert]) -> None:
        """Alerts of one batch → words → store. What follows from there is delivery's."""
        for alert in alerts:
            logger.info(
                "alert %s rule=%s symbol=%s repeat=%d suppressed=%s id=%s",
                alert.state,
                quoted(alert.rule),
                quoted(alert.symbol),
                alert.repeat,
                alert.suppressed or "no",
                alert.id,
            )
        locale = self._settings.locale
        notices = [
            message.notice(alert, self._rules[alert.rule], self._ready.plan.master.name(alert.symbol), locale)
            for alert in alerts
        ]
        if notices:
            self._store.commit(notices, self._clock.now())

    def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "daemon": {
                "version": __version__,
                "source": self._settings.feed.source,
                "market": self._settings.feed.market,
                "started": kst.iso(self._started),
                "up_s": (now - self._started) // kst.SECOND_NS,
            },
            "not_covered": list(self._not_covered),
            "feeds": [status.of_feed(feed.status(), now) for feed in self._feeds],
            "evaluation": status.of_evaluation(
                len(self._ready.plan.enabled_rules),
                self._engine.state(inactive=False),
                self._engine.counters,
                self._evaluator.lag_ns,
            ),
            "targets": [status.of_target(target) for target in self._store.status()],
        }


def _log_transition(change: Transition) -> None:
    """Pending comes and goes with every record: only the end of a firing is worth INFO; alerts have their own line."""
    level = logging.INFO if change.before is Phase.FIRING else logging.DEBUG
    if logger.isEnabledFor(level):
        words = change.before, change.after, quoted(change.rule), quoted(change.symbol)
        logger.log(level, "rule %s => %s rule=%s symbol=%s", *words)
