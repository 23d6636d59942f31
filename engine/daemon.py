"""The nursery: the one place that knows everyone, and in which order they start and end.

simulator (if that is the source) → delivery → evaluator → feeds; and back: the feeds end cleanly, what they brought is
evaluated, the workers settle what is in flight. All of it within 10 s.
"""

import gc
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import trio
from pydantic import SecretStr

from engine import __version__, kst, ready, restart, state_files, status, toml
from engine.alert import Alert, State
from engine.attempts import Attempts
from engine.clock import Clock
from engine.config.model import Account, Settings, Source
from engine.config.model import Feed as FeedSettings
from engine.delivery import message
from engine.delivery.deliver import Delivery
from engine.delivery.notice import Notice
from engine.delivery.templates import FailureLog
from engine.errors import PgmwatchError
from engine.evaluation.engine import Engine
from engine.evaluation.lifecycle import Phase
from engine.evaluation.watch import Transition
from engine.evaluator import Evaluator
from engine.following import Following
from engine.gap import Gap
from engine.in_force import InForce
from engine.incidents.monitor import Monitor
from engine.incidents.outage import is_hopeless
from engine.incidents.upkeep import Upkeep, What
from engine.keeper import Keeper, Work
from engine.kis.feed import Feed
from engine.kis.slots import Spread, spread
from engine.kst import SECOND_NS, date_of, day_number
from engine.locale import Locale
from engine.ops import control, rule_list, state_folder, why
from engine.problems import Problem
from engine.ready import Ready
from engine.recording import reader
from engine.silences import file as silences_file
from engine.silences.model import Silence
from engine.simulator import server as simulator
from engine.simulator.scenario import Scenario
from engine.state_files import StateFiles
from engine.stopping import REFUSED, Stopping
from engine.store.batch import Ending
from engine.store.outbox import Outbox
from engine.stream import Event, Start
from engine.text import quoted
from engine.watching import signature, signature_of_file

log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How often somebody looks after the feeds: system alerts are a matter of ten seconds."""
_CHECKPOINT_NS = 60 * SECOND_NS
"""How much of a day's recording a restart has to evaluate again at most; writing one takes milliseconds."""

_SIMULATED_ACCOUNT = Account(name="simulator", app_key=SecretStr("SIMULATED-KEY"), app_secret=SecretStr("SIMULATED"))


def run(prepared: Ready) -> int:
    """Run until a signal; → exit code.

    Raises StateFolderError where its state folder cannot be had, DatabaseError where its database cannot.
    """
    configuration = prepared.plan.configuration
    with state_folder.held(configuration.state_folder), state_files.opened(configuration, time.time_ns()) as files:
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
    if settings.feed.source is Source.KIS:
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
        plan = prepared.plan
        self._configuration = plan.configuration
        self._settings = plan.configuration.settings
        self._clock = clock = Clock()
        self._started = clock.now()
        self._files = files
        self._in_force = InForce(plan, self._started)
        self._endings: list[Transition] = []
        self._silences: tuple[Silence, ...] = ()
        alerts = self._settings.alerts
        self._templates = message.Templates(alerts.title, alerts.message, FailureLog())
        self._engine = Engine(plan.enabled_rules, self._configuration.hours(), self._note)
        self._evaluator = Evaluator(self._engine, clock, self._commit, plan.symbols, self._on_gap, held=True)
        self._outbox = Outbox(target.address for target in prepared.targets)
        self._delivery = Delivery(self._outbox, clock, alerts=self._settings.alerts, locale=self._settings.locale)
        self._delivery.add(prepared.targets)
        mark = self._started if files.past.mark is None else files.past.mark
        self._keeper = Keeper(files.writer, files.database, self._tell, mark)
        self._upkeep = Upkeep(self._settings.locale, self._settings.alerts.ops)
        self._checked_at = self._started
        self._config_changed = False
        self._capacity = feed_settings.max_registrations
        spreading = self._spread({account.name: () for account in feed_settings.account})
        self._monitor = self._make_monitor(spreading.left_out)
        attempts = Attempts(self._configuration.state_folder) if self._settings.feed.source is Source.KIS else None
        self._feeds = {
            account.name: self._make_feed(account, spreading.accounts[account.name], feed_settings, attempts)
            for account in feed_settings.account
        }

    def _spread(self, current: Mapping[str, Sequence[str]]) -> Spread:
        """Which account watches what; symbols stay where they are."""
        spreading = spread(self._in_force.plan.symbols, tuple(current), self._capacity, current)
        self._not_covered = spreading.left_out
        if spreading.left_out:
            symbols = ",".join(spreading.left_out)
            log.warning("symbols not covered count=%d symbols=%s", len(spreading.left_out), symbols)
        return spreading

    def _make_monitor(self, not_covered: Sequence[str]) -> Monitor:
        return Monitor(
            self._ready.plan.rules,
            self._configuration.hours(),
            self._settings.locale,
            notify=self._settings.alerts.ops,
            name=self._name,
            not_covered=not_covered,
            started=self._started,
        )

    def _name(self, symbol: str) -> str:
        return self._in_force.plan.master.name(symbol)

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

    # One run

    async def run(self, stopping: Stopping) -> None:
        """Everything, from the first task to the last message."""
        self._say_started()
        drain, drained = trio.Event(), trio.Event()
        async with trio.open_nursery() as background:
            self._background = background
            background.start_soon(self._deliver, stopping, drain, drained)
            await background.start(control.serve, self._configuration.state_folder, self._answers())
            background.start_soon(self._keeper.run)
            background.start_soon(self._evaluator.run)
            background.start_soon(self._watch_over_feeds, stopping)
            self._evaluator.put(Start(self._clock.now()))
            background.start_soon(self._begin, background, stopping)
            async with trio.open_nursery() as feeding:
                for feed in self._feeds.values():
                    feeding.start_soon(feed.run)
                await stopping.asked.wait()
                for feed in self._feeds.values():
                    feed.stop()
            self._evaluator.drain()
            await self._keep_the_rest(stopping)
            drain.set()
            await drained.wait()
            background.cancel_scope.cancel()

    def _say_started(self) -> None:
        for doubt in self._ready.plan.doubts:
            log.warning("doubtful %s", doubt.text(Locale.EN))
        for name in self._ready.withheld:
            log.warning('target withheld name="%s" reason="the market is simulated; run --notify NAME"', name)
        log.info(
            "started version=%s source=%s market=%s rules=%d symbols=%d targets=%d",
            __version__,
            self._settings.feed.source,
            self._settings.feed.market,
            len(self._ready.plan.enabled_rules),
            len(self._ready.plan.symbols),
            len(self._ready.targets),
        )

    async def _deliver(self, stopping: Stopping, drain: trio.Event, drained: trio.Event) -> None:
        await self._delivery.run(drain, drain_s=stopping.left_s)
        drained.set()

    async def _begin(self, background: trio.Nursery, stopping: Stopping) -> None:
        """Go on where the last run left off, and then with what the feeds have brought meanwhile."""
        rules, silences, config = self._files_to_follow()
        await silences.read()
        await self._recover()
        self._evaluator.release()
        stopping.hung_up = rules.ask
        for following in (rules, silences, config):
            background.start_soon(following.run)

    async def _recover(self) -> None:
        """Bring the engine to where the recording and the database say that it was."""
        began, past = trio.current_time(), self._files.past
        recording = [self._files.recording] if self._files.recording is not None else []
        day = day_number(self._started)
        gc.disable()  # a million records that stay would be looked through again and again: a third of the time
        try:
            found = await trio.to_thread.run_sync(
                lambda: restart.recover(self._engine, reader.events(recording), past, day), abandon_on_cancel=True
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

    async def _keep_the_rest(self, stopping: Stopping) -> None:
        """Half of the time that is left: the other half is for telling of it."""
        self._keep_everything()
        with trio.move_on_after(stopping.left_s() / 2):
            await self._keeper.finish()

    # What the parts hand on

    def _note(self, change: Transition) -> None:
        _log_transition(change)
        if change.before is Phase.FIRING and change.after is Phase.INACTIVE:
            self._endings.append(change)

    def _commit(self, events: Sequence[Event], alerts: Sequence[Alert]) -> None:
        """What was applied, and the alerts that follow from it → words → kept, then told."""
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
        standings = self._engine.changed() if notices or endings else ()
        self._keeper.put(Work(events, notices, standings, endings, self._engine.now or 0))

    def _notice(self, alert: Alert) -> Notice:
        rule = self._in_force.rules[alert.rule]
        return message.notice(alert, rule, self._name(alert.symbol), self._settings.locale, self._templates)

    def _silent_endings(self, alerts: Sequence[Alert]) -> list[Ending]:
        """Firings that are over without a word: the history has them."""
        told = {(alert.rule, alert.symbol) for alert in alerts if alert.state is State.RESOLVED}
        over, self._endings[:] = self._endings[:], []
        return [
            Ending(each.rule, each.symbol, each.at, self._name(each.symbol))
            for each in over
            if (each.rule, each.symbol) not in told
        ]

    def _tell(self, notices: Sequence[Notice]) -> None:
        self._outbox.commit(notices, self._clock.now())

    def _say(self, notices: Sequence[Notice]) -> None:
        """A word of the daemon itself."""
        if notices:
            self._keeper.put(Work(notices=notices))

    def _on_gap(self, kind: Gap, since: int, until: int) -> None:
        self._say(self._monitor.gap(until, since, kind))

    def _keep_everything(self) -> None:
        """All of where the rules stand: after this, a start needs nothing from before it but the symbols' values."""
        if self._evaluator.is_held:
            return
        self._engine.changed()
        checkpoint = self._engine.checkpoint().to_json()
        work = Work(standings=self._engine.standings(), mark=self._engine.now or 0, checkpoint=checkpoint)
        self._keeper.put(work)

    # Each second

    async def _watch_over_feeds(self, stopping: Stopping) -> None:
        """Say what a person must know of them; end where nothing can ever come of it."""
        while not stopping.asked.is_set():
            feeds = [feed.status() for feed in self._feeds.values()]
            now = self._clock.now()
            never_right = is_hopeless(feeds)
            if not never_right or any(feed.last_ending for feed in feeds):  # else an earlier run has told of it
                seen = self._monitor.look(
                    now, feeds, self._engine.counters, ahead_ns=self._clock.ahead, lag_ns=self._evaluator.lag_ns
                )
                self._say(seen)
            if never_right:
                next_ask = min((feed.next_attempt for feed in feeds if feed.next_attempt), default=now)
                log.error(
                    "ending: the broker refused the credentials of every account;"
                    " they are not asked about before %s unless they change",
                    kst.iso(next_ask)[:19],
                )
                stopping.end(REFUSED)
            self._look_at_disk(now)
            self._keep_standings(now)
            await trio.sleep(_LOOK_S)

    def _look_at_disk(self, now: int) -> None:
        trouble = self._keeper.trouble
        was_stored = not self._upkeep.troubled(What.STORE)
        self._say(self._upkeep.trouble(What.RECORDING, trouble.recording, now))
        self._say(self._upkeep.trouble(What.STORE, trouble.store, now))
        if trouble.store is None and not was_stored:
            self._keep_everything()  # it may be another file by now

    def _keep_standings(self, now: int) -> None:
        """What changed without an alert, and now and then all of it."""
        if self._evaluator.is_held:
            return
        if now - self._checked_at >= _CHECKPOINT_NS:
            self._checked_at = now
            self._keep_everything()
        elif standings := self._engine.changed():
            self._keeper.put(Work(standings=standings, mark=self._engine.now or 0))

    # Files that are edited while it runs

    def _files_to_follow(self) -> tuple[Following[Ready], Following[tuple[Silence, ...]], Following[bool]]:
        configuration = self._configuration
        rules = Following(
            lambda: signature(configuration.rules_folder),
            lambda: ready.again(self._ready),
            self._take_rules,
            partial(self._refuse, What.RULES),
        )
        silences = Following(
            lambda: signature_of_file(configuration.silences_file),
            lambda: silences_file.load(configuration.silences_file, self._in_force.plan.master),
            self._take_silences,
            partial(self._refuse, What.SILENCES),
        )
        config = Following(
            lambda: signature_of_file(configuration.path),
            lambda: toml.read(configuration.path).data != configuration.document.data,
            self._take_config,
            lambda _problems: self._take_config(changed=True),
        )
        return rules, silences, config

    def _take_rules(self, now_ready: Ready) -> None:
        """Another set of rules, between two events: nothing of it is half applied."""
        began = trio.current_time()
        now, plan = self._clock.now(), now_ready.plan
        evaluated = self._evaluator.settle()
        self._say(self._upkeep.problems(What.RULES, (), now))
        if plan.rules == self._in_force.plan.rules:
            self._ready = now_ready
            return
        self._ready = now_ready
        self._in_force.take(plan, now)
        self._delivery.add(now_ready.targets)
        lacks = self._engine.lacks(plan.enabled_rules)
        self._engine.reload(plan.enabled_rules, evaluated)
        self._commit((), ())
        self._watch_symbols()
        self._keep_everything()
        log.info(
            "rules reloaded rules=%d new=%d symbols=%d ms=%.1f",
            len(plan.enabled_rules),
            sum(since == now for since in self._in_force.since.values()),
            len(plan.symbols),
            (trio.current_time() - began) * 1000,
        )
        if lacks:
            self._background.start_soon(self._learn_the_past)

    def _watch_symbols(self) -> None:
        """Subscriptions change by the difference. Who gives a symbol away does so before another gets it."""
        held = {name: feed.symbols for name, feed in self._feeds.items()}
        spreading = self._spread(held)
        known = {symbol for symbols in held.values() for symbol in symbols}
        self._evaluator.also_lost(symbol for symbol in self._in_force.plan.symbols if symbol not in known)
        for name in sorted(held, key=lambda name: set(held[name]) <= set(spreading.accounts[name])):
            self._feeds[name].watch(spreading.accounts[name])
        self._monitor.reload(self._in_force.plan.rules, spreading.left_out)

    async def _learn_the_past(self) -> None:
        """A window is longer than any was before: what it starts from stands in the day's recording."""
        began, today = trio.current_time(), date_of(day_number(self._clock.now()))
        recording = reader.day_file(self._configuration.recordings_folder, today)
        if recording is None:
            return
        past = Engine(self._in_force.plan.enabled_rules, self._configuration.hours())

        def learn() -> None:
            for event in reader.events([recording]):
                past.learn(event)

        await trio.to_thread.run_sync(learn, abandon_on_cancel=True)
        self._engine.adopt_past(past)
        log.info("rules learned the day so far seconds=%.2f", trio.current_time() - began)

    def _take_silences(self, silences: tuple[Silence, ...]) -> None:
        now = self._clock.now()
        self._say(self._upkeep.problems(What.SILENCES, (), now))
        if silences == self._silences:
            return
        self._silences = silences
        evaluated = 0 if self._evaluator.is_held else self._evaluator.settle()  # held: the past comes first
        self._engine.silence(silences, evaluated)
        self._keep_everything()
        log.info("silences in force=%d", sum(each.start <= now < each.until for each in silences))

    def _take_config(self, changed: bool) -> None:
        if changed != self._config_changed:
            self._config_changed = changed
            log.warning("config %s", "changed since the start: restart to use it" if changed else "as it was read")

    def _refuse(self, what: What, problems: Sequence[Problem]) -> None:
        """Nothing changes, and every error is told."""
        for problem in problems:
            log.error("%s %s", what, problem.text(Locale.EN))
        self._say(self._upkeep.problems(what, problems, self._clock.now()))

    # What commands ask

    def _answers(self) -> dict[str, control.Handler]:
        return {"status": self._status, "rules": self._rule_list, "why": self._why}

    def _why(self, request: Mapping[str, Any]) -> dict[str, Any]:
        rules, master = self._in_force.plan.rules, self._in_force.plan.master
        rule, symbol = str(request.get("rule")), str(request.get("symbol"))
        return why.answer(rules, master, self._engine.explain, rule=rule, symbol=symbol)

    def _rule_list(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return rule_list.of(
            self._in_force.plan.rules,
            since=self._in_force.since,
            read_at=self._in_force.read_at,
            active=self._engine.state(inactive=False),
            standings=self._engine.standings(),
            refused=self._upkeep.troubled(What.RULES),
        )

    def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "daemon": {
                "version": __version__,
                "source": self._settings.feed.source,
                "market": self._settings.feed.market,
                "started": kst.iso(self._started),
                "up_s": (now - self._started) // kst.SECOND_NS,
                "config_changed": self._config_changed,
            },
            "not_covered": list(self._not_covered),
            "feeds": [status.of_feed(feed.status(), now) for feed in self._feeds.values()],
            "evaluation": status.of_evaluation(
                len(self._in_force.plan.enabled_rules),
                self._engine.state(inactive=False),
                self._engine.counters,
                self._evaluator.lag_ns,
            ),
            "targets": [status.of_target(target) for target in self._outbox.status()],
        }


def _log_transition(change: Transition) -> None:
    """Pending comes and goes with every record: only the end of a firing is worth INFO; alerts have their own line."""
    level = logging.INFO if change.before is Phase.FIRING else logging.DEBUG
    if log.isEnabledFor(level):
        words = change.before, change.after, quoted(change.rule), quoted(change.symbol)
        log.log(level, "rule %s => %s rule=%s symbol=%s", *words)
