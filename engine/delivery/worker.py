"""One target's task: waits for work, paces it, sends it, and writes down what came of it."""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import trio

from engine.clock import Clock
from engine.delivery import message, retry
from engine.delivery.notice import Notice
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Batch
from engine.delivery.retry import Course, Pace
from engine.delivery.target import Delivered, Failed, Message, Outcome, Refused, Target, Unknown
from engine.kst import SECOND_NS
from engine.locale import Locale
from engine.rules.model import Severity

logger = logging.getLogger(__name__)

PICTURE_S = 2.0
"""A picture that takes longer to draw is not waited for."""

Draw = Callable[[Notice], Awaitable[bytes | None]]
"""The picture that goes with a notice, as a PNG; None where there is nothing to show."""


async def no_picture(_notice: Notice) -> bytes | None:
    return None


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
        draw: Draw = no_picture,
    ) -> None:
        self._target = target
        self._draw = draw
        self._id = target.address.id
        self._outbox = outbox
        self._pace = pace
        self._chart = target.address.chart
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

    def keep_to(self, pace: Pace, *, chart: bool) -> None:
        """A slower pace from now on, which whoever rests finds when he looks again; and whether pictures go along."""
        self._pace, self._chart = pace, chart

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
        outcome: Outcome = Failed("interrupted before it was sent")
        try:
            picture = await self._prepare(batch)
            outcome = Unknown("interrupted")
            with trio.move_on_after(self._target.deadline_s) as scope:
                outcome = await self._target.send(self._message(batch, picture))
            if scope.cancelled_caught:
                outcome = Unknown(f"no end within {self._target.deadline_s:g} s")
        finally:
            self._settle(batch, outcome, started)

    async def _prepare(self, batch: Batch) -> bytes | None:
        """Returns when the claim is stored, with the picture if there is one."""
        picture: bytes | None = None
        shown = self._to_be_shown([parcel.notice for parcel in batch.parcels])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._outbox.stored)
            if shown is not None:
                with trio.move_on_after(PICTURE_S) as scope:
                    picture = await self._draw(shown)
                if scope.cancelled_caught:
                    logger.warning("picture too late target=%r id=%s", self._target.address.name, shown.id)
        return picture

    def _to_be_shown(self, notices: Sequence[Notice]) -> Notice | None:
        """The foremost one, if a picture is wanted of it and the target takes one."""
        most = message.foremost(notices)
        if most is None or most.alert is None or not self._target.takes_pictures:
            return None
        wanted = self._chart if most.chart is None else most.chart
        return most if wanted else None

    def _message(self, batch: Batch, picture: bytes | None) -> Message:
        notices = [parcel.notice for parcel in batch.parcels]
        due = [parcel.due for parcel in batch.parcels]
        title, body, remarks = message.render(due, batch.unsent, self._clock.now(), self._locale)
        most = message.foremost(notices)
        severity = Severity.WARNING if most is None else most.severity
        resolved = most is not None and most.resolved
        return Message(title, body, severity, resolved=resolved, remarks=remarks, picture=picture)

    def _settle(self, batch: Batch, outcome: Outcome, started: int) -> None:
        now = self._clock.now()
        outcome = self._outbox.settle(batch, outcome, now)
        told = f"target={self._target.address.name!r} notices={len(batch.parcels)} attempt={batch.attempt}"
        took_ms = (now - started) // 1_000_000
        match outcome:
            case Delivered():
                self._course = self._course.after_success()
                logger.info("delivered %s took_ms=%d", told, took_ms)
            case Refused(reason):  # asking again changes nothing; what comes next may be taken
                self._course = self._course.after_success()
                logger.warning("refused %s took_ms=%d reason=%r", told, took_ms, reason)
            case _:
                self._course = self._course.after_failure(now, outcome.retry_after_s, self._chance())
                word = "unknown" if isinstance(outcome, Unknown) else "failed"
                retry_in_s = (self._course.retry_at - now) / SECOND_NS
                logger.warning(
                    "%s %s took_ms=%d reason=%r retry_in_s=%.1f", word, told, took_ms, outcome.reason, retry_in_s
                )
