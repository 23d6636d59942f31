"""Several symbols as one: each field the sum over those that have a record that day."""

from collections.abc import Sequence

from engine.evaluation.series import NEVER, ZERO, Lookback, Series
from engine.record import Record


class Sum:
    """Kept up to date by its members, because adding up a market for every record of it would cost a hundredfold."""

    def __init__(self, members: Sequence[Series]) -> None:
        self._members = tuple(members)
        self._lookbacks: dict[tuple[int, bool], SumLookback] = {}
        self.begin()
        for member in members:
            member.totals.append(self)

    def begin(self) -> None:
        """A new date."""
        self.latest: Record | None = None
        self._present: list[Series] = []
        for lookback in self._lookbacks.values():
            lookback.begin()

    @property
    def blind(self) -> bool:
        """Whether one of its members is."""
        return any(member.blind for member in self._present)

    def lookback(self, window_ns: int, *, cumulative: bool) -> "SumLookback":
        for member in self._members:
            member.lookback(window_ns, cumulative=cumulative)
        return self._lookbacks.setdefault((window_ns, cumulative), SumLookback())

    def join(self, member: Series, record: Record) -> None:
        """A member's first record of the day."""
        self._present.append(member)
        for (window_ns, cumulative), lookback in self._lookbacks.items():
            lookback.join(member.lookback(window_ns, cumulative=cumulative))
        self.latest = _moved(self.latest or ZERO, ZERO, record)

    def move(self, before: Record, after: Record) -> None:
        """A member's next record."""
        self.latest = _moved(self.latest or ZERO, before, after)

    def doubt(self) -> None:
        """A member's past is not what it was."""
        for lookback in self._lookbacks.values():
            lookback.until = 0


class SumLookback:
    """The start of a window over a sum: known when it is known of every member that has a record."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.record: Record | None = None
        self.until = 0
        self._parts: list[Lookback] = []
        self._shares: list[Record | None] = []
        self._total = ZERO
        self._unknown = 0

    def join(self, part: Lookback) -> None:
        self._parts.append(part)
        self._shares.append(ZERO)
        self.until = 0

    def look(self, now: int) -> None:
        """Moves only the shares that changed."""
        self.until = NEVER
        for place, part in enumerate(self._parts):
            if part.until <= now:
                part.look(now)
            if part.record is not self._shares[place]:
                self._replace(place, part.record)
            self.until = min(self.until, part.until)
        self.record = None if self._unknown else self._total

    def _replace(self, place: int, share: Record | None) -> None:
        before, self._shares[place] = self._shares[place], share
        self._unknown += (share is None) - (before is None)
        self._total = _moved(self._total, before or ZERO, share or ZERO)


def _moved(total: Record, before: Record, after: Record) -> Record:
    """`total` with one share replaced. Symbol and time are those of the new one: of a sum only the time is shown."""
    amounts = (a - b + c for a, b, c in zip(total[2:], before[2:], after[2:], strict=True))
    return Record(after.symbol, after.time, *amounts)
