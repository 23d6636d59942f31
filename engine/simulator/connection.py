"""One client's WebSocket connection: reads its requests, sends it answers and data, looks whether it is still there."""

import logging
import math
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import trio

from engine.kst import SECOND_NS
from engine.simulator import messages, wire
from engine.simulator.data import Spoiler
from engine.simulator.desk import Answer, Session
from engine.simulator.faults import ConnectionFaults
from engine.simulator.kinds import Close, Fin, HugeHeader, Moment, PingPong, Reset
from engine.simulator.websocket import Closed, Control, Gone, Incoming, Text, Violation, WebSocket
from engine.simulator.wire import Raw

log = logging.getLogger(__name__)

MAX_WAITING = 1_000
"""Frames that wait for a client beside what the sockets hold: about 2 MB. One that lags further is cut off."""
_BATCH = 64
_SEND_TIMEOUT_S = 10.0
"""A client that takes nothing at all for so long is cut off, however little there is for it."""
_FAREWELL_S = 1.0
"""For the last frame and the client's own end; the simulator's stop waits no longer than this."""
_KEEP_S = 3_600.0
"""A connection that a fault leaves standing without life ends after so long, if its client does not end it."""
_LOOK_S = 0.25
"""How often the beat of PINGPONG is looked at where a scenario may change it."""
_HALF_A_FRAME = wire.frame(b"0|H0STPGM0|001|005930^090000^1^1^1^1^0^0^1^1^0")[:20]


class Kind(StrEnum):
    ANSWER = "answer"
    PINGPONG = "pingpong"
    DATA = "data"
    PONG = "pong"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Something for the client, and what it is for."""

    kind: Kind
    frame: Text | Control | Raw
    frames: int = 1
    """How many data frames that is."""


class End(StrEnum):
    """Why a connection ended, as the log says it."""

    CLOSED = "closed"  # by the client, with a close frame
    LOST = "lost"  # by the client, without one
    REFUSED = "refused"  # an answer after which the broker hangs up
    SILENT = "pingpong-unanswered"
    SLOW = "too-slow"
    VIOLATION = "protocol-violation"
    STOPPED = "stopped"  # the simulator ends
    FAULT = "fault"  # the scenario ends it


@dataclass(frozen=True, slots=True)
class Pulse:
    """When PINGPONG is sent and how long it may stay unanswered, seconds.

    Clients saw it come after about ten seconds without traffic. For the patience one report says 10 s, another 100 s;
    the shorter shows sooner that a client does not answer.
    """

    idle_s: float = 10.0
    patience_s: float = 10.0
    busy: bool = False
    """Whether it is sent at that pace whatever the traffic."""


class Host(Protocol):
    """The broker, as its connections know it."""

    def now(self) -> int:
        """Nanoseconds since the epoch."""

    def ask(self, connection: "Connection", text: str) -> Answer:
        """Answer a request."""

    def over(self, connection: "Connection") -> None:
        """The connection has ended: its place is free, nothing is for it any more."""


class Connection:
    """Runs one connection to its end; `end` says how it came, and is None before."""

    def __init__(
        self,
        session: Session,
        websocket: WebSocket,
        host: Host,
        pulse: Pulse,
        faults: ConnectionFaults | None = None,
    ) -> None:
        self.session = session
        self.faults = faults
        self.spoiler = None if faults is None else Spoiler(faults)
        self.end: End | None = None
        self.frames = 0
        """Data frames put on the way."""
        self._websocket = websocket
        self._host = host
        self._pulse = pulse
        self._outbox, self._waiting = trio.open_memory_channel[Outgoing | None](MAX_WAITING)
        self._scope = trio.CancelScope()
        self._close_code = 1001
        self._last_traffic_s = trio.current_time()
        self._ping: str | None = None
        self._ping_s = trio.current_time()
        self._pinged = trio.Event()
        self._last_word: Moment | None = None

    async def run(self) -> None:
        """Serve the client until either side ends it, then say goodbye as befits the reason."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._beat)
        finally:
            self.end = self.end or End.STOPPED
            # Before the goodbye: who has our close frame may come back at once and must find its place free.
            self._host.over(self)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _FAREWELL_S):
                await self._farewell(self.end)
            if isinstance(self._last_word, Close) and self._last_word.keep_tcp:
                await self._keep()
            await self._websocket.aclose()

    def play(self, now: int) -> None:
        """Do what the scenario has in store for this connection by itself."""
        if self.faults is None or self.end is not None:
            return
        for text in self.faults.late(now):
            self.emit(Outgoing(Kind.ANSWER, Text(text)))
        for moment in self.faults.moments(now):
            self._strike(moment)

    def _strike(self, moment: Moment) -> None:
        match moment:
            case Reset():
                self._last_word = moment
                self._cut(End.FAULT)
            case HugeHeader():
                self.emit(Outgoing(Kind.DATA, Raw(wire.header(wire.TEXT, moment.size)), 0))
            case _:
                self._last_word = moment
                self._conclude(End.FAULT)

    @property
    def _silent(self) -> bool:
        return self.faults is not None and self.faults.silent(self._host.now())

    def emit(self, outgoing: Outgoing) -> None:
        """Put something on its way to the client: the one door through which everything goes, in this order."""
        if self.faults is not None and self._silent:
            return
        self._last_traffic_s = trio.current_time()
        if outgoing.kind is Kind.DATA:
            self.frames += outgoing.frames
        try:
            self._outbox.send_nowait(outgoing)
        except trio.WouldBlock:
            self._cut(End.SLOW)

    def _cut(self, reason: End) -> None:
        """End it now, whatever is still waiting."""
        self.end = self.end or reason
        self._scope.cancel()

    def _conclude(self, reason: End) -> None:
        """End it once the client has what is already on its way."""
        self.end = self.end or reason
        try:
            self._outbox.send_nowait(None)
        except trio.WouldBlock:
            self._scope.cancel()

    async def _read(self) -> None:
        try:
            while self.end is None:
                for incoming in await self._websocket.receive():
                    self._last_traffic_s = trio.current_time()
                    self._take(incoming)
                    if self.end is not None:
                        break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._cut(End.LOST)

    def _take(self, incoming: Incoming) -> None:
        if self._silent and not isinstance(incoming, Gone):
            return  # nobody is there to heed it, be it a close frame
        match incoming:
            case Text(text):
                self._take_text(text)
            case Control():
                self._take_control(incoming)
            case Closed(code):
                self._close_code = code
                self._conclude(End.CLOSED)
            case Violation(code):
                self._close_code = code
                self._conclude(End.VIOLATION)
            case Gone():
                self._cut(End.LOST)
            case _:
                self._take_text("")  # a binary message: no more JSON than an empty text is

    def _take_text(self, text: str) -> None:
        if text == self._ping:
            self._pinged.set()
        elif '"PINGPONG"' in text and messages.is_pingpong(text):
            log.info("simulator connection=%d stray-pingpong", self.session.number)
        else:
            answer = self._host.ask(self, text)
            for each in self._texts(answer):
                self.emit(Outgoing(Kind.ANSWER, Text(each)))
            if answer.drops:
                self._conclude(End.REFUSED)

    def _texts(self, answer: Answer) -> list[str]:
        """The answer as it goes out now."""
        if self.faults is None:
            return [answer.text]
        symbol = "" if answer.registration is None else answer.registration[1]
        return self.faults.answer(answer.text, symbol, self._host.now(), subscribe=answer.subscribe)

    def _take_control(self, control: Control) -> None:
        if self._ping is not None and control.payload == self._ping.encode():
            self._pinged.set()
        if control.ping:
            self.emit(Outgoing(Kind.PONG, Control(control.payload, ping=False)))

    async def _write(self) -> None:
        try:
            while True:
                batch = [await self._waiting.receive()]
                while len(batch) < _BATCH and batch[-1] is not None:
                    try:
                        batch.append(self._waiting.receive_nowait())
                    except trio.WouldBlock:
                        break
                with trio.move_on_after(_SEND_TIMEOUT_S) as patience:
                    await self._websocket.send([outgoing.frame for outgoing in batch if outgoing is not None])
                if patience.cancelled_caught:
                    self._cut(End.SLOW)
                if batch[-1] is None:
                    self._scope.cancel()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._cut(End.LOST)

    async def _beat(self) -> None:
        """Send PINGPONG after every stretch without traffic, and hang up on a client that leaves one unanswered."""
        while True:
            pulse = self._pulse_now()
            quiet_until_s = math.inf
            if pulse is not None:
                quiet_until_s = (self._ping_s if pulse.busy else self._last_traffic_s) + pulse.idle_s
            if trio.current_time() < quiet_until_s:
                look_s = math.inf if self.faults is None else trio.current_time() + _LOOK_S
                await trio.sleep_until(min(quiet_until_s, look_s))
                continue
            if not await self._ping_and_wait(pulse or self._pulse):
                return

    async def _ping_and_wait(self, pulse: Pulse) -> bool:
        """Send PINGPONG and wait for its answer; False if there is none."""
        self._ping, self._pinged = messages.pingpong(self._host.now()), trio.Event()
        self._ping_s = trio.current_time()
        self.emit(Outgoing(Kind.PINGPONG, Text(self._ping)))
        with trio.move_on_after(pulse.patience_s):
            await self._pinged.wait()
        if self._pinged.is_set() or self._silent:
            return True
        self._cut(End.SILENT)
        return False

    def _pulse_now(self) -> Pulse | None:
        """How PINGPONG is sent at present; None: not at all."""
        if self.faults is None:
            return self._pulse
        fault = self.faults.pulse(self._host.now())
        if fault is None and not self._silent:
            return self._pulse
        if self._silent or not isinstance(fault, PingPong):
            return None
        return Pulse(fault.idle / SECOND_NS, fault.patience / SECOND_NS, busy=fault.busy)

    async def _keep(self) -> None:
        """Leave the connection as it is until the client ends it."""
        with trio.move_on_after(_KEEP_S), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._websocket.wait_for_end()

    async def _farewell(self, end: End) -> None:
        try:
            if end is End.FAULT:
                await self._end_by_fault()
                return
            if end in (End.CLOSED, End.VIOLATION, End.STOPPED) and self._websocket.can_close:
                await self._websocket.close(self._close_code)
            if end not in (End.LOST, End.SLOW):
                await self._websocket.hang_up()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # it was quicker

    async def _end_by_fault(self) -> None:
        match self._last_word:
            case Reset(halfway=halfway):
                if halfway and self._websocket.can_close:
                    await self._websocket.spoil(_HALF_A_FRAME)
                await self._websocket.reset()
            case Close(code=code, keep_tcp=keep_tcp):
                if self._websocket.can_close:
                    await self._websocket.close(code)
                if not keep_tcp:
                    await self._websocket.hang_up()
            case Fin(halfway=halfway):
                if halfway and self._websocket.can_close:
                    await self._websocket.spoil(_HALF_A_FRAME)
                await self._websocket.hang_up()
