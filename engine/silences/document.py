"""silences.toml as it may be written: its table, keys and limits. Pure."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from engine.kst import KST, SECOND_NS
from engine.problems import WrongValueError

MAX_COMMENT = 200
"""Characters: a reason in one line."""
MAX_LABELS = 20

_LAST_YEAR = 9998
"""For who means for ever. The last one that Python knows is a day too late in some time zones."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?", re.ASCII
)


def moment_ns(value: object) -> int:
    """A date and time, as TOML has them or as text, in KST unless it names an offset → nanoseconds since the epoch."""
    when = _parsed(value) if isinstance(value, str) else value
    if not isinstance(when, datetime) or not 1970 <= when.year <= _LAST_YEAR:
        raise WrongValueError("not-a-date-and-time", found=json.dumps(value, ensure_ascii=False, default=str))
    when = when.replace(tzinfo=KST) if when.tzinfo is None else when
    return (when - _EPOCH) // timedelta(microseconds=1) * (SECOND_NS // 1_000_000)


def _parsed(text: str) -> datetime | None:
    if not _MOMENT.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # a 30th of February
        return None


def moment(t: int) -> datetime:
    """Back again: KST without an offset, as a person would write it; microseconds."""
    return (_EPOCH + timedelta(microseconds=t * 1_000_000 // SECOND_NS)).astimezone(KST).replace(tzinfo=None)


Moment = Annotated[int, BeforeValidator(moment_ns)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=80)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SilenceTable(Table):
    """One `[[silence]]`. What it names must all fit."""

    rule: Word | None = None
    symbol: Word | None = None
    """A code, a Korean name, or the `@group` of a summed rule."""
    labels: Annotated[dict[Word, Annotated[str, StringConstraints(max_length=80)]], Field(max_length=MAX_LABELS)] = {}
    all: bool = False
    """Everything: said in a word of its own, so that a forgotten key never silences everything."""
    from_: Annotated[Moment, Field(alias="from")] = 0
    until: Moment
    comment: Annotated[str, StringConstraints(max_length=MAX_COMMENT)] = ""

    @model_validator(mode="after")
    def _says_what_and_when(self) -> "SilenceTable":
        names_something = bool(self.rule or self.symbol or self.labels)
        if not (names_something or self.all):
            raise WrongValueError("silences-nothing")
        if names_something and self.all:
            raise WrongValueError("all-and-more", at=("all",))
        if self.until <= self.from_:
            raise WrongValueError("until-before-from", at=("until",))
        return self


class File(Table):
    silence: tuple[SilenceTable, ...] = ()
