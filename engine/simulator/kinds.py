"""The faults a scenario may hold, as they are written: one table for each kind, with its keys and limits.

What every kind does to a client stands in docs/simulator.md; when it does so is said by the keys of `Fault`. Lengths of
time are nanoseconds here and text in the file.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from engine import units
from engine.config.model import Table
from engine.kst import SECOND_NS
from engine.problems import WrongValueError, nearest
from engine.record import FIELDS
from engine.simulator import codes

_MILLISECONDS = re.compile(r"([0-9]{1,9})ms", re.ASCII)
MAX_FIELD = 100_000
"""Characters of one field made by a fault: an order above what a frame of the broker was ever seen to hold."""


def _duration(value: object) -> int:
    if not isinstance(value, str):
        raise WrongValueError("duration-not-text")
    match = _MILLISECONDS.fullmatch(value)
    return int(match[1]) * 1_000_000 if match else units.duration_ns(value)


def _positive(value: int) -> int:
    if not value:
        raise WrongValueError("not-positive")
    return value


def _code(value: str) -> str:
    if not codes.is_well_formed(value):
        raise WrongValueError("unknown-symbol", found=value)
    return value


def _field(value: str) -> str:
    if value not in FIELDS:
        raise WrongValueError("not-one-of", found=value, allowed=", ".join(FIELDS), nearest=nearest(value, FIELDS))
    return value


def _not_zero(value: int) -> int:
    if not value:
        raise WrongValueError("out-of-range", found="0", allowed="≠ 0")
    return value


DurationNs = Annotated[int, BeforeValidator(_duration)]
PositiveDurationNs = Annotated[DurationNs, AfterValidator(_positive)]
Code = Annotated[str, AfterValidator(_code)]
FieldName = Annotated[str, AfterValidator(_field)]
AnswerCode = Annotated[str, StringConstraints(min_length=1, max_length=16)]
Word = Annotated[str, StringConstraints(max_length=1_000)]
Count = Annotated[int, Field(ge=1)]
Status = Annotated[int, Field(ge=200, le=599)]


class Fault(Table):
    """When a fault is there, and how much of what it could touch it does touch.

    From `at` on, counted from the simulator's start or as `since` says; again `every` so long, `times` times. `share`
    of the things it could touch, drawn from the seed; at most `limit` of them in all, over all connections.
    """

    do: str
    at: DurationNs = 0
    every: PositiveDurationNs | None = None
    times: Count | None = None
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    limit: Count | None = None

    @property
    def origin(self) -> str:
        """What `at` counts from: "start" of the simulator, "open" of the connection, its first "subscribed"."""
        return "start"

    @model_validator(mode="after")
    def _times_of_what(self) -> "Fault":
        if self.times is not None and self.every is None:
            raise WrongValueError("missing-key", at=("every",))
        return self

    def round(self, t: int) -> int | None:
        """Which of its rounds, counted from 0, has begun last at `t` nanoseconds after its origin; None before all."""
        if t < self.at:
            return None
        if self.every is None:
            return 0
        number = (t - self.at) // self.every
        return number if self.times is None else min(number, self.times - 1)


class Lasting(Fault):
    """A fault that holds for a while; without `for` to the end."""

    for_: PositiveDurationNs | None = Field(default=None, alias="for")

    @model_validator(mode="after")
    def _gaps_between(self) -> "Lasting":
        if self.every is not None:
            if self.for_ is None:
                raise WrongValueError("missing-key", at=("for",))
            if self.for_ >= self.every:
                allowed = f"< every ({units.duration_text(self.every / SECOND_NS)})"
                found = units.duration_text(self.for_ / SECOND_NS)
                raise WrongValueError("out-of-range", at=("for",), found=found, allowed=allowed)
        return self

    def holding(self, t: int) -> int | None:
        """The round that is on at `t` nanoseconds after its origin; None between and outside of them."""
        number = self.round(t)
        if number is None or self.for_ is None:
            return number
        return number if t - self.at - number * (self.every or 0) < self.for_ else None


class Connected(Lasting):
    """Of one connection."""

    since: Literal["start", "open", "subscribed"] = "start"

    @property
    def origin(self) -> str:
        return self.since


class Moment(Fault):
    """Something that happens to a connection at a moment; it does not last."""

    since: Literal["start", "open", "subscribed"] = "start"

    @property
    def origin(self) -> str:
        return self.since


class Chosen(Connected):
    """Of the answers and data of these symbols; none named: of all."""

    symbols: tuple[Code, ...] = ()

    def concerns(self, symbol: str) -> bool:
        return not self.symbols or symbol in self.symbols


# The approval endpoint


class ApprovalFault(Lasting):
    """One of these answers a request."""


class ApprovalError(ApprovalFault):
    code: Annotated[str, StringConstraints(min_length=1, max_length=16)]
    status: Status = 403


class ApprovalStatus(ApprovalFault):
    status: Status
    body: Literal["empty", "html", "json"] = "empty"


class ApprovalBody(ApprovalFault):
    form: Literal["truncated", "malformed", "html", "empty", "list", "no-key", "endless"]


class ApprovalSlow(Lasting):
    by: PositiveDurationNs
    byte_by_byte: bool = False


class ApprovalEnd(ApprovalFault):
    how: Literal["fin", "reset", "silent"]


class ApprovalDud(ApprovalFault):
    pass


# The opening handshake


class Handshake(Lasting):
    how: Literal["refuse", "silent", "fin", "reset", "garbage"]
    status: Annotated[int, Field(ge=300, le=599)] = 403


# Sessions


class InUse(Lasting):
    pass


class SlotKept(Lasting):
    keep: PositiveDurationNs


class ChurnBlock(Lasting):
    """`limit` and `share` say nothing here: a block is a matter of its own counts."""

    connections: Count | None = None
    subscriptions: Count | None = None
    within: PositiveDurationNs
    block: PositiveDurationNs


# Answers


class ToRequests(Chosen):
    to: Literal["subscribe", "unsubscribe"] | None = None


class OfAnswers(ToRequests):
    """What becomes of an answer on its way."""


class Answer(ToRequests):
    msg_cd: AnswerCode
    rt_cd: Annotated[str, StringConstraints(max_length=8)] | None = None
    msg1: Word | None = None


class AnswerLate(OfAnswers):
    by: PositiveDurationNs


class AnswerLost(OfAnswers):
    pass


class AnswerDoubled(OfAnswers):
    pass


class AnswerReordered(OfAnswers):
    pass


class AnswerHeader(OfAnswers):
    form: Literal["missing", "null-text", "null", "empty"]


# PINGPONG and silence


class Pulsing(Connected):
    """How PINGPONG is sent."""


class PingPong(Pulsing):
    idle: PositiveDurationNs = 10 * SECOND_NS
    patience: PositiveDurationNs = 10 * SECOND_NS
    busy: bool = False


class NoPingPong(Pulsing):
    pass


class Silence(Connected):
    pass


class OfRecords(Chosen):
    """Touches single records."""


class OfFrames(Chosen):
    """Touches whole data frames: those with a record of its symbols."""


class NoData(OfRecords):
    pass


class Ghost(Chosen):
    pass


# Ends of connections


class Close(Moment):
    code: Annotated[int, Field(ge=1000, le=4999)] = 1001
    keep_tcp: bool = False


class Fin(Moment):
    halfway: bool = False


class Reset(Moment):
    halfway: bool = False


class HugeHeader(Moment):
    size: Annotated[int, Field(ge=126, le=2**63 - 1)] = 2**40


# Data


class ExtraFields(OfFrames):
    count: Annotated[int, Field(ge=1, le=50)] = 1
    value: Word = "0"
    repeat: Annotated[int, Field(ge=1, le=MAX_FIELD)] = 1

    @model_validator(mode="after")
    def _bounded(self) -> "ExtraFields":
        if self.count * self.repeat * len(self.value) > MAX_FIELD:
            found = str(self.count * self.repeat * len(self.value))
            raise WrongValueError("out-of-range", at=("repeat",), found=found, allowed=f"≤ {MAX_FIELD}")
        return self


class FieldValue(OfRecords):
    value: Word
    fields_: tuple[FieldName, ...] = Field(default=(), alias="fields")


class Falling(OfRecords):
    by: Annotated[float, Field(gt=0, le=1)] = 0.5


class Doubled(OfRecords):
    pass


class TimeBack(OfRecords):
    by: PositiveDurationNs


class TimeFrozen(OfRecords):
    pass


class Batch(Connected):
    records: Annotated[int, Field(ge=1, le=999)]


class Trailing(OfFrames):
    pass


class WrongCount(OfFrames):
    by: Annotated[int, Field(ge=-999, le=999), AfterValidator(_not_zero)] = 1


class Encrypted(OfFrames):
    broken: bool = False


class OutOfOrder(OfFrames):
    pass


class Garbage(OfFrames):
    text: Word | None = None


class OtherTr(OfFrames):
    tr_id: Annotated[str, StringConstraints(min_length=1, max_length=16)] = "H0STCNT0"


class Binary(OfFrames):
    pass


class BadUtf8(OfFrames):
    pass


class Fragments(OfFrames):
    pieces: Annotated[int, Field(ge=2, le=1000)] = 3


class Segments(OfFrames):
    size: Annotated[int, Field(ge=1, le=1000)] = 1


class Burst(Connected):
    MAX_RATE: ClassVar[int] = 10_000
    rate: Annotated[int, Field(ge=1, le=MAX_RATE)]


KINDS: Mapping[str, type[Fault]] = {
    "approval-error": ApprovalError,
    "approval-status": ApprovalStatus,
    "approval-body": ApprovalBody,
    "approval-slow": ApprovalSlow,
    "approval-end": ApprovalEnd,
    "approval-dud": ApprovalDud,
    "handshake": Handshake,
    "in-use": InUse,
    "slot-kept": SlotKept,
    "churn-block": ChurnBlock,
    "answer": Answer,
    "answer-late": AnswerLate,
    "answer-lost": AnswerLost,
    "answer-doubled": AnswerDoubled,
    "answer-reordered": AnswerReordered,
    "answer-header": AnswerHeader,
    "pingpong": PingPong,
    "no-pingpong": NoPingPong,
    "silence": Silence,
    "no-data": NoData,
    "ghost": Ghost,
    "close": Close,
    "fin": Fin,
    "reset": Reset,
    "huge-header": HugeHeader,
    "extra-fields": ExtraFields,
    "field": FieldValue,
    "falling": Falling,
    "doubled": Doubled,
    "time-back": TimeBack,
    "time-frozen": TimeFrozen,
    "batch": Batch,
    "trailing": Trailing,
    "wrong-count": WrongCount,
    "encrypted": Encrypted,
    "out-of-order": OutOfOrder,
    "garbage": Garbage,
    "other-tr": OtherTr,
    "binary": Binary,
    "bad-utf8": BadUtf8,
    "fragments": Fragments,
    "segments": Segments,
    "burst": Burst,
}
"""What `do` says → what else the table may say."""
