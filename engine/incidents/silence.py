"""No data although the connection lives: told once a silence and date, and once when data is back.

When data stays away for longer than is usual, is decided elsewhere (engine.kis.silence), date by date: a silence that
the close of the session cuts short is found anew in the next one. To the reader it is the same one, so it is told again
on that date, and is over only when data comes, on whatever date.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.kis.status import Phase, Status
from engine.kst import day_number
from engine.session import Hours


@dataclass(frozen=True, slots=True)
class Silent:
    account: str
    since: int
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Silences:
    began: tuple[Silent, ...] = ()
    ended: tuple[Silent, ...] = ()


class Watch:
    def __init__(self, hours: Hours) -> None:
        self._hours = hours
        self._silent: dict[str, Silent] = {}
        """Told, and without data since; on a later date still as it began."""
        self._told: dict[str, int] = {}
        """The date on which each of them was last told."""

    @property
    def accounts(self) -> Collection[str]:
        """Those that were told to be without data, and still are."""
        return self._silent.keys()

    def look(self, now: int, feeds: Sequence[Status]) -> Silences:
        for feed in feeds:
            if feed.phase is Phase.IDLE:  # nothing is to be heard any more: it is not over, but nobody waits for it
                self._silent.pop(feed.account, None)
        ended = tuple(self._silent.pop(feed.account) for feed in feeds if self._has_ended(feed))
        began = tuple(self._begin(feed.account, feed, since, now) for feed, since in self._silences(now, feeds))
        return Silences(began, ended)

    def _has_ended(self, feed: Status) -> bool:
        silent = self._silent.get(feed.account)
        return silent is not None and _has_spoken(feed, silent.since)

    def _silences(self, now: int, feeds: Sequence[Status]) -> list[tuple[Status, int]]:
        """To be told. One of an earlier date is left over of a feed that has been down since: it is judged anew."""
        if not self._hours.is_open(now):
            return []
        silent = [(feed, feed.silent_since) for feed in feeds if feed.silent_since is not None]
        silent = [(feed, since) for feed, since in silent if not _has_spoken(feed, since)]
        today = [(feed, since) for feed, since in silent if day_number(since) == day_number(now)]
        return [(feed, since) for feed, since in today if not self._is_told(feed.account, now)]

    def _is_told(self, account: str, now: int) -> bool:
        return account in self._silent and self._told[account] == day_number(now)

    def _begin(self, account: str, feed: Status, since: int, now: int) -> Silent:
        silent = Silent(account, since, feed.symbols)
        self._silent.setdefault(account, silent)
        self._told[account] = day_number(now)
        return silent


def _has_spoken(feed: Status, since: int) -> bool:
    """The feed itself looks once a second, and may not have seen it yet."""
    return any(t > since for _, t in feed.last_records)
