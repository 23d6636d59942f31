"""Symbols that the broker acknowledged and then never sent ("ghosts"): pure, with `now` passed in; times are ns.

Seen in the field: the subscription is confirmed, others flow, one stays silent for the day. From here it looks like a
stock without program trades, so it is given half an hour of the session first, then subscribed anew, once a date:
a stock that really does not trade must not be unsubscribed and subscribed without end.
"""

from collections.abc import Iterable, Mapping

from engine.kst import SECOND_NS, day_number, day_start
from engine.session import Hours

PATIENCE_NS = 30 * 60 * SECOND_NS
"""After the open, or after the symbol came up if that was later. Liquid stocks have program trades within seconds."""


class Ghosts:
    """One account's, over all its sessions: a connection lost in the middle must not repeat it that date."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._day = 0
        self._came_up: dict[str, int] = {}  # the first time today; who was up at midnight is not in it
        self._renewed: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Ghosts renewed={len(self._renewed)}>"

    def came_up(self, symbol: str, now: int) -> None:
        self._turn(now)
        self._came_up.setdefault(symbol, now)

    def due(self, now: int, up: Iterable[str], last_records: Mapping[str, int]) -> tuple[str, ...]:
        """Symbols to be subscribed anew now; each is told once a date. `last_records`: when the last one came."""
        self._turn(now)
        if not self._hours.is_open(now) or now < self._hours.session(self._day).open + PATIENCE_NS:
            return ()
        found = tuple(
            s for s in up if s not in self._renewed and self._is_silent(s, last_records) and self._waited(s, now)
        )
        self._renewed.update(dict.fromkeys(found))
        return found

    def today(self, now: int, last_records: Mapping[str, int]) -> tuple[str, ...]:
        """This date's ghosts: subscribed anew, and still without a record."""
        if day_number(now) != self._day:
            return ()
        return tuple(symbol for symbol in self._renewed if self._is_silent(symbol, last_records))

    def _waited(self, symbol: str, now: int) -> bool:
        return now >= self._came_up.get(symbol, day_start(self._day)) + PATIENCE_NS

    def _is_silent(self, symbol: str, last_records: Mapping[str, int]) -> bool:
        return last_records.get(symbol, 0) < day_start(self._day)

    def _turn(self, now: int) -> None:
        """A new date starts anew."""
        day = day_number(now)
        if day != self._day:
            self._day = day
            self._came_up.clear()
            self._renewed.clear()
