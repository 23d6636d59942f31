"""No data although the connection lives: told once a silence, and once when data is back."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.kis.status import Status


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
    def __init__(self) -> None:
        self._silent: dict[str, Silent] = {}

    def look(self, feeds: Sequence[Status]) -> Silences:
        """A silence that the close of the session ended is over without a word: no data came."""
        began, ended = [], []
        for feed in feeds:
            silent = self._silent.get(feed.account)
            if feed.silent_since is None and silent is not None:
                del self._silent[feed.account]
                if any(t > silent.since for _, t in feed.last_records):
                    ended.append(silent)
            elif feed.silent_since is not None and silent is None:
                silent = Silent(feed.account, feed.silent_since, feed.symbols)
                self._silent[feed.account] = silent
                began.append(silent)
        return Silences(tuple(began), tuple(ended))
