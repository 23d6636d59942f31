"""One notice on its way to one target, and where it stands: what the outbox moves and the store keeps. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

from engine.delivery.message import Due, Unsent
from engine.delivery.notice import Notice


class Status(StrEnum):
    """Where a notice stands with one target.

    queued → attempting → delivered, with failures back to queued. The others are the ends of what was not delivered.
    """

    QUEUED = "queued"
    ATTEMPTING = "attempting"
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The target's service will not have it, however often it is asked."""
    EXPIRED = "expired"
    """Older than `ttl`."""
    DROPPED = "dropped"
    """Too much waited."""
    VANISHED = "vanished"
    """Nothing in the configuration leads to the target any more."""
    DISCARDED = "discarded"
    """Undeliverable, and a person has said that it need not be."""

    @property
    def is_open(self) -> bool:
        return self in (Status.QUEUED, Status.ATTEMPTING)

    @property
    def is_dead(self) -> bool:
        """Undeliverable, and nobody has decided what is to become of it."""
        return self in (Status.REFUSED, Status.EXPIRED, Status.DROPPED, Status.VANISHED)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a notice stands with one target since `at`: one row of the store. Times: nanoseconds since the epoch."""

    id: str
    """The notice's."""
    target: str
    """The target's id: a hash of its URL."""
    name: str
    """What the target is called, for people: `desk[1] slack`."""
    status: Status
    at: int
    due_from: int
    """When it happened, or was asked for again: `ttl` counts from here."""
    attempts: int = 0
    may_repeat: bool = False
    """An attempt may have arrived without our knowing."""
    unlisted: bool = False
    """Given up, and the target's reader has not been told of that yet."""
    reason: str = ""
    """Of the last failure, without secrets."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One notice on its way to one target."""

    notice: Notice
    target: str
    name: str
    committed_at: int
    """From when on it waits in this run: a digest counts from here."""
    due_from: int
    attempts: int = 0
    may_repeat: bool = False

    @property
    def due(self) -> Due:
        return Due(self.notice, self.may_repeat)

    def tried(self, *, may_repeat: bool) -> "Parcel":
        """After one more attempt."""
        return replace(self, attempts=self.attempts + 1, may_repeat=self.may_repeat or may_repeat)

    def delivery(self, status: Status, at: int, reason: str = "", *, unlisted: bool = False) -> Delivery:
        """As the store keeps it."""
        return Delivery(
            self.notice.id,
            self.target,
            self.name,
            status,
            at,
            self.due_from,
            attempts=self.attempts,
            may_repeat=self.may_repeat,
            unlisted=unlisted,
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Claimed together, to be settled together. Without parcels it tells only of what was given up."""

    target: str
    parcels: tuple[Parcel, ...]
    unsent: Unsent

    @property
    def attempt(self) -> int:
        """Which attempt this is for the one that was tried most, from 1."""
        return 1 + max((parcel.attempts for parcel in self.parcels), default=0)


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery as the store has it, with its notice."""

    notice: Notice
    delivery: Delivery
