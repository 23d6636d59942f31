"""What the running daemon answers when a command asks: `status`, `rules list`, `why`, `alerts --follow`, `notify`."""

import time
from collections.abc import Mapping
from typing import Any

from engine import __version__, kst, status
from engine.clock import Clock
from engine.delivery.outbox import Outbox
from engine.edited import Edited
from engine.errors import PgmwatchError
from engine.evaluating import Evaluating
from engine.evaluation.engine import Engine
from engine.heartbeat.beat import Heartbeat
from engine.incidents.upkeep import Upkeep, What
from engine.locale import Text
from engine.ops import history, rule_list, why
from engine.ops.control import Handler, each_said
from engine.replay.player import Player
from engine.state_files import DATABASE
from engine.undelivered import Undelivered
from engine.upstream import Upstream

_READING = Text(
    "the day's recording is still being read; ask again in a moment",
    "오늘 기록을 아직 읽는 중입니다. 잠시 후 다시 물어보세요",
)


class Answers:
    """Looks at the parts of a daemon; each answer is plain data, made between two events."""

    def __init__(
        self,
        evaluating: Evaluating,
        upstream: Upstream | Player,
        edited: Edited,
        *,
        outbox: Outbox,
        upkeep: Upkeep,
        clock: Clock,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._evaluating = evaluating
        self._upstream = upstream
        self._edited = edited
        self._outbox = outbox
        self._upkeep = upkeep
        self._heartbeat = heartbeat
        self._clock = clock
        self._started = clock.now()
        self._run = kst.iso(time.time_ns())
        """Ours alone: on the clock of a recording every run of it begins at the same time."""
        database = edited.ready.plan.configuration.state_folder / DATABASE
        self._undelivered = Undelivered(outbox, evaluating.keeper, database, clock, edited.settings.locale)

    def handlers(self) -> dict[str, Handler]:
        return {
            "status": self._status,
            "rules": self._rule_list,
            "why": self._why,
            "follow": self._follow,
            "dead": self._undelivered.answer,
        }

    @property
    def _is_recovering(self) -> bool:
        return self._evaluating.evaluator.is_held and isinstance(self._upstream, Upstream)

    def _engine(self) -> Engine:
        """Once it stands where the last run left off. Before, what it says is of some moment of the day."""
        if self._is_recovering:
            raise PgmwatchError(_READING.of(self._edited.settings.locale))
        return self._evaluating.engine

    def _why(self, request: Mapping[str, Any]) -> dict[str, Any]:
        rule, symbol = str(request.get("rule")), str(request.get("symbol"))
        plan = self._edited.ready.plan
        return why.answer(plan.rules, plan.master, self._engine().explain, rule=rule, symbol=symbol)

    def _rule_list(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        in_force, engine = self._evaluating.in_force, self._engine()
        return rule_list.of(
            in_force.plan.rules,
            since=in_force.since,
            read_at=in_force.read_at,
            active=engine.state(inactive=False),
            standings=engine.standings(),
            refused=self._upkeep.troubled(What.RULES),
        )

    async def _follow(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What happened since the `after`th thing of this `run`, up to `now` (ns); 0: all that is still known."""
        after = request.get("after")
        happened, found = self._outbox.happenings(after if isinstance(after, int) else 0)
        return {
            "run": self._run,
            "now": self._clock.now(),
            "happened": happened,
            "happenings": await each_said(found, history.of_happening),
        }

    async def _status(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        dead = await self._undelivered.count()
        now, engine, settings = self._clock.now(), self._evaluating.engine, self._edited.settings
        return {
            "daemon": {
                "version": __version__,
                "source": settings.feed.source,
                "market": settings.feed.market,
                "started": kst.iso(self._started),
                "up_s": (now - self._started) // kst.SECOND_NS,
                "config_changed": self._edited.config_changed,
                "recovering": self._is_recovering,
            },
            "troubles": [reason for what in What for reason in self._upkeep.troubled(what)],
            "silences": self._evaluating.silences_in_force(),
            "not_covered": list(self._upstream.not_covered),
            "feeds": [status.of_feed(feed, now) for feed in self._upstream.status()],
            "evaluation": status.of_evaluation(
                len(self._edited.ready.plan.enabled_rules),
                () if self._is_recovering else engine.state(inactive=False),
                engine.counters,
                self._evaluating.evaluator.lag_ns,
            ),
            "store_lag_ms": int(self._evaluating.keeper.lag_s() * 1000),
            "heartbeat": None if self._heartbeat is None else self._heartbeat.status(),
            "targets": [status.of_target(target) for target in self._outbox.status()],
            "dead": dead,
        }
