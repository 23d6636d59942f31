"""One target's task: waits for work, paces it, sends it, and writes down what came of it."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace

import trio

from engine.clock import Clock
from engine.delivery import message, retry
from engine.delivery.retry import Course, Pace
from engine.delivery.target import Batch, Delivered, Message, Outbox, Outcome, Target, Unknown
from engine.kst import SECOND_NS
from engine.locale import Locale

logger = logging.getLogger(__name__)


class Worker:
    """Sends what waits for one target. A target that hangs holds up its own worker and nobody else's."""

    def __init__(
        self,
        target: Target,
        outbox: Outbox,
        pace: Pace,
        locale: Locale,
        clock: Clock,
        *,
        chance: Callable[[], float],
    ) -> None:
        self._target = target
        self._id = target.address.id
        self._outbox = outbox
        self._pace = pace
        self._locale = locale
        self._clock = clock
        self._chance = chance
        self._course = Course()
        self._stopping = False
        self._resting: trio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._target.address.name!r}>"

    @property
    def name(self) -> str:
        return self._target.address.name

    def keep_to(self, pace: Pace) -> None:
        """Another pace from now on; a rest goes by it at once."""
        self._pace = pace
        if self._resting is not None:
            self._resting.cancel()

    def stop(self) -> None:
        """Come to an end: what is in flight may end by itself, and what only waited for its digest is sent now."""
        self._stopping = True
        if self._resting is not None:
            self._resting.cancel()

    async def run(self) -> None:
        """Until `stop`. Cancelled in an attempt, it settles that as unknown on the way out."""
        await self._work()
        await self._say_last_word()

    async def _work(self) -> None:
        while not self._stopping:
            now = self._clock.now()
            self._outbox.expire(self._id, self._pace.ttl_ns, now)
            waiting = self._outbox.waiting(self._id)
            if waiting is None:
                await self._rest(math.inf)
                continue
            due, expires = retry.due_at(waiting, self._pace, self._course), waiting.oldest_at + self._pace.ttl_ns
            if due > now:
                await self._rest((min(due, expires) - now) / SECOND_NS)
            elif await self._has_room((expires - now) / SECOND_NS):
                await self._attempt()

    async def _say_last_word(self) -> None:
        """One more message, if the rate allows it and the target works: nobody collects for a digest any more."""
        now, waiting = self._clock.now(), self._outbox.waiting(self._id)
        if (
            waiting is not None
            and not self._course.failures
            and retry.due_at(waiting, replace(self._pace, digest_ns=0), self._course) <= now
        ):
            await self._attempt()

    async def _rest(self, seconds: float) -> None:
        """Until something new waits for the target, at most so long."""
        with trio.move_on_after(seconds) as self._resting:
            await self._outbox.changed(self._id).wait()

    async def _has_room(self, seconds: float) -> bool:
        """Whether an attempt may begin; waits for it at most so long, while earlier ones hang."""
        if self._target.stuck:
            logger.warning("stuck target=%r attempts=%d", self._target.address.name, self._target.stuck)
        with trio.move_on_after(seconds) as self._resting:
            await self._target.room()
            return not self._stopping
        return False

    async def _attempt(self) -> None:
        started = self._clock.now()
        self._course = Course(started, self._course.failures, self._course.retry_at)
        batch = self._outbox.claim(self._id, started)
        outcome: Outcome = Unknown("interrupted")
        try:
            with trio.move_on_after(self._target.deadline_s) as scope:
                outcome = await self._target.send(self._message(batch, started))
            if scope.cancelled_caught:
                outcome = Unknown(f"no end within {self._target.deadline_s:g} s")
        finally:
            self._settle(batch, outcome, started)

    def _message(self, batch: Batch, now: int) -> Message:
        notices = [parcel.notice for parcel in batch.parcels]
        title, body = message.render([parcel.due for parcel in batch.parcels], batch.unsent, now, self._locale)
        most = min(notices, key=lambda notice: notice.urgency)
        return Message(title, body, most.severity, resolved=all(notice.resolved for notice in notices))

    def _settle(self, batch: Batch, outcome: Outcome, started: int) -> None:
        now = self._clock.now()
        self._outbox.settle(batch, outcome, now)
        told = f"target={self._target.address.name!r} notices={len(batch.parcels)} attempt={batch.attempt}"
        took_ms = (now - started) // 1_000_000
        if isinstance(outcome, Delivered):
            self._course = self._course.after_success()
            logger.info("delivered %s took_ms=%d", told, took_ms)
            return
        self._course = self._course.after_failure(now, outcome.retry_after_s, self._chance())
        word = "unknown" if isinstance(outcome, Unknown) else "failed"
        retry_in_s = (self._course.retry_at - now) / SECOND_NS
        logger.warning("%s %s took_ms=%d reason=%r retry_in_s=%.1f", word, told, took_ms, outcome.reason, retry_in_s)
