"""Several symbols as one: each field the sum over those that have a record that day."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from engine.evaluation.series import NEVER, ZERO, Lookback, LookbackKey, Series
from engine.record import Record


class Sum:
    """Kept up to date by its members, because adding up a market for every record of it would cost a hundredfold."""

    def __init__(self, members: Sequence[Series]) -> None:
        """Over what the members have heard today; from `attach` on it hears of what they hear."""
        self._members = tuple(members)
        self._lookbacks: dict[LookbackKey, SumLookback] = {}
        self.begin()
        for member in sorted(members, key=lambda member: member.latest_at):  # it shows the time of the latest record
            if member.latest is not None:
                self.join(member, member.latest)

    def attach(self) -> None:
        for member in self._members:
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

    @property
    def blind_since(self) -> int | None:
        """Of the member that has been blind for longest."""
        return min((member.blind_since for member in self._present if member.blind_since is not None), default=None)

    def was_blind(self, since: int) -> bool:
        """One of its members, at any moment after `since`, or now."""
        return any(member.was_blind(since) for member in self._present)

    def lookback(self, window_ns: int, *, cumulative: bool) -> "SumLookback":
        parts = {member: member.lookback(window_ns, cumulative=cumulative) for member in self._members}
        key = window_ns, cumulative
        if key not in self._lookbacks:
            self._lookbacks[key] = SumLookback()
            for member in self._present:
                self._lookbacks[key].join(parts[member])
        return self._lookbacks[key]

    def keep_lookbacks(self, keys: AbstractSet[LookbackKey]) -> None:
        """Nobody asks for other windows any more."""
        self._lookbacks = {key: lookback for key, lookback in self._lookbacks.items() if key in keys}

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
        until, shares = NEVER, self._shares
        for place, part in enumerate(self._parts):
            end = part.until
            if end <= now:
                part.look(now)
                end = part.until
            if part.record is not shares[place]:
                self._replace(place, part.record)
            if end < until:  # noqa: PLR1730 -- for each of forty members: min() was a quarter of it, profiled
                until = end
        self.until = until
        self.record = None if self._unknown else self._total

    def known_at(self, now: int) -> int | None:
        """Like `Lookback.known_at`: known of all members at once."""
        while True:
            moments = [part.known_at(now) for part in self._parts]
            known = [moment for moment in moments if moment is not None]
            if len(known) < len(moments):
                return None
            latest = max(known, default=now)
            if latest == now:
                return now
            now = latest

    def _replace(self, place: int, share: Record | None) -> None:
        before, self._shares[place] = self._shares[place], share
        self._unknown += (share is None) - (before is None)
        self._total = _moved(self._total, before or ZERO, share or ZERO)


def _moved(total: Record, before: Record, after: Record) -> Record:
    """`total` with one share replaced. Symbol and time are those of the new one: of a sum only the time is shown."""
    # Written out: a loop over the nine takes twice as long, and every record of every member comes through here.
    return Record(
        after.symbol,
        after.time,
        total.sell_volume - before.sell_volume + after.sell_volume,
        total.sell_value - before.sell_value + after.sell_value,
        total.buy_volume - before.buy_volume + after.buy_volume,
        total.buy_value - before.buy_value + after.buy_value,
        total.net_volume - before.net_volume + after.net_volume,
        total.net_value - before.net_value + after.net_value,
        total.sell_resting - before.sell_resting + after.sell_resting,
        total.buy_resting - before.buy_resting + after.buy_resting,
        total.net_resting - before.net_resting + after.net_resting,
    )
