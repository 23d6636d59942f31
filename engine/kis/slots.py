"""Which account watches which symbol: one connection each, so many registrations a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    accounts: Mapping[str, tuple[str, ...]]
    """Symbols by account name; every account is in it."""
    left_out: tuple[str, ...]
    """Symbols for which no account had room, in the order in which they were wanted."""


def spread(
    symbols: Sequence[str],
    accounts: Sequence[str],
    capacity: int,
    current: Mapping[str, Sequence[str]] | None = None,
) -> Spread:
    """Spread symbols evenly, up to `capacity` an account.

    Symbols stay where `current` has them: moving one would cost an unsubscription, a subscription and a blind moment.
    New ones go to the account with the fewest, the earlier account first.
    """
    waiting = dict.fromkeys(symbols)
    staying = current or {}
    held: dict[str, list[str]] = {}
    for name in accounts:
        held[name] = [symbol for symbol in dict.fromkeys(staying.get(name, ())) if symbol in waiting][:capacity]
        for symbol in held[name]:
            waiting.pop(symbol, None)
    left_out = []
    for symbol in waiting:
        emptiest = min(held.values(), key=len, default=None)
        if emptiest is None or len(emptiest) >= capacity:
            left_out.append(symbol)
        else:
            emptiest.append(symbol)
    return Spread({name: tuple(kept) for name, kept in held.items()}, tuple(left_out))
