"""config.toml as it may be written: every table, key, default and limit. Frozen once read.

Times that people write as text arrive as `timedelta`; secrets as `SecretStr`, which shows as asterisks wherever it is
printed. Accounts and notifier URLs keep their `${NAME}` until it is known that they are used (engine.config.load).
"""

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from engine import units
from engine.locale import Locale
from engine.problems import WrongValueError

REAL_REST_HOST = "openapi.koreainvestment.com"
REAL_WEBSOCKET_HOST = "ops.koreainvestment.com"


def _text(parse: Any) -> BeforeValidator:
    """Values written as text: parse text, let nothing else through."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            raise WrongValueError("not-text")
        return parse(value)

    return BeforeValidator(validate)


def _date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise WrongValueError("not-a-date") from None
    return value


def _positive(value: timedelta) -> timedelta:
    if not value:
        raise WrongValueError("not-positive")
    return value


def _written(pattern: str) -> WithJsonSchema:
    """What an editor is told of a value that is written as text."""
    return WithJsonSchema({"type": "string", "pattern": pattern})


Duration = Annotated[timedelta, _text(units.duration), _written(units.DURATION_PATTERN)]
PositiveDuration = Annotated[
    timedelta,
    _text(units.duration),
    AfterValidator(_positive),
    WithJsonSchema({"type": "string", "pattern": units.DURATION_PATTERN, "not": {"pattern": "^[0hms]*$"}}),
]
Rate = Annotated[timedelta, _text(units.rate), _written(units.RATE_PATTERN)]
Size = Annotated[int, _text(units.size_bytes), _written(units.SIZE_PATTERN)]
TimeOfDay = Annotated[int, _text(units.time_of_day_ns), _written(f"^({units.TIME_OF_DAY_FORMS})$")]
"""Nanoseconds since KST midnight."""
TimeOfDayOrOff = Annotated[
    int | None,
    _text(lambda text: units.time_of_day_ns(text) if text else None),
    _written(f"^({units.TIME_OF_DAY_FORMS})?$"),
]
Date = Annotated[date, BeforeValidator(_date), _written("^[0-9W-]{8,10}$")]
"""A TOML date, or the same as text (a key cannot be a date)."""
Hours = Annotated[tuple[int, int], _text(units.hours_ns), _written(units.HOURS_PATTERN)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
FolderName = Annotated[str, StringConstraints(min_length=1)]


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Source(StrEnum):
    KIS = "kis"
    SIMULATOR = "simulator"
    REPLAY = "replay"


class Market(StrEnum):
    """KRX, NXT, or both together."""

    KRX = "KRX"
    NXT = "NXT"
    UNIFIED = "UNIFIED"

    @property
    def tr_id(self) -> str:
        """The broker's name for the program-trading feed of this market."""
        return {"KRX": "H0STPGM0", "NXT": "H0NXPGM0", "UNIFIED": "H0UNPGM0"}[self.value]

    @property
    def hours_ns(self) -> tuple[int, int]:
        """The market's own session: the hours that hold while `[session]` says nothing."""
        return units.hours_ns("09:00~15:30" if self is Market.KRX else "08:00~20:00")


class Session(Table):
    open: TimeOfDay | None = None
    close: TimeOfDay | None = None


class Calendar(Table):
    closed: tuple[Date, ...] = ()
    hours: dict[Date, Hours] = {}


class Backoff(Table):
    first: PositiveDuration = timedelta(seconds=3)
    max: PositiveDuration = timedelta(seconds=60)
    in_use: PositiveDuration = timedelta(seconds=60)
    max_per_hour: Annotated[int, Field(ge=1, le=60)] = 20


class Replay(Table):
    files: tuple[str, ...] = ()
    speed: Annotated[float, Field(gt=0)] = 1.0


class Retention(Table):
    days: Annotated[int, Field(ge=1, le=3650)] = 60
    size: Size = 20 * 10**9


class Account(Table):
    """One app key of the broker: one connection."""

    name: Name
    app_key: SecretStr
    app_secret: SecretStr
    customer_type: Literal["P", "B"] = "P"
    """P person, B corporate."""


class Feed(Table):
    source: Annotated[Source, Field(strict=False)] = Source.SIMULATOR
    rest_url: str = f"https://{REAL_REST_HOST}:9443"
    websocket_url: str = f"ws://{REAL_WEBSOCKET_HOST}:21000"
    market: Annotated[Market, Field(strict=False)] = Market.KRX
    record: bool = True
    idle_timeout: PositiveDuration = timedelta(seconds=60)
    max_registrations: Annotated[int, Field(ge=1, le=41)] = 41
    backoff: Backoff = Backoff()
    allow_other_host: bool = False
    replay: Replay = Replay()
    retention: Retention = Retention()
    account: tuple[Account, ...] = ()
    """Resolved, and of use, only where `source` is the broker."""


class Simulator(Table):
    symbols: Annotated[int, Field(ge=1, le=3000)] = 20
    rate: Annotated[float, Field(gt=0, le=20_000)] = 40
    scenario: str = ""
    seed: int = 1


class Alerts(Table):
    notify: tuple[str, ...] = ("terminal",)
    ops: tuple[str, ...] = ("terminal",)
    ttl: PositiveDuration = timedelta(minutes=30)
    digest: Duration = timedelta(seconds=2)
    heartbeat_url: SecretStr = SecretStr("")
    self_test: TimeOfDayOrOff = units.time_of_day_ns("08:50")
    daily_report: TimeOfDayOrOff = units.time_of_day_ns("15:45")
    title: str = ""
    message: str = ""


class Notifier(Table):
    kind: Literal["terminal", "apprise"] = "apprise"
    urls: tuple[SecretStr, ...] = ()
    rate: Rate = units.rate("20/m")
    chart: bool = False

    @model_validator(mode="after")
    def _urls_where_they_belong(self) -> "Notifier":
        if self.kind == "apprise" and not self.urls:
            raise WrongValueError("notifier-without-urls")
        if self.kind == "terminal" and self.urls:
            raise WrongValueError("terminal-with-urls")
        return self


class Http(Table):
    listen: str = "127.0.0.1:8765"


class Log(Table):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Symbols(Table):
    master_url: str = "https://new.real.download.dws.co.kr/common/master/"


def _with_terminal(notifiers: dict[str, Notifier]) -> dict[str, Notifier]:
    """The terminal is always there: it is what `notify` and `ops` name by default."""
    return {"terminal": Notifier(kind="terminal"), **notifiers}


class Settings(Table):
    locale: Annotated[Locale, Field(strict=False)] = Locale.KO
    rules: FolderName = "rules"
    state: FolderName = "state"
    session: Session = Session()
    calendar: Calendar = Calendar()
    feed: Feed = Feed()
    simulator: Simulator = Simulator()
    alerts: Alerts = Alerts()
    notifiers: Annotated[dict[Name, Notifier], AfterValidator(_with_terminal)] = _with_terminal({})
    http: Http = Http()
    log: Log = Log()
    symbols: Symbols = Symbols()
