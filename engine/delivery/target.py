"""A target: one place that a message can be sent to, and what can come of it. Outbox and workers share these words."""

from dataclasses import dataclass, replace
from typing import Protocol

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
    chart: bool = False
    """Alerts whose rule does not say otherwise go with a picture."""

    def serving(self, other: "Address") -> "Address":
        """The same place for the notifiers of both, at the slower rate; it keeps its name."""
        names = tuple(dict.fromkeys((*self.notifiers, *other.notifiers)))
        spacing_ns = max(self.spacing_ns, other.spacing_ns)
        return replace(self, notifiers=names, spacing_ns=spacing_ns, chart=self.chart or other.chart)


@dataclass(frozen=True, slots=True)
class Message:
    """What a target sends: plain text, one line of title. Each target gives it the form that its service shows."""

    title: str
    body: str
    severity: Severity
    resolved: bool = False
    """Nothing in it is still firing."""
    remarks: tuple[str, ...] = ()
    """Lines about the message itself, below the body: how late it is, that it may repeat, what was not sent."""
    picture: bytes | None = None
    """A PNG, for targets that take one."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """The target's service took the message."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The service did not take it. `reason` holds no secret; `retry_after_s` is what the service asked for."""

    reason: str
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """The service will not have it, however often it is asked. `reason` holds no secret."""

    reason: str
    only_this: bool = False
    """It is this message that it does not like; another may be taken. Else it takes nothing from us."""
    in_part: bool = False
    """A part of the message has been taken."""
    certain: bool = False
    """The service said so in its own words. A bare status may be of something in front of it, and pass."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have arrived, whole or in part: the next attempt says that it may repeat."""

    reason: str
    retry_after_s: float = 0.0


Outcome = Delivered | Failed | Refused | Unknown


class Target(Protocol):
    """What a worker needs of a target; `send` may be cancelled at any moment, its outcome is then unknown."""

    @property
    def address(self) -> Address: ...

    @property
    def deadline_s(self) -> float:
        """How long one attempt may take."""

    @property
    def takes_pictures(self) -> bool:
        """Whether a picture would be shown; none is drawn for one that does not."""

    @property
    def stuck(self) -> int:
        """Attempts that were given up and still hold a thread."""

    async def room(self) -> None:
        """Returns as soon as another attempt may begin."""

    async def send(self, message: Message) -> Outcome: ...
