"""The life of one open session: asking for symbols, reading, answering PINGPONG, watching, a clean end.

Three tasks share it. The reader stamps, decodes and hands on, and waits for nothing but the peer; the asker paces the
requests; the watch finds a peer that is gone without a word. All ways in which it can end but the wanted one are
exceptions, which must leave the WebSocket's context before anyone deals with them.
"""

import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import NoReturn
from typing import Protocol as Interface

import trio

from engine.clock import Clock
from engine.errors import PgmwatchError
from engine.kis.backoff import PROOF_NS, Ending
from engine.kis.ghosts import Ghosts
from engine.kis.protocol import Ack, AckKind, Data, MalformedFrameError, Other, Ping, Protocol
from engine.kis.registrations import Change, Registrations, Standing
from engine.kis.silence import Silence
from engine.kis.watchdog import Verdict, Watchdog
from engine.kis.websocket import LostError
from engine.kst import SECOND_NS
from engine.stream import Down, Event, Frame, Up

PACE_S = 0.075
"""Between two requests; the broker wants 50 to 100 ms."""
FAREWELL_S = 5.0
"""For unsubscribing: 41 requests take 3.1 s at that pace, their answers one second more. With the close handshake's 2 s
this stays within the ten seconds in which the daemon ends."""
_MAX_ONCE = 256

log = logging.getLogger(__name__)


class Socket(Interface):
    """What a session needs of a WebSocket (engine.kis.websocket)."""

    @property
    def last_heard_s(self) -> float: ...

    async def receive(self) -> str: ...

    async def send(self, text: str) -> None: ...


class DismissedError(PgmwatchError):
    """The broker ends this session: it refuses the key, or the key is in use elsewhere."""

    def __init__(self, ending: Ending, ack: Ack) -> None:
        super().__init__(f"{ack.code} {ack.message}".strip())
        self.ending = ending


class SilentError(PgmwatchError):
    """The connection lives, and data has stayed away for longer than is usual."""


@dataclass(slots=True)
class Tally:
    """What a feed counts, over all its sessions."""

    frames: int = 0
    records: int = 0
    pings: int = 0
    malformed: Counter[str] = field(default_factory=Counter)
    """Frames that could not be used, by reason."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Records left out of usable frames, by reason."""
    drifted: int = 0
    """Data frames whose records had appended fields."""
    other: int = 0
    """Frames of another TR."""
    unsubscribed: int = 0
    """Records of symbols that this feed does not watch."""
    unknown: int = 0
    """Answers with a code that is in no table, or that belong to no request."""
    last_frame: int | None = None
    last_data: int | None = None
    """When the last data frame came."""
    last_records: dict[str, int] = field(default_factory=dict)
    """When the last record came, by symbol of this feed."""
    rejected: dict[str, str] = field(default_factory=dict)
    """Symbols that the broker does not take, with its code; for the life of the feed."""
    appended: set[int] = field(default_factory=set)
    """Kinds of drift that were reported."""


class Session:
    def __init__(
        self,
        name: str,
        symbols: Collection[str],
        socket: Socket,
        protocol: Protocol,
        *,
        capacity: int,
        idle_s: float,
        tally: Tally,
        ghosts: Ghosts,
        silence: Silence,
        clock: Clock,
        put: Callable[[Event], None],
        proven: Callable[[], None],
        may_repeat: Callable[[], Awaitable[int | None]],
    ) -> None:
        """`proven` is called once data has flowed for a minute.

        `may_repeat` is called before each request but the first `capacity` symbols' first: None is yes, a time is when
        to try again.
        """
        self._name = name
        self._symbols = set(symbols)  # what is watched, and what still lingers
        self._socket = socket
        self._protocol = protocol
        self._idle_s = idle_s
        self._tally = tally
        self._ghosts = ghosts
        self._silence = silence
        self._clock = clock
        self._put = put
        self._proven: Callable[[], None] | None = proven
        self._may_repeat = may_repeat
        self._first_data: int | None = None
        self.registrations = Registrations(symbols, tally.rejected, capacity=capacity)
        self._up: dict[str, None] = {}  # an ordered set: what `Up` was said of
        self._started = clock.now()
        self._changed = trio.Event()
        self._asking = trio.CancelScope()
        self._is_done = False
        self._silent_s: float | None = None
        self._requests: dict[str, str] = {}
        self._last_request = ""
        self._said: set[tuple[str, ...]] = set()
        self.settled_since: int | None = None
        """Since when every symbol has had its answer, or is being asked again only now and then."""
        silence.connected(self._started)

    async def run(self, stop: trio.Event) -> None:
        """Returns after the clean end that `stop` asks for, and after the one that comes when nothing is wanted.

        Else raises `LostError`, `DismissedError` or `SilentError`, in a group.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                nursery.start_soon(self._watch)
                nursery.start_soon(self._stop_asking_on, stop)
                with self._asking:
                    await self._ask()
                await self._say_farewell()
                if self._silent_s is not None:
                    raise SilentError(f"no data for {self._silent_s:.0f} s of the session")
                nursery.cancel_scope.cancel()
        finally:
            # Before the close handshake: symbols are blind from now, not from two seconds later.
            if self._up:
                self._put(Down(self._clock.now(), tuple(self._up)))

    async def _stop_asking_on(self, stop: trio.Event) -> None:
        await stop.wait()
        self._asking.cancel()

    # -- asking

    def watch(self, symbols: Collection[str]) -> None:
        """These from now on; the difference is asked for and let go in due time."""
        if self.is_leaving:
            return
        self.registrations.want(symbols, self._clock.now())
        self._symbols = {*symbols, *self.registrations.lingering}
        self._changed.set()

    async def _ask(self) -> None:
        """Returns when nothing is wanted any more."""
        while True:
            now = self._clock.now()
            symbol = self.registrations.due(now)
            if symbol is None:
                if self.registrations.is_done:
                    break
                self._announce()
                await self._wait(self.registrations.next_due(), now)
            elif self.registrations.is_renewal(symbol) and not self._is_ghost(symbol, now):
                self.registrations.spare(symbol)
            elif self.registrations.is_repeat(symbol):
                await self._ask_for_grant(symbol)
            else:
                await self._ask_for(symbol)
        self._is_done = True

    async def _ask_for_grant(self, symbol: str) -> None:
        until = await self._may_repeat()
        if until is not None:
            self.registrations.postpone(until)
        elif self.registrations.due(self._clock.now()) == symbol:  # else it was answered meanwhile, or is not wanted
            self.registrations.grant(symbol)

    async def _ask_for(self, symbol: str) -> None:
        """Notes first, then the request: the answer may be here before it is sent whole."""
        now = self._clock.now()
        if self.registrations.is_renewal(symbol):
            await self._let_go(symbol, now)
        elif self.registrations.is_unwanted(symbol):
            log.info("feed lets go account=%s symbol=%s", self._name, symbol)
            self._symbols.discard(symbol)
            self._silence.relearn()
            await self._let_go(symbol, now)
        else:
            self.registrations.asked(symbol, now)
            await self._send(symbol, self._protocol.subscribe(symbol))

    async def _let_go(self, symbol: str, now: int) -> None:
        self.registrations.let_go(symbol, now)
        if symbol in self._up:
            self._is_down(symbol, now)
        await self._send(symbol, self._protocol.unsubscribe(symbol))

    @property
    def is_leaving(self) -> bool:
        """Unsubscribing, or about to."""
        return self._is_done or self._asking.cancel_called

    def _is_ghost(self, symbol: str, now: int) -> bool:
        return symbol in self._ghosts.today(now, self._tally.last_records)

    async def _wait(self, until: int | None, now: int) -> None:
        """For an answer, or `until`."""
        # Not less than a millisecond: nanoseconds are finer than the clock's floats, and a wait may end just short.
        timeout_s = float("inf") if until is None else max(0.001, (until - now) / SECOND_NS)
        with trio.move_on_after(timeout_s):
            await self._changed.wait()
        self._changed = trio.Event()

    async def _send(self, symbol: str, request: str) -> None:
        if len(self._requests) >= _MAX_ONCE:  # symbols come and go while it lasts
            self._requests.clear()
        self._requests[symbol] = self._last_request = self._protocol.redacted(request)
        await self._socket.send(request)
        await trio.sleep(PACE_S)

    async def _say_farewell(self) -> None:
        """Unsubscribe. Else the broker may hold the slot for minutes, and the next start finds it in use."""
        self.registrations.leave()
        with trio.move_on_after(FAREWELL_S):
            for symbol in self.registrations.registered:
                self.registrations.let_go(symbol, self._clock.now())
                await self._send(symbol, self._protocol.unsubscribe(symbol))
            while self.registrations.registered:
                await self._wait(None, 0)

    def _announce(self) -> None:
        if self.settled_since is not None or not self.registrations.settled:
            return
        self.settled_since = self._clock.now()
        having, seconds = self.registrations.having, (self.settled_since - self._started) / SECOND_NS
        log.info(
            "feed subscribed account=%s up=%d rejected=%d left_out=%d pending=%d seconds=%.1f",
            self._name,
            len(having(Standing.UP)),
            len(having(Standing.REJECTED)),
            len(having(Standing.LEFT_OUT)),
            len(having(Standing.WAITING)) + len(having(Standing.ASKED)),
            seconds,
        )
        if left_out := having(Standing.LEFT_OUT):
            log.warning("feed left out account=%s symbols=%s", self._name, ",".join(left_out))

    # -- reading

    async def _read(self) -> NoReturn:
        while True:
            text = await self._socket.receive()
            t = self._clock.now()
            self._tally.last_frame = t
            try:
                event = self._protocol.receive(text)
            except MalformedFrameError as error:
                self._malformed(error.reason, len(text))
                continue
            if isinstance(event, Data):
                self._data(event, t)
            elif isinstance(event, Ping):
                await self._socket.send(event.text)
                self._tally.pings += 1
            elif isinstance(event, Ack):
                self._ack(event, t)
            else:
                self._other(event)

    def _data(self, data: Data, t: int) -> None:
        tally = self._tally
        tally.frames += 1
        tally.last_data = t
        tally.records += len(data.records)
        if data.dropped:
            self._dropped(data.dropped)
        if data.appended:
            self._drift(data.appended)
        for record in data.records:
            symbol = record.symbol
            if symbol not in self._symbols:
                tally.unsubscribed += 1
                continue
            tally.last_records[symbol] = t
            if symbol not in self._up and self.registrations.heard(symbol):
                self._is_up(symbol, t)
        self._put(Frame(t, data.records, data.text))
        self._prove(t)

    def _prove(self, t: int) -> None:
        if self._first_data is None:
            self._first_data = t
        elif self._proven is not None and t - self._first_data >= PROOF_NS:
            self._proven()
            self._proven = None

    def _is_up(self, symbol: str, t: int) -> None:
        self._up[symbol] = None
        self._ghosts.came_up(symbol)
        self._tally.rejected.pop(symbol, None)
        self._put(Up(t, (symbol,)))
        self._changed.set()

    def _is_down(self, symbol: str, t: int) -> None:
        del self._up[symbol]
        self._put(Down(t, (symbol,)))

    def _ack(self, ack: Ack, t: int) -> None:
        if ack.kind is AckKind.IN_USE:
            raise DismissedError(Ending.IN_USE, ack)
        if ack.kind is AckKind.CREDENTIALS:
            raise DismissedError(Ending.KEY_REFUSED, ack)
        if ack.tr_id not in (None, self._protocol.tr_id):
            self._tally.other += 1
            return
        change = self.registrations.answered(ack, t)
        if ack.kind is AckKind.UNKNOWN or change.symbol is None:
            self._tally.unknown += 1
        if change.symbol is not None and change.standing is Standing.UP:
            self._is_up(change.symbol, t)
        elif change.symbol in self._up and change.standing in (Standing.WAITING, Standing.LEFT_OUT):
            self._is_down(change.symbol, t)  # unsubscribed without our asking; it is asked for again
            log.warning("feed unsubscribed by the broker account=%s symbol=%s", self._name, change.symbol)
        elif ack.kind not in (AckKind.SUBSCRIBED, AckKind.UNSUBSCRIBED):
            self._report(ack, change)
        self._changed.set()

    # -- reporting

    def _report(self, ack: Ack, change: Change) -> None:
        if ack.kind is AckKind.REJECTED_SYMBOL and change.symbol and change.standing is Standing.REJECTED:
            self._tally.rejected[change.symbol] = ack.code
        own = change.symbol in self._symbols  # bounded by itself: a rejection is told however much else went wrong
        if not self._first_time(
            "ack", ack.code, "" if ack.kind is AckKind.OVER_LIMIT else change.symbol or "", always=own
        ):
            return
        level, detail = logging.WARNING, ""
        if ack.kind is AckKind.MALFORMED_REQUEST:  # our defect
            level, detail = logging.ERROR, " request=" + self._requests.get(change.symbol or "", self._last_request)
        log.log(
            level,
            'feed answer account=%s kind="%s" code=%s symbol=%s message=%s%s',
            *(
                self._name,
                ack.kind,
                ack.code,
                change.symbol or "unknown",
                json.dumps(ack.message, ensure_ascii=False),
                detail,
            ),
        )

    def _malformed(self, reason: str, length: int) -> None:
        self._tally.malformed[reason] += 1
        if self._first_time("malformed", reason):
            log.warning("feed malformed account=%s reason=%s length=%d", self._name, reason, length)

    def _dropped(self, dropped: dict[str, int]) -> None:
        self._tally.dropped.update(dropped)
        for reason in dropped:
            if self._first_time("dropped", reason):
                log.warning("feed dropped account=%s reason=%s", self._name, reason)

    def _drift(self, appended: int) -> None:
        self._tally.drifted += 1
        if appended not in self._tally.appended and len(self._tally.appended) < _MAX_ONCE:
            self._tally.appended.add(appended)
            log.warning("feed drift account=%s appended_fields=%d", self._name, appended)

    def _other(self, event: Other) -> None:
        self._tally.other += 1
        if self._first_time("other", event.tr_id):
            log.warning("feed other account=%s tr_id=%s", self._name, event.tr_id)

    def _first_time(self, *what: str, always: bool = False) -> bool:
        """Once a session for the same thing, and not without end for ever new things: the rest is counted."""
        if what in self._said or (len(self._said) >= _MAX_ONCE and not always):
            return False
        self._said.add(what)
        return True

    # -- watching

    async def _watch(self) -> NoReturn:
        watchdog = Watchdog(self._idle_s, trio.current_time())
        while True:
            await trio.sleep(watchdog.period_s)
            look = watchdog.look(trio.current_time(), self._socket.last_heard_s)
            if look.away_s:
                log.warning("feed paused account=%s seconds=%.1f", self._name, look.away_s)
            if look.verdict is Verdict.DEAD:
                raise LostError(f"no frame of any kind for {self._idle_s:g} s")
            self._look_for_data(self._clock.now())

    def _look_for_data(self, now: int) -> None:
        """For symbols that never had any, and for the day on which nobody has any more."""
        for symbol in self._ghosts.due(now, self.registrations.up, self._tally.last_records):
            log.warning("feed ghost account=%s symbol=%s", self._name, symbol)
            self.registrations.renew(symbol)
            self._changed.set()
        if self._silence.look(now, len(self._up), self._tally.last_data):
            # Not by raising: the peer is alive and wants a farewell, or it may hold the slot for minutes.
            self._silent_s = self._silence.quiet_s
            self._asking.cancel()
