"""Feeds as the tests of incidents want them, at times of one day: a Friday, 2026-11-20."""

from collections.abc import Sequence
from datetime import date

from engine.config.model import Market
from engine.delivery.notice import Notice
from engine.evaluation.engine import Counters
from engine.incidents.monitor import Monitor
from engine.kis.backoff import Ending
from engine.kis.status import Phase, Status
from engine.kst import SECOND_NS, day_of, day_start
from engine.locale import Locale
from engine.rules.model import Condition, Group, Logic, Operator, Rule
from engine.session import Hours
from engine.trading_days import MarketHours

FRIDAY = day_of(date(2026, 11, 20))
HOURS = MarketHours(*Market.KRX.hours_ns)
NAMES = {"005930": "삼성전자", "000660": "SK하이닉스"}


def at(time: str, day: int = FRIDAY) -> int:
    """`09:05` or `09:05:30` of that date."""
    hour, minute, *second = map(int, time.split(":"))
    return day_start(day) + (hour * 3600 + minute * 60 + sum(second)) * SECOND_NS


def feed(
    account: str = "main",
    *,
    symbols: tuple[str, ...] = ("005930", "000660"),
    up: int | None = None,
    down: int | None = None,
    phase: Phase | None = None,
    ending: Ending | None = None,
    error: str = "",
    refused: bool = False,
    next_attempt: int | None = None,
    is_kept: bool = True,
) -> Status:
    """Up or down since a moment; neither: still subscribing, as far as it says."""
    return Status(
        account=account,
        phase=phase or (Phase.UP if up is not None else Phase.WAITING),
        connected_since=up,
        symbols=symbols,
        subscribed=symbols if up is not None else (),
        rejected=(),
        left_out=(),
        unanswered=(),
        ghosts=(),
        up_since=up,
        down_since=down,
        silent_since=None,
        proven=False,
        approved=True,
        refused=refused,
        frames=0,
        records=0,
        malformed=(),
        dropped=(),
        drifted=0,
        appended=(),
        other=0,
        unsubscribed=0,
        unknown=0,
        last_frame=None,
        last_records=(),
        failures=0,
        attempts_last_hour=0,
        next_attempt=next_attempt,
        last_ending=ending,
        last_error=error,
        is_kept=is_kept,
    )


def rule(name: str, *symbols: str, enabled: bool = True, aggregate: str | None = None) -> Rule:
    when = Group(Logic.ALL, (Condition("net_volume", Operator.ABOVE, 10),))
    return Rule(name=name, symbols=symbols, when=when, enabled=enabled, aggregate=aggregate)


RULES = (rule("samsung", "005930"), rule("both", "005930", "000660"), rule("off", "005930", enabled=False))


class Desk:
    """A monitor, looked at every second from a start, and what it told when."""

    def __init__(
        self,
        start: int,
        hours: Hours = HOURS,
        locale: Locale = Locale.EN,
        not_covered: Sequence[str] = (),
        rules: Sequence[Rule] = RULES,
    ) -> None:
        self.now = start
        self.notices: list[Notice] = []
        self.monitor = Monitor(
            rules,
            hours,
            locale,
            notify=("terminal",),
            name=lambda code: NAMES.get(code, ""),
            not_covered=not_covered,
            started=start,
        )

    def run(
        self, seconds: int, *feeds: Status, counters: Counters | None = None, ahead_ns: int = 0, lag_ns: int = 0
    ) -> list[Notice]:
        """Look at these for so long, from now on: → what that brought."""
        told: list[Notice] = []
        for _ in range(seconds):
            told += self.monitor.look(self.now, feeds, counters, ahead_ns=ahead_ns, lag_ns=lag_ns)
            self.now += SECOND_NS
        self.notices += told
        return told

    def until(self, end: int, *feeds: Status, ahead_ns: int = 0) -> list[Notice]:
        return self.run((end - self.now) // SECOND_NS, *feeds, ahead_ns=ahead_ns)


def kinds(notices: Sequence[Notice]) -> list[str]:
    return [notice.kind for notice in notices]
