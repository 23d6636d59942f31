"""A target: one place that a message can be sent to, and what can come of it. Outbox and workers share these words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import trio

from engine.delivery.message import Due, Unsent
from engine.delivery.notice import Notice
from engine.delivery.retry import Waiting
from engine.rules.model import Severity


@dataclass(frozen=True, slots=True)
class Address:
    """Names a target without giving its URL away."""

    id: str
    """A short hash of the URL: it stays the same when the list of URLs is edited around it."""
    name: str
    """For people and logs: `desk[1] slack`."""
    notifiers: tuple[str, ...]
    """The notifiers whose messages go here; one URL may stand in several."""
    spacing_ns: int = 0
    """Least time between two messages."""

    def serving(self, other: "Address") -> "Address":
        """The same place for the notifiers of both, at the slower rate; it keeps its name."""
        names = tuple(dict.fromkeys((*self.notifiers, *other.notifiers)))
        return replace(self, notifiers=names, spacing_ns=max(self.spacing_ns, other.spacing_ns))


@dataclass(frozen=True, slots=True)
class Message:
    """What a target sends: plain text, one line of title."""

    title: str
    body: str
    severity: Severity
    resolved: bool = False
    """Nothing in it is still firing."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target's service took the message."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The service did not take it. `reason` holds no secret; `retry_after_s` is what the service asked for."""

    reason: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have arrived, whole or in part: the next attempt says that it may repeat."""

    reason: str
    retry_after_s: float = 0.0


Outcome = Delivered | Failed | Unknown


class Target(Protocol):
    """What a worker needs of a target; `send` may be cancelled at any moment, its outcome is then unknown."""

    @property
    def address(self) -> Address: ...

    @property
    def deadline_s(self) -> float:
        """How long one attempt may take."""

    @property
    def stuck(self) -> int:
        """Attempts that were given up and still hold a thread."""

    async def room(self) -> None:
        """Returns as soon as another attempt may begin."""

    async def send(self, message: Message) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Parcel:
    """One notice on its way to one target."""

    notice: Notice
    committed_at: int
    attempts: int = 0
    may_repeat: bool = False

    @property
    def due(self) -> Due:
        return Due(self.notice, self.may_repeat)


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed together, to be settled together. Never empty."""

    target: str
    parcels: tuple[Parcel, ...]
    unsent: Unsent

    @property
    def attempt(self) -> int:
        """Which attempt this is for the one that was tried most, from 1."""
        return 1 + max(parcel.attempts for parcel in self.parcels)


class Outbox(Protocol):
    """The store, as workers see it. Every `now` is nanoseconds since the epoch."""

    def add(self, address: Address) -> Address:
        """One more target, or further notifiers of a known one; → its address from now on."""

    def waiting(self, target: str) -> Waiting | None: ...

    def changed(self, target: str) -> trio.Event:
        """Set at the target's next commit."""

    def expire(self, target: str, ttl_ns: int, now: int) -> int:
        """Gives up what fired `ttl_ns` ago or earlier; returns how many."""

    def claim(self, target: str, now: int) -> Batch: ...

    def settle(self, batch: Batch, outcome: Outcome, now: int) -> None: ...

    def queued(self) -> Mapping[str, int]:
        """How many notices wait, by target."""
