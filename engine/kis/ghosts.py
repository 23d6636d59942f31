"""Symbols that the broker acknowledged and then never sent ("ghosts"): pure, with `now` passed in; times are ns.

Seen in the field: the subscription is confirmed, others flow, one stays silent for the day. From here it looks like a
stock without program trades, so it is given half an hour of the session first, then subscribed anew, once a date:
a stock that really does not trade must not be unsubscribed and subscribed without end.

Only time counts in which a record could have come: in the session, subscribed, and with us there. Counted from when it
came up for the first time, a stock that was away from 08:59 to 09:43 had no second of the session to trade in before it
was a ghost, and with it all the others.
"""

from collections.abc import Iterable, Mapping

from engine.kst import SECOND_NS, day_number, day_start
from engine.session import Hours

PATIENCE_NS = 30 * 60 * SECOND_NS
"""Of the session, subscribed. Liquid stocks have program trades within seconds."""
FRESH_NS = 5 * 60 * SECOND_NS
"""Of it since the latest acknowledgement: a connection made anew has subscribed it anew."""
ENOUGH = 2
"""Times the patience in all, and that is not asked for: a line lost every four minutes must not put it off for ever."""
_AWAY_NS = 5 * SECOND_NS
"""Looks are a second apart. More than this between two, and we were away: what came meanwhile is still to be read."""


class Ghosts:
    """One account's, over all its sessions: a connection lost in the middle must not repeat it that date."""

    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._day = 0
        self._looked = 0
        self._watched: dict[str, int] = {}  # today's time of the session in which it was up
        self._at_up: dict[str, int] = {}  # how much of it there was when it last came up
        self._renewed: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<Ghosts renewed={len(self._renewed)}>"

    def came_up(self, symbol: str) -> None:
        self._at_up[symbol] = self._watched.get(symbol, 0)

    def due(self, now: int, up: Iterable[str], last_records: Mapping[str, int]) -> tuple[str, ...]:
        """Looks about every second → symbols to be subscribed anew now; each is told once a date.

        `last_records`: when the last one came.
        """
        self._turn(now)
        looked, self._looked = self._looked, now
        if not self._hours.is_open(now):
            return ()
        if now - looked < _AWAY_NS:
            span = now - max(looked, self._hours.session(self._day).open)
            self._watched.update({symbol: self._watched.get(symbol, 0) + span for symbol in up})
        found = tuple(s for s in up if s not in self._renewed and self._is_silent(s, last_records) and self._waited(s))
        self._renewed.update(dict.fromkeys(found))
        return found

    def today(self, now: int, last_records: Mapping[str, int]) -> tuple[str, ...]:
        """This date's ghosts: subscribed anew, and still without a record."""
        if day_number(now) != self._day:
            return ()
        return tuple(symbol for symbol in self._renewed if self._is_silent(symbol, last_records))

    def _waited(self, symbol: str) -> bool:
        watched = self._watched.get(symbol, 0)
        fresh = watched - self._at_up.get(symbol, 0)
        return watched >= ENOUGH * PATIENCE_NS or (watched >= PATIENCE_NS and fresh >= FRESH_NS)

    def _is_silent(self, symbol: str, last_records: Mapping[str, int]) -> bool:
        return last_records.get(symbol, 0) < day_start(self._day)

    def _turn(self, now: int) -> None:
        """A new date starts anew."""
        day = day_number(now)
        if day != self._day:
            self._day = day
            self._watched.clear()
            self._at_up.clear()
            self._renewed.clear()
