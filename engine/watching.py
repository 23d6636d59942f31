"""Files followed by looking at them, because what a kernel tells of them depends on where they lie (decision 10).

A change is told once it has been quiet for a moment: half of a file can be valid.
"""

import os
from collections.abc import Callable, Hashable
from pathlib import Path

import trio

from engine.errors import ConfigurationError
from engine.rules.load import rule_files

PERIOD_S = 0.2
QUIET_S = 0.3
"""With period and reading, less than a second from the last write; an editor writes in a tenth of it."""
PATIENCE_S = 5.0
"""Where writes never stop, a change is told after this all the same: nobody shall hold a correction off for ever."""
_SHARE = 4
"""A period is at least as many times the length of a look: looking takes a fifth of one core at most, of any folder."""
_MAX_PERIOD_S = 5.0
"""A look that takes longer than a second waits for a network, not for the processor."""

_Stat = tuple[int, ...] | str


def signature(folder: Path) -> Hashable:
    """What tells two states of a rules folder apart: of each file that would be read its name, inode, size and times.

    Never raises: what cannot be read is a part of it.
    """
    try:
        files = rule_files(folder)
    except ConfigurationError as error:
        return tuple((problem.file, problem.code, tuple(problem.detail.items())) for problem in error.problems)
    except OSError as error:
        return error.errno
    return tuple((str(file), _stat(file)) for file in files)


def signature_of_file(path: Path) -> Hashable:
    """The same of one file, whether it is there or not."""
    return _stat(path)


def _stat(path: Path) -> _Stat:
    try:
        found = os.stat(path)  # noqa: PTH116  twice as fast as Path.stat, ten thousand times
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        return f"{type(error).__name__} {getattr(error, 'errno', '')}"
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


class Quiet:
    """Decides which looks are worth telling. Pure; times in seconds of any clock."""

    def __init__(self, first: Hashable, quiet_s: float, patience_s: float) -> None:
        self.told = first
        """What the one who listens knows of."""
        self._last = first
        self._since = 0.0
        self._restless_since: float | None = None
        self._quiet_s = quiet_s
        self._patience_s = patience_s

    def look(self, found: Hashable, began: float, ended: float) -> bool:
        """Whether to tell, after a look from `began` to `ended` that found this."""
        if found != self._last:
            self._last, self._since = found, ended
        if found == self.told:
            self._restless_since = None
            return False
        if self._restless_since is None:
            self._restless_since = began
        if began - self._since < self._quiet_s and began - self._restless_since < self._patience_s:
            return False
        self.told, self._restless_since = found, None
        return True

    def pause_s(self, now: float, period_s: float) -> float:
        """Until the next look: sooner than the period where the quiet time is over before."""
        if self._restless_since is None:
            return period_s
        return min(period_s, max(self._since + self._quiet_s - now, 0.0))


class Watcher:
    """Follows what `look` sees. Make it before what it follows is read, so that no change falls in between.

    `look` is blocking, is called in a thread (the first time at once, here), and never raises.
    """

    def __init__(
        self,
        look: Callable[[], Hashable],
        *,
        period_s: float = PERIOD_S,
        quiet_s: float = QUIET_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._look = look
        self._period_s = period_s
        self._quiet = Quiet(look(), quiet_s, patience_s)
        self._took_s = 0.0
        self._thread = trio.CapacityLimiter(1)
        """A look that hangs with its disk holds this thread, and none of those that others use."""

    async def wait_changed(self) -> None:
        """Returns once what is seen differs from what was told last (or at the beginning), and rests.

        Within a second of the last write, as far as looking takes no time. May be cancelled at any moment.
        """
        while True:
            period_s = min(max(self._period_s, self._took_s * _SHARE), max(_MAX_PERIOD_S, self._period_s))
            await trio.sleep(self._quiet.pause_s(trio.current_time(), period_s))
            began = trio.current_time()
            found = await self._seen()
            ended = trio.current_time()
            self._took_s = ended - began
            if self._quiet.look(found, began, ended):
                return

    async def still(self) -> bool:
        """Whether it is as it was when it was told: false, and what was read since may be half of something."""
        return await self._seen() == self._quiet.told

    async def _seen(self) -> Hashable:
        return await trio.to_thread.run_sync(self._look, abandon_on_cancel=True, limiter=self._thread)
