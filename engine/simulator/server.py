"""The broker played by us: approval keys over HTTP, requests and data over WebSocket, a made-up market behind it."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random, SystemRandom
from string import ascii_lowercase, hexdigits
from typing import Never

import trio

from engine.clock import Clock
from engine.config.model import Simulator as Settings
from engine.errors import PgmwatchError
from engine.kst import SECOND_NS
from engine.loopback import is_loopback
from engine.simulator import codes, messages, wire
from engine.simulator.approval import Endpoint
from engine.simulator.connection import Connection, End, Kind, Outgoing, Pulse
from engine.simulator.data import Spoiler
from engine.simulator.desk import Answer, Desk, Session
from engine.simulator.faults import Faults
from engine.simulator.keys import Keys
from engine.simulator.kinds import Handshake
from engine.simulator.market import Market
from engine.simulator.messages import MAX_RECORDS, TR_IDS, Cipher
from engine.simulator.scenario import Scenario
from engine.simulator.websocket import HandshakeFailedError, Text, WebSocket
from engine.simulator.wire import Raw

log = logging.getLogger(__name__)

TICK_S = 0.05
"""How often the market is asked what happened: short beside anything a rule or a person can tell apart."""
HANDSHAKE_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 100
"""WebSocket connections at once; each may hold about 2 MB of frames that wait."""
_SPOILT_S = 600.0
"""A handshake that stays unanswered is given up after so long, if the client does not."""
_LUMP = 64
"""Frames of a burst that go out together: a thousand lumps that wait are six seconds of 10,000 frames a second."""
_BLOCKED = Handshake(do="handshake", how="refuse", status=403)
_GARBAGE = b"\x15\x03\x03\x00\x02\x02\x28SSH-2.0-\r\n\r\n"

_PATH = re.compile(r"/(tryitout(/[A-Za-z0-9]{1,32})?)?", re.ASCII)
"""What follows `/tryitout/` selects nothing, at the broker as here."""


class SimulatorError(PgmwatchError):
    """The simulator cannot be started as asked."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where it listens, as config.toml would say it: `http://127.0.0.1:49152`, `ws://127.0.0.1:49153`."""

    rest_url: str
    websocket_url: str


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the broker treats its clients; times in seconds.

    `accounts` maps accepted app keys to secrets (None: any that is not empty); an app key gets one approval key every
    `approval_interval_s`; `slot_kept_s` is how long an app key stays in use after an end without a close frame.
    """

    accounts: Mapping[str, str] | None = field(default=None, repr=False)
    approval_interval_s: float = 1.0
    pulse: Pulse = field(default_factory=Pulse)
    encrypted: bool = False
    slot_kept_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """Connections and registrations of now, the rest since the start."""

    connections: int
    sessions: int
    registrations: int
    symbols: int
    approvals: int
    approvals_refused: int
    records: int
    """Records of the markets, whether anybody was registered for them or not."""
    frames: int
    ended: Mapping[End, int]
    connections_opened: int
    """WebSocket connections that were accepted."""
    handshakes_refused: int
    """Opening handshakes that a fault or a churn block spoilt."""
    subscriptions_asked: int
    unsubscriptions_asked: int
    blocks: int
    """Churn blocks so far, and whether one holds now."""
    blocked: bool
    faults: Mapping[str, int]
    """Kind of fault → how many things it touched; empty without a scenario."""


class Broker:
    """One simulated broker. Make it inside a Trio run, `run` it once, ask `status()` at any time.

    Each TR has a market of its own, made up when somebody first registers for it; H0UNPGM0 is no sum of the others.
    """

    def __init__(
        self, settings: Settings, behaviour: Behaviour = Behaviour(), scenario: Scenario | None = None
    ) -> None:
        """`scenario`: what `settings.scenario` names, loaded by the caller, who knows what the path is relative to."""
        if settings.scenario and scenario is None:
            raise SimulatorError(f"[simulator] scenario: {settings.scenario} was not loaded")
        self._settings = settings
        self._behaviour = behaviour
        self.now = Clock().now
        self._faults = None if scenario is None else Faults(scenario, settings.seed, self.now(), _tell)
        self._burst_random = Random(settings.seed)  # noqa: S311  repeatability is the point
        keys = Keys(behaviour.accounts, interval_ns=int(behaviour.approval_interval_s * SECOND_NS))
        self._endpoint = Endpoint(keys, self.now, self._faults)
        self._desk = Desk(
            keys,
            admit=self._admit,
            encrypted=behaviour.encrypted,
            slot_kept_ns=int(behaviour.slot_kept_s * SECOND_NS),
        )
        self._markets = {TR_IDS[0]: self._market(TR_IDS[0])}
        self._floor: dict[str, dict[str, list[Connection]]] = {tr_id: {} for tr_id in TR_IDS}
        self._connections: set[Connection] = set()
        self._numbers = 0
        self._handshakes_refused = 0
        self._subscriptions_asked = 0
        self._unsubscriptions_asked = 0
        self._records = 0
        self._frames = 0
        self._ended = dict.fromkeys(End, 0)

    def status(self) -> Status:
        return Status(
            connections=len(self._connections),
            sessions=self._desk.sessions,
            registrations=sum(len(connection.session.registrations) for connection in self._connections),
            symbols=sum(map(len, self._markets.values())),
            approvals=self._endpoint.granted,
            approvals_refused=self._endpoint.refused,
            records=self._records,
            frames=self._frames,
            ended=dict(self._ended),
            connections_opened=self._numbers,
            handshakes_refused=self._handshakes_refused,
            subscriptions_asked=self._subscriptions_asked,
            unsubscriptions_asked=self._unsubscriptions_asked,
            blocks=0 if self._faults is None else self._faults.blocks(),
            blocked=self._faults is not None and self._faults.blocked(self.now()),
            faults={} if self._faults is None else self._faults.played(),
        )

    async def run(
        self,
        *,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        websocket_port: int = 0,
        task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED,
    ) -> Never:
        """Serve until cancelled; then every client gets a close frame, within a second. Port 0: any free one."""
        address = _loopback(host)
        async with (
            await _listen(address, rest_port) as rest,
            await _listen(address, websocket_port) as websocket,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(trio.serve_listeners, self._endpoint.serve, [rest])
            await nursery.start(trio.serve_listeners, self._serve, [websocket])
            addresses = Addresses(_url("http", rest), _url("ws", websocket))
            log.info(
                "simulator up rest_url=%s websocket_url=%s symbols=%d rate=%g seed=%d",
                addresses.rest_url,
                addresses.websocket_url,
                self._settings.symbols,
                self._settings.rate,
                self._settings.seed,
            )
            task_status.started(addresses)
            await self._tick()
        raise AssertionError("unreachable: the ticker never returns")

    def _market(self, tr_id: str) -> Market:
        return Market(
            codes.first(self._settings.symbols),
            rate=self._settings.rate,
            seed=self._settings.seed + TR_IDS.index(tr_id),
            now=self.now(),
        )

    def _admit(self, tr_id: str, code: str) -> bool:
        if tr_id not in self._markets:
            self._markets[tr_id] = self._market(tr_id)
        return self._markets[tr_id].join(code)

    async def _tick(self) -> Never:
        """Bring the clients what happened. By absolute times, so that slow ticks do not add up to a lag."""
        due_s = trio.current_time()
        while True:
            due_s = max(due_s + TICK_S, trio.current_time() - TICK_S)
            await trio.sleep_until(due_s)
            now = self.now()
            for tr_id, market in self._markets.items():
                self._deliver(tr_id, market, now)
            if self._faults is not None:
                for connection in tuple(self._connections):
                    self._burst(connection, now)
                    connection.play(now)

    def _deliver(self, tr_id: str, market: Market, now: int) -> None:
        floor = self._floor[tr_id]
        due: dict[Connection, list[str]] = {}
        records = market.advance(now)
        self._records += len(records)
        for record in records:
            listeners = floor.get(record.symbol)
            if listeners:
                text = messages.record_text(record)
                for connection in listeners:
                    due.setdefault(connection, []).append(text)
        for connection, texts in due.items():
            if connection.spoiler is not None:
                self._deliver_spoilt(connection, connection.spoiler, tr_id, texts)
                continue
            cipher = connection.session.cipher if self._behaviour.encrypted else None
            for at in range(0, len(texts), MAX_RECORDS):
                frame = messages.data_frame(tr_id, texts[at : at + MAX_RECORDS], cipher)
                connection.emit(Outgoing(Kind.DATA, Text(frame)))
                self._frames += 1

    def _deliver_spoilt(self, connection: Connection, spoiler: Spoiler, tr_id: str, texts: list[str]) -> None:
        encrypted, cipher = self._behaviour.encrypted, connection.session.cipher
        for frame in spoiler.frames(tr_id, texts, cipher, self.now(), encrypted=encrypted):
            connection.emit(Outgoing(Kind.DATA, Text(frame) if isinstance(frame, str) else frame))
            self._frames += 1

    def _burst(self, connection: Connection, now: int) -> None:
        """One record a frame, in lumps that cost little: thousands a second shall be the client's trouble, not ours."""
        count = 0 if connection.faults is None else connection.faults.burst(now)
        if connection.faults is None or not count:
            return
        heard = [each for each in connection.session.registrations if each not in connection.faults.haunted]
        if not heard:
            return
        tr_id = heard[0][0]
        symbols = [each[1] for each in heard if each[0] == tr_id]
        records = self._markets[tr_id].trades(symbols, count, now, self._burst_random)
        frames = [wire.frame(messages.data_frame(tr_id, [messages.record_text(each)]).encode()) for each in records]
        for at in range(0, count, _LUMP):
            lump = frames[at : at + _LUMP]
            connection.emit(Outgoing(Kind.DATA, Raw(b"".join(lump)), len(lump)))
        self._records += count
        self._frames += count

    async def _serve(self, stream: trio.abc.HalfCloseableStream) -> None:
        websocket = WebSocket(stream)
        async with stream:
            try:
                with trio.move_on_after(HANDSHAKE_TIMEOUT_S) as patience:
                    path = await websocket.handshake()
                if patience.cancelled_caught or await self._refused(websocket):
                    return
                with trio.move_on_after(HANDSHAKE_TIMEOUT_S) as patience:
                    welcome = await self._greet(websocket, path)
            except (HandshakeFailedError, trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not patience.cancelled_caught and welcome:
                await self._attend(websocket, path)

    async def _refused(self, websocket: WebSocket) -> bool:
        """Spoil the handshake if the scenario says so."""
        if self._faults is None:
            return False
        now = self.now()
        self._faults.connected(now)
        fault = _BLOCKED if self._faults.blocked(now) else self._faults.handshake(now)
        if fault is None:
            return False
        self._handshakes_refused += 1
        log.info("simulator handshake=refused how=%s", fault.how)
        with trio.move_on_after(_SPOILT_S):
            await _spoil(websocket, fault)
        return True

    async def _greet(self, websocket: WebSocket, path: str) -> bool:
        """Answer the opening handshake; False if the client was turned away."""
        if not _PATH.fullmatch(path):
            await websocket.reject(404, "the paths are /, /tryitout and /tryitout/<TR_ID>")
            return False
        if len(self._connections) >= MAX_CONNECTIONS:
            await websocket.reject(503, "too many connections")
            return False
        await websocket.accept()
        return True

    async def _attend(self, websocket: WebSocket, path: str) -> None:
        self._numbers += 1
        session = Session(self._numbers, _new_cipher())
        faults = None if self._faults is None else self._faults.connection(self._numbers, self.now())
        connection = Connection(session, websocket, self, self._behaviour.pulse, faults)
        self._connections.add(connection)
        log.info("simulator connection=%d open path=%s", self._numbers, path)
        await connection.run()

    def ask(self, connection: Connection, text: str) -> Answer:
        """Answer a request, and put the connection on the floor or take it off as the answer says."""
        answer = self._answer(connection, text)
        self._count(answer)
        if answer.registration is not None and answer.done:
            tr_id, code = answer.registration
            if answer.subscribe:
                self._floor[tr_id].setdefault(code, []).append(connection)
            else:
                self._floor[tr_id][code].remove(connection)
            _take_note(connection, tr_id, code, self.now(), subscribed=bool(answer.subscribe))
        log.debug(
            "simulator connection=%d answer=%s registration=%s registrations=%d",
            connection.session.number,
            answer.msg_cd,
            "-" if answer.registration is None else "/".join(answer.registration),
            len(connection.session.registrations),
        )
        return answer

    def _answer(self, connection: Connection, text: str) -> Answer:
        shared, own, now = self._faults, connection.faults, self.now()
        if shared is None or own is None:
            return self._desk.request(connection.session, text, now)
        return self._desk.request(
            connection.session,
            text,
            now,
            in_use=connection.session.app_key is None and shared.in_use(now),
            forced=lambda request: own.forced(request, now),
        )

    def _count(self, answer: Answer) -> None:
        if answer.subscribe is None:
            return
        self._subscriptions_asked += answer.subscribe
        self._unsubscriptions_asked += not answer.subscribe
        if self._faults is not None:
            self._faults.asked(self.now())

    def over(self, connection: Connection) -> None:
        """Free the connection's app key and take it off the floor."""
        session, end = connection.session, connection.end or End.STOPPED
        clean = end in (End.CLOSED, End.STOPPED)
        kept_ns = None if clean or self._faults is None else self._faults.slot_kept_ns(self.now())
        self._desk.leave(session, self.now(), clean=clean, slot_kept_ns=kept_ns)
        for tr_id, code in session.registrations:
            self._floor[tr_id][code].remove(connection)
        self._connections.discard(connection)
        self._ended[end] += 1
        log.info("simulator connection=%d closed reason=%s frames=%d", session.number, end, connection.frames)


async def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    rest_port: int = 0,
    websocket_port: int = 0,
    behaviour: Behaviour = Behaviour(),
    scenario: Scenario | None = None,
    task_status: trio.TaskStatus[Addresses] = trio.TASK_STATUS_IGNORED,
) -> Never:
    """A broker that serves until cancelled; raises SimulatorError if it cannot listen. See `Broker.run`."""
    await Broker(settings, behaviour, scenario).run(
        host=host, rest_port=rest_port, websocket_port=websocket_port, task_status=task_status
    )


async def _spoil(websocket: WebSocket, fault: Handshake) -> None:
    match fault.how:
        case "refuse":
            await websocket.reject(fault.status, "refused")
        case "garbage":
            await websocket.spoil(_GARBAGE)
            await websocket.hang_up()
        case "reset":
            await websocket.reset()
        case "fin":
            await websocket.hang_up()
        case _:
            await websocket.wait_for_end()


def _take_note(connection: Connection, tr_id: str, code: str, now: int, *, subscribed: bool) -> None:
    """Let the connection's faults know what became of a registration."""
    if connection.faults is None or connection.spoiler is None:
        return
    if not subscribed:
        connection.spoiler.forget(tr_id, code)
        return
    connection.faults.subscribed(now)
    connection.faults.haunted.discard((tr_id, code))
    if connection.faults.ghost(code, now):
        connection.faults.haunted.add((tr_id, code))


def _tell(kind: str, place: str) -> None:
    log.info("simulator %s", f"{place} fault={kind}".strip())


def _loopback(host: str) -> str:
    """The address to listen on. A simulator has no business on a network: it takes any app key."""
    if not is_loopback(host):
        raise SimulatorError(f"the simulator listens on this machine only: 127.0.0.1 or ::1, not {host}")
    return "127.0.0.1" if host.lower() == "localhost" else host.strip("[]")


async def _listen(host: str, port: int) -> trio.SocketListener:
    if not 0 <= port < 2**16:
        # The resolver would take it modulo 65,536, and listen where nobody looks.
        raise SimulatorError(f"the simulator cannot listen on {host}:{port}: no such port")
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise SimulatorError(f"the simulator cannot listen on {host}:{port}: {error}") from error
    return listener


def _url(scheme: str, listener: trio.SocketListener) -> str:
    host, port, *_ = listener.socket.getsockname()
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _new_cipher() -> Cipher:
    """A pair as the broker's look: sixteen hexadecimal digits, thirty-two letters."""
    random = SystemRandom()
    digits = hexdigits[:16]
    return Cipher("".join(random.choices(digits, k=16)), "".join(random.choices(ascii_lowercase, k=32)))
