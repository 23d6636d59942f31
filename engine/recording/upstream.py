"""Which symbols are up, as the marks of a stream tell it: so that a file, or what comes after a hole, can say it."""

from engine.stream import Down, Event, Start, Up

EVERY = "*"


class Upstream:
    """Follows the marks. At first nothing is up."""

    def __init__(self) -> None:
        self._every = False
        self._others: dict[str, None] = {}  # an ordered set: those that are not as `_every` says

    def __repr__(self) -> str:
        return f"<Upstream every={self._every} others={len(self._others)}>"

    def follow(self, event: Event) -> None:
        if isinstance(event, Start):
            self._set(every=False)
        elif isinstance(event, Up | Down):
            self._turn(event.symbols, up=isinstance(event, Up))

    def marks(self, t: int) -> list[Event]:
        """What tells one who knows nothing what is up at `t` (ns)."""
        others = tuple(self._others)
        if self._every:
            return [Up(t, (EVERY,)), Down(t, others)] if others else [Up(t, (EVERY,))]
        return [Up(t, others)] if others else []

    def _turn(self, symbols: tuple[str, ...], *, up: bool) -> None:
        if EVERY in symbols:
            self._set(every=up)
        elif up != self._every:
            self._others.update(dict.fromkeys(symbols))
        else:
            for symbol in symbols:
                self._others.pop(symbol, None)

    def _set(self, *, every: bool) -> None:
        self._every = every
        self._others.clear()
