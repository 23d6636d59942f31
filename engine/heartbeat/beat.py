"""The dead man's switch: somebody is called every minute while all is well, and notices when no call comes any more."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import trio

from engine import kst
from engine.heartbeat.signs import Ailment
from engine.text import quoted

log = logging.getLogger(__name__)

_LOOK_S = 1.0
"""How soon a call that is due follows when all is well again."""


class Pace(NamedTuple):
    interval_s: float = 60.0
    again_s: float = 10.0
    """After a call that failed; there is no third before the next one is due. Two of them and their deadlines take
    half of the interval."""
    patience_s: float = 10.0
    """How long a due call is held back without a word in the log: a connection that is made anew is no news."""


PACE = Pace()


class Heartbeat:
    """`run` it beside everything else: nothing waits for it."""

    def __init__(
        self,
        call: Callable[[], Awaitable[str | None]],
        ailments: Callable[[], Sequence[Ailment]],
        now: Callable[[], int],
        pace: Pace | None = None,
    ) -> None:
        """`call` → why nobody heard it, or None. `now`: nanoseconds since the epoch, for who asks when it was."""
        self._call = call
        self._ailments = ailments
        self._now = now
        self._pace = pace or PACE
        self._last: int | None = None
        self._error = ""
        self._word = ""
        """What the log said last."""
        self._held_since: float | None = None

    def status(self) -> dict[str, Any]:
        """When somebody last heard it, why not since, and what is not well now."""
        return {
            "last": None if self._last is None else kst.iso(self._last),
            "error": self._error,
            "ailments": [{"what": each.what, "detail": each.detail} for each in self._ailments()],
        }

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            began = trio.current_time()
            if ailments := self._ailments():
                self._hold(ailments)
                await trio.sleep(_LOOK_S)
            else:
                self._held_since = None
                await self._beat()
                await trio.sleep_until(began + self._pace.interval_s)

    def _hold(self, ailments: Sequence[Ailment]) -> None:
        now = trio.current_time()
        self._held_since = now if self._held_since is None else self._held_since
        if now - self._held_since >= self._pace.patience_s:
            words = [f"{each.what} {each.detail}".strip() for each in ailments]
            self._say("stopped", ", ".join(words))

    async def _beat(self) -> None:
        """Once, and once more if need be and all is still well."""
        error = await self._call()
        if error is not None:
            await trio.sleep(self._pace.again_s)
            if self._ailments():
                return
            error = await self._call()
        self._error = error or ""
        if error is None:
            self._last = self._now()
            self._say("goes on" if self._word else "begins")
        else:
            self._say("failed", error)

    def _say(self, word: str, reason: str = "") -> None:
        """One line a transition."""
        is_fine = not reason
        if word == self._word or (is_fine and self._word in ("begins", "goes on")):
            return
        self._word = word
        if is_fine:
            log.info("heartbeat %s", word)
        else:
            log.warning("heartbeat %s reason=%s", word, quoted(reason))
