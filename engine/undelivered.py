"""What could not be delivered, as `notify dead` asks for it: listed, sent after all, or let go.

Read from the database in a thread, and decided on here, between two events. One question at a time, each after all that
was decided before is stored: so nothing is sent twice for being asked for twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import trio

from engine.clock import Clock
from engine.delivery.outbox import Outbox
from engine.delivery.parcel import Kept
from engine.errors import PgmwatchError
from engine.keeper import Keeper
from engine.locale import Locale, Text
from engine.ops import dead
from engine.ops.control import PATIENCE_S, each_said
from engine.store import reading
from engine.store.database import DatabaseError
from engine.store.reading import Chosen, NoDatabaseError, Wanted

_T = TypeVar("_T")

MAX_LISTED = 1_000
"""Of one list, the newest: 600 KB."""
MAX_DECIDED = 20_000
"""Decisions that wait for a database that refuses them: as many as the keeper holds for it."""
_PIECE = 200
"""Messages queued again or let go between two events: up to 40 µs each."""
_COUNT_S = 1.0
"""What `status` waits for a number; it has more to say."""

_NO_ANSWER = Text(
    "the database does not answer; see pgmwatch status", "데이터베이스가 응답하지 않습니다. pgmwatch status를 보세요"
)
_MISUSED = Text("not a question about undeliverable messages", "보내지 못한 메시지에 대한 물음이 아닙니다")


class _Found(NamedTuple):
    """What the database has of it."""

    kept: tuple[Kept, ...]
    total: int
    """With those that were too many for one answer."""
    told: frozenset[tuple[str, str]]
    """Notices whose target is gone, and the targets that they went to as well."""


class Undelivered:
    """Asked by commands; what is decided goes through the outbox, which stores it."""

    def __init__(self, outbox: Outbox, keeper: Keeper, path: Path, clock: Clock, locale: Locale) -> None:
        """`path`: of the database."""
        self._outbox = outbox
        self._keeper = keeper
        self._path = path
        self._clock = clock
        self._locale = locale
        self._deciding = trio.Lock()
        self._threads = trio.CapacityLimiter(1)
        """A thread at a disk that hangs keeps its place: there is never another beside it."""
        self._decided: dict[tuple[str, str], None] = {}
        """Notices and targets of which the database may not know yet what became of them."""

    async def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """`action`: list, retry or drop; `ids` and `target`: which. Raises PgmwatchError where that cannot be had."""
        action, chosen = _asked(request, self._locale)
        with trio.move_on_after(PATIENCE_S):
            async with self._deciding:
                found = await self._find(chosen, MAX_LISTED if action == "list" else reading.MAX_DEAD)
                with trio.CancelScope(shield=True):  # it takes little time, and is all or nothing
                    return await self._act(action, chosen, found)
        raise PgmwatchError(_NO_ANSWER.of(self._locale))

    async def count(self) -> int | None:
        """How many there are; None where nobody can say."""
        with trio.move_on_after(_COUNT_S):
            try:
                return await self._read(partial(reading.count_dead, self._path, Chosen()))
            except DatabaseError:
                return None
        return None

    async def _find(self, chosen: Chosen, limit: int) -> _Found:
        asked_s = trio.current_time()
        await self._keeper.stored()
        if self._keeper.trouble.store is None and self._is_stored_up_to(asked_s):
            self._decided.clear()
        decided, present = frozenset(self._decided), frozenset(self._outbox.queued())
        try:
            return await self._read(partial(_read, self._path, chosen, limit, decided, present))
        except NoDatabaseError:
            return _Found((), 0, frozenset())
        except DatabaseError as error:
            raise PgmwatchError(error.text(self._locale)) from error

    def _is_stored_up_to(self, asked_s: float) -> bool:
        """All that was put before `asked_s` is stored: a disk that hangs is not waited for to the end.

        What came since may wait; with steady storing, something always does.
        """
        passed_s = trio.current_time() - asked_s  # before the lag is measured: else what is as old might seem younger
        lag_s = self._keeper.lag_s()
        return not lag_s or lag_s < passed_s

    async def _read(self, read: Callable[[], _T]) -> _T:
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._threads)

    async def _act(self, action: str, chosen: Chosen, found: _Found) -> dict[str, Any]:
        ids = {each.notice.id for each in found.kept}
        answer: dict[str, Any] = {
            "missing": [ident for ident in chosen.ids if ident not in ids],
            "matched": len(found.kept),
            "more": found.total - len(found.kept),
        }
        if action == "list":
            return {"dead": await each_said(found.kept, dead.of), **answer}
        if action == "drop":
            for piece in _pieces(found.kept):
                self._outbox.discard(piece, self._clock.now())
                await trio.lowlevel.checkpoint()
            self._decide(found.kept)
            return {"dropped": len(found.kept), **answer}
        return {**await self._retry(found), **answer}

    async def _retry(self, found: _Found) -> dict[str, int]:
        """→ how many deliveries were queued, and how many messages nobody's target is for any more."""
        serving = {name for target in self._outbox.status() for name in target.address.notifiers}
        present = self._outbox.queued()
        here = [each for each in found.kept if each.delivery.target in present]
        gone = [each for each in found.kept if each.delivery.target not in present]
        served = [each for each in gone if not serving.isdisjoint(each.notice.notify)]
        told, queued = set(found.told), 0
        for piece in _pieces(served):
            queued += self._outbox.revive(piece, self._clock.now(), told)
            told.update((each.notice.id, target) for each in piece for target in present)
            await trio.lowlevel.checkpoint()
        for piece in _pieces(here):
            queued += self._outbox.revive(piece, self._clock.now())
            await trio.lowlevel.checkpoint()
        self._decide([*served, *here])
        return {"queued": queued, "unserved": len(gone) - len(served)}

    def _decide(self, kept: Sequence[Kept]) -> None:
        self._decided.update(((each.notice.id, each.delivery.target), None) for each in kept)
        for key in [*self._decided][:-MAX_DECIDED]:
            del self._decided[key]


def _pieces(kept: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    return (kept[first : first + _PIECE] for first in range(0, len(kept), _PIECE))


def _asked(request: Mapping[str, Any], locale: Locale) -> tuple[str, Chosen]:
    """Whoever asks need not be our command."""
    action, ids, target = request.get("action"), request.get("ids", []), request.get("target")
    if (
        action not in ("list", "retry", "drop")
        or not isinstance(ids, list)
        or not all(isinstance(each, str) for each in ids)
        or not isinstance(target, str | None)
    ):
        raise PgmwatchError(_MISUSED.of(locale))
    return action, Chosen(tuple(ids), target)


def _read(
    path: Path, chosen: Chosen, limit: int, decided: AbstractSet[tuple[str, str]], present: AbstractSet[str]
) -> _Found:
    """In a thread. `decided` is not dead any more, whatever the database has; `present`: ids of targets."""
    kept = reading.dead(path, chosen, limit)
    count = reading.count_dead(path, chosen) if len(kept) >= limit else len(kept)
    undecided = tuple(each for each in kept if (each.notice.id, each.delivery.target) not in decided)
    lost = tuple({each.notice.id for each in undecided if each.delivery.target not in present})
    entries = reading.history(path, Wanted(ids=lost, limit=len(lost))) if lost else ()
    told = frozenset((each.id, each.target) for entry in entries for each in entry.deliveries)
    return _Found(undecided, count - (len(kept) - len(undecided)), told)
