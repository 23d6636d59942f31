"""A test file as it may be written: its tables, keys, types and defaults. What goes together is load's."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from engine import units
from engine.alert import State, Suppression
from engine.kst import DAY_NS
from engine.problems import WrongValueError
from engine.record import FIELDS
from engine.replay.moment import moment_ns
from engine.rules.model import Number
from engine.validation import shown

MAX_VALUES = 100_000
"""Of one field: four records a second through a whole session. A slip such as x999999999 must not fill the memory."""
MAX_DIGITS = 18
"""As in a record of the feed: it still fits 64 bits."""
UNDEFINED = "undefined"
"""TOML has no null; this is how an expectation says that a value is not known."""

DERIVED = {
    "net_volume": "buy_volume - sell_volume",
    "net_value": "buy_value - sell_value",
    "net_resting": "buy_resting - sell_resting",
}
GIVEN = tuple(name for name in FIELDS[2:] if name not in DERIVED)
"""The fields that a series may have, in the order of a record."""

_STEPS = re.compile(r"\s*(-?[0-9]+)\s*([+-])\s*([0-9]+)\s*x\s*([0-9]{1,9})\s*", re.ASCII)


def _steps(value: object) -> object:
    """`"0+30000x60"` is 60 values, the first of them 0; a list is itself."""
    values = _written_out(value) if isinstance(value, str) else value
    if not isinstance(values, tuple) or not all(type(each) is int for each in values):
        raise WrongValueError("not-steps", found=shown(value)[:80])
    if not values:
        raise WrongValueError("empty")
    if len(values) > MAX_VALUES:
        raise WrongValueError("too-many-values", limit=f"{MAX_VALUES:,}")
    if max(map(abs, values)) >= 10**MAX_DIGITS:
        raise WrongValueError("too-large-a-number", limit=f"10^{MAX_DIGITS}")
    return values


def _written_out(text: str) -> tuple[int, ...]:
    match = _STEPS.fullmatch(text)
    if match is None or max(map(len, match.groups())) > MAX_DIGITS + 1:
        raise WrongValueError("not-steps", found=text[:80])
    first, sign, step, count = match.groups()
    if int(count) > MAX_VALUES:
        raise WrongValueError("too-many-values", limit=f"{MAX_VALUES:,}")
    by = int(sign + step)
    return tuple(int(first) + by * at for at in range(int(count)))


def _offset(value: object) -> object:
    """`"5m30s"`, and for recordings `"5m30.25s"` → nanoseconds. To the microsecond, as an alert shows its time."""
    if not isinstance(value, str):
        raise WrongValueError("duration-not-text")
    whole, point, rest = value.partition(".")
    fraction = rest.removesuffix("s")
    try:
        exact = units.duration_ns(whole + "s" if point else value)
    except WrongValueError:
        raise WrongValueError("not-an-offset", found=value[:80]) from None
    if not point:
        return exact
    if not (rest.endswith("s") and fraction.isascii() and fraction.isdigit() and len(fraction) <= 6):
        raise WrongValueError("not-an-offset", found=value[:80])
    return exact + int(fraction.ljust(9, "0"))


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise WrongValueError("duration-not-text")
    duration = units.duration_ns(value)
    if not duration:
        raise WrongValueError("not-positive")
    if duration > DAY_NS:
        raise WrongValueError("out-of-range", found=value, allowed="≤ 24h")
    return duration


def _expected(value: object) -> object:
    if value == UNDEFINED:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongValueError("not-number")
    return value


def _derived(name: str) -> BeforeValidator:
    def refuse(_value: object) -> object:
        raise WrongValueError("is-derived", sources=DERIVED[name])

    return BeforeValidator(refuse)


def _not_empty(value: tuple[object, ...]) -> object:
    if not value:
        raise WrongValueError("empty")
    return value


NonEmptyText = Annotated[str, StringConstraints(min_length=1)]
Steps = Annotated[tuple[int, ...], BeforeValidator(_steps)]
Moment = Annotated[int, BeforeValidator(moment_ns)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Series(Table):
    """Records of one symbol. A field that is left out is 0 in all of them."""

    symbol: NonEmptyText
    every: Annotated[int, BeforeValidator(_duration)]
    sell_volume: Steps = ()
    sell_value: Steps = ()
    buy_volume: Steps = ()
    buy_value: Steps = ()
    sell_resting: Steps = ()
    buy_resting: Steps = ()
    net_volume: Annotated[None, _derived("net_volume")] = None
    net_value: Annotated[None, _derived("net_value")] = None
    net_resting: Annotated[None, _derived("net_resting")] = None


class Expect(Table):
    """One alert."""

    at: Annotated[int, BeforeValidator(_offset)]
    rule: NonEmptyText
    symbol: NonEmptyText
    state: Annotated[State, Field(strict=False)]
    repeat: Annotated[int, Field(ge=0)] = 0
    suppressed: Annotated[Suppression | None, Field(strict=False)] = None
    values: dict[str, Annotated[Number | None, BeforeValidator(_expected)]] = {}


class Case(Table):
    """One [[test]]."""

    name: NonEmptyText
    rules: Annotated[tuple[NonEmptyText, ...], AfterValidator(_not_empty)]
    start: Moment | None = None
    recording: NonEmptyText | None = None
    from_: Annotated[Moment | None, Field(alias="from")] = None
    until: Moment | None = None
    series: tuple[Series, ...] = ()
    expect: tuple[Expect, ...] = ()


class File(Table):
    test: tuple[Case, ...] = ()
