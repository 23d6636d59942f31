"""One account's feed: a connection to the broker that is always there, or on its way back.

approval key → connect → session → what ended it → wait → again. What it watches may change while it runs; without
symbols it is idle, and has no connection. What happens inside a session is engine.kis.session,
how long to wait engine.kis.backoff. Losses are never the end of a feed; only `stop` is. What must outlive a restart is
handed to `remember` before it is done.
"""

import json
import logging
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import NamedTuple

import trio
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Account
from engine.config.model import Feed as FeedSettings
from engine.kis import approval, backoff, budget, websocket
from engine.kis.approval import ApprovalError, AskedTooOftenError, CredentialsRefusedError
from engine.kis.backoff import Ending, Memory
from engine.kis.ghosts import Ghosts
from engine.kis.protocol import Protocol
from engine.kis.registrations import Standing
from engine.kis.session import DismissedError, Session, SilentError, Socket, Tally
from engine.kis.silence import Silence
from engine.kis.status import Phase, Status
from engine.kis.websocket import LostError
from engine.kst import SECOND_NS, day_number, day_start
from engine.session import Hours
from engine.stream import Event

log = logging.getLogger(__name__)

REMEMBER_S = 3.0
"""A healthy disk needs milliseconds; a feed must not wait for a dead one."""
_RETRY_NS = 60 * SECOND_NS
"""Before asking the disk again to write down a round of repeated requests."""
_NEVER_OPEN = Hours(0, 0)


class _End(NamedTuple):
    ending: Ending
    reason: str


async def _forget(_memory: Memory) -> bool:
    return True


Approve = Callable[[], Awaitable[SecretStr]]
Remember = Callable[[Memory], Awaitable[bool]]
Connect = Callable[[str], AbstractAsyncContextManager[Socket]]


class Feed:
    """Made anywhere, run once. `put` gets `Up`, `Down` and `Frame` in the order of their times; it must not block."""

    def __init__(
        self,
        account: Account,
        symbols: Iterable[str],
        settings: FeedSettings,
        *,
        tr_id: str,
        clock: Clock,
        put: Callable[[Event], None],
        hours: Hours = _NEVER_OPEN,
        past: backoff.State | None = None,
        approved: bool = False,
        remember: Remember = _forget,
        connect: Connect = websocket.connect,
        approve: Approve | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`hours`: when absence of data means something; left out, never.

        `past` and `approved`: what `remember` was given last by earlier runs with this account. `remember` keeps it and
        tells whether it could; it must let itself be cancelled, for it is not waited for longer than `REMEMBER_S`.
        """
        self._account = account
        self._symbols = tuple(dict.fromkeys(symbols))
        self._settings = settings
        self._tr_id = tr_id
        self._clock = clock
        self._put = put
        self._connect = connect
        self._approve = approve or (lambda: approval.approval_key(settings.rest_url, account))
        self._remember = remember
        self._uniform = uniform
        self._down_since: int = clock.now()
        self._attempted_at = self._down_since
        self.backoff = self._kept = backoff.recalled(past or backoff.State(), self._down_since)
        self._approved = approved
        self._is_refused = False  # by the approval endpoint, in this run
        self._noting: int | None = None
        self._is_kept = True
        self._repeats = 0
        self._is_spent = False
        self._stop = trio.Event()
        self._stirred = trio.Event()
        """Whoever waits is to look again."""
        self._opening: trio.CancelScope | None = None
        self._phase = Phase.WAITING
        self._session: Session | None = None
        self._connected_since: int | None = None
        self._is_proven = trio.Event()
        self._tally = Tally()
        self._ghosts = Ghosts(hours)
        self._silence = Silence(hours)
        self._last: _End | None = None

    def __repr__(self) -> str:
        return f"<Feed {self._account.name} {self._phase.value} symbols={len(self._symbols)}>"

    @property
    def symbols(self) -> tuple[str, ...]:
        """What it watches, then what it still holds of what it did: should that come back, it belongs here."""
        lingering = self._session.registrations.lingering if self._session else ()
        return tuple(dict.fromkeys((*self._symbols, *lingering)))

    def watch(self, symbols: Sequence[str]) -> None:
        """These from now on, at any moment of its life.

        In a running session new ones are asked for, and those that are gone are unsubscribed after a while
        (engine.kis.registrations), with a `Down` at that moment; one that returns before simply stays.
        """
        before, self._symbols = self._symbols, tuple(dict.fromkeys(symbols))
        added, gone = set(self._symbols).difference(before), set(before).difference(self._symbols)
        if not added and not gone:
            return
        log.info("feed watches account=%s symbols=%d new=%d", self._account.name, len(self._symbols), len(added))
        self._forget_old(gone)
        if self._phase is Phase.IDLE:  # what ended the last connection is not what it is down for now
            self._down_since, self._last = self._clock.now(), None
        if self._session is not None:
            self._session.watch(self._symbols)
        elif gone:
            self._silence.relearn()
        self._stir()

    def _forget_old(self, gone: Iterable[str]) -> None:
        """Of today it must be known, if one returns, that it had data; what is older would only pile up."""
        today = day_start(day_number(self._clock.now()))
        for symbol in gone:
            if self._tally.last_records.get(symbol, today) < today:
                del self._tally.last_records[symbol]

    def stop(self) -> None:
        """Ask for a clean end: unsubscribe, close handshake. `run` returns within 8 s, whatever the peer does."""
        self._stop.set()
        self._stir()
        if self._opening is not None:
            self._opening.cancel()

    async def run(self) -> None:
        while await self._turn_has_come():
            end = await self._attempt()
            if end is not None and not self._stop.is_set():
                await self._lost(end)
        self._phase = Phase.STOPPED
        log.info("feed stopped account=%s", self._account.name)

    async def _turn_has_come(self) -> bool:
        """Wait for the next attempt, and for something to watch; False: stopped."""
        self._phase = Phase.WAITING
        wait_s = (self._ready_at() - self._clock.now()) / SECOND_NS
        if wait_s > 0 and self._symbols:
            log.info("feed retrying account=%s in=%.1fs after=%d", self._account.name, wait_s, self.backoff.failures)
        while not self._stop.is_set():
            ready, now = self._ready_at(), self._clock.now()
            if not self._symbols:
                await self._idle()
            elif ready <= now:
                return True
            else:
                await self._rest(max(0.001, (ready - now) / SECOND_NS))  # a float may end just short
        return False

    async def _idle(self) -> None:
        self._phase = Phase.IDLE
        log.info("feed idle account=%s", self._account.name)
        await self._rest(math.inf)
        self._phase = Phase.WAITING

    async def _rest(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._stirred.wait()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = trio.Event()

    def _ready_at(self) -> int:
        return backoff.ready_at(self.backoff, self._clock.now(), self._settings.backoff)

    async def _attempt(self) -> _End | None:
        """One connection from key to end: → what ended it, None if it was ended cleanly or before it opened."""
        ends: list[_End] = []
        try:
            with trio.CancelScope() as self._opening:
                await self._note_attempt()
                await self._open_and_stay()
        except* (ApprovalError, LostError, DismissedError, SilentError) as group:
            ends = sorted(map(_end, _leaves(group)), key=lambda end: end.ending is Ending.LOST)
        finally:
            self._opening = self._session = self._connected_since = self._noting = None
        return ends[0] if ends else None

    async def _note_attempt(self) -> None:
        """Write the attempt down before it is made, so that a crash right after it counts.

        Where that fails, nobody will know of it after a crash: then it must be far from the one before, or from the
        start of this process if it is the first.
        """
        before = self.backoff
        now = self._noting = self._clock.now()
        self.backoff = backoff.attempted(before, now)
        if not await self._keep():
            until = self._attempted_at + backoff.share(self._kept, now, self._settings.backoff)
            self._noting = max(now, until)
            await trio.sleep((until - self._clock.now()) / SECOND_NS if until > self._clock.now() else 0)
            self.backoff = backoff.attempted(before, self._clock.now())
            await self._keep()
        self._attempted_at = self._clock.now()

    async def _keep(self) -> bool:
        """Hand over what must outlive a restart: → whether it will."""
        memory = Memory(self.backoff, self._approved)
        is_kept = False
        with trio.move_on_after(REMEMBER_S):
            is_kept = await self._remember(memory)
        if is_kept:
            self._kept = memory.state
        if is_kept != self._is_kept:
            log.log(
                logging.INFO if is_kept else logging.WARNING,
                "feed memory account=%s kept=%s",
                self._account.name,
                "yes" if is_kept else "no",
            )
        self._is_kept = is_kept
        return is_kept

    async def _open_and_stay(self) -> None:
        if not self._symbols:  # any more: writing down may have taken long
            return
        self._phase = Phase.APPROVING
        # A fresh key each time: after a dropped session the old one may be refused.
        key = await self._approve()
        await self._key_given()
        if not self._symbols:
            return
        self._phase = Phase.CONNECTING
        async with self._connect(self._settings.websocket_url) as socket:
            self._opening = None  # from here on `stop` means a clean end
            self._phase = Phase.SUBSCRIBING
            self._connected_since = self._clock.now()
            log.info("feed connected account=%s", self._account.name)
            self._session = self._new_session(socket, key)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_proof)
                    await self._session.run(self._stop)
                    nursery.cancel_scope.cancel()
            finally:
                if self._session.settled_since is not None:
                    self._down_since = self._last_heard(self._clock.now())
                self._phase, self._session = Phase.ENDING, None

    def _last_heard(self, now: int) -> int:
        """A dead line was dead before it was found out."""
        last, idle_ns = self._tally.last_frame, int(self._settings.idle_timeout.total_seconds() * SECOND_NS)
        is_known = last is not None and self._connected_since is not None and last >= self._connected_since
        return last if last is not None and is_known and now - last >= idle_ns else now

    async def _key_given(self) -> None:
        """The first time, and the first after a refusal, that is worth remembering."""
        if not self._approved or self.backoff.denied:
            self._approved, self._is_refused, self.backoff = True, False, backoff.approved(self.backoff)
            await self._keep()

    async def _keep_proof(self) -> None:
        """Without it, the failures before this connection would count again after a restart."""
        await self._is_proven.wait()
        await self._keep()

    def _new_session(self, socket: Socket, key: SecretStr) -> Session:
        self._is_proven = trio.Event()
        return Session(
            self._account.name,
            self._symbols,
            socket,
            Protocol(self._tr_id, key, self._account.customer_type),
            capacity=self._settings.max_registrations,
            idle_s=self._settings.idle_timeout.total_seconds(),
            tally=self._tally,
            ghosts=self._ghosts,
            silence=self._silence,
            clock=self._clock,
            put=self._put,
            proven=self._proven,
            may_repeat=self._may_repeat,
        )

    def _proven(self) -> None:
        self.backoff = backoff.proven(self.backoff)
        self._is_proven.set()

    async def _may_repeat(self) -> int | None:
        """One request out of the round, or out of a new one, written down first (engine.kis.budget); else when then."""
        if self._repeats == 0:
            now = self._clock.now()
            ready = budget.ready_at(self.backoff.rounds, now)
            self._say_spent(ready, now)
            if ready > now or not await self._begin_round(now):
                return max(ready, now + _RETRY_NS)
        self._repeats -= 1
        return None

    async def _begin_round(self, now: int) -> bool:
        before = self.backoff.rounds
        self.backoff = replace(self.backoff, rounds=budget.begun(before, now))
        if not await self._keep():
            self.backoff = replace(self.backoff, rounds=before)  # nothing of it was used
            return False
        self._repeats = self._settings.max_registrations
        return True

    def _say_spent(self, ready: int, now: int) -> None:
        if ready > now and not self._is_spent:
            seconds = (ready - now) / SECOND_NS
            log.warning("feed requests spent account=%s next=%.0fs", self._account.name, seconds)
        self._is_spent = ready > now

    async def _lost(self, end: _End) -> None:
        self._last = end
        self._is_refused = self._is_refused or end.ending is Ending.CREDENTIALS
        self.backoff = backoff.ended(
            self.backoff, end.ending, self._clock.now(), self._settings.backoff, self._uniform()
        )
        log.warning(
            'feed lost account=%s ending="%s" reason=%s',
            self._account.name,
            end.ending,
            json.dumps(end.reason, ensure_ascii=False),
        )
        await self._keep()

    def status(self) -> Status:
        tally, session, now = self._tally, self._session, self._clock.now()
        up_since = session.settled_since if session else None
        watched = frozenset(self._symbols)
        ghosts = self._ghosts.today(now, tally.last_records)
        return Status(
            account=self._account.name,
            phase=self._phase_now(),
            connected_since=self._connected_since,
            symbols=self._symbols,
            subscribed=session.registrations.up if session else (),
            rejected=tuple((symbol, code) for symbol, code in tally.rejected.items() if symbol in watched),
            left_out=session.registrations.having(Standing.LEFT_OUT) if session else (),
            unanswered=session.registrations.unanswered if session else (),
            ghosts=tuple(symbol for symbol in ghosts if symbol in watched),
            up_since=up_since,
            down_since=self._down_since if up_since is None and watched else None,
            silent_since=self._silence.since if watched else None,
            proven=session is not None and self._is_proven.is_set(),
            approved=self._approved,
            refused=self._is_refused or (self.backoff.denied and self.backoff.not_before > now),
            frames=tally.frames,
            records=tally.records,
            malformed=tuple(tally.malformed.items()),
            dropped=tuple(tally.dropped.items()),
            drifted=tally.drifted,
            appended=tuple(sorted(tally.appended)),
            other=tally.other,
            unsubscribed=tally.unsubscribed,
            unknown=tally.unknown,
            last_frame=tally.last_frame,
            last_records=tuple(tally.last_records.items()),
            failures=self.backoff.failures,
            attempts_last_hour=backoff.attempts_last_hour(self.backoff, now),
            next_attempt=self._next_attempt(),
            last_ending=self._last.ending if self._last else None,
            last_error=self._last.reason if self._last else "",
            is_kept=self._is_kept,
        )

    def _next_attempt(self) -> int | None:
        """The one that is being noted counts among the made ones already; it may have to wait all the same."""
        if self._phase_now() is not Phase.WAITING:
            return None
        return self._ready_at() if self._noting is None else self._noting

    def _phase_now(self) -> Phase:
        if self._phase in (Phase.WAITING, Phase.IDLE):
            return Phase.WAITING if self._symbols else Phase.IDLE
        if self._session is None or self._phase is not Phase.SUBSCRIBING:
            return self._phase
        if self._stop.is_set() or self._session.is_leaving:
            return Phase.ENDING
        return Phase.SUBSCRIBING if self._session.settled_since is None else Phase.UP


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _end(error: BaseException) -> _End:
    """What an ending means for the next attempt: the one table from exceptions to kinds."""
    if isinstance(error, DismissedError):
        return _End(error.ending, str(error))
    if isinstance(error, SilentError):
        return _End(Ending.SILENT, str(error))
    if isinstance(error, CredentialsRefusedError):
        return _End(Ending.CREDENTIALS, str(error))
    if isinstance(error, AskedTooOftenError):
        return _End(Ending.TOO_OFTEN, str(error))
    return _End(Ending.LOST, f"approval: {error}" if isinstance(error, ApprovalError) else str(error))
