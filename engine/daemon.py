"""The nursery: the one place that knows everyone, and in which order they start and end.

simulator (if that is the source) → delivery → evaluator → feeds; and back: the feeds end cleanly, what they brought is
evaluated, the workers settle what is in flight. All of it within 10 s.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import trio
from pydantic import SecretStr

from engine import __version__, kst, state_files
from engine.answers import Answers
from engine.charts.charts import Charts
from engine.clock import Clock
from engine.config.model import Account, Settings, Source
from engine.config.model import Feed as FeedSettings
from engine.delivery.deliver import Delivery
from engine.delivery.outbox import Outbox
from engine.edited import Edited
from engine.errors import PgmwatchError
from engine.evaluating import Evaluating
from engine.gap import Gap
from engine.heartbeat.beat import Heartbeat
from engine.heartbeat.call import Caller
from engine.heartbeat.signs import Ailment, Vitals, ailments
from engine.incidents.delivering import Delivering
from engine.incidents.monitor import Monitor
from engine.incidents.outage import is_hopeless
from engine.incidents.upkeep import SET_ASIDE, Upkeep, What
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.ops import control, state_folder
from engine.ready import Ready
from engine.replay.player import Player
from engine.simulator import server as simulator
from engine.simulator.scenario import Scenario
from engine.state_files import StateFiles
from engine.stopping import ENDED, REFUSED, Stopping
from engine.stream import Event, Start
from engine.upstream import Upstream

log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often somebody looks after the feeds: system alerts are a matter of ten seconds."""
_SIMULATED_ACCOUNT = Account(name="simulator", app_key=SecretStr("SIMULATED-KEY"), app_secret=SecretStr("SIMULATED"))


def run(prepared: Ready) -> int:
    """Run until a signal; → exit code.

    Raises StateFolderError where its state folder cannot be had, DatabaseError where its database cannot.
    """
    configuration = prepared.plan.configuration
    with state_folder.held(configuration.state_folder):
        files = state_files.opened(configuration, time.time_ns())
        return _in_trio(partial(_serve, prepared, files))


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
        stopping = Stopping(nursery.cancel_scope)
        await nursery.start(stopping.watch)
        await nursery.start(start)
        await stopping.asked.wait()
        nursery.cancel_scope.cancel()
    return stopping.code


async def _serve(prepared: Ready, files: StateFiles) -> int:
    async with trio.open_nursery() as nursery:
        stopping = Stopping(nursery.cancel_scope)
        await nursery.start(stopping.watch)
        daemon = _Daemon(prepared, await _upstream(nursery, prepared), files)
        await daemon.run(stopping)
        nursery.cancel_scope.cancel()
    log.info("ended")
    return stopping.code


async def _upstream(nursery: trio.Nursery, prepared: Ready) -> FeedSettings:
    """Where the feed comes from: the broker, or a simulator that is started here."""
    settings = prepared.plan.configuration.settings
    if settings.feed.source is not Source.SIMULATOR:
        return settings.feed
    addresses = await nursery.start(partial(simulator.serve, settings.simulator, scenario=prepared.scenario))
    return settings.feed.model_copy(
        update={
            "rest_url": addresses.rest_url,
            "websocket_url": addresses.websocket_url,
            "account": (_SIMULATED_ACCOUNT,),
        }
    )


class _Daemon:
    """The parts of one run, and how they are joined."""

    def __init__(self, prepared: Ready, feed_settings: FeedSettings, files: StateFiles) -> None:
        self._ready = prepared
        self._configuration = prepared.plan.configuration
        self._settings = self._configuration.settings
        self._player = None
        if self._settings.feed.source is Source.REPLAY:
            self._player = Player(self._configuration.replayed_files, self._settings.feed.replay.speed)
        self._clock = clock = Clock() if self._player is None else self._player.clock
        self._started = clock.now()
        self._outbox = Outbox(target.address for target in prepared.targets)
        self._evaluating = Evaluating(prepared.plan, clock, files, self._outbox, self._on_gap)
        alerts, locale, hours = self._settings.alerts, self._settings.locale, self._configuration.hours()
        self._charts = Charts(self._evaluating.engine, self._evaluating.in_force, hours, locale)
        self._charts.follow(prepared.plan.rules, prepared.targets)
        self._delivery = Delivery(self._outbox, clock, alerts=alerts, locale=locale, draw=self._charts.picture)
        self._delivery.add(prepared.targets)
        self._outbox.keep_in(self._evaluating.keeper)
        self._gone = self._outbox.resume(files.undelivered, files.past.known, self._started)
        self._upstream: Upstream | Player = self._player or Upstream(
            self._configuration, feed_settings, prepared.plan.symbols, clock, self._evaluating.evaluator.put
        )
        self._files = files
        self._looked_s = trio.current_time()
        self._heartbeat: Heartbeat | None = None
        if (heartbeat_url := self._configuration.heartbeat_url) is not None:
            self._heartbeat = Heartbeat(Caller(heartbeat_url).call, self._ailments, clock.now)
        self._upkeep = Upkeep(self._settings.locale, self._settings.alerts.ops)
        self._delivering = Delivering(self._settings.alerts, self._settings.locale)
        self._hours = self._configuration.hours()
        self._monitor = Monitor(
            prepared.plan.rules,
            self._hours,
            self._settings.locale,
            notify=self._settings.alerts.ops,
            name=self._evaluating.name,
            not_covered=self._upstream.not_covered,
            started=self._started,
        )
        self._edited = Edited(
            prepared,
            self._evaluating,
            self._upstream,
            self._delivery,
            monitor=self._monitor,
            upkeep=self._upkeep,
            clock=clock,
        )

    async def run(self, stopping: Stopping) -> None:
        """Everything, from the first task to the last message."""
        self._say_started()
        self._say_what_was_lost()
        drain, drained = trio.Event(), trio.Event()
        async with trio.open_nursery() as background:
            background.start_soon(self._deliver, stopping, drain, drained)
            await background.start(control.serve, self._configuration.state_folder, self._handlers())
            background.start_soon(self._look_after, stopping)
            self._evaluating.evaluator.put(Start(self._clock.now()))
            background.start_soon(self._begin, background, stopping)
            await self._upstream.run(stopping.asked)
            await self._evaluating.finish()
            drain.set()
            await drained.wait()
            await self._evaluating.close(stopping.left_s())
            background.cancel_scope.cancel()

    def _say_started(self) -> None:
        for doubt in self._ready.plan.doubts:
            log.warning("doubtful %s", doubt.text(Locale.EN))
        for name in self._ready.withheld:
            log.warning('target withheld name="%s" reason="the market is simulated; run --notify NAME"', name)
        if self._configuration.is_heartbeat_withheld:
            log.warning('heartbeat withheld reason="the market is simulated"')
        log.info(
            "started version=%s source=%s market=%s rules=%d symbols=%d targets=%d",
            __version__,
            self._settings.feed.source,
            self._settings.feed.market,
            len(self._ready.plan.enabled_rules),
            len(self._ready.plan.symbols),
            len(self._ready.targets),
        )

    def _say_what_was_lost(self) -> None:
        """Of what an earlier run had stored."""
        aside, locale, say = self._files.set_aside, self._settings.locale, self._evaluating.say
        reason = None if aside is None else SET_ASIDE.of(locale).format(name=aside.name)
        say(self._upkeep.trouble(What.SET_ASIDE, reason, self._started))
        say(self._upkeep.trouble(What.UNREAD, self._files.unread, self._started))
        say(self._delivering.gone(self._started, self._gone))

    def _handlers(self) -> dict[str, control.Handler]:
        answers = Answers(
            self._evaluating,
            self._upstream,
            self._edited,
            outbox=self._outbox,
            upkeep=self._upkeep,
            heartbeat=self._heartbeat,
            clock=self._clock,
        )
        return answers.handlers()

    async def _begin(self, background: trio.Nursery, stopping: Stopping) -> None:
        """Go on where the last run left off, and follow the files that are edited from then on."""
        rules, silences, config = self._edited.rules(background), self._edited.silences(), self._edited.config()
        if self._player is None:
            background.start_soon(self._evaluating.run)
            await silences.read()
            unused = await self._evaluating.begin(partial(self._charts.recalling, until=self._started))
            self._evaluating.say(self._upkeep.trouble(What.PAST, unused, self._clock.now()))
            self._edited.say_if_nothing_is_watched()
        else:
            background.start_soon(self._evaluating.keeper.run)
            background.start_soon(self._play, self._player, stopping)
        stopping.hung_up = rules.ask
        for following in (rules, silences, config):
            background.start_soon(following.run)

    async def _play(self, player: Player, stopping: Stopping) -> None:
        """Recordings instead of a market; the run ends with them."""
        end = await player.play(self._apply)
        if end is not None:
            self._evaluating.advance(end)
        log.info("replay ended")
        stopping.end(ENDED)

    def _apply(self, event: Event) -> None:
        self._evaluating.apply(event)
        self._charts.look()

    async def _deliver(self, stopping: Stopping, drain: trio.Event, drained: trio.Event) -> None:
        await self._delivery.run(drain, drain_s=stopping.left_s)
        drained.set()

    def _on_gap(self, kind: Gap, since: int, until: int) -> None:
        self._evaluating.say(self._monitor.gap(until, since, kind))

    # Each second

    async def _look_after(self, stopping: Stopping) -> None:
        """Say what a person must know; end where nothing can ever come of it."""
        async with trio.open_nursery() as nursery:
            if self._heartbeat is not None:
                nursery.start_soon(self._heartbeat.run)
            while not stopping.asked.is_set():
                self._look_at_feeds(stopping)
                self._look_at_disk()
                self._look_at_delivery()
                self._evaluating.keep_changes()
                self._look_for_charts()
                self._looked_s = trio.current_time()
                await trio.sleep(_LOOK_S)
            nursery.cancel_scope.cancel()

    def _ailments(self) -> tuple[Ailment, ...]:
        """Why nobody is to be told that all is well."""
        now, is_live, evaluating = self._clock.now(), self._player is None, self._evaluating
        vitals = Vitals(
            now=now,
            look_age_ns=int((trio.current_time() - self._looked_s) * SECOND_NS),
            feeds=self._upstream.status(),
            idle_ns=int(self._settings.feed.idle_timeout.total_seconds() * SECOND_NS),
            unreadable=self._monitor.unreadable,
            is_all_dropped=self._monitor.is_all_dropped,
            is_recovering=is_live and evaluating.evaluator.is_held,
            evaluated=evaluating.engine.now or 0 if is_live else None,
            lag_ns=evaluating.evaluator.lag_ns,
            rules=len(self._edited.ready.plan.enabled_rules),
            store=evaluating.keeper.trouble.store,
            store_lag_ns=int(evaluating.keeper.lag_s() * SECOND_NS),
            failing=self._delivering.failing(now),
        )
        return ailments(vitals, self._hours)

    def _look_for_charts(self) -> None:
        """Not while the past is learned in a thread, nor of a replay, whose every line is looked at."""
        ready = self._edited.ready
        self._charts.follow(ready.plan.rules, ready.targets)
        if self._player is None and not self._evaluating.evaluator.is_held:
            self._charts.look()

    def _look_at_feeds(self, stopping: Stopping) -> None:
        feeds, now = self._upstream.status(), self._clock.now()
        is_over = is_hopeless(feeds)
        if not is_over or any(feed.last_ending for feed in feeds):  # else an earlier run has told of it
            counters, lag_ns = self._evaluating.engine.counters, self._evaluating.evaluator.lag_ns
            seen = self._monitor.look(now, feeds, counters, ahead_ns=self._clock.ahead, lag_ns=lag_ns)
            self._evaluating.say(seen)
        if is_over:
            next_ask = min((feed.next_attempt for feed in feeds if feed.next_attempt), default=now)
            log.error(
                "ending: the broker refused the credentials of every account;"
                " they are not asked about before %s unless they change",
                kst.iso(next_ask)[:19],
            )
            stopping.end(REFUSED)

    def _look_at_delivery(self) -> None:
        store_lag_ns = int(self._evaluating.keeper.lag_s() * SECOND_NS)
        self._evaluating.say(self._delivering.look(self._clock.now(), self._outbox.status(), store_lag_ns))

    def _look_at_disk(self) -> None:
        now, trouble = self._clock.now(), self._evaluating.keeper.trouble
        was_stored = not self._upkeep.troubled(What.STORE)
        self._evaluating.say(self._upkeep.disk(What.RECORDING, trouble.recording, now))
        self._evaluating.say(self._upkeep.disk(What.STORE, trouble.store, now))
        if trouble.store is None and not was_stored:
            self._evaluating.keep_everything()  # it may be another file by now
