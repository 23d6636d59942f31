"""Which symbols of one session are asked for, acknowledged, refused: pure bookkeeping with `now` passed in.

Times are nanoseconds. Requests overlap only once the broker has answered the first, and never again in a session in
which it sent a reply that could belong to more than one of them: its errors may come without a header, and blaming the
wrong symbol would leave a good one unwatched for the day.

Where the broker fails everything, one symbol after the other asks for all, in the end every two minutes; once one is
answered, the others are asked for at once. So a broker that is down for an hour costs some forty requests and not
several hundred, and when it is back all are up within two minutes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from engine.kis.protocol import Ack, AckKind
from engine.kst import SECOND_NS

ACK_TIMEOUT_NS = 3 * SECOND_NS
"""An acknowledgement normally comes within one second."""
QUICK_ASKS = 3
"""Asked so often within seconds; then as rarely as after a failure of the server."""
LATER_NS = tuple(seconds * SECOND_NS for seconds in (30, 60, 120, 300, 600))
"""Before asking again after a failure. The broker blocks who subscribes endlessly; every ten minutes is not that."""
PROBE_NS = LATER_NS[:3]
"""Between two symbols that ask for all."""
OVERLAP = 8
"""Requests unanswered at a time: 41 symbols are up after 5 s even when each acknowledgement takes a whole second."""


class Standing(Enum):
    WAITING = auto()
    """To be asked for at `due`."""
    ASKED = auto()
    """Unanswered; at `due` it counts as not answered."""
    UP = auto()
    REJECTED = auto()
    """The broker does not know it: never asked again."""
    LEFT_OUT = auto()
    """Beyond the broker's limit: not asked again in this session."""
    RENEWING = auto()
    """Unsubscribed, to be subscribed anew; at `due` that counts as answered."""
    ENDED = auto()
    """Unsubscribed."""


class Change(NamedTuple):
    """What an answer did."""

    symbol: str | None
    """None if that cannot be known, or is not ours."""
    standing: Standing | None = None
    """The new one; None if it stayed what it was."""


@dataclass(slots=True)
class _Entry:
    standing: Standing = Standing.WAITING
    due: int = 0
    asks: int = 0
    failures: int = 0


class Registrations:
    def __init__(self, symbols: Iterable[str], rejected: Iterable[str] = ()) -> None:
        """`rejected`: those that the broker refused in an earlier session."""
        self._entries = {symbol: _Entry() for symbol in symbols}
        for symbol in rejected:
            if symbol in self._entries:
                self._entries[symbol].standing = Standing.REJECTED
        self._overlap = 1
        self._ambiguous = False
        self._full = False
        self._leaving = False
        self._renewals: dict[str, None] = {}  # ordered sets, here and below; only of what is up
        self._goodbyes: dict[str, None] = {}  # unanswered unsubscriptions
        self._hold = 0
        self._failed = 0
        self._probes = 0

    def renew(self, symbol: str) -> None:
        """Unsubscribe it and ask for it anew; it comes up in `due`."""
        if self._entries[symbol].standing is Standing.UP:
            self._renewals[symbol] = None

    def spare(self, symbol: str) -> None:
        """It need not be renewed any more."""
        self._renewals.pop(symbol, None)

    def let_go(self, symbol: str, now: int) -> None:
        """An unsubscription is being sent."""
        self._goodbyes[symbol] = None
        if self.is_renewal(symbol):
            del self._renewals[symbol]
            entry = self._entries[symbol]
            entry.standing, entry.due = Standing.RENEWING, now + ACK_TIMEOUT_NS

    def leave(self) -> None:
        """From now on an unsubscription is what we asked for."""
        self._leaving = True
        self._renewals.clear()

    def __repr__(self) -> str:
        return f"<Registrations up={len(self.up)} of={len(self._entries)} overlap={self._overlap}>"

    def having(self, standing: Standing) -> tuple[str, ...]:
        return tuple(symbol for symbol, entry in self._entries.items() if entry.standing is standing)

    @property
    def up(self) -> tuple[str, ...]:
        return self.having(Standing.UP)

    @property
    def registered(self) -> tuple[str, ...]:
        """What the broker may hold a registration of: to be unsubscribed at the end."""
        return tuple(s for s, e in self._entries.items() if e.standing is Standing.UP or (e.asks and self._open(e)))

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Being asked for only now and then."""
        return tuple(symbol for symbol, entry in self._entries.items() if self._open(entry) and entry.failures)

    @property
    def settled(self) -> bool:
        """Nothing waits for its first answer any more; or, while nothing at all is up, for its first few."""
        asks = 2 if self.up else QUICK_ASKS + 1
        return all(not self._open(entry) or entry.failures or entry.asks >= asks for entry in self._entries.values())

    def due(self, now: int) -> str | None:
        """The symbol to ask for now, or to let go if it is one to be renewed."""
        self._expire(now)
        if self._is_full_of_questions():
            return None
        if self._renewals and self._hold <= now:
            return next(iter(self._renewals))
        ready = ((s, e) for s, e in self._waiting() if max(e.due, self._hold if e.asks else 0) <= now)
        # First who was asked least: one symbol without an answer must not hold up the others.
        return min(ready, key=lambda item: item[1].asks, default=(None, None))[0]

    def next_due(self) -> int | None:
        """When to look again if nothing is answered until then."""
        unanswered = [e.due for e in self._entries.values() if e.standing in (Standing.ASKED, Standing.RENEWING)]
        if self._is_full_of_questions():
            return min(unanswered)
        waiting = [max(e.due, self._hold if e.asks else 0) for _, e in self._waiting()]
        return min((*unanswered, *waiting, *[self._hold] * bool(self._renewals)), default=None)

    def is_renewal(self, symbol: str) -> bool:
        return symbol in self._renewals

    def is_repeat(self, symbol: str) -> bool:
        """It was asked for in this session before."""
        return self._entries[symbol].asks > 0

    def postpone(self, until: int) -> None:
        """Nothing is asked for again before that; what waits for it counts as unanswered."""
        self._hold = max(self._hold, until)
        for _, entry in self._waiting():
            if entry.asks:
                entry.failures = max(entry.failures, 1)

    def asked(self, symbol: str, now: int) -> None:
        entry = self._entries[symbol]
        if entry.asks and self._in_trouble:
            self.postpone(now + PROBE_NS[min(self._probes, len(PROBE_NS) - 1)])
            self._probes += 1
        entry.standing, entry.due, entry.asks = Standing.ASKED, now + ACK_TIMEOUT_NS, entry.asks + 1

    def heard(self, symbol: str) -> bool:
        """Data came for it: as good as an acknowledgement. True if it is up by that."""
        entry = self._entries.get(symbol)
        if entry is None or not entry.asks or entry.standing in (Standing.UP, Standing.RENEWING, Standing.ENDED):
            return False
        self._is_up(entry)
        return True

    def answered(self, ack: Ack, now: int) -> Change:
        symbol = ack.symbol or self._nameless(ack.kind)
        entry = self._entries.get(symbol) if symbol is not None else None
        if symbol is None or entry is None:
            return Change(None)
        if not self._ambiguous:
            self._overlap = OVERLAP
        before = entry.standing
        if ack.kind is not AckKind.SUBSCRIBED and symbol in self._goodbyes:
            del self._goodbyes[symbol]
            self._goodbye(entry, now)
        else:
            self._apply(symbol, entry, ack.kind, now)
        return Change(symbol, entry.standing if entry.standing is not before else None)

    def _goodbye(self, entry: _Entry, now: int) -> None:
        """An unsubscription was answered; with what, makes no difference: it is not tried twice."""
        if self._leaving:
            entry.standing = Standing.ENDED
        elif entry.standing is Standing.RENEWING:
            self._renewed(entry, now)

    @staticmethod
    def _renewed(entry: _Entry, now: int) -> None:
        entry.standing, entry.due, entry.asks, entry.failures = Standing.WAITING, now, 0, 0

    def _apply(self, symbol: str, entry: _Entry, kind: AckKind, now: int) -> None:
        if kind is AckKind.SUBSCRIBED and entry.standing not in (Standing.ENDED, Standing.RENEWING):
            self._is_up(entry)
        elif kind is AckKind.UNSUBSCRIBED:
            if self._leaving:
                entry.standing = Standing.ENDED
            elif entry.standing is Standing.UP:
                # The broker did that by itself: without asking again it would stay silent.
                self._renewals.pop(symbol, None)
                self._later(entry, now)
        elif not self._open(entry):
            return  # a second opinion on what is decided
        elif kind is AckKind.REJECTED_SYMBOL:
            entry.standing = Standing.REJECTED
        elif kind is AckKind.OVER_LIMIT:
            self._leave_out(entry)
        elif kind in (AckKind.SERVER_FAILURE, AckKind.MALFORMED_REQUEST):
            self._later(entry, now)

    def _is_up(self, entry: _Entry) -> None:
        """The broker works: where one asked for all, the others need not wait any more."""
        entry.standing = Standing.UP
        if self._in_trouble:
            self._hold = 0
            for _, waiting in self._waiting():
                waiting.due = 0
        self._failed = self._probes = 0

    @property
    def _in_trouble(self) -> bool:
        return self._failed >= OVERLAP

    def _is_full_of_questions(self) -> bool:
        return len(self.having(Standing.ASKED)) + len(self.having(Standing.RENEWING)) >= self._overlap

    def _waiting(self) -> list[tuple[str, _Entry]]:
        return [(s, e) for s, e in self._entries.items() if e.standing is Standing.WAITING]

    def _nameless(self, kind: AckKind) -> str | None:
        """To whom a reply without a symbol must belong: of unsubscriptions, which look alike, to the oldest.

        Else to the one unanswered request.
        """
        if kind is AckKind.UNSUBSCRIBED and self._goodbyes:
            return next(iter(self._goodbyes))
        asked = tuple(dict.fromkeys((*self.having(Standing.ASKED), *self._goodbyes)))
        if len(asked) == 1:
            return asked[0]
        if asked:
            self._ambiguous, self._overlap = True, 1
        return None

    def _leave_out(self, refused: _Entry) -> None:
        """Over the limit: adding stops. What is unanswered may still have been in time."""
        self._full = True
        for entry in self._entries.values():
            if entry is refused or entry.standing is Standing.WAITING:
                entry.standing = Standing.LEFT_OUT

    def _expire(self, now: int) -> None:
        for symbol, entry in self._entries.items():
            if entry.due > now:
                continue
            if entry.standing is Standing.RENEWING:
                self._goodbyes.pop(symbol, None)
                self._renewed(entry, now)
            elif entry.standing is Standing.ASKED and (entry.asks >= QUICK_ASKS or self._full or self._in_trouble):
                self._later(entry, now)
            elif entry.standing is Standing.ASKED:
                entry.standing, entry.due = Standing.WAITING, now
                self._failed += 1

    def _later(self, entry: _Entry, now: int) -> None:
        entry.standing = Standing.LEFT_OUT if self._full else Standing.WAITING
        entry.due = now + LATER_NS[min(entry.failures, len(LATER_NS) - 1)]
        entry.failures += 1
        self._failed += 1

    @staticmethod
    def _open(entry: _Entry) -> bool:
        return entry.standing in (Standing.WAITING, Standing.ASKED, Standing.RENEWING)
