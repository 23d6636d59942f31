"""Which symbols of one session are asked for, acknowledged, refused: pure bookkeeping with `now` passed in.

Times are nanoseconds. Requests overlap only once the broker has answered the first, and never again in a session in
which it sent a reply that could belong to more than one of them: its errors may come without a header, and blaming the
wrong symbol would leave a good one unwatched for the day.
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

    def leave(self) -> None:
        """From now on an unsubscription is what we asked for."""
        self._leaving = True

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
    def settled(self) -> bool:
        """Nothing is being asked for the first few times any more."""
        return all(not self._open(entry) or entry.failures > 0 for entry in self._entries.values())

    def due(self, now: int) -> str | None:
        """The symbol to ask for now, if any."""
        self._expire(now)
        if len(self.having(Standing.ASKED)) >= self._overlap:
            return None
        ready = ((s, e) for s, e in self._entries.items() if e.standing is Standing.WAITING and e.due <= now)
        # First who was asked least: one symbol without an answer must not hold up the others.
        return min(ready, key=lambda item: item[1].asks, default=(None, None))[0]

    def next_due(self) -> int | None:
        """When to look again if nothing is answered until then."""
        return min((entry.due for entry in self._entries.values() if self._open(entry)), default=None)

    def asked(self, symbol: str, now: int) -> None:
        entry = self._entries[symbol]
        entry.standing, entry.due, entry.asks = Standing.ASKED, now + ACK_TIMEOUT_NS, entry.asks + 1

    def heard(self, symbol: str) -> bool:
        """Data came for it: as good as an acknowledgement. True if it is up by that."""
        entry = self._entries.get(symbol)
        if entry is None or not entry.asks or entry.standing in (Standing.UP, Standing.ENDED):
            return False
        entry.standing = Standing.UP
        return True

    def answered(self, ack: Ack, now: int) -> Change:
        symbol = ack.symbol or self._only_asked()
        entry = self._entries.get(symbol) if symbol is not None else None
        if entry is None:
            return Change(None)
        if not self._ambiguous:
            self._overlap = OVERLAP
        before = entry.standing
        self._apply(entry, ack.kind, now)
        return Change(symbol, entry.standing if entry.standing is not before else None)

    def _apply(self, entry: _Entry, kind: AckKind, now: int) -> None:
        if kind is AckKind.SUBSCRIBED and entry.standing is not Standing.ENDED:
            entry.standing = Standing.UP
        elif kind is AckKind.UNSUBSCRIBED:
            if self._leaving:
                entry.standing = Standing.ENDED
            elif entry.standing is Standing.UP:
                self._later(entry, now)  # the broker did that by itself: without asking again it would stay silent
        elif not self._open(entry):
            return  # a second opinion on what is decided
        elif kind is AckKind.REJECTED_SYMBOL:
            entry.standing = Standing.REJECTED
        elif kind is AckKind.OVER_LIMIT:
            self._leave_out(entry)
        elif kind in (AckKind.SERVER_FAILURE, AckKind.MALFORMED_REQUEST):
            self._later(entry, now)

    def _only_asked(self) -> str | None:
        """The one unanswered request, to which a reply without a symbol must belong."""
        asked = self.having(Standing.ASKED)
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
        for entry in self._entries.values():
            if entry.standing is Standing.ASKED and entry.due <= now:
                if entry.asks < QUICK_ASKS and not self._full:
                    entry.standing, entry.due = Standing.WAITING, now
                else:
                    self._later(entry, now)

    def _later(self, entry: _Entry, now: int) -> None:
        entry.standing = Standing.LEFT_OUT if self._full else Standing.WAITING
        entry.due = now + LATER_NS[min(entry.failures, len(LATER_NS) - 1)]
        entry.failures += 1

    @staticmethod
    def _open(entry: _Entry) -> bool:
        return entry.standing in (Standing.WAITING, Standing.ASKED)
