"""Which symbols of one session are asked for, acknowledged, refused: pure bookkeeping with `now` passed in.

Times are nanoseconds. Requests overlap only once the broker has answered the first, and never again in a session in
which it sent a reply that could belong to more than one of them: its errors may come without a header, and blaming the
wrong symbol would leave a good one unwatched for the day.

Where the broker fails everything, one symbol after the other asks for all, in the end every two minutes; once one is
answered, the others are asked for at once. So a broker that is down for an hour costs some forty requests and not
several hundred, and when it is back all are up within two minutes.

What is wanted may change while the session runs (`want`). What nobody wants any more keeps its registration for a
while, and comes back for nothing in that time; after it, or as soon as its place is needed, it is let go.
"""

from collections.abc import Iterable, Iterator
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
LINGER_NS = 30 * SECOND_NS
"""From the moment at which nobody wants a symbol any more to its unsubscription, unless its place is needed: a file
that is saved, looked at and put back as it was costs no request."""
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
    """Beyond the broker's limit: asked again only after another one was let go."""
    RENEWING = auto()
    """Unsubscribed, to be subscribed anew; at `due` that counts as answered."""
    PARTING = auto()
    """Unsubscribed because nobody wants it any more; at `due` that counts as not answered."""
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
    wanted: bool = True
    held: bool = False
    """The broker may hold a registration of it."""
    paid: bool = False
    """The next request for it was granted already."""
    leaves: int = 0
    """Of what nobody wants: when to let it go."""
    partings: int = 0
    """And how often that was tried."""

    @property
    def takes_place(self) -> bool:
        """Most likely it is one of those that the broker counts: of an unsubscription only the answer gets lost."""
        return self.held and (self.wanted or self.standing is Standing.PARTING or not self.partings)

    @property
    def is_let_go(self) -> bool:
        """It was unsubscribed since it was asked for: what is heard of it belongs to the time before."""
        return self.partings > 0 or self.standing in (Standing.RENEWING, Standing.PARTING, Standing.ENDED)

    @property
    def lingers(self) -> bool:
        """Nobody wants it, and it was not unsubscribed yet."""
        return self.held and not self.wanted and not self.partings


class Registrations:
    def __init__(self, symbols: Iterable[str], rejected: Iterable[str] = (), *, capacity: int) -> None:
        """`rejected`: those that the broker refused in an earlier session. `capacity`: registrations of a session.

        That many requests are a session's own (engine.kis.budget): one for each of the first symbols.
        """
        self._entries = {symbol: _Entry() for symbol in symbols}
        self._rejected = frozenset(rejected)
        self._capacity = capacity
        self._known: set[str] = set()
        """Those that had their own request; never more than `capacity`."""
        for symbol in self._rejected:
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

    def want(self, symbols: Iterable[str], now: int) -> None:
        """These from now on: others are let go in due time, new ones come up in `due`. At the end nothing changes."""
        if self._leaving:
            return
        wanted = dict.fromkeys(symbols)
        for symbol, entry in self._entries.items():
            if entry.wanted and symbol not in wanted:
                self._renewals.pop(symbol, None)
                _unwant(entry, now)
        for symbol in wanted:
            known = self._entries.get(symbol)
            if known is None:
                self._entries[symbol] = _Entry(self._newcomers_standing(symbol))
            elif not known.wanted:
                _welcome(known, now)
        self._sweep()

    def _newcomers_standing(self, symbol: str) -> Standing:
        if symbol in self._rejected:
            return Standing.REJECTED
        return Standing.LEFT_OUT if self._full else Standing.WAITING

    @property
    def lingering(self) -> tuple[str, ...]:
        """Those that nobody wants any more and that are subscribed all the same."""
        return tuple(symbol for symbol, entry in self._entries.items() if entry.lingers)

    @property
    def is_done(self) -> bool:
        """Nothing is wanted, and nothing lingers or is being let go."""
        return not any(e.wanted or e.lingers or e.standing is Standing.PARTING for e in self._entries.values())

    def renew(self, symbol: str) -> None:
        """Unsubscribe it and ask for it anew; it comes up in `due`."""
        if self._entries[symbol].standing is Standing.UP:
            self._renewals[symbol] = None

    def spare(self, symbol: str) -> None:
        """It need not be renewed any more."""
        self._renewals.pop(symbol, None)
        self._entries[symbol].paid = False

    def let_go(self, symbol: str, now: int) -> None:
        """An unsubscription is being sent."""
        self._goodbyes[symbol] = None
        entry = self._entries[symbol]
        if self.is_renewal(symbol):
            del self._renewals[symbol]
            # It costs one grant, not two: what is asked for after it is paid.
            entry.standing, entry.due, entry.paid = Standing.RENEWING, now + ACK_TIMEOUT_NS, True
        elif self.is_unwanted(symbol) and not self._leaving:
            entry.standing, entry.due, entry.partings = Standing.PARTING, now + ACK_TIMEOUT_NS, entry.partings + 1

    def leave(self) -> None:
        """From now on an unsubscription is what we asked for."""
        self._leaving = True
        self._renewals.clear()

    def __repr__(self) -> str:
        return f"<Registrations up={len(self.up)} of={len(self._entries)} overlap={self._overlap}>"

    def having(self, standing: Standing) -> tuple[str, ...]:
        """Of those that are wanted."""
        return tuple(symbol for symbol, entry in self._entries.items() if entry.wanted and entry.standing is standing)

    @property
    def up(self) -> tuple[str, ...]:
        return self.having(Standing.UP)

    @property
    def registered(self) -> tuple[str, ...]:
        """What the broker may hold a registration of: to be unsubscribed at the end."""
        return tuple(symbol for symbol, entry in self._entries.items() if entry.held)

    @property
    def unanswered(self) -> tuple[str, ...]:
        """Being asked for only now and then."""
        return tuple(s for s, entry in self._entries.items() if entry.wanted and self._open(entry) and entry.failures)

    @property
    def settled(self) -> bool:
        """Nothing waits for its first answer any more; or, while nothing at all is up, for its first few."""
        asks = 2 if self.up else QUICK_ASKS + 1
        wanted = (entry for entry in self._entries.values() if entry.wanted)
        return all(not self._open(entry) or entry.failures or entry.asks >= asks for entry in wanted)

    def due(self, now: int) -> str | None:
        """The symbol to ask for now, or to let go if it is one to be renewed or unwanted.

        A repeat is to be granted first, and may then have to wait until another one has left its place.
        """
        self._expire(now)
        if self._is_full_of_questions():
            return None
        if self._renewals and self._hold <= now:
            return next(iter(self._renewals))
        ready = ((s, e) for s, e in self._waiting() if self._ready_at(s, e) <= now)
        # First who was asked least: one symbol without an answer must not hold up the others.
        symbol = min(ready, key=lambda item: item[1].asks, default=(None, None))[0]
        if symbol is not None and (self.is_repeat(symbol) or not self._is_crowded(symbol)):
            return symbol
        return next((s for s, leaves in self._leaving_at(hurry=symbol is not None) if leaves <= now), None)

    def next_due(self) -> int | None:
        """When to look again if nothing is answered until then."""
        unanswered = [entry.due for _, entry in self._unanswered()]
        if self._is_full_of_questions():
            return min(unanswered)
        leaving = [leaves for _, leaves in self._leaving_at(hurry=False)]
        # What finds no place, and nobody there who could leave one at once, waits for an answer.
        may_hurry = any(leaves == 0 for _, leaves in self._leaving_at(hurry=True))
        waiting = [self._ready_at(s, e) for s, e in self._waiting() if may_hurry or not self._is_crowded(s)]
        return min((*unanswered, *leaving, *waiting, *[self._hold] * bool(self._renewals)), default=None)

    def is_renewal(self, symbol: str) -> bool:
        return symbol in self._renewals

    def is_unwanted(self, symbol: str) -> bool:
        return not self._entries[symbol].wanted

    def is_repeat(self, symbol: str) -> bool:
        """Not granted yet, and it was asked for in this session before, or the session's own requests are used up."""
        entry = self._entries[symbol]
        is_spent = symbol in self._known or len(self._known) >= self._capacity
        return entry.wanted and is_spent and not entry.paid

    def grant(self, symbol: str) -> None:
        """The next request for it is no repeat."""
        self._entries[symbol].paid = True

    def postpone(self, until: int) -> None:
        """Nothing is asked for again before that; what waits for it counts as unanswered."""
        self._hold = max(self._hold, until)
        for symbol, entry in self._waiting():
            if self.is_repeat(symbol):
                entry.failures = max(entry.failures, 1)

    def asked(self, symbol: str, now: int) -> None:
        entry = self._entries[symbol]
        if entry.asks and self._in_trouble:
            self.postpone(now + PROBE_NS[min(self._probes, len(PROBE_NS) - 1)])
            self._probes += 1
        entry.standing, entry.due, entry.asks = Standing.ASKED, now + ACK_TIMEOUT_NS, entry.asks + 1
        entry.held, entry.paid = True, False
        if len(self._known) < self._capacity:
            self._known.add(symbol)

    def heard(self, symbol: str) -> bool:
        """Data came for it: as good as an acknowledgement. True if it is up by that."""
        entry = self._entries.get(symbol)
        if entry is None or not entry.asks or entry.standing is Standing.UP or entry.is_let_go:
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
            self._goodbye(entry, ack.kind, now)
        else:
            self._apply(symbol, entry, ack.kind, now)
        self._sweep()
        return Change(symbol, entry.standing if entry.standing is not before else None)

    def _goodbye(self, entry: _Entry, kind: AckKind, now: int) -> None:
        """An unsubscription was answered; with what, matters only where it is meant for good."""
        if self._leaving or kind is AckKind.UNSUBSCRIBED:
            entry.held = False
        if self._leaving or (entry.standing is Standing.PARTING and not entry.held):
            entry.standing = Standing.ENDED
        elif entry.standing is Standing.PARTING:
            _part_later(entry, now)
        elif entry.standing is Standing.RENEWING:
            _ask_anew(entry, now)

    def _apply(self, symbol: str, entry: _Entry, kind: AckKind, now: int) -> None:
        if kind is AckKind.SUBSCRIBED:
            if not entry.is_let_go:
                self._is_up(entry)
        elif kind is AckKind.UNSUBSCRIBED:
            if self._leaving:
                entry.standing, entry.held = Standing.ENDED, False
            elif entry.partings:  # late
                entry.held = False
            elif entry.standing is Standing.UP:
                # The broker did that by itself: without asking again it would stay silent.
                self._renewals.pop(symbol, None)
                self._later(entry, now)
        elif not self._open(entry):
            return  # a second opinion on what is decided
        elif kind is AckKind.REJECTED_SYMBOL:
            entry.standing, entry.held = Standing.REJECTED, False
        elif kind is AckKind.OVER_LIMIT:
            self._leave_out(entry)
        elif kind in (AckKind.SERVER_FAILURE, AckKind.MALFORMED_REQUEST):
            self._later(entry, now)

    def _is_up(self, entry: _Entry) -> None:
        """The broker works: where one asked for all, the others need not wait any more."""
        entry.standing, entry.paid = Standing.UP, False
        if self._in_trouble:
            self._hold = 0
            for _, waiting in self._waiting():
                waiting.due = 0
        self._failed = self._probes = 0

    @property
    def _in_trouble(self) -> bool:
        return self._failed >= OVERLAP

    def _is_full_of_questions(self) -> bool:
        return len(self._unanswered()) >= self._overlap

    def _unanswered(self) -> list[tuple[str, _Entry]]:
        asking = (Standing.ASKED, Standing.RENEWING, Standing.PARTING)
        return [(s, e) for s, e in self._entries.items() if e.standing in asking]

    def _waiting(self) -> list[tuple[str, _Entry]]:
        return [(s, e) for s, e in self._entries.items() if e.wanted and e.standing is Standing.WAITING]

    def _ready_at(self, symbol: str, entry: _Entry) -> int:
        return max(entry.due, self._hold if self.is_repeat(symbol) else 0)

    def _is_crowded(self, symbol: str) -> bool:
        """No place for it but one that is still to be left."""
        others = [entry for other, entry in self._entries.items() if other != symbol and entry.takes_place]
        return len(others) >= self._capacity and not all(entry.wanted for entry in others)

    def _leaving_at(self, *, hurry: bool) -> Iterator[tuple[str, int]]:
        """Those that nobody wants, and when each is to be let go: 0 where somebody waits for its place."""
        hurry = hurry or bool(self.having(Standing.LEFT_OUT))
        for symbol, entry in self._entries.items():
            if not entry.wanted and entry.held and entry.standing in (Standing.UP, Standing.WAITING):
                yield symbol, 0 if hurry and entry.lingers else entry.leaves

    def _sweep(self) -> None:
        """Forget what nobody wants and the broker does not hold; refused ones stay refused."""
        for symbol, entry in list(self._entries.items()):
            if not entry.wanted and not entry.held and entry.standing is not Standing.REJECTED:
                del self._entries[symbol]
                self._goodbyes.pop(symbol, None)
                if entry.partings:
                    self._leave_place()

    def _leave_place(self) -> None:
        """One place is free: who was left out may try."""
        self._full = False
        if left_out := self.having(Standing.LEFT_OUT):
            entry = self._entries[left_out[0]]
            entry.standing, entry.due, entry.failures = Standing.WAITING, 0, 0

    def _nameless(self, kind: AckKind) -> str | None:
        """To whom a reply without a symbol must belong: of unsubscriptions, which look alike, to the oldest.

        Else to the one unanswered request.
        """
        if kind is AckKind.UNSUBSCRIBED and self._goodbyes:
            return next(iter(self._goodbyes))
        asked = [symbol for symbol, entry in self._entries.items() if entry.standing is Standing.ASKED]
        asked = list(dict.fromkeys((*asked, *self._goodbyes)))
        if len(asked) == 1:
            return asked[0]
        if asked:
            self._ambiguous, self._overlap = True, 1
        return None

    def _leave_out(self, refused: _Entry) -> None:
        """Over the limit: adding stops. What is unanswered may still have been in time."""
        self._full = True
        refused.held = False
        for entry in self._entries.values():
            if entry is refused or (entry.wanted and entry.standing is Standing.WAITING):
                entry.standing, entry.paid = Standing.LEFT_OUT, False

    def _expire(self, now: int) -> None:
        for symbol, entry in self._entries.items():
            if entry.due > now:
                continue
            if entry.standing is Standing.RENEWING:
                self._goodbyes.pop(symbol, None)
                _ask_anew(entry, now)
            elif entry.standing is Standing.PARTING:
                self._goodbyes.pop(symbol, None)
                _part_later(entry, now)
            elif entry.standing is Standing.ASKED and (entry.asks >= QUICK_ASKS or self._full or self._in_trouble):
                self._later(entry, now)
            elif entry.standing is Standing.ASKED:
                entry.standing, entry.due = Standing.WAITING, now
                self._failed += 1
        self._sweep()

    def _later(self, entry: _Entry, now: int) -> None:
        entry.standing = Standing.LEFT_OUT if self._full and entry.wanted else Standing.WAITING
        entry.paid = False
        entry.due = now + LATER_NS[min(entry.failures, len(LATER_NS) - 1)]
        entry.failures += 1
        self._failed += 1

    @staticmethod
    def _open(entry: _Entry) -> bool:
        return entry.standing in (Standing.WAITING, Standing.ASKED, Standing.RENEWING)


def _unwant(entry: _Entry, now: int) -> None:
    """Nobody wants it any more. What is about to be renewed was unsubscribed already."""
    entry.wanted, entry.paid, entry.leaves = False, False, now + LINGER_NS
    if entry.standing is Standing.RENEWING:
        entry.standing, entry.partings = Standing.PARTING, 1
    elif entry.standing is Standing.LEFT_OUT:
        entry.standing = Standing.WAITING


def _welcome(entry: _Entry, now: int) -> None:
    """Somebody wants it again. What lingered stays as it is; what was let go is asked for anew."""
    was_let_go = entry.partings > 0
    entry.wanted, entry.partings = True, 0
    if entry.standing is Standing.PARTING:
        entry.standing = Standing.RENEWING
    elif was_let_go:
        _ask_anew(entry, now)


def _ask_anew(entry: _Entry, now: int) -> None:
    entry.standing, entry.due, entry.asks, entry.failures = Standing.WAITING, now, 0, 0


def _part_later(entry: _Entry, now: int) -> None:
    """Its unsubscription failed, or was not answered: tried a few times, for it may take a place for nothing."""
    if entry.partings > len(LATER_NS):
        entry.held = False
    else:
        entry.standing, entry.leaves = Standing.WAITING, now + LATER_NS[entry.partings - 1]
