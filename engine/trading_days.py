"""The trading calendar of the Korean stock market: closed days, special hours, auctions.

Closed are weekends, what the `holidays` library lists for the exchange (XKRX: public holidays and their substitutes,
1 May, the last weekday of the year), and what the user adds. NXT follows the exchange's calendar.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache

from engine.config.model import Market
from engine.kst import SECOND_NS, date_of, day_of, day_start
from engine.session import Hours
from engine.units import hours_ns

EXAM_DAYS = frozenset({date(2023, 11, 16), date(2024, 11, 14), date(2025, 11, 13), date(2026, 11, 19)})
"""Days of the college entrance exam (수능), on which the country goes to work an hour later.

The ministry of education announces the date, the exchange the hours some two weeks before (its notices of 2023-11-02,
2024-10-31 and 2025-10-30, as the press printed them). Later ones go into `[calendar].hours` until a version of this
program knows them."""

_MINUTE_NS = 60 * SECOND_NS
_HOUR_NS = 60 * _MINUTE_NS
_LATE_OPEN_NS = 10 * _HOUR_NS
_MAIN_CLOSE_NS = 15 * _HOUR_NS + 30 * _MINUTE_NS

Span = tuple[int, int]

_NXT_PAUSES = hours_ns("08:50~09:01"), hours_ns("15:20~15:40")
_PAUSES: Mapping[Market, tuple[Span, Span]] = {
    Market.KRX: (hours_ns("00:00~09:00"), hours_ns("15:20~16:00")),
    Market.NXT: _NXT_PAUSES,
    Market.UNIFIED: _NXT_PAUSES,
}
"""Around the open and the close of the main market, on a usual day."""


@dataclass(frozen=True, slots=True)
class MarketHours(Hours):
    """Hours of a real market. Dates in `special` are the user's: they trade, and their hours win over known ones."""

    market: Market = Market.KRX
    closed: frozenset[int] = frozenset()
    """Further closed days, by KST day number; they win over `special`."""

    def is_trading_day(self, day: int) -> bool:
        return day not in self.closed and (day in self.special or not closed_by_exchange(day))

    def pauses(self, day: int) -> tuple[Span, ...]:
        """Auctions and the breaks between two markets: nothing trades in them, so no record comes.

        KRX: before 9:00, and from the closing auction at 15:20 until the after-market opens at 16:00; a usual session
        ends before that. NXT and UNIFIED: 8:50–9:01 from pre-market to main market, 15:20–15:40 from there to the
        after-market. What opens late has its opening auction an hour later, on the exam day its closing one too.
        """
        opening, closing = _PAUSES[self.market]
        start, (open_ns, close_ns) = day_start(day), self._span(day)
        late = _HOUR_NS * (open_ns >= _LATE_OPEN_NS > self.open_ns)
        later = _HOUR_NS * self._closes_late(day)
        spans = (opening[0] + late, opening[1] + late), (closing[0] + later, closing[1] + later)
        clipped = ((max(since, open_ns), min(until, close_ns)) for since, until in spans)
        return tuple((start + since, start + until) for since, until in clipped if since < until)

    def _closes_late(self, day: int) -> bool:
        """The main market closes an hour late: known, or told by the user's hours as far as these can tell.

        A close after the main market's tells nothing; a late open then means an exam day, but on a year's first.
        """
        if self._is_exam_day(day):
            return True
        open_ns, close_ns = self.special.get(day, (0, 0))
        if not open_ns >= _LATE_OPEN_NS > self.open_ns:
            return False
        return close_ns > self.close_ns or (self.close_ns > _MAIN_CLOSE_NS and not self._is_first_of_year(day))

    def _span(self, day: int) -> Span:
        """The first session of a year opens at 10:00, and so does the exam day's, which closes an hour late.

        Neither has a pre-market, and an after-market ends as usual: only a close up to 15:30 moves.
        """
        usual = self.open_ns, self.close_ns
        if day in self.special:
            return self.special[day]
        if not (self._is_exam_day(day) or self._is_first_of_year(day)):
            return usual
        open_ns = max(self.open_ns, _LATE_OPEN_NS)
        moves = self._is_exam_day(day) and self.close_ns <= _MAIN_CLOSE_NS
        close_ns = self.close_ns + _HOUR_NS * moves
        return (open_ns, close_ns) if open_ns < close_ns else usual

    def _is_exam_day(self, day: int) -> bool:
        return date_of(day) in EXAM_DAYS and day not in self.closed

    def _is_first_of_year(self, day: int) -> bool:
        when = date_of(day)
        new_year = day_of(when.replace(month=1, day=1))
        return when.month == 1 and self.is_trading_day(day) and not any(map(self.is_trading_day, range(new_year, day)))


@lru_cache(maxsize=1000)  # a few years; looked up several times a second
def closed_by_exchange(day: int) -> bool:
    """Weekends, and the exchange's holidays as far as they are known."""
    when = date_of(day)
    return when.weekday() >= 5 or when in _exchange()


@cache
def _exchange() -> Container[date]:
    import holidays  # 50 ms, and not needed for a simulated market

    return holidays.financial_holidays("XKRX")
