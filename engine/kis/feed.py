"""One account's feed: a connection to the broker that is always there, or on its way back.

approval key → connect → session → what ended it → wait → again. What happens inside a session is engine.kis.session,
how long to wait engine.kis.backoff. Losses are never the end of a feed; only `stop` is.
"""

import json
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import trio
from pydantic import SecretStr

from engine.clock import Clock
from engine.config.model import Account
from engine.config.model import Feed as FeedSettings
from engine.kis import approval, backoff, websocket
from engine.kis.approval import ApprovalError, AskedTooOftenError, CredentialsRefusedError
from engine.kis.backoff import Ending
from engine.kis.protocol import Protocol
from engine.kis.registrations import Standing
from engine.kis.session import DismissedError, Session, Socket, Tally
from engine.kis.status import Phase, Status
from engine.kis.websocket import LostError
from engine.kst import SECOND_NS
from engine.stream import Event

log = logging.getLogger(__name__)


class _End(NamedTuple):
    ending: Ending
    reason: str


Approve = Callable[[], Awaitable[SecretStr]]
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
        past: backoff.State | None = None,
        connect: Connect = websocket.connect,
        approve: Approve | None = None,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        """`past`: what is known of earlier attempts with this account (`backoff` of the feed before)."""
        self._account = account
        self._symbols = tuple(dict.fromkeys(symbols))
        self._settings = settings
        self._tr_id = tr_id
        self._clock = clock
        self._put = put
        self._connect = connect
        self._approve = approve or (lambda: approval.approval_key(settings.rest_url, account))
        self._uniform = uniform
        self.backoff = past or backoff.State()
        self._stop = trio.Event()
        self._opening: trio.CancelScope | None = None
        self._phase = Phase.WAITING
        self._session: Session | None = None
        self._connected_since: int | None = None
        self._tally = Tally()
        self._last: _End | None = None

    def __repr__(self) -> str:
        return f"<Feed {self._account.name} {self._phase.value} symbols={len(self._symbols)}>"

    def stop(self) -> None:
        """Ask for a clean end: unsubscribe, close handshake. `run` returns within 8 s, whatever the peer does."""
        self._stop.set()
        if self._opening is not None:
            self._opening.cancel()

    async def run(self) -> None:
        while await self._turn_has_come():
            end = await self._attempt()
            if end is not None and not self._stop.is_set():
                self._lost(end)
        self._phase = Phase.STOPPED
        log.info("feed stopped account=%s", self._account.name)

    async def _turn_has_come(self) -> bool:
        """Wait for the next attempt; False: stopped."""
        self._phase = Phase.WAITING
        now = self._clock.now()
        wait_s = (self._ready_at() - now) / SECOND_NS
        if wait_s > 0:
            log.info("feed retrying account=%s in=%.1fs after=%d", self._account.name, wait_s, self.backoff.failures)
        while not self._stop.is_set() and (ready := self._ready_at()) > (now := self._clock.now()):
            with trio.move_on_after(max(0.001, (ready - now) / SECOND_NS)):  # a float may end just short
                await self._stop.wait()
        return not self._stop.is_set()

    def _ready_at(self) -> int:
        return backoff.ready_at(self.backoff, self._clock.now(), self._settings.backoff)

    async def _attempt(self) -> _End | None:
        """One connection from key to end: → what ended it, None if it was ended cleanly or before it opened."""
        self.backoff = backoff.attempted(self.backoff, self._clock.now())
        ends: list[_End] = []
        try:
            with trio.CancelScope() as self._opening:
                await self._open_and_stay()
        except* (ApprovalError, LostError, DismissedError) as group:
            ends = sorted(map(_end, _leaves(group)), key=lambda end: end.ending is Ending.LOST)
        finally:
            self._opening = self._session = self._connected_since = None
        return ends[0] if ends else None

    async def _open_and_stay(self) -> None:
        self._phase = Phase.APPROVING
        # A fresh key each time: after a dropped session the old one may be refused.
        key = await self._approve()
        self._phase = Phase.CONNECTING
        async with self._connect(self._settings.websocket_url) as socket:
            self._opening = None  # from here on `stop` means a clean end
            self._phase = Phase.SUBSCRIBING
            self._connected_since = self._clock.now()
            log.info("feed connected account=%s", self._account.name)
            self._session = self._new_session(socket, key)
            try:
                await self._session.run(self._stop)
            finally:
                self._phase, self._session = Phase.ENDING, None

    def _new_session(self, socket: Socket, key: SecretStr) -> Session:
        return Session(
            self._account.name,
            self._symbols,
            socket,
            Protocol(self._tr_id, key, self._account.customer_type),
            idle_s=self._settings.idle_timeout.total_seconds(),
            tally=self._tally,
            clock=self._clock,
            put=self._put,
            proven=self._proven,
        )

    def _proven(self) -> None:
        self.backoff = backoff.proven(self.backoff)

    def _lost(self, end: _End) -> None:
        self._last = end
        self.backoff = backoff.ended(
            self.backoff, end.ending, self._clock.now(), self._settings.backoff, self._uniform()
        )
        log.warning(
            'feed lost account=%s ending="%s" reason=%s',
            self._account.name,
            end.ending,
            json.dumps(end.reason, ensure_ascii=False),
        )

    def status(self) -> Status:
        tally, session = self._tally, self._session
        ready_at = self._ready_at() if self._phase is Phase.WAITING else None
        return Status(
            account=self._account.name,
            phase=self._phase_now(),
            connected_since=self._connected_since,
            symbols=self._symbols,
            subscribed=session.registrations.up if session else (),
            rejected=tuple(tally.rejected.items()),
            left_out=session.registrations.having(Standing.LEFT_OUT) if session else (),
            unanswered=(),
            ghosts=(),
            up_since=None,
            down_since=None,
            silent_since=None,
            proven=False,
            approved=False,
            refused=False,
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
            attempts_last_hour=backoff.attempts_last_hour(self.backoff, self._clock.now()),
            next_attempt=ready_at,
            last_ending=self._last.ending if self._last else None,
            last_error=self._last.reason if self._last else "",
        )

    def _phase_now(self) -> Phase:
        if self._session is None or self._phase is not Phase.SUBSCRIBING:
            return self._phase
        if self._stop.is_set():
            return Phase.ENDING
        return Phase.UP if self._session.settled else Phase.SUBSCRIBING


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
    if isinstance(error, CredentialsRefusedError):
        return _End(Ending.CREDENTIALS, str(error))
    if isinstance(error, AskedTooOftenError):
        return _End(Ending.TOO_OFTEN, str(error))
    return _End(Ending.LOST, f"approval: {error}" if isinstance(error, ApprovalError) else str(error))
