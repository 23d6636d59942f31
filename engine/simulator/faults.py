"""Which faults of a scenario strike what, and when: decided here, acted out elsewhere. Pure; the moment is passed in.

Every fault draws from generators of its own, one for each connection, made from the seed: what one fault decides for
one client never depends on another fault or another client. `limit` alone is shared by all connections.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

from engine.kst import SECOND_NS
from engine.simulator import answers, kinds
from engine.simulator.desk import Forced, Registration
from engine.simulator.kinds import Fault, Lasting, Moment
from engine.simulator.messages import Request
from engine.simulator.scenario import Scenario

Told = Callable[[str, str], None]
"""Hears of a fault that strikes for the first time in a round: its kind, and where (`connection=3` or nothing)."""

_Kind = TypeVar("_Kind", bound=Fault)
_Held = TypeVar("_Held", bound=Lasting)

MAX_WAITING_ANSWERS = 1_000
"""Late answers of one connection: as many as frames may wait for it. The oldest goes out early beyond that."""
_REORDER_NS = SECOND_NS
"""An answer that waits for the next one to overtake it goes out by itself after so long."""
_CATCH_UP_NS = SECOND_NS
"""A burst makes up for at most so much time in which nobody asked for it."""


class Ledger:
    """What all connections share: how often each fault struck."""

    def __init__(self, faults: Sequence[Fault], told: Told) -> None:
        self._faults = faults
        self._struck = [0] * len(faults)
        self.told = told

    def spent(self, index: int) -> bool:
        limit = self._faults[index].limit
        return limit is not None and self._struck[index] >= limit

    def note(self, index: int) -> None:
        self._struck[index] += 1

    def played(self) -> dict[str, int]:
        """How often each kind that the scenario holds struck; 0 where it did not."""
        counts = Counter(dict.fromkeys((fault.do for fault in self._faults), 0))
        for fault, struck in zip(self._faults, self._struck, strict=True):
            counts[fault.do] += struck
        return dict(counts)


class Trigger:
    """One fault as one place meets it: a connection (`connection=3`), or what is there but once (no name)."""

    def __init__(self, index: int, fault: Fault, ledger: Ledger, seed: int, place: str) -> None:
        self.fault = fault
        self._index = index
        self._ledger = ledger
        self._place = place
        self.random = Random(f"{seed}/{index}/{place}")  # noqa: S311  repeatability is the point
        self._told: int | None = None
        self._decided: int | None = None
        self._grips = False

    def strikes(self, number: int | None) -> bool:
        """Whether it touches the thing at hand; `number` is the round that is on, None if none is."""
        if number is None or self._ledger.spent(self._index):
            return False
        if self.fault.share < 1 and self.random.random() >= self.fault.share:
            return False
        self._ledger.note(self._index)
        if number != self._told:
            self._told = number
            self._ledger.told(self.fault.do, self._place)
        return True

    def grips(self, number: int | None) -> bool:
        """Whether it has hold of this place for the whole round: decided once a round."""
        if number is None:
            return False
        if number != self._decided:
            self._decided, self._grips = number, self.strikes(number)
        return self._grips


class Faults:
    """A scenario under way: what all connections share. `started` is nanoseconds since the epoch."""

    def __init__(self, scenario: Scenario, seed: int, started: int, told: Told = lambda _kind, _place: None) -> None:
        self._faults = scenario.faults
        self._ledger = Ledger(self._faults, told)
        self._seed = seed
        self._started = started
        triggers = self._triggers("")
        self._handshakes = _of(triggers, kinds.Handshake)
        self._slow = _of(triggers, kinds.ApprovalSlow)
        self._approvals = _of(triggers, kinds.ApprovalFault)
        self._slots = _of(triggers, kinds.SlotKept)
        self._in_use = _of(triggers, kinds.InUse)
        self._churns = [(each, Churn(fault)) for each, fault in _of(triggers, kinds.ChurnBlock)]

    def played(self) -> dict[str, int]:
        return self._ledger.played()

    def connection(self, number: int, now: int) -> "ConnectionFaults":
        """The faults as connection `number`, opened now, meets them."""
        return ConnectionFaults(self._triggers(f"connection={number}"), self._started, now)

    def approval(self, now: int) -> list[Fault]:
        """The faults that a request for an approval key meets: at most one way to be slow and one other."""
        return [each for each in (self._first(self._slow, now), self._first(self._approvals, now)) if each is not None]

    def handshake(self, now: int) -> kinds.Handshake | None:
        return self._first(self._handshakes, now)

    def slot_kept_ns(self, now: int) -> int | None:
        """How long an app key stays taken whose session ends now without a close handshake; None: as usual."""
        fault = self._first(self._slots, now)
        return None if fault is None else fault.keep

    def in_use(self, now: int) -> bool:
        """Whether a session that wants to open now finds its app key taken."""
        return self._first(self._in_use, now) is not None

    def blocked(self, now: int) -> bool:
        return any(churn.blocked(now) for _, churn in self._churns)

    def blocks(self) -> int:
        return sum(churn.blocks for _, churn in self._churns)

    def connected(self, now: int) -> None:
        self._count("connections", now)

    def asked(self, now: int) -> None:
        """A request to subscribe or unsubscribe came."""
        self._count("subscriptions", now)

    def _count(self, what: str, now: int) -> None:
        for trigger, churn in self._churns:
            number = churn.fault.holding(now - self._started)
            if number is not None and churn.count(what, now):
                trigger.strikes(number)

    def _first(self, triggers: Sequence[tuple[Trigger, _Held]], now: int) -> _Held | None:
        for trigger, fault in triggers:
            if trigger.strikes(fault.holding(now - self._started)):
                return fault
        return None

    def _triggers(self, place: str) -> list[Trigger]:
        return [Trigger(index, fault, self._ledger, self._seed, place) for index, fault in enumerate(self._faults)]


class Churn:
    """Counts of one churn block: connections, and requests, of the last `within`."""

    def __init__(self, fault: kinds.ChurnBlock) -> None:
        self.fault = fault
        self.blocks = 0
        self._until = 0
        allowed = {"connections": fault.connections, "subscriptions": fault.subscriptions}
        # One more than is allowed is all that needs to be known.
        self._times = {what: deque[int](maxlen=most + 1) for what, most in allowed.items() if most is not None}

    def blocked(self, now: int) -> bool:
        return now < self._until

    def count(self, what: str, now: int) -> bool:
        """Note one; True if this one begins a block."""
        times = self._times.get(what)
        if times is None:
            return False
        times.append(now)
        if len(times) != times.maxlen or now - times[0] >= self.fault.within or self.blocked(now):
            return False
        self.blocks += 1
        self._until = now + self.fault.block
        return True


class ConnectionFaults:
    """The faults as one connection meets them."""

    def __init__(self, triggers: Sequence[Trigger], started: int, opened: int) -> None:
        self._origins: dict[str, int] = {"start": started, "open": opened}
        self._moments = _of(triggers, Moment)
        self._silences = _of(triggers, kinds.Silence)
        self._pulses = _of(triggers, kinds.Pulsing)
        self._ghosts = _of(triggers, kinds.Ghost)
        self._forced = _of(triggers, kinds.Answer)
        self._answers = _of(triggers, kinds.OfAnswers)
        self._bursts = _of(triggers, kinds.Burst)
        self.of_records = _of(triggers, kinds.OfRecords)
        self.of_frames = _of(triggers, kinds.OfFrames)
        self.batches = _of(triggers, kinds.Batch)
        self._looked = opened - 1
        self._late: list[tuple[int, str]] = []
        self._overtaken: list[str] = []
        self._burst_at = opened
        self._burst_rest = 0.0
        self.haunted: set[Registration] = set()
        """What was acknowledged and gets no data."""

    def subscribed(self, now: int) -> None:
        """A subscription was acknowledged: the first one is an origin."""
        self._origins.setdefault("subscribed", now)

    def round(self, fault: Fault, now: int) -> int | None:
        """The round of a fault that is on now."""
        origin = self._origins.get(fault.origin)
        if origin is None:
            return None
        return fault.holding(now - origin) if isinstance(fault, Lasting) else fault.round(now - origin)

    def moments(self, now: int) -> Iterator[Moment]:
        """What happens to the connection since it was asked last."""
        before, self._looked = self._looked, now
        for trigger, fault in self._moments:
            origin = self._origins.get(fault.origin)
            if origin is None:
                continue
            last = fault.round(before - origin)
            number = fault.round(now - origin)
            if number is not None and number != last and trigger.strikes(number):
                yield fault

    def silent(self, now: int) -> bool:
        return any(each.grips(self.round(fault, now)) for each, fault in self._silences)

    def pulse(self, now: int) -> kinds.Pulsing | None:
        """How PINGPONG is sent now, if not as usual."""
        return next((fault for each, fault in self._pulses if each.grips(self.round(fault, now))), None)

    def ghost(self, symbol: str, now: int) -> bool:
        """Whether a symbol that is acknowledged now gets no data."""
        return any(fault.concerns(symbol) and each.strikes(self.round(fault, now)) for each, fault in self._ghosts)

    def forced(self, request: Request, now: int) -> Forced | None:
        """What a request is answered whatever would be right."""
        for each, fault in self._forced:
            about = _about(fault, request.tr_key, subscribe=request.subscribe)
            if about and each.strikes(self.round(fault, now)):
                return Forced(fault.msg_cd, fault.rt_cd, fault.msg1)
        return None

    def answer(self, text: str, symbol: str, now: int, *, subscribe: bool | None) -> list[str]:
        """What goes out for an answer, at once; what is late comes from `late`."""
        texts = [text]
        delay = 0
        overtaken = False
        for trigger, fault in self._answers:
            if not texts or not _about(fault, symbol, subscribe=subscribe):
                continue
            if not trigger.strikes(self.round(fault, now)):
                continue
            if isinstance(fault, kinds.AnswerLate):
                delay = max(delay, fault.by)
            overtaken = overtaken or isinstance(fault, kinds.AnswerReordered)
            texts = answers.changed(texts, fault)
        if delay or (overtaken and not self._overtaken):
            self._put_off(texts, now + (delay or _REORDER_NS), overtaken=overtaken and not delay)
            return self._overflow()
        return texts + self._overtake()

    def late(self, now: int) -> list[str]:
        """Answers whose time has come."""
        due = [text for at, text in self._late if at <= now]
        if due:
            self._late = [(at, text) for at, text in self._late if at > now]
            self._overtaken = [text for text in self._overtaken if text not in due]
        return due

    def burst(self, now: int) -> int:
        """Frames that a burst brings since it was asked last."""
        since, self._burst_at = max(self._burst_at, now - _CATCH_UP_NS), now
        rates = [fault.rate for each, fault in self._bursts if each.grips(self.round(fault, now))]
        rate = max(rates, default=0)
        if not rate:
            return 0
        self._burst_rest += rate * (now - since) / SECOND_NS
        whole = int(self._burst_rest)
        self._burst_rest -= whole
        return whole

    def _put_off(self, texts: Sequence[str], until: int, *, overtaken: bool) -> None:
        self._late += [(until, text) for text in texts]
        if overtaken:
            self._overtaken += texts

    def _overtake(self) -> list[str]:
        """What waited for an answer to overtake it, now that one did."""
        waited, self._overtaken = self._overtaken, []
        self._late = [(at, text) for at, text in self._late if text not in waited]
        return waited

    def _overflow(self) -> list[str]:
        early, self._late = self._late[:-MAX_WAITING_ANSWERS], self._late[-MAX_WAITING_ANSWERS:]
        return [text for _, text in early]


def _about(fault: kinds.ToRequests, symbol: str, *, subscribe: bool | None) -> bool:
    if fault.to is not None and subscribe != (fault.to == "subscribe"):
        return False
    return fault.concerns(symbol)


def _of(triggers: Sequence[Trigger], kind: type[_Kind]) -> list[tuple[Trigger, _Kind]]:
    return [(each, each.fault) for each in triggers if isinstance(each.fault, kind)]
