"""A rule file as it may be written: its tables, keys, types and defaults. What goes together is engine.rules.load's."""

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from engine import units
from engine.problems import WrongValueError, nearest
from engine.rules.model import METRICS, Anchor, Moment, Number, Severity, Span

_MOMENT = re.compile(r"(?:(open|close)(?:([+-])([0-9hms]+))?|([0-9]{2}:[0-9]{2}))", re.ASCII)


_PERCENT = re.compile(r"\s*([-+]?[0-9]{1,9}(?:\.[0-9]{1,9})?)\s*[%％]\s*", re.ASCII)

_MAX_AMOUNT = 10**18
"""The whole market's value of a day has fifteen digits; this many still fit 64 bits, and floats compare well below."""


MAX_LABELS = 50
MAX_LABEL_KEY = 80
MAX_LABEL = 200
MAX_DESCRIPTION = 2_000
"""Characters, like those of labels: an alert carries them, on every message and in the history."""


class Amount(tuple[Number, str]):
    """A threshold: a number, and the unit ("주", "원" or none) that the user wrote behind it."""

    __slots__ = ()


def _amount(value: object) -> Amount:
    if isinstance(value, str) and (percent := _PERCENT.fullmatch(value)):
        raise WrongValueError("percent", found=value, meant=f"{Decimal(percent[1]) / 100:f}")
    amount = Amount(units.amount(value)) if isinstance(value, str) else Amount((_plain(value), ""))
    if not -_MAX_AMOUNT <= amount[0] <= _MAX_AMOUNT:
        raise WrongValueError("too-large-a-number", limit="10¹⁸")
    return amount


def _plain(value: object) -> Number:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value in (math.inf, -math.inf):
        raise WrongValueError("not-a-threshold")
    if isinstance(value, float) and math.isnan(value):
        raise WrongValueError("not-a-threshold")
    return value


def _pair(value: object) -> object:
    if not isinstance(value, tuple) or len(value) != 2:
        raise WrongValueError("not-a-pair")
    low, high = (_end(end, index) for index, end in enumerate(value))
    if low[0] > high[0]:
        raise WrongValueError("not-a-pair")
    return low, high


def _end(value: object, index: int) -> Amount:
    try:
        return _amount(value)
    except WrongValueError as error:
        raise WrongValueError(error.code, at=(index,), **error.detail) from None


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise WrongValueError("duration-not-text")
    return units.duration_ns(value)


def _positive_duration(value: object) -> object:
    duration = _duration(value)
    if not duration:
        raise WrongValueError("not-positive")
    return duration


def _metric(value: object) -> object:
    if not isinstance(value, str):
        raise WrongValueError("not-text")
    if value not in METRICS:
        allowed = ", ".join(sorted(METRICS))
        raise WrongValueError("not-one-of", found=value, allowed=allowed, nearest=nearest(value, METRICS))
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise WrongValueError("empty")
    return value


def _code(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        raise WrongValueError("code-not-text", found=str(value), meant=f'"{value:06d}"')
    return value


def _not_empty(value: tuple[object, ...]) -> object:
    if not value:
        raise WrongValueError("empty")
    return value


def _labels(value: object) -> object:
    if isinstance(value, dict) and len(value) > MAX_LABELS:
        raise WrongValueError("too-many-labels", found=str(len(value)), limit=str(MAX_LABELS))
    return value


def _label_key(key: str) -> str:
    if len(key) > MAX_LABEL_KEY:
        raise WrongValueError("too-long", limit=str(MAX_LABEL_KEY))
    return key


def _window(value: object) -> object:
    _positive_duration(value)
    return value


def _moment(text: str, span: str) -> Moment:
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        raise WrongValueError("not-active-hours", found=span)
    anchor, sign, offset, time = match.groups()
    if time:
        return Moment(Anchor.MIDNIGHT, units.time_of_day_ns(time))
    distance = units.duration_ns(offset) if offset else 0
    return Moment(Anchor(anchor), -distance if sign == "-" else distance)


def _span(value: object) -> object:
    if not isinstance(value, str):
        raise WrongValueError("not-text")
    if "~" not in value:
        raise WrongValueError("not-active-hours", found=value)
    start, _, end = value.partition("~")
    return Span(_moment(start, value), _moment(end, value))


SESSION = Span(Moment(Anchor.OPEN, 0), Moment(Anchor.CLOSE, 0))
"""What `active` is where it is left out: a rule sleeps outside of the session."""

_NUMBER = {
    "anyOf": [
        {"type": "number", "minimum": -_MAX_AMOUNT, "maximum": _MAX_AMOUNT},
        {"type": "string", "pattern": units.AMOUNT_PATTERN},
    ]
}
_LONGER_THAN_NOTHING = {"type": "string", "pattern": units.DURATION_PATTERN, "not": {"pattern": "^[0hms]*$"}}
_TIME = f"((open|close)([+-]({units.DURATION_FORMS}))?|{units.TIME_OF_DAY_FORMS})"

Threshold = Annotated[Amount, BeforeValidator(_amount), WithJsonSchema(_NUMBER)]
Range = Annotated[
    tuple[Amount, Amount],
    BeforeValidator(_pair),
    WithJsonSchema({"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}),
]
DurationNs = Annotated[
    int, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": units.DURATION_PATTERN})
]
PositiveDurationNs = Annotated[
    int,
    BeforeValidator(_positive_duration),
    WithJsonSchema(_LONGER_THAN_NOTHING),
]
Window = Annotated[str, BeforeValidator(_window), WithJsonSchema(_LONGER_THAN_NOTHING)]
"""Kept as written: it is part of the key under which an alert shows the value."""
ActiveSpan = Annotated[
    Span,
    BeforeValidator(_span),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{_TIME}\s*~\s*{_TIME}\s*$"}),
]
Metric = Annotated[str, BeforeValidator(_metric), WithJsonSchema({"type": "string", "enum": sorted(METRICS)})]
Aggregate = Annotated[str, WithJsonSchema({"type": "string", "enum": ["sum"]})]
Entries = Annotated[tuple["Entry", ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})]
NonEmptyText = Annotated[str, StringConstraints(min_length=1)]
Stock = Annotated[str, BeforeValidator(_code), StringConstraints(min_length=1)]
"""A code, a Korean name, `@group` or `"*"`."""


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Entry(Table):
    """A condition, or a table with one of `all`, `any`, `none`."""

    metric: Metric | None = None
    window: Window | None = None
    above: Threshold | None = None
    at_least: Threshold | None = None
    below: Threshold | None = None
    at_most: Threshold | None = None
    outside: Range | None = None
    inside: Range | None = None
    crosses_above: Threshold | None = None
    crosses_below: Threshold | None = None
    reset: Threshold | None = None
    all: Entries | None = None
    any: Entries | None = None
    none: Entries | None = None


class Defaults(Table):
    """Every key of a rule but its name and its conditions: `[defaults]` may set them for all rules of its file."""

    description: Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION)] = ""
    enabled: bool = True
    symbols: tuple[Stock, ...] = ()
    exclude: tuple[Stock, ...] = ()
    aggregate: Aggregate | None = None
    for_: DurationNs = Field(default=0, alias="for")
    keep_firing_for: DurationNs = 0
    cooldown: DurationNs = 0
    max_per_day: Annotated[int, Field(ge=1)] | None = None
    repeat: PositiveDurationNs | None = None
    resolved: bool = False
    active: Annotated[tuple[ActiveSpan, ...], AfterValidator(_not_empty), Field(json_schema_extra={"minItems": 1})] = (
        SESSION,
    )
    severity: Annotated[Severity, Field(strict=False)] = Severity.WARNING
    notify: tuple[str, ...] | None = None
    title: str = ""
    message: str = ""
    chart: bool | None = None
    labels: Annotated[
        dict[Annotated[str, AfterValidator(_label_key)], Annotated[str, StringConstraints(max_length=MAX_LABEL)]],
        BeforeValidator(_labels),
    ] = {}


class RuleTable(Defaults, Entry):
    name: Annotated[str, StringConstraints(max_length=80), AfterValidator(_not_blank)]


class File(Table):
    defaults: Defaults = Defaults()
    groups: dict[NonEmptyText, tuple[Stock, ...]] = {}
    rule: tuple[RuleTable, ...] = ()
